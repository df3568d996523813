"""The face crops that scores look at, at 25 fps.

Two ways that are never mixed in one column: `whole`, a video that is a face crop already (the published evaluation on
LRS2, LRS3 and LRW), and `tracked`, the face that is found (the published evaluation on videos of the real world).
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.signal import medfilt

from ..types import FaceTrack, Pixels
from ..video.source import Source

PROTOCOLS = ("whole", "tracked", "box")
_MARGIN = 0.4  # share of the face's half size that is added
_SMOOTHING = 13  # frames of the median filter over place and size
_OUTSIDE = 110  # grey beyond the frame's border
_AT_ONCE = 16  # frames


def whole_frames(source: Source, side: int) -> Iterator[Pixels]:
    """Every frame squeezed into (N, side, side, 3) uint8 RGB."""
    for batch in source.batches(source.frame_count, "cut", _AT_ONCE):
        yield np.stack([cv2.resize(frame, (side, side)) for frame in batch.pixels]).astype(np.uint8)


def tracked_crops(source: Source, track: FaceTrack, side: int) -> Iterator[Pixels]:
    """The squares of the published pipeline around a face as (N, side, side, 3) uint8 RGB. track: one row a frame."""
    squares = published_squares(track)
    for batch in source.batches(len(track), "cut", _AT_ONCE):
        rows = squares[batch.first : batch.first + len(batch)]
        yield np.stack([_cut(frame, row, side) for frame, row in zip(batch.pixels, rows, strict=True)])


def box_crops(source: Source, track: FaceTrack, side: int) -> Iterator[Pixels]:
    """The face box squeezed into (N, side, side, 3) uint8 RGB: what Wav2Lip and its expert are trained on."""
    boxes = np.rint(track.boxes_xyxy).astype(np.int64)
    for batch in source.batches(len(track), "cut", _AT_ONCE):
        rows = boxes[batch.first : batch.first + len(batch)]
        yield np.stack([_cut(frame, row, side) for frame, row in zip(batch.pixels, rows, strict=True)])


def published_squares(track: FaceTrack) -> NDArray[np.int64]:
    """(N, 4) whole pixels xyxy: half size s = half the longer side, smoothed; from y - s to y + 1.8 s, x -+ 1.4 s."""
    low, high = track.boxes_xyxy[:, :2].astype(np.float64), track.boxes_xyxy[:, 2:]
    window = min(_SMOOTHING, len(low) - (len(low) + 1) % 2)
    half, x, y = (
        _smooth(values, window)
        for values in ((high - low).max(axis=1) / 2, (low[:, 0] + high[:, 0]) / 2, (low[:, 1] + high[:, 1]) / 2)
    )
    wide = half * (1 + _MARGIN)
    return np.stack([x - wide, y - half, x + wide, y + half * (1 + 2 * _MARGIN)], axis=1).astype(np.int64)


def _smooth(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """A median filter that repeats the ends; the published one falls to zero there and cuts beside the face."""
    reach = window // 2
    return np.asarray(medfilt(np.pad(values, reach, mode="edge"), window)[reach : reach + len(values)])


def _cut(frame: Pixels, box: NDArray[np.int64], side: int) -> Pixels:
    left, top, right, bottom = (int(value) for value in box)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    height, width = frame.shape[:2]
    part = frame[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    edges = (max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width))
    if any(edges):
        part = cv2.copyMakeBorder(part, *edges, cv2.BORDER_CONSTANT, value=(_OUTSIDE,) * 3)  # type: ignore[assignment]
    return np.asarray(cv2.resize(part[: bottom - top, : right - left], (side, side)), dtype=np.uint8)
