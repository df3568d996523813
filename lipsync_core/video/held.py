"""Frames that a host already holds in memory, as a `Source`: only the batch at hand is turned into 8-bit pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import InputError
from ..timing import Index, source_indices
from ..types import FrameBatch, Pixels
from .edit import Edit
from .image import MIN_SIDE
from .source import STILL_FPS, Source


class HeldFrames(Protocol):
    """Frames in a host's own form."""

    def __len__(self) -> int: ...

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) px."""
        ...

    def read(self, rows: Index) -> Pixels:
        """(n,) row numbers -> (n, H, W, 3) uint8 RGB, the caller's to change."""
        ...


@dataclass
class HeldSource(Source):
    """A `Source` over held frames. Made by `hold_frames`; its path is only a name for messages."""

    frames: HeldFrames | None = None

    def small_batches(self, most: int, max_side: int, size: int) -> Iterator[FrameBatch]:
        """The first `most` frames at full size; `scale` is 1."""
        wanted = min(most, self.frame_count)
        for first in range(0, wanted, size):
            yield FrameBatch(first, self._read(np.arange(first, min(wanted, first + size))))

    def scale(self, max_side: int) -> float:
        return 1.0

    def batches(self, total: int, fit: str, size: int) -> Iterator[FrameBatch]:
        """`total` frames of the result; see `Source`."""
        if self.still:
            yield from super().batches(total, fit, size)
            return
        for first in range(0, total, size):
            count = min(size, total - first)
            yield FrameBatch(first, self._read(source_indices(fit, first, count, self.frame_count)))

    def identity(self) -> str | None:
        return None

    def _first(self) -> Pixels:
        return self._read(np.zeros(1, np.int64))

    def _read(self, rows: Index) -> Pixels:
        if self.frames is None:
            raise ValueError("a held source without frames")
        return self.frames.read(rows)


def hold_frames(frames: HeldFrames, fps: Fraction | None, name: str) -> HeldSource:
    """A picture (one frame) or a clip (several) that is in memory. fps: None for the usual 25.

    name: what messages call it. Raises InputError for what is too small or empty.
    """
    width, height = frames.size
    if not len(frames):
        raise InputError(f"{name}: it holds no frames. Connect at least one picture.")
    if min(width, height) < MIN_SIDE:
        raise InputError(
            f"{name}: {width}x{height} is too small, a face needs at least {MIN_SIDE} pixels. Use a larger picture."
        )
    count = len(frames)
    return HeldSource(Path(name), Edit(), fps or STILL_FPS, width, height, count == 1, count, frames=frames)
