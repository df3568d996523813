"""The user's own box: the same on every frame, nothing is looked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import UsageError
from ...runtime import Runtime
from ...types import Detections, Pixels
from .base import DetectorSettings, to_full_frame


class BoxDetector:
    """Gives `settings.box` for every frame, cut at the frame's edges; its landmarks are NaN, for a finder to fill."""

    name = "box"

    def __init__(self, settings: DetectorSettings) -> None:
        if settings.box is None:
            raise UsageError("Face detector is 'box', but no box is given. Set the face box to x1,y1,x2,y2.")
        self.settings = settings
        self.box = np.array(settings.box, dtype=np.float32)

    def detect(self, frames: Pixels) -> list[Detections]:
        return [self._on(frame) for frame in frames]

    def _on(self, frame: Pixels) -> Detections:
        height, width = frame.shape[:2]
        box = self.box / np.float32(to_full_frame(frame, self.settings))
        limits = np.array([width, height, width, height], dtype=np.float32)
        box = np.clip(box, 0, limits)
        if box[2] - box[0] < 1 or box[3] - box[1] < 1:
            text = ",".join(f"{value:g}" for value in self.box)
            size = self.settings.frame_size or (width, height)
            raise UsageError(
                f"The face box {text} lies outside the picture of {size[0]}x{size[1]} pixels. "
                "Set the face box to x1,y1,x2,y2 inside it."
            )
        return Detections(box[None], np.ones(1, np.float32), np.full((1, 5, 2), np.nan, np.float32))


def load(path: Path | None, runtime: Runtime, settings: DetectorSettings) -> BoxDetector:
    return BoxDetector(settings)
