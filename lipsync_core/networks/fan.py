"""The face alignment network (FAN) with 98 points: Bulat and Tzimiropoulos, "How far are we from solving the 2D & 3D
Face Alignment problem?", ICCV 2017, with the coordinates of Wang et al., "Adaptive Wing Loss", ICCV 2019.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

INPUT_PX, MAP_PX = 256, 64
POINTS = 98  # of the WFLW data set; one more map is the boundary of face and features
_STACKS, _DEPTH, _WIDTH = 4, 4, 256
_ON_BOUNDARY = 0.05


class _Block(nn.Module):
    """Three 3x3 convolutions, their outputs side by side, added to x."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        half, quarter = channels_out // 2, channels_out // 4
        self.bn1, self.conv1 = nn.BatchNorm2d(channels_in), nn.Conv2d(channels_in, half, 3, padding=1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(half), nn.Conv2d(half, quarter, 3, padding=1, bias=False)
        self.bn3, self.conv3 = nn.BatchNorm2d(quarter), nn.Conv2d(quarter, quarter, 3, padding=1, bias=False)
        self.downsample = None
        if channels_in != channels_out:
            conv = nn.Conv2d(channels_in, channels_out, 1, bias=False)
            self.downsample = nn.Sequential(nn.BatchNorm2d(channels_in), nn.ReLU(), conv)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.conv1(F.relu(self.bn1(x)))
        second = self.conv2(F.relu(self.bn2(first)))
        third = self.conv3(F.relu(self.bn3(second)))
        short = x if self.downsample is None else self.downsample(x)
        return torch.cat((first, second, third), dim=1) + cast(torch.Tensor, short)


class _CoordConv(nn.Module):
    """A convolution that also sees where it is: Liu et al., "An Intriguing Failing of Convolutional Neural Networks and
    the CoordConv Solution", NeurIPS 2018. boundary: and where the stack before saw the boundary."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, boundary: bool) -> None:
        super().__init__()
        seen = channels_in + (5 if boundary else 3)
        self.conv = nn.Conv2d(seen, channels_out, kernel, stride, padding=kernel // 2)

    def forward(self, x: torch.Tensor, heat: torch.Tensor | None = None) -> torch.Tensor:
        where = _places(x)
        parts = [x, where, where.square().sum(dim=1, keepdim=True).sqrt() / 2**0.5]
        if heat is not None:
            parts.append(where * (heat[:, -1:] > _ON_BOUNDARY))
        return cast(torch.Tensor, self.conv(torch.cat(parts, dim=1)))


class _Hourglass(nn.Module):
    def __init__(self, boundary: bool) -> None:
        super().__init__()
        self.coordconv = _CoordConv(_WIDTH, _WIDTH, 1, 1, boundary)
        for level in range(_DEPTH, 0, -1):
            for name in ("b1", "b2", *(["b2_plus"] if level == 1 else []), "b3"):
                self.add_module(f"{name}_{level}", _Block(_WIDTH, _WIDTH))

    def forward(self, x: torch.Tensor, heat: torch.Tensor | None) -> torch.Tensor:
        return self._level(_DEPTH, self.coordconv(x, heat))

    def _level(self, level: int, x: torch.Tensor) -> torch.Tensor:
        low = self._block("b2", level)(F.avg_pool2d(x, 2))
        low = self._level(level - 1, low) if level > 1 else self._block("b2_plus", level)(low)
        grown = F.interpolate(self._block("b3", level)(low), scale_factor=2.0, mode="nearest")
        return cast(torch.Tensor, self._block("b1", level)(x) + grown)

    def _block(self, name: str, level: int) -> nn.Module:
        return self.get_submodule(f"{name}_{level}")


class FAN(nn.Module):
    """faces: (N, 3, 256, 256) RGB in [0, 1], the face's box squeezed into the square.

    Returns (N, 99, 64, 64) heat maps: 98 points and the boundary, of the last of four hourglasses.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = _CoordConv(3, 64, 7, 2, boundary=False), nn.BatchNorm2d(64)
        self.conv2, self.conv3, self.conv4 = _Block(64, 128), _Block(128, 128), _Block(128, _WIDTH)
        for index in range(_STACKS):
            self.add_module(f"m{index}", _Hourglass(boundary=index > 0))
            self.add_module(f"top_m_{index}", _Block(_WIDTH, _WIDTH))
            self.add_module(f"conv_last{index}", nn.Conv2d(_WIDTH, _WIDTH, 1))
            self.add_module(f"bn_end{index}", nn.BatchNorm2d(_WIDTH))
            self.add_module(f"l{index}", nn.Conv2d(_WIDTH, POINTS + 1, 1))
            if index < _STACKS - 1:
                self.add_module(f"bl{index}", nn.Conv2d(_WIDTH, _WIDTH, 1))
                self.add_module(f"al{index}", nn.Conv2d(POINTS + 1, _WIDTH, 1))

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(faces)))
        x = self.conv4(self.conv3(F.avg_pool2d(self.conv2(x), 2)))
        heat = None
        for index in range(_STACKS):
            y = self._part("top_m_", index)(self._part("m", index)(x, heat))
            y = F.relu(self._part("bn_end", index)(self._part("conv_last", index)(y)))
            heat = self._part("l", index)(y)
            if index < _STACKS - 1:
                x = x + self._part("bl", index)(y) + self._part("al", index)(heat)
        return cast(torch.Tensor, heat)

    def _part(self, name: str, index: int) -> nn.Module:
        return self.get_submodule(f"{name}{index}")


def _places(x: torch.Tensor) -> torch.Tensor:
    """(N, 2, H, W): row and column of every pixel, from -1 to 1; the row first, as it was trained."""
    height, width = x.shape[2:]
    rows = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)[:, None].expand(height, width)
    columns = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype)[None].expand(height, width)
    return torch.stack((rows, columns)).expand(len(x), -1, -1, -1)
