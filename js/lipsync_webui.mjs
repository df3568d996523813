// The Lip Sync tab of A1111 and Forge: what its buttons call by name, and what the page does for it.
// Uses the host's global functions: gradioApp, randomId, requestProgress, showSubmitButtons, onUiTabChange, updateInput.

import { FacePicker } from "./face_picker.mjs";
import { wordsFor } from "./words.mjs";

const byId = (id) => gradioApp().getElementById(id);

/** Bring the tab to the front. Its place differs between hosts, its label does not. */
function switchToLipSync() {
  const buttons = [...gradioApp().querySelectorAll("#tabs > .tab-nav button, #tabs > div button[role=tab]")];
  buttons.find((each) => each.textContent.trim() === "Lip Sync")?.click();
  byId("lipsync_source")?.querySelector("button")?.click(); // the picture goes to the first of the source's tabs
  return [...arguments];
}

/** Give the job a name, follow it, and hand the values on; gradio adds the outputs, which are not sent back. */
function submitLipSync(...args) {
  const id = randomId();
  showSubmitButtons("lipsync", false);
  const done = () => showSubmitButtons("lipsync", true);
  requestProgress(id, byId("lipsync_gallery_container"), byId("lipsync_gallery"), done);
  args[0] = id;
  return args;
}

/** After "use as source": show where the video went. */
function showSourceVideo() {
  byId("lipsync_source")?.querySelectorAll("button")[1]?.click();
}

/** After a preview: its faces, to click one or to draw a box. What is chosen goes through a hidden text box. */
let picker = null;
function showFaces(text) {
  const place = byId("lipsync_picker");
  if (!text || !place) return [];
  picker ??= new FacePicker(wordsFor(navigator.language), (choice) => {
    const box = gradioApp().querySelector("#lipsync_choice textarea, #lipsync_choice input");
    box.value = JSON.stringify(choice);
    updateInput(box);
  });
  if (picker.element.parentElement !== place) place.replaceChildren(picker.element);
  place.classList.add("lipsync-found");
  picker.show(JSON.parse(text));
  return [];
}

/** "Animate after generation" uses the tab's settings: they are carried over when the tab is left. */
let inFront = false;
function rememberOnLeaving() {
  const tab = byId("tab_lipsync");
  const now = Boolean(tab) && getComputedStyle(tab).display !== "none";
  if (inFront && !now) byId("lipsync_remember")?.click();
  inFront = now;
}

window.switch_to_lipsync = switchToLipSync;
window.submit_lipsync = submitLipSync;
window.lipsync_show_faces = showFaces;
window.lipsync_show_source_video = showSourceVideo;
onUiTabChange(rememberOnLeaving);
