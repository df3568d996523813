"""The mapping network: coefficients of 27 frames to the pose and expression of the keypoints in the middle one.

Ren et al., "PIRenderer: Controllable Portrait Image Generation via Semantic Neural Rendering", ICCV 2021.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from .geometry import BINS, HeadPose
from .keypoints import COUNT

WINDOW = 27  # frames
_WIDTH = 1024
_LAYERS = 3
_LEAK = 0.1


class MappingNetwork(nn.Module):
    """windows: (N, C, 27) coefficients, C 70 (expression 64, angles 3, position 3) or 73 (and how the face was cut out:
    scale, x, y) -> HeadPose of N frames."""

    def __init__(self, coefficients: int = 70) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv1d(coefficients, _WIDTH, 7))
        for index in range(_LAYERS):
            self.add_module(
                f"encoder{index}", nn.Sequential(nn.LeakyReLU(_LEAK), nn.Conv1d(_WIDTH, _WIDTH, 3, dilation=3))
            )
        self.fc_roll, self.fc_pitch, self.fc_yaw = (nn.Linear(_WIDTH, BINS) for _ in range(3))
        self.fc_t = nn.Linear(_WIDTH, 3)
        self.fc_exp = nn.Linear(_WIDTH, 3 * COUNT)

    def forward(self, windows: torch.Tensor) -> HeadPose:
        x = cast(torch.Tensor, self.first(windows))
        for index in range(_LAYERS):
            x = self.get_submodule(f"encoder{index}")(x) + x[:, :, 3:-3]
        x = F.adaptive_avg_pool1d(x, 1)[:, :, 0]
        return HeadPose(self.fc_yaw(x), self.fc_pitch(x), self.fc_roll(x), self.fc_t(x), self.fc_exp(x))
