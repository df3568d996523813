"""Paste through a Laplacian pyramid: fine detail changes over a narrow edge, differences in light over a wide one.

Burt and Adelson, 1983, with 2x2 averages going down and bilinear steps going up: kornia's pyrdown and pyrup do the same
with 5x5 filters, 20 times slower on a CPU.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F

LARGEST_LEVELS = 7
_SMALLEST_FACE = 16  # px: it is halved until it is about this wide


def pyramid_levels(face_width: float, last: int | None = None) -> int:
    """How often to halve, at least once. `last`, the frame before, is kept until the size has left it clearly."""
    ideal = float(np.log2(max(face_width, 1.0) / _SMALLEST_FACE))
    if last is not None and -0.25 <= ideal - last < 1.25:
        return last
    return int(np.clip(np.floor(ideal), 1, LARGEST_LEVELS))


def blend_pyramid(frame: torch.Tensor, new: torch.Tensor, mask: torch.Tensor, levels: int) -> torch.Tensor:
    """frame, new: (N, 3, H, W) of any scale, alike where nothing new is known; mask: (N, 1, H, W) in [0, 1]; H and W
    divide by 2^levels.

    Where the mask is 0 the frame comes back unchanged, so every level fades inside the mask: the coarser, the further.
    """
    bands = _laplacian(new - frame, levels)
    weights = _averages((mask * 2).clamp(max=1), levels)
    change = bands[-1] * _inner(weights[-1])
    for band, weight in zip(bands[-2:0:-1], weights[-2:0:-1], strict=True):
        change = _double(change).addcmul_(band, _inner(weight))
    change = _double(change).addcmul_(bands[0], mask)
    return frame + change * (mask * 8).clamp(max=1)


def _inner(weight: torch.Tensor) -> torch.Tensor:
    """The weight of a level without its outermost pixels: doubled, they would reach beyond the mask."""
    return -F.max_pool2d(-weight, 3, stride=1, padding=1)


def _laplacian(picture: torch.Tensor, levels: int) -> list[torch.Tensor]:
    steps = _averages(picture, levels)
    return [fine - _double(coarse) for fine, coarse in pairwise(steps)] + steps[-1:]


def _averages(picture: torch.Tensor, levels: int) -> list[torch.Tensor]:
    steps = [picture]
    for _ in range(levels):
        rows = steps[-1][..., ::2, :] + steps[-1][..., 1::2, :]
        steps.append((rows[..., ::2] + rows[..., 1::2]).mul_(0.25))
    return steps


def _double(picture: torch.Tensor) -> torch.Tensor:
    return F.interpolate(picture, scale_factor=2.0, mode="bilinear", align_corners=False)
