"""The 3DMM coefficients of a face in a picture: Deng et al., "Accurate 3D Face Reconstruction with Weakly-Supervised
Learning: From Single Image to Image Set", CVPR Workshops 2019. A ResNet-50 (He et al. 2016, stride on the 3x3) and
seven heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

INPUT_PX = 224
IDENTITY, EXPRESSION, TEXTURE, ANGLE, LIGHT, POSITION = (
    slice(0, 80), slice(80, 144), slice(144, 224), slice(224, 227), slice(227, 254), slice(254, 257),
)  # fmt: skip
_HEADS = (80, 64, 80, 3, 27, 2, 1)
_BLOCKS = (3, 4, 6, 3)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions with batch normalisation, added to x."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(channels_in, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out)
        self.downsample = None
        if stride > 1 or channels_in != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels_in, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        short = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + short)


class ResNet50(nn.Module):
    """(N, 3, H, W) -> feature maps of 512, 1024 and 2048 channels, at 1/8, 1/16 and 1/32 of the size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64)
        channels = 64
        for index, count in enumerate(_BLOCKS):
            width = 64 << index
            strides = [1 if index == 0 else 2] + [1] * (count - 1)
            blocks = [Bottleneck(channels if i == 0 else 4 * width, width, s) for i, s in enumerate(strides)]
            self.add_module(f"layer{index + 1}", nn.Sequential(*blocks))
            channels = 4 * width

    def forward(self, x: torch.Tensor) -> Sequence[torch.Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, padding=1)
        maps = []
        for index in range(len(_BLOCKS)):
            x = self.get_submodule(f"layer{index + 1}")(x)
            maps.append(x)
        return maps[1:]


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
