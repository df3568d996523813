"""The keypoint detector: 15 points of a neutral head in space, without names, that the renderer moves.

Wang et al., "One-Shot Free-View Neural Talking-Head Synthesis for Video Conferencing", CVPR 2021.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from .geometry import grid
from .layers import ConvBlock

COUNT = 15  # keypoints
DEPTH = 16  # layers of space
_TEMPERATURE = 0.1
_SIGMA, _SIDE, _STEP = 1.5, 13, 4  # of the Gaussian before the picture is made four times smaller
_WIDTHS = (64, 128, 256, 512, 1024)
_UP_WIDTHS = (1024, 512, 256, 128, 64, 32)


class _Predictor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = (3, *_WIDTHS)
        down = {f"down{i}": ConvBlock(widths[i], widths[i + 1], shrink=True) for i in range(len(_WIDTHS))}
        self.down_blocks = nn.ModuleDict(down)
        self.conv = nn.Conv2d(_WIDTHS[-1], _UP_WIDTHS[0] * DEPTH, 1)
        pairs = enumerate(pairwise(_UP_WIDTHS))
        self.up_blocks = nn.ModuleDict({f"up{i}": ConvBlock(a, b, depth=True, grow=True) for i, (a, b) in pairs})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.down_blocks.values():
            x = block(x)
        x = self.conv(x).unflatten(1, (_UP_WIDTHS[0], DEPTH))
        for block in self.up_blocks.values():
            x = block(x)
        return x


class KeypointDetector(nn.Module):
    """pictures: (N, 3, S, S) RGB in [0, 1], S a multiple of 128 -> (N, 15, 3) keypoints in [-1, 1], x, y, z."""

    def __init__(self) -> None:
        super().__init__()
        self.predictor = _Predictor()
        self.kp = nn.Conv3d(_UP_WIDTHS[-1], COUNT, 3, padding=1)
        self.down = nn.Module()
        self.down.register_buffer("weight", gaussian().expand(3, 1, -1, -1).contiguous())

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        blur = cast(torch.Tensor, self.down.weight)
        small = F.conv2d(pictures, blur, stride=_STEP, padding=_SIDE // 2, groups=3)
        heat = self.kp(self.predictor(small)).float()
        where = (heat.flatten(2) / _TEMPERATURE).softmax(dim=2)
        return torch.matmul(where, grid(heat.shape[2:], heat.device).flatten(0, 2))


def gaussian() -> torch.Tensor:
    """The published blur, (13, 13), sum 1; it is in the checkpoint too."""
    row = torch.exp(-0.5 * ((torch.arange(_SIDE) - _SIDE // 2) / _SIGMA).square())
    kernel = row[:, None] * row
    return kernel / kernel.sum()
