"""YuNet through OpenCV's FaceDetectorYN: quick, with landmarks; a file of 230 KB.

Paper: Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...errors import WeightsError
from ...runtime import Runtime
from ...types import Detections, Float, Pixels
from .base import DetectorSettings, accepted, no_detections, scale_down

FIRST_SIDE = 320  # px; 3.6 ms on one core. Faces of 3 % of the picture's width are still seen there
_NMS = 0.3  # overlap above which the weaker of two boxes goes
_TOP = 5000  # candidates before that
# OpenCV gives the eyes by person (right first), which is left to right in the picture, then nose, then mouth corners.
_BOX, _POINTS, _SCORE = slice(0, 4), slice(4, 14), 14


class YuNetDetector:
    """Looks on a copy of 320 px first; where nothing is there, on one of `max_side`."""

    name = "yunet"
    rough = True  # boxes breathe by 3 % from frame to frame, landmarks by 1 %

    def __init__(self, path: Path, settings: DetectorSettings) -> None:
        self.settings = settings
        self.sides = tuple(sorted({min(FIRST_SIDE, settings.max_side), settings.max_side}))
        try:
            with _quiet():
                self.network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), settings.min_score, _NMS, _TOP)
                self._look(np.zeros((64, 96, 3), np.uint8), 1.0)  # some files fail only here, on some OpenCV
        except cv2.error as error:
            raise WeightsError(
                f"{path.name}: OpenCV cannot read it as a YuNet model ({error.err or error}). "
                "Get it again with: lipsync weights get yunet."
            ) from None

    def detect(self, frames: Pixels) -> list[Detections]:
        return [self._on(frame) for frame in frames]

    def _on(self, frame: Pixels) -> Detections:
        for side in self.sides:
            found = accepted(self._look(*scale_down(frame, side)), frame, self.settings)
            if len(found) or max(frame.shape[:2]) <= side:
                return found
        return no_detections()

    def _look(self, picture: Pixels, factor: float) -> Detections:
        """All faces of a picture, in pixels `factor` times as many."""
        self.network.setInputSize((picture.shape[1], picture.shape[0]))
        _, rows = self.network.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if rows is None or len(rows) == 0:
            return no_detections()
        return _as_detections(np.asarray(rows, dtype=np.float32), factor)


@contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV 5 prints a warning that concerns nobody whenever it makes this detector; 4.x has neither it nor this."""
    logging: Any = getattr(cv2.utils, "logging", None)
    if logging is None:
        yield
        return
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        logging.setLogLevel(before)


def _as_detections(rows: Float, factor: float) -> Detections:
    """Rows of (x, y, w, h, five points, score) -> Detections, `factor` times as large."""
    boxes = rows[:, _BOX] * np.float32(factor)
    boxes[:, 2:] += boxes[:, :2]
    landmarks = rows[:, _POINTS].reshape(-1, 5, 2) * np.float32(factor)
    return Detections(boxes, rows[:, _SCORE].clip(0, 1), _left_to_right(landmarks))


def _left_to_right(landmarks: Float) -> Float:
    """Eyes and mouth corners in the order of the picture, also for a head that hangs upside down or is mirrored."""
    result: Float = landmarks.copy()
    for first, second in ((0, 1), (3, 4)):
        swapped = landmarks[:, first, 0] > landmarks[:, second, 0]
        result[swapped, first], result[swapped, second] = landmarks[swapped, second], landmarks[swapped, first]
    return result


def load(path: Path | None, runtime: Runtime, settings: DetectorSettings) -> YuNetDetector:
    if path is None:
        raise WeightsError(
            "The face detector 'yunet' needs its file. Get it with: lipsync weights get yunet, "
            "or choose the detector 'cascade', which needs none."
        )
    return YuNetDetector(path, settings)
