// The list of weights with a download for each, its licence accepted once. Knows the page, not the host:
// `service` has list() -> { folder, items, acknowledged }, start(name, acceptLicence), cancel(name) and, to be told of
// progress, watch(listener) -> stop, where listener gets { name, done, total, state, error }.
import { loadStyle, make } from "./element.mjs";
import { fileSize } from "./timeline.mjs";

/** Which of the items stands for a missing weight: by its name, its file or the file's stem. */
export function findItem(items, wanted) {
  const plain = (text) => String(text).toLowerCase().replace(/\.(pth|pt|ckpt|safetensors|onnx|tar|model)$/, "");
  return items.find((item) => [item.name, item.file].some((name) => name && plain(name) === plain(wanted))) ?? null;
}

/** The name in an error like "Missing weights: wav2lip_gan. ...", or null when the error is about something else. */
export function missingWeights(message) {
  return /Missing weights:\s*([\w.-]*\w)/.exec(String(message ?? ""))?.[1] ?? null;
}

export class WeightsOffer {
  constructor(words, service) {
    this.words = words;
    this.service = service;
    this.rows = new Map();
  }

  /** Open the dialog; with `wanted` only that one is listed. */
  async open(wanted = null) {
    loadStyle();
    this.dialog?.remove();
    const { words } = this;
    this.list = make("div", {}, make("p", { textContent: words.waiting }));
    const close = make("button", { type: "button", textContent: words.close, onclick: () => this.dialog.close() });
    this.dialog = make(
      "dialog",
      { className: "lipsync-dialog" },
      make("h2", { textContent: words.weightsTitle }),
      this.list,
      make("div", { className: "lipsync-foot" }, close),
    );
    const stop = this.service.watch((news) => this.progress(news));
    this.dialog.addEventListener("close", () => {
      stop();
      this.dialog.remove();
    });
    document.body.append(this.dialog);
    this.dialog.showModal();
    await this.fill(wanted);
  }

  async fill(wanted) {
    const { words } = this;
    try {
      const { items, folder, acknowledged } = await this.service.list();
      const item = wanted && findItem(items, wanted);
      this.rows.clear();
      this.list.replaceChildren(
        ...(wanted ? [make("p", { textContent: words.weightsMissing(wanted) })] : []),
        make("p", { textContent: words.weightsIntro(folder) }),
        ...(item ? [item] : items).map((each) => this.row(each, acknowledged.includes(each.name))),
      );
    } catch (error) {
      this.list.replaceChildren(make("p", { className: "lipsync-error", textContent: words.unreachable, title: String(error) }));
    }
  }

  row(item, acknowledged) {
    const { words } = this;
    const title = make("strong", { textContent: item.name, title: item.file });
    const button = make("button", { type: "button", className: "lipsync-main", textContent: words.download });
    const about = [item.engine, fileSize(item.size), item.licence].filter(Boolean).join(" · ");
    const links = [this.link(item.licence_url, words.licence), this.link(item.page, words.page)];
    const row = make("div", { className: "lipsync-row" }, title, button);
    row.append(make("small", {}, about, ...links));
    const bar = make("progress", { max: 1, value: 0, hidden: true });
    const fault = make("div", { className: "lipsync-error", hidden: true });
    const tick = item.needs_ack && !acknowledged && !item.here ? this.tick(row, button, item) : null;
    if (item.here) this.settle(button, words.here);
    else if (!item.downloadable) {
      button.hidden = true;
      row.append(make("small", { textContent: words.byHand }));
      tick?.parentElement.remove();
    }
    row.append(bar, fault);
    button.addEventListener("click", () => {
      if (this.rows.get(item.name).running) this.service.cancel(item.name);
      else this.start(item, button, Boolean(tick?.checked) || acknowledged);
    });
    this.rows.set(item.name, { button, bar, fault, running: false });
    return row;
  }

  /** The licence's tick box: the download waits for it. */
  tick(row, button) {
    const box = make("input", { type: "checkbox" });
    button.disabled = true;
    box.addEventListener("change", () => (button.disabled = !box.checked));
    row.append(make("label", {}, box, ` ${this.words.accept}`));
    return box;
  }

  link(href, text) {
    if (!/^https?:\/\//.test(href ?? "")) return null;
    return make("span", {}, " · ", make("a", { href, target: "_blank", rel: "noreferrer", textContent: text }));
  }

  settle(button, text) {
    button.textContent = text;
    button.disabled = true;
  }

  async start(item, button, accepted) {
    this.settle(button, this.words.waiting);
    try {
      await this.service.start(item.name, accepted);
    } catch (error) {
      this.progress({ name: item.name, state: "failed", error: error.message });
    }
  }

  progress({ name, done, total, state, error }) {
    const row = this.rows.get(name);
    if (!row) return;
    row.running = state === "running";
    row.bar.hidden = !row.running;
    if (total > 0) row.bar.value = done / total;
    else row.bar.removeAttribute("value");
    row.fault.hidden = !error;
    row.fault.textContent = error ?? "";
    if (row.running) {
      row.button.disabled = false;
      row.button.textContent = this.words.cancel;
    }
    if (state === "done") this.settle(row.button, this.words.done);
    if (state === "failed" || state === "cancelled") {
      row.button.disabled = false;
      row.button.textContent = this.words.download;
    }
  }
}
