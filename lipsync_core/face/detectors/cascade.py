"""A cascade of local binary patterns: the frontal-face classifier inside scikit-image. Nothing to download.

Liao et al., "Learning Multi-scale Block Local Binary Patterns for Face Recognition", 2007.
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...runtime import Runtime
from ...types import Detections, Float, Pixels
from ..landmarks import LandmarkFinder, face_box
from .base import (
    DetectorSettings,
    accepted,
    joined,
    no_detections,
    overlap,
    picked,
    scale_down,
    scaled,
    surroundings,
    without_repeats,
)

_FILE = "lbpcascade_frontalface_opencv.xml"
_WINDOW = 24  # px, the smallest face that the classifier knows
_STEP = 1.1  # from one window size to the next
_UPRIGHT = (0.0,)
_TILTED = (-20.0, 20.0, -38.0, 38.0)  # degrees: it was taught upright heads and loses them beyond about 15
# Longest side in px, smallest face as a share of it, tilts: tried in this order until there is a face.
_SEARCHES = ((200, 0.14, _UPRIGHT), (200, 0.18, _TILTED), (320, 0.09, _UPRIGHT))
_HALF_SURE = 4.0  # overlapping windows at which the score is 0.5; noise brings one or two
_NEAR_WINDOW = 48.0  # px, how large a known face is shown
_NEAR_RANGE = (0.78, 1.3)  # sizes tried around a known face
_NEAR_MARGIN = 0.45  # of the box, on each side
_WORTH_A_LOOK = 0.3  # least score of a window that the landmark finder is shown
_CANDIDATES = 5  # windows of a frame that it is shown at most
_SAME = 0.35  # overlap (intersection over union) of windows on the same face


class CascadeDetector:
    """Upright heads first, then tilted ones, on small grey copies; a landmark finder then tells faces from chance.

    The score is the mean of how many windows agreed, n / (n + 4), and how sure the finder is.
    """

    name = "cascade"

    def __init__(self, settings: DetectorSettings, finder: LandmarkFinder) -> None:
        from skimage import data
        from skimage.feature import Cascade

        self.settings = settings
        self.finder = finder
        self.classifier = Cascade(str(Path(data.__file__).parent / _FILE))

    def detect(self, frames: Pixels) -> list[Detections]:
        return [self._on(frame) for frame in frames]

    def detect_near(self, frame: Pixels, boxes_xyxy: Float) -> Detections:
        """Faces of about the size of `boxes_xyxy` ((K, 4), this detector's own) close to them."""
        windows = joined([self._around(frame, _window(box)) for box in boxes_xyxy])
        return self._verified(frame, without_repeats(windows, _SAME))

    def _on(self, frame: Pixels) -> Detections:
        for side, share, tilts in _SEARCHES:
            grey, factor = _small_grey(frame, side)
            smallest = max(_WINDOW, round(share * max(grey.shape)))
            windows = joined([self._turned(grey, tilt, smallest) for tilt in tilts])
            found = self._verified(frame, scaled(without_repeats(windows, _SAME), factor))
            if len(found):
                return found
        return no_detections()

    def _verified(self, frame: Pixels, windows: Detections) -> Detections:
        """Faces instead of windows: with landmarks, and boxes made from them where they are sure."""
        windows = picked(windows, windows.scores >= _WORTH_A_LOOK)
        windows = picked(windows, np.argsort(-windows.scores, kind="stable")[:_CANDIDATES])
        if not len(windows):
            return windows
        landmarks, sure = self.finder.find(frame, windows.boxes_xyxy)
        scores = (windows.scores + sure) / 2
        found = Detections(face_box(landmarks), np.asarray(scores, dtype=np.float32), landmarks)
        return without_repeats(accepted(found, frame, self.settings), _SAME)

    def _turned(self, grey: Pixels, degrees: float, smallest: int) -> Detections:
        """Faces of a picture that is turned first; the boxes stand upright around the same centres."""
        if degrees == 0.0:
            return self._windows(grey, smallest, min(grey.shape))
        turn, size = _turn_about_centre(grey, degrees)
        turned = np.asarray(cv2.warpAffine(grey, turn, size, borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)
        found = self._windows(turned, smallest, min(grey.shape))
        centres = (found.boxes_xyxy[:, :2] + found.boxes_xyxy[:, 2:]) / 2
        back = cv2.invertAffineTransform(turn)
        centres = (centres @ back[:, :2].T + back[:, 2]).astype(np.float32)
        half = (found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]) / 2
        return Detections(np.concatenate([centres - half, centres + half], axis=1), found.scores, found.landmarks)

    def _around(self, frame: Pixels, box: Float) -> Detections:
        left, top, right, bottom = surroundings(box, _NEAR_MARGIN, frame)
        if right - left < 2 or bottom - top < 2:
            return no_detections()
        width = float(box[2] - box[0])
        part = frame[top:bottom, left:right]
        side = max(_WINDOW, round(max(part.shape[:2]) * _NEAR_WINDOW / width))
        grey, factor = _small_grey(part, side)
        shown = width / factor
        found = self._windows(grey, max(_WINDOW, round(shown * _NEAR_RANGE[0])), round(shown * _NEAR_RANGE[1]))
        return scaled(found, factor, (left, top))

    def _windows(self, grey: Pixels, smallest: int, largest: int) -> Detections:
        """Faces between two widths in px; every window that says yes is counted."""
        largest = min(largest, *grey.shape)
        if largest < smallest:
            return no_detections()
        rows = self.classifier.detect_multi_scale(
            grey,
            scale_factor=_STEP,
            step_ratio=1.0,
            min_size=(smallest, smallest),
            max_size=(largest, largest),
            min_neighbor_number=1,
            intersection_score_threshold=1.01,  # never reached: scikit-image must not merge them, we do
        )
        corners = np.array([[r["c"], r["r"], r["c"] + r["width"], r["r"] + r["height"]] for r in rows], np.float32)
        return _grouped(corners.reshape(-1, 4))


def _window(box: Float) -> Float:
    """The square window in which the classifier sees a face whose box is `box`."""
    left, top, right, bottom = (float(value) for value in box)
    side = 1.32 * (right - left)
    middle, eyes = (left + right) / 2, top + 0.40 * (bottom - top)
    top = eyes - 0.41 * side
    return np.array([middle - side / 2, top, middle + side / 2, top + side], dtype=np.float32)


def _small_grey(frame: Pixels, side: int) -> tuple[Pixels, float]:
    small, factor = scale_down(frame, side)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8), factor


def _turn_about_centre(grey: Pixels, degrees: float) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """2x3 matrix and (width, height) of a canvas that holds the whole turned picture."""
    height, width = grey.shape
    turn = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0), dtype=np.float64)
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    size = (math.ceil(width * cos + height * sin), math.ceil(width * sin + height * cos))
    turn[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    return turn, size


def _grouped(windows: Float) -> Detections:
    """Windows on the same face become their mean, with a score by their number; the largest group comes first."""
    left = windows
    boxes, scores = [], []
    while len(left):
        support = np.array([(overlap(box, left) > _SAME).sum() for box in left])
        mates = overlap(left[int(support.argmax())], left) > _SAME
        boxes.append(left[mates].mean(axis=0))
        scores.append(mates.sum() / (mates.sum() + _HALF_SURE))
        left = left[~mates]
    if not boxes:
        return no_detections()
    return Detections(
        np.stack(boxes), np.array(scores, np.float32), np.full((len(boxes), 5, 2), np.nan, dtype=np.float32)
    )


def load(path: Path | None, runtime: Runtime, settings: DetectorSettings) -> CascadeDetector:
    return CascadeDetector(settings, LandmarkFinder(device=runtime.device))
