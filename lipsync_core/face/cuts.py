"""Where one scene ends and the next begins, from tiny grey copies of the frames."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from ..types import Float, Pixels

_CELLS = 16  # the copy is 16 x 16 means, so that motion inside a scene hardly shows
_CHANGE = 0.07  # mean change of brightness, of 1, from which a cut is possible
_TIMES = 4.0  # and so many times the usual change of the frames before
_MEMORY = 12  # frames that tell what is usual


class CutFinder:
    """Fed with one frame after the other, says which begin a new scene. Fades and dissolves are not cuts to it."""

    def __init__(self) -> None:
        self._last: Float | None = None
        self._changes: deque[float] = deque(maxlen=_MEMORY)

    def begins_scene(self, frame: Pixels) -> bool:
        """(H, W, 3) uint8 -> True when it does not continue the frame before; False for the first."""
        copy = _tiny(frame)
        if self._last is None:
            self._last = copy
            return False
        change = float(np.abs(copy - self._last).mean())
        usual = float(np.median(self._changes)) if self._changes else 0.0
        self._last = copy
        cut = change > _CHANGE and change > _TIMES * usual
        if not cut:
            self._changes.append(change)
        return cut


def _tiny(frame: Pixels) -> Float:
    """Every few pixels of the green channel, averaged to 16 x 16 in [0, 1]."""
    step = max(1, min(frame.shape[:2]) // 64)
    thin = np.ascontiguousarray(frame[::step, ::step, 1])
    small = cv2.resize(thin, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(small / 255, dtype=np.float32)
