"""Detail that does not shimmer.

Enhancers see each frame alone and decide anew how skin and lips look in it, which shows as flicker. Two things keep it
down. The detail is averaged along the head's motion (the crops follow the head, see `face.align`), except where the
picture under it changes: there is something new. And where it lies in the frame, it may change only a little faster
than the picture does: still skin keeps still, detail on a moving cheek calms down, a mouth that opens gets new teeth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ..geometry import chain, invert, warp
from ..types import Float

# Grey levels are of 255, windows px of a 512 px face.
_PACE_STILL = 0.12  # share of the new detail in the average, where the face does not change ...
_SAME, _NEW = 2 / 255, 12 / 255  # ... up to so much, rising to 1 where it changes so much
_STEP_STILL = 0.2 / 255  # what detail may change in one frame where nothing else does: less than is seen
_STEP_MOVING = 0.05  # of the picture's own change, on top of it
_STEP_FREE = 10 / 255  # change of the picture from which the step grows faster than that
_CHANGE_PX = 9
_TONE_CELL, _TONE_CELLS = 16, 5  # tone is what is wider than 16 * 5 px


@dataclass(frozen=True)
class Detail:
    """The detail of one frame, and the picture under it: (1, 3, S, S) each, on `grid` (1, 2, 3), frame px -> crop px.

    average: along the head's motion. shown: what the frame gets.
    """

    base: torch.Tensor
    average: torch.Tensor
    shown: torch.Tensor
    grid: Float


def detail_between(restored: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    """What an enhancer added, without what it did to light and colour at large: those stay the frame's own.

    restored, base: (N, 3, S, S) in [0, 1]. Returns (N, 3, S, S) in [-1, 1].
    """
    added = restored - base
    cells = F.avg_pool2d(added, min(_TONE_CELL, added.shape[-1]))
    tone = F.interpolate(_blur(cells, _TONE_CELLS), size=added.shape[-2:], mode="bilinear", align_corners=False)
    return added - tone


def follow(before: Detail, wanted: torch.Tensor, base: torch.Tensor, grid: Float) -> Detail:
    """The detail of a frame, from that of the frame before it.

    wanted: (1, 3, S, S) what the enhancer would add. base: the picture under it, in [0, 1]. grid: (1, 2, 3).
    """
    same = _change(base, before.base)
    pace = _PACE_STILL + (1 - _PACE_STILL) * ((same - _SAME) / (_NEW - _SAME)).clamp(0, 1)
    average = torch.lerp(before.average, wanted, pace)
    shown, under = before.shown, before.base
    if not np.array_equal(grid, before.grid):  # where they lay in the frame
        moved = warp(torch.cat([shown, under], dim=1), chain(invert(grid), before.grid), base.shape[-1])
        shown, under = moved[:, :3], moved[:, 3:]
    change = _change(base, under)
    step = _STEP_STILL + _STEP_MOVING * change * (1 + (change / _STEP_FREE) ** 2)
    return Detail(base, average, shown + torch.maximum(torch.minimum(average - shown, step), -step), grid)


def _change(now: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    return _blur((now - before).abs().mean(dim=1, keepdim=True), _CHANGE_PX)


def _blur(pictures: torch.Tensor, window: int) -> torch.Tensor:
    """The mean of a square around each pixel, which the edge continues."""
    padded = F.pad(pictures, (window // 2,) * 4, mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(padded, (1, window), stride=1), (window, 1), stride=1)
