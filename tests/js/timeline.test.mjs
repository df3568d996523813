import assert from "node:assert/strict";
import { test } from "node:test";
import { bars, clock, countFrames, fileSize, frameSpans, gateAt, timeAt } from "../../js/timeline.mjs";

test("no burst gets lost when there are fewer bars than values", () => {
  assert.deepEqual(bars([0, 0, 0.9, 0, 0, 0.2], 2), [0.9, 0.2]);
});

test("there may be more bars than values", () => assert.deepEqual(bars([0.1, 0.7], 4), [0.1, 0.1, 0.7, 0.7]));

test("no sound is no bars", () => assert.deepEqual(bars([], 10), []));

test("without a gate everything counts as speech", () => {
  assert.deepEqual(gateAt([], 3), [1, 1, 1]);
  assert.deepEqual(gateAt([0, 0, 1, 1], 2), [0, 1]);
});

test("frames without a face become shares of the clip, the last frame included", () => {
  assert.deepEqual(frameSpans([[0, 24], [90, 99]], 100), [[0, 0.25], [0.9, 1]]);
  assert.deepEqual(frameSpans([[0, 5]], 0), []);
  assert.equal(countFrames([[0, 24], [90, 99]]), 35);
});

test("times are read as people write them", () => {
  assert.equal(clock(7.9), "0:07");
  assert.equal(clock(754), "12:34");
  assert.equal(clock(3723), "1:02:03");
  assert.equal(clock(undefined), "0:00");
});

test("a click seeks within the clip", () => {
  assert.equal(timeAt(50, 200, 8), 2);
  assert.equal(timeAt(900, 200, 8), 8);
  assert.equal(timeAt(10, 0, 8), 0);
});

test("sizes of files", () => {
  assert.equal(fileSize(145829145), "139 MB");
  assert.equal(fileSize(232589), "228 KB");
  assert.equal(fileSize(null), "");
});
