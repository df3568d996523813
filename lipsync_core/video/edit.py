"""What is done to every frame before anything else: crop, turn, shrink. In the order of the original's inference.py."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..errors import UsageError
from ..types import FrameBatch, Pixels


@dataclass(frozen=True)
class Edit:
    """resize_factor: divides the size. rotate: degrees clockwise, a multiple of 90.

    crop_tblr: top, bottom, left, right in pixels of the shrunk and turned frame; -1 means to the edge. None: all of it.
    """

    resize_factor: int = 1
    rotate: int = 0
    crop_tblr: tuple[float, ...] | None = None

    @property
    def changes_nothing(self) -> bool:
        return self.resize_factor == 1 and self.rotate == 0 and self.crop_tblr is None

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) after the edit. A crop that leaves less than 32 pixels is refused."""
        width, height = max(1, width // self.resize_factor), max(1, height // self.resize_factor)
        if self.rotate in (90, 270):
            width, height = height, width
        top, bottom, left, right = self._bounds(width, height)
        if bottom - top < 32 or right - left < 32:
            raise UsageError(
                f"Crop leaves {max(0, right - left)}x{max(0, bottom - top)} of a {width}x{height} picture. "
                "It is top,bottom,left,right and must leave at least 32x32."
            )
        return right - left, bottom - top

    def apply(self, batch: FrameBatch) -> FrameBatch:
        """(N, H, W, 3) uint8 in, the edited frames out."""
        if self.changes_nothing:
            return batch
        return FrameBatch(batch.first, np.stack([self._one(frame) for frame in batch.pixels]))

    def _one(self, frame: Pixels) -> Pixels:
        if self.resize_factor > 1:
            height, width = frame.shape[:2]
            size = (max(1, width // self.resize_factor), max(1, height // self.resize_factor))
            frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        frame = np.rot90(frame, -self.rotate // 90)
        top, bottom, left, right = self._bounds(frame.shape[1], frame.shape[0])
        return frame[top:bottom, left:right]

    def _bounds(self, width: int, height: int) -> tuple[int, int, int, int]:
        if self.crop_tblr is None:
            return 0, height, 0, width
        top, bottom, left, right = (int(value) for value in self.crop_tblr)
        bottom = height if bottom == -1 else min(bottom, height)
        right = width if right == -1 else min(right, width)
        return max(0, top), bottom, max(0, left), right
