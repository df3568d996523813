import assert from "node:assert/strict";
import { test } from "node:test";
import { LANGUAGES, wordsFor } from "../../js/words.mjs";
import { findItem, missingWeights } from "../../js/weights_offer.mjs";

test("every language says everything", () => {
  for (const [name, words] of Object.entries(LANGUAGES)) {
    assert.deepEqual(Object.keys(words), Object.keys(LANGUAGES.en), name);
    for (const [key, value] of Object.entries(words)) {
      assert.equal(typeof value, typeof LANGUAGES.en[key], `${name}.${key}`);
      const text = typeof value === "function" ? value(7) : value;
      assert.ok(text.trim(), `${name}.${key}`);
      if (typeof value === "function") assert.ok(text.includes("7"), `${name}.${key}`);
    }
  }
});

test("a locale with a region is understood, an unknown one is English", () => {
  assert.equal(wordsFor("zh-CN"), LANGUAGES.zh);
  assert.equal(wordsFor("ja_JP"), LANGUAGES.ja);
  assert.equal(wordsFor("fr"), LANGUAGES.en);
  assert.equal(wordsFor(undefined), LANGUAGES.en);
});

test("missing weights are read from the error, other errors are left alone", () => {
  assert.equal(missingWeights("Missing weights: wav2lip_gan. Put wav2lip_gan.pth into models/lipsync."), "wav2lip_gan");
  assert.equal(missingWeights("No face found in frames 1-7."), null);
  assert.equal(missingWeights(undefined), null);
});

test("an item is found by its name or its file", () => {
  const items = [{ name: "yunet", file: "face.onnx" }, { name: "wav2lip_gan", file: "wav2lip_gan.pth" }];
  assert.equal(findItem(items, "wav2lip_gan.safetensors"), items[1]);
  assert.equal(findItem(items, "face.onnx"), items[0]);
  assert.equal(findItem(items, "other"), null);
});
