"""ResNet-50 without its classifier: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; the stride on
the 3x3 convolutions, as everybody has it today.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

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

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, padding=1)
        maps = []
        for index in range(len(_BLOCKS)):
            x = self.get_submodule(f"layer{index + 1}")(x)
            maps.append(x)
        return maps[1:]
