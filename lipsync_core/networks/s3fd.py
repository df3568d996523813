"""S3FD: Zhang et al., "S3FD: Single Shot Scale-invariant Face Detector", ICCV 2017."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

STRIDES = (4, 8, 16, 32, 64, 128)  # pixels between neighbouring anchors of each of the six maps


class L2Norm(nn.Module):
    """Each pixel's features scaled to length 1, then each channel by a learned weight (Liu et al., ParseNet, 2015)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        length = x.float().square().sum(dim=1, keepdim=True).sqrt() + 1e-10
        return (x / length).to(x.dtype) * self.weight[:, None, None]


class S3FD(nn.Module):
    """pictures: (N, 3, H, W) with the means of the channels taken off.

    Returns twelve maps, (N, 2, h, w) scores (nothing, face; before softmax) and (N, 4, h, w) box offsets in turn, for
    each of `STRIDES`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1_1, self.conv1_2 = _conv(3, 64), _conv(64, 64)
        self.conv2_1, self.conv2_2 = _conv(64, 128), _conv(128, 128)
        self.conv3_1, self.conv3_2, self.conv3_3 = _conv(128, 256), _conv(256, 256), _conv(256, 256)
        self.conv4_1, self.conv4_2, self.conv4_3 = _conv(256, 512), _conv(512, 512), _conv(512, 512)
        self.conv5_1, self.conv5_2, self.conv5_3 = _conv(512, 512), _conv(512, 512), _conv(512, 512)
        self.fc6 = nn.Conv2d(512, 1024, 3, padding=3)
        self.fc7 = nn.Conv2d(1024, 1024, 1)
        self.conv6_1, self.conv6_2 = nn.Conv2d(1024, 256, 1), nn.Conv2d(256, 512, 3, stride=2, padding=1)
        self.conv7_1, self.conv7_2 = nn.Conv2d(512, 128, 1), nn.Conv2d(128, 256, 3, stride=2, padding=1)
        self.conv3_3_norm, self.conv4_3_norm, self.conv5_3_norm = L2Norm(256), L2Norm(512), L2Norm(512)
        # The finest map scores "nothing" three times; the highest counts, against false faces among many small anchors.
        self.conv3_3_norm_mbox_conf, self.conv3_3_norm_mbox_loc = _conv(256, 4), _conv(256, 4)
        self.conv4_3_norm_mbox_conf, self.conv4_3_norm_mbox_loc = _conv(512, 2), _conv(512, 4)
        self.conv5_3_norm_mbox_conf, self.conv5_3_norm_mbox_loc = _conv(512, 2), _conv(512, 4)
        self.fc7_mbox_conf, self.fc7_mbox_loc = _conv(1024, 2), _conv(1024, 4)
        self.conv6_2_mbox_conf, self.conv6_2_mbox_loc = _conv(512, 2), _conv(512, 4)
        self.conv7_2_mbox_conf, self.conv7_2_mbox_loc = _conv(256, 2), _conv(256, 4)

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        c3, c4, c5, f7, c6, c7 = self._features(pictures)
        n3, n4, n5 = self.conv3_3_norm(c3), self.conv4_3_norm(c4), self.conv5_3_norm(c5)
        fine = self.conv3_3_norm_mbox_conf(n3)
        return [
            torch.cat((fine[:, :3].amax(dim=1, keepdim=True), fine[:, 3:]), dim=1),
            self.conv3_3_norm_mbox_loc(n3),
            self.conv4_3_norm_mbox_conf(n4),
            self.conv4_3_norm_mbox_loc(n4),
            self.conv5_3_norm_mbox_conf(n5),
            self.conv5_3_norm_mbox_loc(n5),
            self.fc7_mbox_conf(f7),
            self.fc7_mbox_loc(f7),
            self.conv6_2_mbox_conf(c6),
            self.conv6_2_mbox_loc(c6),
            self.conv7_2_mbox_conf(c7),
            self.conv7_2_mbox_loc(c7),
        ]

    def _features(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = _relus(x, self.conv1_1, self.conv1_2)
        x = _relus(F.max_pool2d(x, 2), self.conv2_1, self.conv2_2)
        c3 = _relus(F.max_pool2d(x, 2), self.conv3_1, self.conv3_2, self.conv3_3)
        c4 = _relus(F.max_pool2d(c3, 2), self.conv4_1, self.conv4_2, self.conv4_3)
        c5 = _relus(F.max_pool2d(c4, 2), self.conv5_1, self.conv5_2, self.conv5_3)
        f7 = _relus(F.max_pool2d(c5, 2), self.fc6, self.fc7)
        c6 = _relus(f7, self.conv6_1, self.conv6_2)
        return c3, c4, c5, f7, c6, _relus(c6, self.conv7_1, self.conv7_2)


def _conv(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


def _relus(x: torch.Tensor, *convolutions: nn.Module) -> torch.Tensor:
    for convolution in convolutions:
        x = F.relu(convolution(x))
    return x
