import assert from "node:assert/strict";
import { test } from "node:test";
import { boxAt, boxFromDrag, fitInside, formatBox, formatPoint, neighbour, parseNumbers, toPicture, toScreen } from "../../js/boxes.mjs";

const SIZE = { width: 640, height: 480 };

test("numbers are read with commas or spaces, and nothing else is", () => {
  assert.deepEqual(parseNumbers("1, 2.5 3,4", 4), [1, 2.5, 3, 4]);
  for (const bad of ["", "1,2,3", "1,2,3,x", null, undefined, "1,2,3,4,5"]) assert.equal(parseNumbers(bad, 4), null);
});

test("what is written can be read again", () => {
  assert.deepEqual(parseNumbers(formatBox([10.4, 20.6, 300.2, 400, 0.9]), 4), [10, 21, 300, 400]);
  assert.deepEqual(parseNumbers(formatPoint([12.5, 3.2]), 2), [13, 3]);
});

test("a drag in any direction gives the same box, kept inside the picture", () => {
  const wanted = [0, 100, 200, 480];
  assert.deepEqual(boxFromDrag([-50, 100], [200, 900], SIZE), wanted);
  assert.deepEqual(boxFromDrag([200, 900], [-50, 100], SIZE), wanted);
});

test("a click is no box", () => assert.equal(boxFromDrag([100, 100], [104, 300], SIZE), null));

test("the smallest face around a point is taken, and none outside", () => {
  const boxes = [[0, 0, 400, 400], [100, 100, 200, 200], [500, 0, 600, 100]];
  assert.equal(boxAt(boxes, [150, 150]), 1);
  assert.equal(boxAt(boxes, [300, 300]), 0);
  assert.equal(boxAt(boxes, [450, 450]), -1);
});

test("a picture is shown whole, centred, and points come back from the screen", () => {
  const fit = fitInside(SIZE, { width: 320, height: 480 });
  assert.deepEqual(fit, { scale: 0.5, left: 0, top: 120 });
  assert.deepEqual(toScreen(fit, [0, 0, 640, 480]), [0, 120, 320, 240]);
  assert.deepEqual(toPicture(fit, [160, 240]), [320, 240]);
});

test("arrow keys walk from left to right and round", () => {
  const boxes = [[300, 0, 400, 9], [0, 0, 100, 9], [500, 0, 600, 9]];
  assert.equal(neighbour(boxes, -1, 1), 1);
  assert.equal(neighbour(boxes, 1, 1), 0);
  assert.equal(neighbour(boxes, 2, 1), 1);
  assert.equal(neighbour(boxes, 1, -1), 2);
  assert.equal(neighbour([], 0, 1), -1);
});
