"""What a face detector is. To add one: write detectors/<name>.py with a `load`, then add its line in __init__.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from ...types import Detections, Float, Pixels

if TYPE_CHECKING:
    from pathlib import Path

    from ...runtime import Runtime


@dataclass(frozen=True)
class DetectorSettings:
    """What a user can ask of a detector.

    min_score: in [0, 1], faces below are dropped. min_size_px: faces less wide than this are dropped, in pixels of the
    full frame. max_side: the longest side in pixels of the copy that is searched. frame_size: (width, height) of the
    full frame, when the frames that come in are scaled-down copies of it; None: they are not. box: the user's own
    box, x1, y1, x2, y2 in pixels of the full frame, for the detector `box`.
    """

    min_score: float = 0.5
    min_size_px: float = 32.0
    max_side: int = 640
    frame_size: tuple[int, int] | None = None
    box: tuple[float, float, float, float] | None = None


class Detector(Protocol):
    """A loaded detector."""

    name: str

    def detect(self, frames: Pixels) -> list[Detections]:
        """(N, H, W, 3) uint8 RGB -> the faces of each frame, best first, in pixels of the frames that came in."""
        ...


@runtime_checkable
class NearDetector(Protocol):
    """A slow detector that is quicker where it knows about where to look."""

    def detect_near(self, frame: Pixels, boxes_xyxy: Float) -> Detections:
        """(H, W, 3) uint8 RGB and (K, 4) of its own boxes -> the faces near them, best first; those gone are missing.

        A new face elsewhere is not seen: the caller has to look everywhere from time to time.
        """
        ...


@runtime_checkable
class RoughDetector(Protocol):
    """A detector with landmarks and boxes that are restless: a landmark finder makes better ones from them."""

    rough: bool


@dataclass(frozen=True)
class DetectorSpec:
    """One row of the detector table.

    label, licence: words for the user. needs_weights: a file has to be there.
    load: (file or None, runtime, settings) -> Detector.
    """

    label: str
    licence: str
    needs_weights: bool
    load: Callable[[Path | None, Runtime, DetectorSettings], Detector]


def scale_down(frame: Pixels, max_side: int) -> tuple[Pixels, float]:
    """(H, W, 3) -> a copy whose longer side is at most `max_side`, and the factor from its pixels to the frame's."""
    height, width = frame.shape[:2]
    factor = max(height, width) / max_side
    if factor <= 1:
        return frame, 1.0
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8), factor


def to_full_frame(frame: Pixels, settings: DetectorSettings) -> float:
    """Factor from the pixels of `frame` to those of the full frame."""
    return 1.0 if settings.frame_size is None else settings.frame_size[0] / frame.shape[1]


def no_detections() -> Detections:
    return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))


def picked(found: Detections, rows: NDArray[np.bool_] | NDArray[np.int64] | list[int]) -> Detections:
    """Some of the faces, by mask or by index."""
    return Detections(found.boxes_xyxy[rows], found.scores[rows], found.landmarks[rows])


def scaled(found: Detections, factor: float, shift: tuple[float, float] = (0.0, 0.0)) -> Detections:
    """The same faces in other pixels: times `factor`, then plus `shift` (x, y)."""
    move = np.array(shift, dtype=np.float32)
    corners = found.boxes_xyxy.reshape(-1, 2, 2) * np.float32(factor) + move
    return Detections(corners.reshape(-1, 4), found.scores, found.landmarks * np.float32(factor) + move)


def joined(parts: list[Detections]) -> Detections:
    """Faces of several searches of one frame in one list."""
    parts = [no_detections(), *parts]
    return Detections(
        np.concatenate([part.boxes_xyxy for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.landmarks for part in parts]),
    )


def overlap(box: Float, boxes: Float) -> Float:
    """Intersection over union of one (4,) box with (K, 4) others, (K,) in [0, 1]."""
    corner = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = corner.clip(0).prod(axis=1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return np.asarray(shared / np.maximum((box[2:] - box[:2]).prod() + area - shared, 1e-6), dtype=np.float32)


def without_repeats(found: Detections, most: float) -> Detections:
    """Of boxes that overlap by more than `most`, or whose middle lies in another, the one with the best score."""
    keep: list[int] = []
    for index in np.argsort(-found.scores, kind="stable"):
        box = found.boxes_xyxy[index]
        centre = (box[:2] + box[2:]) / 2
        kept = found.boxes_xyxy[keep]
        inside = ((kept[:, :2] <= centre) & (centre <= kept[:, 2:])).all(axis=1)
        if not (inside.any() or (overlap(box, kept) > most).any()):
            keep.append(int(index))
    return picked(found, keep)


def surroundings(box: Float, margin: float, frame: Pixels) -> tuple[int, int, int, int]:
    """A box grown by `margin` of its longer side, in whole pixels inside the frame: left, top, right, bottom."""
    reach = margin * float(max(box[2] - box[0], box[3] - box[1]))
    height, width = frame.shape[:2]
    left, top = max(0, math.floor(box[0] - reach)), max(0, math.floor(box[1] - reach))
    return left, top, min(width, math.ceil(box[2] + reach)), min(height, math.ceil(box[3] + reach))


def accepted(found: Detections, frame: Pixels, settings: DetectorSettings) -> Detections:
    """Those with the wished score and size, best first. `found` is in pixels of `frame`."""
    width = (found.boxes_xyxy[:, 2] - found.boxes_xyxy[:, 0]) * to_full_frame(frame, settings)
    order = np.argsort(-found.scores, kind="stable")
    keep = order[(found.scores[order] >= settings.min_score) & (width[order] >= settings.min_size_px)]
    return picked(found, keep)
