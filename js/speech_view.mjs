// The speech as bars, bright where the silence gate is open, with the frames that have no face. Knows no host.
import { loadStyle, make, pointerAt, sharpContext } from "./element.mjs";
import { bars, clock, countFrames, frameSpans, gateAt, timeAt } from "./timeline.mjs";

const SPEECH = "#4ade80";
const SILENCE = "#64748b";
const NO_FACE = "#fb923c";
const HEAD = "#f8fafc";
const BAR = 3; // px from bar to bar

export class SpeechView {
  /**
   * @param words the texts of words.mjs
   * @param player gives the <video> or <audio> that plays this speech, or null; asked when needed
   */
  constructor(words, player = () => null) {
    loadStyle();
    this.words = words;
    this.player = player;
    this.report = null;
    this.canvas = make("canvas", { className: "lipsync-canvas lipsync-wave" });
    this.canvas.setAttribute("role", "img");
    this.note = make("span", { className: "lipsync-note", textContent: words.speechEmpty });
    this.element = make(
      "div",
      { className: "lipsync-speech" },
      make("div", { className: "lipsync-track" }, this.canvas),
      make("div", { className: "lipsync-line" }, this.note),
    );
    this.canvas.addEventListener("pointerdown", (event) => this.seek(event));
    new ResizeObserver(() => this.draw()).observe(this.canvas.parentElement);
    this.draw();
  }

  /** { seconds, fps, frames, peaks, gate, no_face: [[first, last]], text } */
  show(report) {
    this.report = { peaks: [], gate: [], no_face: [], ...report };
    this.draw();
    this.follow();
  }

  seek(event) {
    const player = this.player();
    if (!this.report || !player) return;
    event.stopPropagation();
    const [x] = pointerAt(event, this.canvas);
    player.currentTime = timeAt(x, this.canvas.clientWidth, this.report.seconds);
    this.draw();
  }

  /** Move the line with the player, as long as this part is on the page. */
  follow() {
    cancelAnimationFrame(this.ticket);
    const tick = () => {
      const now = this.player()?.currentTime ?? 0;
      if (now !== this.drawnAt) this.draw();
      if (this.element.isConnected) this.ticket = requestAnimationFrame(tick);
    };
    this.ticket = requestAnimationFrame(tick);
  }

  draw() {
    const { canvas, report } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    this.tell();
    if (!width || !height) return;
    const context = sharpContext(canvas, width, height);
    if (!report) return;
    this.gaps(context, width, height);
    this.wave(context, width, height);
    this.drawnAt = this.player()?.currentTime ?? 0;
    const x = report.seconds ? (this.drawnAt / report.seconds) * width : 0;
    context.fillStyle = HEAD;
    if (this.drawnAt) context.fillRect(Math.min(x, width - 2), 0, 2, height);
  }

  wave(context, width, height) {
    const count = Math.max(1, Math.floor(width / BAR));
    const loud = bars(this.report.peaks, count);
    const open = gateAt(this.report.gate, count);
    loud.forEach((value, index) => {
      const tall = Math.max(2, value * (height - 10));
      context.fillStyle = open[index] >= 0.5 ? SPEECH : SILENCE;
      context.fillRect((index * width) / count, (height - tall) / 2, BAR - 1, tall);
    });
  }

  gaps(context, width, height) {
    for (const [start, end] of frameSpans(this.report.no_face, this.report.frames)) {
      const [left, wide] = [start * width, Math.max(2, (end - start) * width)];
      context.fillStyle = "rgba(251, 146, 60, 0.22)";
      context.fillRect(left, 0, wide, height);
      context.fillStyle = NO_FACE;
      context.fillRect(left, height - 4, wide, 4);
    }
  }

  tell() {
    const { report, words } = this;
    if (!report) return;
    const missing = countFrames(report.no_face);
    const parts = [clock(report.seconds), words.frames(report.frames)];
    if (missing) parts.push(words.withoutFace(missing));
    this.note.textContent = parts.join(" · ");
    this.note.title = report.text ?? "";
    this.canvas.setAttribute("aria-label", this.note.textContent);
  }
}
