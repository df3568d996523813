"""Restore one face through one clip: only as far as wanted, and without flicker."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ..types import Float
from .base import Enhancer
from .steady import Detail, detail_between, follow

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class RestoreSettings:
    """strength: 0 the picture as it was made, 1 as the enhancer wants it. stability: 0 each frame on its own, 1 still
    skin keeps still."""

    strength: float = 0.8
    stability: float = 1.0


@dataclass(frozen=True)
class _Kept:
    """What one frame leaves to the next: what the enhancer made of it, and the detail."""

    restored: torch.Tensor
    detail: Detail


class Restorer:
    """Restores a face, batch after batch in the order of time; a batch may come again, after memory ran out."""

    def __init__(self, enhancer: Enhancer, settings: RestoreSettings) -> None:
        self.enhancer = enhancer
        self.settings = settings
        self._kept: dict[int, _Kept] = {}  # number of the frame that it is for

    def restore(self, numbers: Rows, base: torch.Tensor, grid: Float) -> torch.Tensor:
        """Restore one face of some frames.

        numbers: (n,) of the frames, rising. base: (n, 3, 512, 512) float32 in [0, 1], upright, as made so far.
        grid: (n, 2, 3) frame px -> crop px. Returns the same with detail. Equal neighbours, as in a pause of a
        portrait, cost one pass of the network.
        """
        first = int(numbers[0])
        before = self._kept.get(first)
        restored = self._restored(base, before)
        wanted = detail_between(restored, base)
        details = self._steadied(numbers, base, wanted, grid, before)
        last = _Kept(restored[-1:].clone(), details[-1])
        self._kept = {int(numbers[-1]) + 1: last}
        if before is not None:
            self._kept[first] = before  # should this batch come again
        shown = torch.cat([detail.shown for detail in details])
        return torch.add(base, shown, alpha=self.settings.strength).clamp_(0, 1)

    def _restored(self, base: torch.Tensor, before: _Kept | None) -> torch.Tensor:
        """Through the network, except what it has just seen: in a pause, one frame serves for all."""
        new = torch.ones(len(base), dtype=torch.bool, device=base.device)
        new[1:] = (base[1:] != base[:-1]).flatten(1).any(dim=1)
        if before is not None:
            new[0] = (base[0] != before.detail.base[0]).any()
        fresh = self.enhancer.restore(base[new]) if bool(new.any()) else base[:0]
        pool = fresh if before is None else torch.cat([before.restored, fresh])
        return pool[new.long().cumsum(0) - (1 if before is None else 0)]

    def _steadied(
        self, numbers: Rows, base: torch.Tensor, wanted: torch.Tensor, grid: Float, kept: _Kept | None
    ) -> list[Detail]:
        """The details of a batch, each led over from the one before; a gap between frames starts anew."""
        before = kept.detail if kept else None
        out: list[Detail] = []
        for row in range(len(base)):
            one = slice(row, row + 1)
            if before is None or (row and numbers[row] != numbers[row - 1] + 1) or not self.settings.stability:
                before = Detail(base[one].clone(), wanted[one], wanted[one], grid[one])
            else:
                led = follow(before, wanted[one], base[one].clone(), grid[one])
                before = replace(led, shown=torch.lerp(wanted[one], led.shown, self.settings.stability))
            out.append(before)
        return out
