"""RetinaFace on a ResNet-50: Deng et al., "RetinaFace: Single-Shot Multi-Level Face Localisation in the Wild", CVPR
2020. Names of parameters are those of detection_Resnet50_Final.pth.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from .resnet import ResNet50

STRIDES = (8, 16, 32)  # pixels between neighbouring anchors of each of the three maps
ANCHORS = ((16, 32), (64, 128), (256, 512))  # their sides in pixels
_WIDTH = 256
_PER_PLACE = 2


def _conv(channels_in: int, channels_out: int, kernel: int, active: bool = True) -> nn.Sequential:
    parts: list[nn.Module] = [
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
    ]
    return nn.Sequential(*parts, *([nn.ReLU()] if active else []))


class _Pyramid(nn.Module):
    """Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017."""

    def __init__(self) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (_conv(channels, _WIDTH, 1) for channels in (512, 1024, 2048))
        self.merge1, self.merge2 = _conv(_WIDTH, _WIDTH, 3), _conv(_WIDTH, _WIDTH, 3)

    def forward(self, maps: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        fine, middle, coarse = self.output1(maps[0]), self.output2(maps[1]), self.output3(maps[2])
        middle = self.merge2(middle + F.interpolate(coarse, size=middle.shape[2:], mode="nearest"))
        fine = self.merge1(fine + F.interpolate(middle, size=fine.shape[2:], mode="nearest"))
        return fine, middle, coarse


class _Context(nn.Module):
    """Najibi et al., "SSH: Single Stage Headless Face Detector", ICCV 2017: three sizes of neighbourhood."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter = _WIDTH // 2, _WIDTH // 4
        self.conv3X3 = _conv(_WIDTH, half, 3, active=False)
        self.conv5X5_1, self.conv5X5_2 = _conv(_WIDTH, quarter, 3), _conv(quarter, quarter, 3, active=False)
        self.conv7X7_2, self.conv7x7_3 = _conv(quarter, quarter, 3), _conv(quarter, quarter, 3, active=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = self.conv5X5_1(x)
        return F.relu(torch.cat((self.conv3X3(x), self.conv5X5_2(wide), self.conv7x7_3(self.conv7X7_2(wide))), dim=1))


def _heads(values: int) -> nn.ModuleList:
    rows = [nn.ModuleDict({"conv1x1": nn.Conv2d(_WIDTH, _PER_PLACE * values, 1)}) for _ in STRIDES]
    return nn.ModuleList(rows)


class RetinaFace(nn.Module):
    """pictures: (N, 3, H, W) BGR, 0 to 255, with the means 104, 117, 123 taken off.

    Returns for the A anchors of all maps, finest first, row by row: boxes (N, A, 4) and landmarks (N, A, 10) as offsets
    from the anchors, and scores (N, A, 2), nothing and face, before softmax.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = ResNet50()
        self.fpn = _Pyramid()
        self.ssh1, self.ssh2, self.ssh3 = _Context(), _Context(), _Context()
        self.ClassHead, self.BboxHead, self.LandmarkHead = _heads(2), _heads(4), _heads(10)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        fine, middle, coarse = self.fpn(self.body(pictures))
        maps = [self.ssh1(fine), self.ssh2(middle), self.ssh3(coarse)]
        boxes, scores, landmarks = (
            _flat(heads, maps, values)
            for heads, values in ((self.BboxHead, 4), (self.ClassHead, 2), (self.LandmarkHead, 10))
        )
        return boxes, landmarks, scores


def _flat(heads: nn.ModuleList, maps: list[torch.Tensor], values: int) -> torch.Tensor:
    """(N, A, values), place by place."""
    rows = []
    for head, features in zip(heads, maps, strict=True):
        found = cast(torch.Tensor, cast(nn.ModuleDict, head)["conv1x1"](features))
        rows.append(found.permute(0, 2, 3, 1).reshape(len(found), -1, values))
    return torch.cat(rows, dim=1)
