"""The 3DMM coefficients of a face in a picture: Deng et al., "Accurate 3D Face Reconstruction with Weakly-Supervised
Learning: From Single Image to Image Set", CVPR Workshops 2019. A ResNet-50 and seven heads.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from ..resnet import ResNet50

INPUT_PX = 224
IDENTITY, EXPRESSION, TEXTURE, ANGLE, LIGHT, POSITION = (
    slice(0, 80), slice(80, 144), slice(144, 224), slice(224, 227), slice(227, 254), slice(254, 257),
)  # fmt: skip
_HEADS = (80, 64, 80, 3, 27, 2, 1)


class CoefficientNetwork(nn.Module):
    """faces: (N, 3, 224, 224) RGB in [0, 1], aligned -> (N, 257): identity 80, expression 64, texture 80, angles 3
    (pitch, yaw, roll in rad), light 27, position 3; the slices of this file name them."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNet50()
        self.final_layers = nn.ModuleList(nn.Conv2d(2048, count, 1) for count in _HEADS)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        pooled = self.backbone(faces)[-1].mean(dim=(2, 3), keepdim=True)
        return torch.cat([cast(torch.Tensor, head(pooled)) for head in self.final_layers], dim=1).flatten(1)
