// Face boxes and points: text <-> numbers, hit tests, picture <-> screen. Pure, no page, no host.
// A box is [x1, y1, x2, y2] in pixels of the picture, right and bottom exclusive; more numbers may follow (the score).

/** "12, 30.5" -> [12, 30.5]; null unless it is exactly `count` numbers with commas or spaces between them. */
export function parseNumbers(text, count) {
  const parts = String(text ?? "").replaceAll(",", " ").split(/\s+/).filter(Boolean);
  const numbers = parts.map(Number);
  return parts.length === count && numbers.every(Number.isFinite) ? numbers : null;
}

/** The text that the option `box` takes. */
export function formatBox(box) {
  return box.slice(0, 4).map((value) => Math.round(value)).join(",");
}

/** The text that the option `face_point` takes. */
export function formatPoint([x, y]) {
  return `${Math.round(x)},${Math.round(y)}`;
}

export function centre([left, top, right, bottom]) {
  return [(left + right) / 2, (top + bottom) / 2];
}

export function area([left, top, right, bottom]) {
  return Math.max(0, right - left) * Math.max(0, bottom - top);
}

export function contains([left, top, right, bottom], [x, y]) {
  return x >= left && x < right && y >= top && y < bottom;
}

/** Index of the smallest box around the point, -1 where there is none: a child before a parent's shoulder. */
export function boxAt(boxes, point) {
  const hits = boxes.map((box, index) => [area(box), index]).filter(([, index]) => contains(boxes[index], point));
  return hits.length ? hits.sort((one, other) => one[0] - other[0])[0][1] : -1;
}

/** The box between two corners of a drag, kept inside the picture; null when it is less than `least` px either way. */
export function boxFromDrag(start, end, { width, height }, least = 16) {
  const between = (value, limit) => Math.min(Math.max(value, 0), limit);
  const left = between(Math.min(start[0], end[0]), width);
  const right = between(Math.max(start[0], end[0]), width);
  const top = between(Math.min(start[1], end[1]), height);
  const bottom = between(Math.max(start[1], end[1]), height);
  return right - left < least || bottom - top < least ? null : [left, top, right, bottom];
}

/** Where a picture lies in an area of the screen when it is shown whole and centred. */
export function fitInside(picture, space) {
  const scale = Math.min(space.width / picture.width, space.height / picture.height) || 1;
  return {
    scale,
    left: (space.width - picture.width * scale) / 2,
    top: (space.height - picture.height * scale) / 2,
  };
}

/** A point of the screen area -> a point of the picture. */
export function toPicture({ scale, left, top }, [x, y]) {
  return [(x - left) / scale, (y - top) / scale];
}

/** A box of the picture -> [left, top, width, height] of the screen area. */
export function toScreen({ scale, left, top }, [x1, y1, x2, y2]) {
  return [left + x1 * scale, top + y1 * scale, (x2 - x1) * scale, (y2 - y1) * scale];
}

/** The face after (step 1) or before (step -1) `index`, from left to right, round and round; -1 without faces. */
export function neighbour(boxes, index, step) {
  if (!boxes.length) return -1;
  const order = boxes.map((box, number) => number).sort((one, other) => centre(boxes[one])[0] - centre(boxes[other])[0]);
  const place = order.indexOf(index);
  if (place < 0) return order[step > 0 ? 0 : order.length - 1];
  return order[(place + step + order.length) % order.length];
}
