"""Detail that does not shimmer: what an enhancer adds may not change faster than the picture under it does.

Enhancers see each frame alone and decide anew how skin and lips look in it, which shows as flicker. Here the detail of
a frame is that of the frame before, moved towards the new one; how far it may move in one frame depends on how much
the picture changed at that place. Still skin keeps its detail, a mouth that opens gets new teeth at once. The crops
follow the head (`face.align`), so this runs along its motion.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

# Grey levels are of 255, windows px of a 512 px face.
_STEP_STILL = 0.25 / 255  # what detail may change in one frame where nothing else does: less than is seen
_STEP_MOVING = 0.25  # of the picture's own change, on top of it
_STEP_FREE = 10 / 255  # change of the picture from which the step grows faster than that: something new is there
_PACE = 0.5  # of the way to the new detail in one frame, at most
_CHANGE_PX = 9
_TONE_CELL, _TONE_CELLS = 16, 5  # tone is what is wider than 16 * 5 px


def detail_between(restored: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    """What an enhancer added, without what it did to light and colour at large: those stay the frame's own.

    restored, base: (N, 3, S, S) in [0, 1]. Returns (N, 3, S, S) in [-1, 1].
    """
    added = restored - base
    cells = F.avg_pool2d(added, min(_TONE_CELL, added.shape[-1]))
    tone = F.interpolate(_blur(cells, _TONE_CELLS), size=added.shape[-2:], mode="bilinear", align_corners=False)
    return added - tone


def follow(kept: torch.Tensor, wanted: torch.Tensor, before: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """The detail of a frame, from that of the frame before.

    kept: (1, 3, S, S) the detail of the frame before, wanted: what the enhancer would add now. before, now: the picture
    under it, in [0, 1]. Returns (1, 3, S, S).
    """
    change = _blur((now - before).abs().mean(dim=1, keepdim=True), _CHANGE_PX)
    step = _STEP_STILL + _STEP_MOVING * change * (1 + (change / _STEP_FREE) ** 2)
    way = (wanted - kept) * _PACE
    return kept + torch.maximum(torch.minimum(way, step), -step)


def _blur(pictures: torch.Tensor, window: int) -> torch.Tensor:
    """The mean of a square around each pixel, which the edge continues."""
    return F.avg_pool2d(F.pad(pictures, (window // 2,) * 4, mode="replicate"), window, stride=1)
