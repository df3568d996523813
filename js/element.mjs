// One way to make page elements, and the one style sheet of the parts in this folder.

/** make("button", { className: "x", onclick: f }, "text", child) */
export function make(tag, values = {}, ...children) {
  const element = Object.assign(document.createElement(tag), values);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Load lipsync.css, which lies beside this file, once. */
export function loadStyle() {
  const href = new URL("./lipsync.css", import.meta.url).href;
  if (document.querySelector(`link[href="${href}"]`)) return;
  document.head.append(make("link", { rel: "stylesheet", href }));
}

/** A canvas as sharp as the screen: gives its 2d context in CSS pixels, cleared. */
export function sharpContext(canvas, width, height) {
  const ratio = Math.max(2, globalThis.devicePixelRatio || 1);
  const [wide, high] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== wide) canvas.width = wide;
  if (canvas.height !== high) canvas.height = high;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** Where a pointer is in an element, in the element's own CSS pixels even when a parent zooms it. */
export function pointerAt(event, element) {
  const rect = element.getBoundingClientRect();
  return [
    ((event.clientX - rect.left) * element.clientWidth) / (rect.width || 1),
    ((event.clientY - rect.top) * element.clientHeight) / (rect.height || 1),
  ];
}
