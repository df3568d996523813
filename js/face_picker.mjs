// A picture with the faces found in it: click one to choose it, drag to draw a box by hand. Knows no host.
import { boxAt, boxFromDrag, centre, contains, fitInside, neighbour, toPicture, toScreen } from "./boxes.mjs";
import { loadStyle, make, pointerAt, sharpContext } from "./element.mjs";

const CHOSEN = "#4ade80";
const FOUND = "#7dd3fc";
const DRAWN = "#fbbf24";
const SHADE = "rgba(10, 12, 16, 0.45)";

export class FacePicker {
  /**
   * @param words the texts of words.mjs
   * @param choose called with { point: [x, y] }, { box: [x1, y1, x2, y2] } or {} (back to automatic), in picture pixels
   */
  constructor(words, choose) {
    loadStyle();
    this.words = words;
    this.choose = choose;
    this.faces = { width: 0, height: 0, boxes: [], chosen: [] };
    this.choice = {};
    this.hover = -1;
    this.drag = null;
    this.image = null;
    this.canvas = make("canvas", { className: "lipsync-canvas", tabIndex: 0 });
    this.canvas.setAttribute("role", "img");
    this.note = make("span", { className: "lipsync-note", textContent: words.facesEmpty });
    this.reset = make("button", { type: "button", className: "lipsync-small", textContent: words.automatic });
    this.element = make(
      "div",
      { className: "lipsync-faces" },
      make("div", { className: "lipsync-stage" }, this.canvas),
      make("div", { className: "lipsync-line" }, this.note, this.reset),
    );
    this.listen();
    this.draw();
  }

  /** A new picture: { url, width, height, boxes, chosen }; url may be null while only the boxes changed. */
  show(faces) {
    this.faces = { boxes: [], chosen: [], ...faces };
    this.hover = -1;
    if (!faces.url) return this.draw();
    const image = new Image();
    image.onload = () => {
      this.image = image;
      this.draw();
    };
    image.src = faces.url;
  }

  /** What is chosen at present: { box }, { point } or {}. */
  setChoice(choice) {
    this.choice = choice;
    this.draw();
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointerleave", () => this.setHover(-1));
    canvas.addEventListener("keydown", (event) => this.key(event));
    this.reset.addEventListener("click", () => this.pick({}));
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
  }

  fit() {
    const space = { width: this.canvas.clientWidth, height: this.canvas.clientHeight };
    return fitInside(this.faces, space);
  }

  place(event) {
    return toPicture(this.fit(), pointerAt(event, this.canvas));
  }

  press(event) {
    if (event.button !== 0 || !this.image) return;
    event.stopPropagation();
    this.canvas.setPointerCapture?.(event.pointerId);
    this.drag = { start: this.place(event), end: this.place(event) };
  }

  move(event) {
    if (!this.image) return;
    if (!this.drag) return this.setHover(boxAt(this.faces.boxes, this.place(event)));
    event.stopPropagation();
    this.drag.end = this.place(event);
    this.draw();
  }

  release(event) {
    if (!this.drag) return;
    event.stopPropagation();
    const { start } = this.drag;
    this.drag = null;
    const box = boxFromDrag(start, this.place(event), this.faces, 12 / this.fit().scale);
    const face = boxAt(this.faces.boxes, start);
    if (box) this.pick({ box });
    else if (face >= 0) this.pick({ point: centre(this.faces.boxes[face]) });
    else this.draw();
  }

  /** Arrow keys walk through the faces, Enter or Space chooses, Escape goes back to automatic. */
  key(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) this.setHover(neighbour(this.faces.boxes, this.hover, step));
    else if (event.key === "Escape") this.pick({});
    else if ((event.key === "Enter" || event.key === " ") && this.hover >= 0)
      this.pick({ point: centre(this.faces.boxes[this.hover]) });
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  setHover(index) {
    if (index === this.hover) return;
    this.hover = index;
    this.draw();
  }

  pick(choice) {
    this.choice = choice;
    this.choose(choice);
    this.draw();
  }

  /** The box drawn by hand, or the face that is chosen, or what the server chose. */
  active() {
    const { boxes, chosen } = this.faces;
    if (this.choice.box) return [];
    if (this.choice.point) return boxes.map((_, index) => index).filter((index) => contains(boxes[index], this.choice.point));
    return chosen;
  }

  draw() {
    const { canvas, faces } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    this.tell();
    if (!width || !height) return;
    const context = sharpContext(canvas, width, height);
    if (!this.image) return;
    const fit = this.fit();
    const active = this.active();
    context.drawImage(this.image, ...toScreen(fit, [0, 0, faces.width, faces.height]));
    this.shade(context, fit, this.choice.box ? [this.choice.box] : active.map((index) => faces.boxes[index]));
    faces.boxes.forEach((box, index) => {
      const chosen = active.includes(index);
      this.frame(context, fit, box, chosen ? CHOSEN : FOUND, chosen || index === this.hover ? 3 : 1.5, String(index + 1));
    });
    if (this.choice.box) this.frame(context, fit, this.choice.box, DRAWN, 3);
    if (this.drag) this.rubber(context, fit);
  }

  /** Darken what is not going to speak. */
  shade(context, fit, boxes) {
    if (!boxes.length) return;
    context.save();
    context.beginPath();
    const [left, top, width, height] = toScreen(fit, [0, 0, this.faces.width, this.faces.height]);
    context.rect(left, top, width, height);
    for (const box of boxes) context.rect(...toScreen(fit, box));
    context.clip("evenodd");
    context.fillStyle = SHADE;
    context.fillRect(left, top, width, height);
    context.restore();
  }

  frame(context, fit, box, colour, thickness, label = "") {
    const [left, top, width, height] = toScreen(fit, box);
    context.strokeStyle = "rgba(0, 0, 0, 0.6)";
    context.lineWidth = thickness + 2;
    context.strokeRect(left, top, width, height);
    context.strokeStyle = colour;
    context.lineWidth = thickness;
    context.strokeRect(left, top, width, height);
    if (!label) return;
    context.font = "600 12px system-ui, sans-serif";
    const wide = context.measureText(label).width + 10;
    context.fillStyle = colour;
    context.fillRect(left - thickness / 2, top - thickness / 2, wide, 17);
    context.fillStyle = "#0b0d10";
    context.fillText(label, left + 5 - thickness / 2, top + 12.5 - thickness / 2);
  }

  rubber(context, fit) {
    const box = boxFromDrag(this.drag.start, this.drag.end, this.faces, 0);
    if (!box) return;
    context.setLineDash([6, 4]);
    this.frame(context, fit, box, DRAWN, 2);
    context.setLineDash([]);
  }

  tell() {
    const { words, choice, faces } = this;
    const count = faces.boxes.length;
    let text = words.facesFound(count);
    if (!this.image) text = words.facesEmpty;
    else if (choice.box) text = words.boxDrawn;
    else if (choice.point) text = words.faceChosen;
    this.note.textContent = text;
    this.reset.hidden = !choice.box && !choice.point;
    this.canvas.setAttribute("aria-label", text);
  }
}
