"""SyncNet v2, the network behind the LSE scores: Chung and Zisserman, "Out of time: automated lip sync in the wild",
ACCV workshop 2016.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn


class SyncNetV2(nn.Module):
    """Lips and sound as points of one space of 1024 dimensions; the distance is the disagreement.

    lip: (N, 3, 5, 224, 224) five neighbouring BGR frames, 0 to 255. aud: (N, 1, 13, 20) MFCCs, 100 columns a second.
    Both give (N, 1024), not normalised.
    """

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_flat(1, 64, 3, 1),
            nn.MaxPool2d(1, stride=1),
            *_flat(64, 192, 3, 1),
            nn.MaxPool2d(3, stride=(1, 2)),
            *_flat(192, 384, 3, 1),
            *_flat(384, 256, 3, 1),
            *_flat(256, 256, 3, 1),
            nn.MaxPool2d(3, stride=2),
            *_flat(256, 512, (5, 4), 0),
        )
        self.netcnnlip = nn.Sequential(
            *_deep(3, 96, (5, 7, 7), 2, 0),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
            *_deep(96, 256, (1, 5, 5), 2, 1),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            *_deep(256, 256, (1, 3, 3), 1, 1),
            *_deep(256, 256, (1, 3, 3), 1, 1),
            *_deep(256, 256, (1, 3, 3), 1, 1),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
            *_deep(256, 512, (1, 6, 6), 1, 0),
        )
        self.netfcaud = _head()
        self.netfclip = _head()

    def lip(self, frames: torch.Tensor) -> torch.Tensor:
        """(N, 3, 5, 224, 224) -> (N, 1024)."""
        return cast(torch.Tensor, self.netfclip(self.netcnnlip(frames).flatten(1)))

    def aud(self, mfcc: torch.Tensor) -> torch.Tensor:
        """(N, 1, 13, 20) -> (N, 1024)."""
        return cast(torch.Tensor, self.netfcaud(self.netcnnaud(mfcc).flatten(1)))

    def forward(self, mfcc: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.aud(mfcc), self.lip(frames)


def _flat(channels_in: int, channels_out: int, kernel: int | tuple[int, int], padding: int) -> list[nn.Module]:
    convolution = nn.Conv2d(channels_in, channels_out, kernel, padding=padding)
    return [convolution, nn.BatchNorm2d(channels_out), nn.ReLU()]


def _deep(
    channels_in: int, channels_out: int, kernel: tuple[int, int, int], stride: int, padding: int
) -> list[nn.Module]:
    """A convolution over time and picture that moves and pads in the picture only."""
    convolution = nn.Conv3d(
        channels_in, channels_out, kernel, stride=(1, stride, stride), padding=(0, padding, padding)
    )
    return [convolution, nn.BatchNorm3d(channels_out), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))
