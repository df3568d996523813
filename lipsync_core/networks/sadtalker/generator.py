"""The face renderer: a source picture, its keypoints, and those of each frame, to frames.

Wang et al., "One-Shot Free-View Neural Talking-Head Synthesis for Video Conferencing", CVPR 2021, with the decoder of
`spade`. What depends on the source alone is computed once (`look`); what is left of a 256 px frame is 0.8 of the
published 1203 GFLOP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from .keypoints import DEPTH
from .layers import ConvBlock, ResidualBlock3d
from .motion import FEATURES, DenseMotion, Motion, warp
from .spade import TOLD, SpadeDecoder

SMALLEST_PX = 128  # five halvings of a quarter of it
_RESIDUALS = 6
_LEAK = 0.01


@dataclass(frozen=True)
class Source:
    """What is kept of a source picture: features (1, 32, 16, S/4, S/4), and those that the motion looks at (1, 4, ...).

    Both fp32: positions are found with them.
    """

    features: torch.Tensor
    squeezed: torch.Tensor


class Generator(nn.Module):
    """Frames of S x S pixels, S a multiple of 128; the weights for 256 and for 512 px have the same shapes.

    `look` once for a source, then `draw` (or the same as `forward`) for each batch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dense_motion_network = DenseMotion()
        self.first = ConvBlock(3, 64)
        self.down_blocks = nn.ModuleList([ConvBlock(64, 128, shrink=True), ConvBlock(128, 256, shrink=True)])
        self.second = nn.Conv2d(256, FEATURES * DEPTH, 1)
        blocks = {f"3dr{index}": ResidualBlock3d(FEATURES) for index in range(_RESIDUALS)}
        self.resblocks_3d = nn.ModuleDict(blocks)
        self.third = ConvBlock(FEATURES * DEPTH, TOLD, leak=_LEAK)
        self.fourth = nn.Conv2d(TOLD, TOLD, 1)
        self.decoder = SpadeDecoder()

    def forward(self, source: Source, neutral: torch.Tensor, driving: torch.Tensor) -> torch.Tensor:
        """neutral: (1, 15, 3), the source's own keypoints. driving: (N, 15, 3). Returns (N, 3, S, S) RGB in [0, 1]."""
        return self.paint(source, self.move(source, neutral, driving))

    def compute_in(self, dtype: torch.dtype) -> None:
        """What runs for every frame computes in `dtype`; the source is looked at in fp32 always, for its features are
        in every frame, and an error in them too."""
        motion = self.dense_motion_network
        for part in (motion.hourglass, motion.mask, motion.occlusion, self.third, self.fourth, self.decoder):
            part.to(dtype)

    def look(self, picture: torch.Tensor) -> Source:
        """(1, 3, S, S) fp32 RGB in [0, 1] -> what every frame is drawn from."""
        x = self.first(picture)
        for block in self.down_blocks:
            x = block(x)
        x = self.second(x).unflatten(1, (FEATURES, DEPTH))
        for block in self.resblocks_3d.values():
            x = block(x)
        return Source(x, self.dense_motion_network.squeeze(x))

    def move(self, source: Source, neutral: torch.Tensor, driving: torch.Tensor) -> Motion:
        """Where every point of the source goes in each frame."""
        return cast(Motion, self.dense_motion_network(source.squeezed, neutral, driving))

    def paint(self, source: Source, motion: Motion) -> torch.Tensor:
        """The moved source -> (N, 3, S, S) fp32 RGB in [0, 1]."""
        dtype = self.fourth.weight.dtype
        told = warp(source.features, motion.deformation).flatten(1, 2).to(dtype)
        told = self.fourth(self.third(told)) * motion.occlusion.to(dtype)
        return cast(torch.Tensor, self.decoder(told))
