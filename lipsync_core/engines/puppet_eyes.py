"""Blinks: the upper lid's own skin drawn down over the eye."""

from __future__ import annotations

import torch

from .puppet_warp import Face, smooth

LID = 0.14  # how much skin above the lashes is stretched, in distances between the eyes
OVER = (
    0.022  # how far a shut lid reaches over the lower one: lower lids are found a little too high rather than too low
)
HALF_WIDTH, ABOVE, BELOW = 0.34, 0.34, 0.22  # all that a blink reaches, around the middle of the corners' line


def lid_shift(face: Face, eye: int, blink: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """How far up (dy <= 0, face units) to look for what a lid shows at places (N, H, W); blink (N,) in [0, 1].

    Between the brow and the lashes the lid's skin stretches; below the lashes the eye stays as it is.
    """
    cx, cy, half, upper, lower = (face.eyes[:, eye, i, None, None] for i in range(5))
    s = ((x - cx) / (1.12 * half)).clamp(-1, 1)
    bulge = 1 - s * s
    lash = cy + upper * bulge
    height = torch.where(lower > upper, 0.94 * (lower - upper) + OVER, torch.zeros_like(lower))
    close = height * bulge * blink[:, None, None]
    now = lash + close
    top = lash - LID
    t = (y - top) / (now - top)
    return torch.where((t > 0) & (t < 1), -close * smooth(t), torch.zeros_like(t))
