// Lip Sync on the ComfyUI page: the picture with faces, the speech, "Lip sync this image", and missing weights.
// The nodes work without any of it. Only public hooks are used, so the classic canvas and Nodes 2.0 both show it.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { formatBox, formatPoint, parseNumbers } from "./boxes.mjs";
import { FacePicker } from "./face_picker.mjs";
import { lipSyncThis, pictureOf } from "./graph.mjs";
import { SpeechView } from "./speech_view.mjs";
import { missingWeights, WeightsOffer } from "./weights_offer.mjs";
import { wordsFor } from "./words.mjs";

const FACES = ["LipSyncDetectFaces"];
const SPEAKING = ["LipSyncVideo", "LipSyncPortrait", "LipSyncBlendVideo"];
const WEIGHTS = ["LipSyncVideo", "LipSyncPortrait", "LipSyncLoadModel"];

const words = () => wordsFor(app.extensionManager?.setting?.get("Comfy.Locale") ?? navigator.language);
const kind = (node) => node.comfyClass ?? node.constructor?.comfyClass ?? node.type;

function viewUrl({ filename, subfolder = "", type = "temp" }) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}&rand=${Math.random()}`);
}

/** A part of the page as a widget that is neither saved nor sent, so that saved workflows keep their order. */
function addPart(node, name, element, height) {
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => height, getValue: () => "", setValue: () => {} };
  const widget = node.addDOMWidget(name, "lipsync", element, options);
  widget.serialize = false;
  return widget;
}

/**
 * The classic canvas offers "Show Advanced" for widgets that carry the mark themselves, but keeps their room free:
 * they are hidden as well until then. Nodes 2.0 has a button of its own for it.
 */
function foldExperts(node) {
  let folded = false;
  for (const widget of node.widgets ?? []) {
    folded = Boolean(widget.options?.advanced) || (folded && widget.name === "control_after_generate");
    if (!folded) continue;
    widget.advanced = true;
    const hidden = () => !globalThis.LiteGraph.vueNodesMode && !node.showAdvanced;
    const size = widget.computeSize;
    Object.defineProperty(widget, "hidden", { get: hidden, set: () => {}, configurable: true });
    Object.defineProperty(widget, "computeSize", { get: () => (hidden() ? () => [0, -4] : size), set: () => {} });
  }
}

/** A new node takes the height of what it shows; one out of a file or the clipboard keeps its own. */
function fitWhenNew(node) {
  let own = false;
  const before = node.onConfigure;
  node.onConfigure = function (...values) {
    own = true;
    return before?.apply(this, values);
  };
  setTimeout(() => {
    if (!own && node.graph) node.setSize([Math.max(node.size[0], 360), node.computeSize()[1]]);
    node.graph?.setDirtyCanvas?.(true, true);
  });
}

const widgetOf = (node, name) => node.widgets?.find((each) => each.name === name);

function setWidget(node, name, value) {
  const widget = widgetOf(node, name);
  if (!widget || widget.value === value) return;
  widget.value = value;
  widget.callback?.(value);
  node.graph?.setDirtyCanvas?.(true, true);
}

/** What the node's own widgets say about the face, as the picker takes it. */
function choiceOf(node) {
  const box = parseNumbers(widgetOf(node, "box")?.value, 4);
  const point = parseNumbers(widgetOf(node, "face_point")?.value, 2);
  return box ? { box } : point ? { point } : {};
}

function addFaces(node) {
  const picker = new FacePicker(words(), ({ box, point }) => {
    setWidget(node, "box", box ? formatBox(box) : "");
    setWidget(node, "face_point", point ? formatPoint(point) : "");
  });
  addPart(node, "lipsync_faces", picker.element, 240);
  for (const name of ["box", "face_point"]) follow(widgetOf(node, name), () => picker.setChoice(choiceOf(node)));
  node.lipsync = {
    show({ lipsync_faces: [faces] = [] }) {
      if (!faces) return;
      picker.setChoice(choiceOf(node));
      picker.show({ ...faces, url: viewUrl(faces.image) });
    },
    refresh() {
      picker.setChoice(choiceOf(node));
    },
  };
}

/** Be told when a person types into a widget. */
function follow(widget, told) {
  if (!widget) return;
  const before = widget.callback;
  widget.callback = function (...values) {
    before?.apply(this, values);
    told();
  };
}

function addSpeech(node) {
  const found = finder(() => dropFrame(node));
  const view = new SpeechView(words(), found.player);
  addPart(node, "lipsync_speech", view.element, 84);
  node.lipsync = {
    show({ images: [video] = [], lipsync_report: [report] = [] }) {
      found.look(video?.filename ?? "");
      if (report) view.show(report);
    },
  };
}

/** Finds the page's own player of a file; `arrived` is called when it comes up, for the canvas then needs a redraw. */
function finder(arrived) {
  let [file, player, asked] = ["", null, 0];
  return {
    look(filename) {
      [file, player, asked] = [filename, null, 0];
    },
    player() {
      if (player?.isConnected) return player;
      if (!file || performance.now() - asked < 400) return null;
      asked = performance.now();
      player = [...document.querySelectorAll("video")].find((each) => plays(each, file)) ?? null;
      if (player) arrived();
      return player;
    },
  };
}

/**
 * The classic canvas asks for the video while the last preview frame of the run is still there, and takes that for it.
 * Let it ask again when the frame is gone (the page keeps it for 0.4 s).
 */
function showVideoAgain(node) {
  setTimeout(() => {
    if (globalThis.LiteGraph.vueNodesMode) return;
    delete app.nodePreviewImages?.[node.id];
    node.images = node.preview = undefined;
    dropFrame(node);
  }, 900);
}

/** Take the last preview frame of a run off the classic canvas, where it stays beside the video. */
function dropFrame(node) {
  const frame = node.widgets.findIndex((each) => each.name === "$$canvas-image-preview");
  if (frame >= 0) node.widgets.splice(frame, 1)[0].onRemove?.();
  node.imgs = undefined;
  app.canvas.setDirty?.(true, true);
}

/** True for a player of the file with this name. */
function plays(video, filename) {
  const address = video.currentSrc || video.src || video.querySelector("source")?.src || "";
  return address.includes(`filename=${encodeURIComponent(filename)}`);
}

function menuItems(node) {
  const items = [];
  const picture = pictureOf(node);
  if (picture && !SPEAKING.includes(kind(node))) {
    const content = picture.type === "VIDEO" ? words().menuVideo : words().menuImage;
    items.push({ content, callback: () => addHero(node) });
  }
  if (WEIGHTS.includes(kind(node))) items.push({ content: words().menuWeights, callback: () => offer.open() });
  return items;
}

function addHero(node) {
  app.canvas.emitBeforeChange?.();
  const added = lipSyncThis(node, (type) => globalThis.LiteGraph.createNode(type));
  app.canvas.emitAfterChange?.();
  if (added) app.canvas.selectItems?.([added.hero]);
  app.canvas.setDirty?.(true, true);
}

const service = {
  async list() {
    return answer(await api.fetchApi("/lipsync/weights"));
  },
  start: (name, acceptLicence) => post("/lipsync/weights/get", { name, accept_licence: acceptLicence }),
  cancel: (name) => post("/lipsync/weights/cancel", { name }),
  watch(listener) {
    const told = ({ detail }) => listener(detail);
    api.addEventListener("lipsync.weights", told);
    return () => api.removeEventListener("lipsync.weights", told);
  },
};

async function post(path, values) {
  const headers = { "Content-Type": "application/json" };
  return answer(await api.fetchApi(path, { method: "POST", headers, body: JSON.stringify(values) }));
}

async function answer(response) {
  const data = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(data.error ?? `HTTP ${response.status}`);
  return data;
}

const offer = { open: (wanted) => new WeightsOffer(words(), service).open(wanted) };

app.registerExtension({
  name: "sd-lipsync",
  setup() {
    api.addEventListener("execution_error", ({ detail }) => {
      const name = missingWeights(detail?.exception_message);
      if (name) offer.open(name);
    });
  },
  nodeCreated(node) {
    if (!kind(node)?.startsWith("LipSync")) return;
    foldExperts(node);
    if (FACES.includes(kind(node))) addFaces(node);
    else if (SPEAKING.includes(kind(node))) addSpeech(node);
    fitWhenNew(node);
    if (!node.lipsync) return;
    const before = node.onExecuted;
    node.onExecuted = function (output) {
      before?.call(this, output);
      this.lipsync.show(output);
      if (SPEAKING.includes(kind(this))) showVideoAgain(this);
    };
  },
  loadedGraphNode(node) {
    node.lipsync?.refresh?.();
  },
  /** A workflow that is opened again shows what its last run found. */
  onNodeOutputsUpdated(outputs) {
    for (const [id, output] of Object.entries(outputs)) nodeById(id)?.lipsync?.show(output ?? {});
  },
  getNodeMenuItems: menuItems,
  beforeRegisterNodeDef(nodeType) {
    if (app.collectNodeMenuItems) return; // newer pages ask getNodeMenuItems
    const before = nodeType.prototype.getExtraMenuOptions;
    nodeType.prototype.getExtraMenuOptions = function (canvas, options) {
      const given = before?.apply(this, arguments);
      options.push(...menuItems(this));
      return given;
    };
  },
});

/** A node by the id under which its output is kept: "7", or "4:7" inside a subgraph. */
function nodeById(id) {
  const parts = String(id).split(":");
  let graph = app.rootGraph ?? app.graph;
  for (const part of parts.slice(0, -1)) graph = graph?.getNodeById(Number(part))?.subgraph;
  return graph?.getNodeById(Number(parts.at(-1)));
}
