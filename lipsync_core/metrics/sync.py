"""How well lips and sound agree, shift by shift: the protocol behind LSE-D, LSE-C and the offset.

Chung and Zisserman, "Out of time", 2016; Prajwal et al., "A lip sync expert is all you need", 2020, section 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
import torch

from ..errors import InputError
from ..runtime import Runtime
from ..types import Float, Pixels

FPS = Fraction(25)  # of everything that is scored
FRAMES = 5  # neighbouring frames that are looked at together
SHIFT = 15  # frames, how far apart lips and sound are tried
_AT_ONCE = 8  # windows


class SyncNetwork(Protocol):
    """Lips and sound as points of one space."""

    side: int  # pixels of the square crops that it looks at
    sounds: int  # windows of sound that there are

    def look(self, windows: Pixels) -> torch.Tensor:
        """(N, 5, side, side, 3) uint8 RGB -> (N, D)."""
        ...

    def hear(self, first: int, end: int) -> torch.Tensor:
        """The windows of sound that begin with frames `first` to `end` - 1 -> (N, D)."""
        ...

    def distance(self, lips: torch.Tensor, sounds: torch.Tensor) -> torch.Tensor:
        """(N, D) and (N, D) or (D,) -> (N,); large where they disagree."""
        ...


@dataclass(frozen=True)
class Sync:
    """What the protocol says of one face.

    distance: LSE-D, the mean distance at the best shift, lower is better. confidence: LSE-C, how much worse the median
    shift is, higher is better. offset: frames at 25 fps, positive when the sound comes too early. windows: that were
    compared. curve: (31,) mean distance at shifts of -15 to 15 frames.
    """

    distance: float
    confidence: float
    offset: int
    windows: int
    curve: Float


def score_sync(crops: Iterable[Pixels], network: SyncNetwork, runtime: Runtime, name: str) -> Sync:
    """crops: batches (N, side, side, 3) uint8 RGB of one face at 25 fps, in order. name: of the file, for errors.

    Raises InputError where there are not six frames with sound.
    """
    rows, silent = [], []
    ear = _Ear(network)
    for first, windows in _windows(crops):
        runtime.check()
        lips = network.look(windows)
        rows.append(_distances(lips, ear, first, network))
        silent.append(network.distance(lips, torch.zeros_like(lips[0])).float().cpu().numpy())
    frames = sum(map(len, silent)) + FRAMES - 1
    count = min(frames - FRAMES, network.sounds)  # the protocol leaves the last window out
    if count < 1:
        raise InputError(f"{name}: a score takes at least {FRAMES + 1} frames (0.24 s) of one face with sound.")
    return summarise(_padded(np.concatenate(rows)[:count], np.concatenate(silent)[:count]))


def _windows(crops: Iterable[Pixels]) -> Iterable[tuple[int, Pixels]]:
    """(index of the first window, (N, 5, side, side, 3)) with a step of one frame."""
    waiting, first = None, 0
    for batch in crops:
        waiting = batch if waiting is None else np.concatenate([waiting, batch])
        while len(waiting) >= FRAMES:
            count = min(_AT_ONCE, len(waiting) - FRAMES + 1)
            view = np.lib.stride_tricks.sliding_window_view(waiting[: count + FRAMES - 1], FRAMES, axis=0)
            yield first, np.moveaxis(view, -1, 1)
            first, waiting = first + count, waiting[count:]


class _Ear:
    """The points of the sound around the frames that are looked at, each made once, only the near ones held."""

    def __init__(self, network: SyncNetwork) -> None:
        self._network = network
        self._first = 0
        self._points: list[torch.Tensor] = []

    def __getitem__(self, index: int) -> torch.Tensor:
        return self._points[index - self._first]

    def reach(self, first: int, end: int) -> None:
        """Have the points `first` to `end` - 1, forget those before."""
        known = self._first + len(self._points)
        if end > known:
            self._points.extend(self._network.hear(known, end).unbind(0))
        self._points = self._points[max(0, first - self._first) :]
        self._first = max(self._first, first)


def _distances(lips: torch.Tensor, ear: _Ear, first: int, network: SyncNetwork) -> Float:
    """(N, 31); NaN where there is no sound at all."""
    end = first + len(lips)
    ear.reach(max(0, first - SHIFT), min(network.sounds, end + SHIFT))
    table = np.full((len(lips), 2 * SHIFT + 1), np.nan, np.float32)
    for row in range(len(lips)):
        places = range(max(0, first + row - SHIFT), min(network.sounds, first + row + SHIFT + 1))
        if not places:
            continue
        near = torch.stack([ear[place] for place in places])
        columns = [place - first - row + SHIFT for place in places]
        table[row, columns] = network.distance(near, lips[row]).float().cpu().numpy()
    return table


def _padded(table: Float, silent: Float) -> Float:
    """Beyond both ends the protocol compares with zeros."""
    places = np.arange(len(table))[:, None] + np.arange(-SHIFT, SHIFT + 1)
    outside = (places < 0) | (places >= len(table))
    return np.where(outside, silent[:, None], table)


def summarise(table: Float) -> Sync:
    """(N, 31) distances, a column for each shift of -15 to 15 frames -> the scores."""
    curve = table.mean(axis=0, dtype=np.float64).astype(np.float32)
    best = int(curve.argmin())
    return Sync(float(curve[best]), float(np.median(curve) - curve[best]), SHIFT - best, len(table), curve)
