"""The decoder that paints the picture: Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization",
CVPR 2019. What it is told at every layer is the warped feature map itself.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from .layers import Foldable, SpectralConv2d, enlarged, enlarging, plain

TOLD = 256  # channels of what the decoder is told
_HIDDEN = 128
_EPSILON = 1e-5
_LEAK = 0.2
_MIDDLE = 512
_MIDDLE_BLOCKS = 6


class Spade(nn.Module):
    """Instance normalisation whose scale and shift are painted from `told`. (N, C, h, w), the same out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(TOLD, _HIDDEN, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(_HIDDEN, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(_HIDDEN, channels, 3, padding=1)

    def forward(self, x: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        hidden = self.mlp_shared(told)
        return cast(torch.Tensor, normalised(x) * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden))


class SpadeBlock(nn.Module):
    """Two painted normalisations and convolutions, added to x; x is normalised and squeezed when channels change.

    scale: how much larger x is than `told`.
    """

    def __init__(self, channels_in: int, channels_out: int, scale: int = 1) -> None:
        super().__init__()
        middle = min(channels_in, channels_out)
        self.conv_0 = SpectralConv2d(channels_in, middle, 3)
        self.conv_1 = SpectralConv2d(middle, channels_out, 3)
        self.norm_0, self.norm_1 = Spade(channels_in), Spade(middle)
        self.learned = channels_in != channels_out
        if self.learned:
            self.conv_s = SpectralConv2d(channels_in, channels_out, 1, bias=False)
            self.norm_s = Spade(channels_in)
        self.scale = scale

    def forward(self, x: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        told = enlarged(told, self.scale) if self.scale > 1 else told
        short = self.conv_s(self.norm_s(x, told)) if self.learned else x
        y = self.conv_0(F.leaky_relu(self.norm_0(x, told), _LEAK))
        return cast(torch.Tensor, short + self.conv_1(F.leaky_relu(self.norm_1(y, told), _LEAK)))


class FoldedBlock(nn.Module):
    """A `SpadeBlock` that computes the same with fewer, larger convolutions; see `layers` for the enlarging one.

    All first layers are one convolution of `told`, at its own size; scale and shift of a normalisation are one; and
    the shift of the shortcut goes through its 1x1 convolution beforehand.
    """

    def __init__(self, block: SpadeBlock) -> None:
        super().__init__()
        norms = [block.norm_0, block.norm_1, *([block.norm_s] if block.learned else [])]
        firsts = [cast(nn.Conv2d, norm.mlp_shared[0]) for norm in norms]
        shared = plain(*(torch.cat([getattr(conv, kind) for conv in firsts]) for kind in ("weight", "bias")))
        self.shared = enlarging(shared, block.scale) if block.scale > 1 else shared
        self.paint_0, self.paint_1 = _painter(block.norm_0), _painter(block.norm_1)
        self.conv_0 = plain(block.conv_0.weight(), block.conv_0.bias)
        self.conv_1 = plain(block.conv_1.weight(), block.conv_1.bias)
        self.learned, self.scale = block.learned, block.scale
        if block.learned:
            self.conv_s = plain(block.conv_s.weight(), None)
            self.paint_s = _painter(block.norm_s, self.conv_s.weight)

    def forward(self, x: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        hidden = torch.split(F.relu_(self.shared(told)), _HIDDEN, dim=1)
        even = normalised(x)
        y = self.conv_0(F.leaky_relu_(_painted(even, self.paint_0(hidden[0])), _LEAK))
        y = self.conv_1(F.leaky_relu_(_painted(normalised(y), self.paint_1(hidden[1])), _LEAK))
        return cast(torch.Tensor, y.add_(self._short(even, hidden[2]) if self.learned else x))

    def _short(self, even: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        scale, shift = torch.split(self.paint_s(hidden), [even.shape[1], self.conv_s.out_channels], dim=1)
        return cast(torch.Tensor, self.conv_s(even * scale) + shift)


class SpadeDecoder(Foldable):
    """told: (N, 256, h, w) -> (N, 3, 4h, 4w) RGB in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Conv2d(TOLD, _MIDDLE, 3, padding=1)
        for index in range(_MIDDLE_BLOCKS):
            self.add_module(f"G_middle_{index}", SpadeBlock(_MIDDLE, _MIDDLE))
        self.up_0 = SpadeBlock(_MIDDLE, 256, scale=2)
        self.up_1 = SpadeBlock(256, 64, scale=4)
        self.conv_img = nn.Conv2d(64, 3, 3, padding=1)

    def forward(self, told: torch.Tensor) -> torch.Tensor:
        x = self.fc(told)
        for index in range(_MIDDLE_BLOCKS):
            x = self.get_submodule(f"G_middle_{index}")(x, told)
        x = self.up_0(enlarged(x, 2), told)
        x = self.up_1(enlarged(x, 2), told)
        return torch.sigmoid(self.conv_img(F.leaky_relu(x, _LEAK)).float())

    def fold(self) -> None:
        for name, part in list(self.named_children()):
            if isinstance(part, SpadeBlock):
                setattr(self, name, FoldedBlock(part))


def normalised(x: torch.Tensor) -> torch.Tensor:
    """(N, C, h, w), each map with mean 0 and variance 1; summed in fp32 whatever the precision."""
    # One picture's batch normalisation is its instance normalisation, and seven times as fast with channels last.
    rows = [F.batch_norm(row, None, None, training=True, eps=_EPSILON) for row in torch.split(x, 1)]
    return rows[0] if len(rows) == 1 else torch.cat(rows)


def _painter(norm: Spade, after: torch.Tensor | None = None) -> nn.Conv2d:
    """Hidden maps -> scale (the 1 added) and shift in one. after: a 1x1 convolution that the shift is taken through."""
    gamma, beta = norm.mlp_gamma, norm.mlp_beta
    weight, bias = beta.weight, cast(torch.Tensor, beta.bias)
    if after is not None:
        squeeze = after.flatten(1)
        weight, bias = torch.einsum("oc,cikl->oikl", squeeze, weight), squeeze @ bias
    return plain(torch.cat((gamma.weight, weight)), torch.cat((cast(torch.Tensor, gamma.bias) + 1, bias)))


def _painted(even: torch.Tensor, paint: torch.Tensor) -> torch.Tensor:
    scale, shift = paint.chunk(2, dim=1)
    return torch.addcmul(shift, even, scale)
