"""Dense motion: from two sets of keypoints to where every point of the source's features goes."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import nn

from .geometry import gaussians, grid
from .keypoints import COUNT, DEPTH
from .layers import ConvBlock

FEATURES = 32  # channels of the source's features in space
_SQUEEZED = 4  # of them that the motion looks at
_MOTIONS = COUNT + 1  # one for each keypoint and one for what stays
_WIDTHS = (_MOTIONS * (_SQUEEZED + 1), 64, 128, 256, 512, 1024)
_UP_WIDTHS = (512, 256, 128, 64, 32)
_OUT = _UP_WIDTHS[-1] + _WIDTHS[0]
_LEAST = 1e-3  # a motion that counts less does not count


class Motion(NamedTuple):
    """mask (N, 16, D, H, W): how much of each motion; deformation (N, D, H, W, 3): where from; occlusion (N, 1, H, W):
    what of it is seen, in [0, 1]."""

    mask: torch.Tensor
    deformation: torch.Tensor
    occlusion: torch.Tensor


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        pairs = pairwise(_WIDTHS)
        self.down_blocks = nn.ModuleList(ConvBlock(a, b, depth=True, shrink=True) for a, b in pairs)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        features = [x]
        for block in self.down_blocks:
            features.append(block(features[-1]))
        return features


class _Decoder(ConvBlock):
    """Grows again, joining what the encoder saw at each size; then one more convolution."""

    def __init__(self) -> None:
        super().__init__(_OUT, _OUT, depth=True)
        widths = [_WIDTHS[-1], *(up + down for up, down in zip(_UP_WIDTHS, _WIDTHS[-2:0:-1], strict=False))]
        pairs = zip(widths, _UP_WIDTHS, strict=True)
        self.up_blocks = nn.ModuleList(ConvBlock(a, b, depth=True, grow=True) for a, b in pairs)

    def look(self, features: list[torch.Tensor]) -> torch.Tensor:
        x = features[-1]
        for block, skip in zip(self.up_blocks, reversed(features[:-1]), strict=True):
            x = torch.cat((block(x), skip), dim=1)
        return cast(torch.Tensor, self(x))


class _Hourglass(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = _Encoder(), _Decoder()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder.look(self.encoder(x))


class DenseMotion(nn.Module):
    """Looks at a squeezed copy of the source's features, moved with each keypoint: which motion counts where?"""

    def __init__(self) -> None:
        super().__init__()
        self.hourglass = _Hourglass()
        self.mask = nn.Conv3d(_OUT, _MOTIONS, 7, padding=3)
        self.compress = nn.Conv3d(FEATURES, _SQUEEZED, 1)
        self.norm = nn.BatchNorm3d(_SQUEEZED)
        self.occlusion = nn.Conv2d(_OUT * DEPTH, 1, 7, padding=3)

    def squeeze(self, features: torch.Tensor) -> torch.Tensor:
        """(1, 32, D, H, W) -> (1, 4, D, H, W) fp32; the same for every frame of a source."""
        return F.relu(self.norm(self.compress(features)))

    def forward(self, squeezed: torch.Tensor, source: torch.Tensor, driving: torch.Tensor) -> Motion:
        """squeezed: (1, 4, D, H, W). source: (1, 15, 3) keypoints. driving: (N, 15, 3)."""
        size = squeezed.shape[2:]
        moved = _motions(source.float(), driving.float(), size)
        seen = self._seen(squeezed, moved, source, driving)
        maps = self.hourglass(seen.to(self.mask.weight.dtype))
        mask = self.mask(maps).float().softmax(dim=1)
        # What is left is not scaled up again: so the networks were trained.
        deformation = torch.einsum("nkdhw,nkdhwc->ndhwc", mask.where(mask >= _LEAST, 0), moved)
        return Motion(mask, deformation, torch.sigmoid(self._hidden(maps).float()))

    def _hidden(self, maps: torch.Tensor) -> torch.Tensor:
        """(N, 112, D, H, W) -> (N, 1, H, W): all layers of space weighed at once, where they lie."""
        weight = self.occlusion.weight.view(1, _OUT, DEPTH, *self.occlusion.kernel_size)
        return F.conv3d(maps, weight, self.occlusion.bias, padding=(0, *self.occlusion.padding))[:, :, 0]

    def _seen(
        self, squeezed: torch.Tensor, moved: torch.Tensor, source: torch.Tensor, driving: torch.Tensor
    ) -> torch.Tensor:
        """(N, 80, D, H, W): for each motion, how keypoints' neighbourhoods changed, then the features it moves here."""
        frames, size = len(driving), squeezed.shape[2:]
        # All frames and motions in one tall volume, so that the source need not be copied for each.
        parts = F.grid_sample(squeezed, moved.reshape(1, -1, *moved.shape[-3:]), align_corners=False)
        parts = parts.view(_SQUEEZED, frames, _MOTIONS, *size).permute(1, 2, 0, 3, 4, 5)
        heat = gaussians(driving, size) - gaussians(source, size)
        heat = F.pad(heat, (0, 0, 0, 0, 0, 0, 1, 0))  # nothing changed for what stays
        return torch.cat((heat[:, :, None], parts), dim=2).flatten(1, 2)


def _motions(source: torch.Tensor, driving: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """(N, 16, D, H, W, 3): where each motion takes a point from; the first leaves it where it is."""
    identity = grid(size, source.device)
    shift = F.pad(source - driving, (0, 0, 1, 0))
    return identity + shift[:, :, None, None, None]


def warp(features: torch.Tensor, deformation: torch.Tensor) -> torch.Tensor:
    """(1, C, D, H, W) fp32 and (N, D, H, W, 3) -> (N, C, D, H, W)."""
    frames = len(deformation)
    found = F.grid_sample(features, deformation.flatten(0, 1)[None], align_corners=False)
    return found.view(features.shape[1], frames, *deformation.shape[1:4]).transpose(0, 1)
