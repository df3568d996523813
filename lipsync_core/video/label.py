"""The visible label that says that AI made the picture: a small dark tag with light words in the bottom corner."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import cv2
import numpy as np

from ..types import Float, FrameBatch, Pixels

WORDS = "AI-generated"
_HEIGHT = 0.04  # of the frame's height: the whole tag
_SMALLEST = 9  # px; smaller cannot be read
_WIDEST = 0.5  # of the frame's width
_DARKNESS = 0.55  # how much the tag's ground darkens the picture
_FONT = cv2.FONT_HERSHEY_SIMPLEX  # drawn from strokes, so no font file can be missing
_FINE = 4  # the tag is drawn this much larger and shrunk, which smooths the letters


def label_batch(batch: FrameBatch, fps: Fraction, seconds: float = 0.0, words: str = WORDS) -> FrameBatch:
    """The batch with the tag on its frames: the same array, changed in place, or a copy where it cannot be written to.

    seconds: only on frames before this time; 0 means on all of them. The same frame always gives the same pixels.
    """
    count = len(batch)
    if seconds > 0:
        last = -(-Fraction(seconds).limit_denominator(1000) * fps // 1)  # the first frame at or after that time
        count = max(0, min(count, int(last) - batch.first))
    if count == 0:
        return batch
    pixels = batch.pixels if batch.pixels.flags.writeable else batch.pixels.copy()
    draw_label(pixels[:count], words)
    return FrameBatch(batch.first, pixels)


def draw_label(pixels: Pixels, words: str = WORDS) -> None:
    """Draw the tag into (N, H, W, 3) uint8 frames, in place; about 4 % of their height, in the bottom left corner."""
    height, width = pixels.shape[1:3]
    tag = _tag(height, width, words)
    rows, columns = tag.shape
    margin = min(max(2, rows // 3), height - rows, width - columns)
    bottom = height - margin
    corner = pixels[:, bottom - rows : bottom, margin : margin + columns]
    dark = corner.astype(np.float32) * np.float32(1 - _DARKNESS)
    ink = tag[:, :, None]
    corner[:] = np.rint(dark * (1 - ink) + 255 * ink).astype(np.uint8)


@lru_cache(maxsize=8)
def _tag(height: int, width: int, words: str) -> Float:
    """(rows, columns) in [0, 1]: where the letters are, for a frame of this size."""
    rows = min(height, max(_SMALLEST, round(_HEIGHT * height)))
    (text_width, text_height), below = cv2.getTextSize(words, _FONT, 1.0, 2)
    scale = 0.62 * rows * _FINE / (text_height + below)
    limit = min(width, max(_SMALLEST, round(_WIDEST * width)))
    columns = round(text_width * scale / _FINE + 0.6 * rows)
    if columns > limit:  # a tall and narrow frame: shrink the words, keep the tag inside
        scale *= limit / columns
        rows = min(height, max(_SMALLEST, round(rows * limit / columns)))
        columns = limit
    canvas = np.zeros((rows * _FINE, columns * _FINE), np.uint8)
    left = round((columns * _FINE - text_width * scale) / 2)
    base = round((rows * _FINE + text_height * scale) / 2)
    cv2.putText(canvas, words, (left, base), _FONT, scale, 255, max(1, round(2.2 * scale)), cv2.LINE_AA)
    small = cv2.resize(canvas, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(small / np.float32(255), np.float32)
