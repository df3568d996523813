"""The convolution blocks that the face renderer is made of, and how they are made cheaper without changing a result.

Names of parameters are those of the published checkpoints. `fold` turns a network that was loaded into one that only
computes: batch normalisation merged into convolutions, spectral norm divided out, and each convolution of a
nearest-neighbour enlargement turned into a transposed one, which adds up the taps that see the same pixel beforehand
(4 of 9 multiplications are left at twice the size, 9 of 36 at four times).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)
Convolution = nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d


class Foldable(nn.Module, ABC):
    """A part that knows how to become cheaper once its weights will not change any more."""

    @abstractmethod
    def fold(self) -> None:
        """Merge, in place. Afterwards the state_dict no longer has the published names."""


class ConvBlock(Foldable):
    """Optional enlargement, convolution, batch normalisation, activation, optional halving.

    depth: maps are (N, C, D, H, W), else (N, C, H, W). grow, shrink: height and width times two before, or halved by
    averaging after; depth stays. leak: slope of the activation below zero.
    """

    def __init__(
        self, channels_in: int, channels_out: int, *, depth: bool = False, grow: bool = False, shrink: bool = False,
        leak: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv: Convolution = (nn.Conv3d if depth else nn.Conv2d)(channels_in, channels_out, 3, padding=1)
        self.norm: nn.Module = (nn.BatchNorm3d if depth else nn.BatchNorm2d)(channels_out)
        self.depth, self.grow, self.shrink, self.leak = depth, grow, shrink, leak

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.grow:
            x = enlarged(x, 2)
        y = self.norm(self.conv(x))
        y = F.leaky_relu_(y, self.leak) if self.leak else F.relu_(y)
        return _halved(y) if self.shrink else y

    def fold(self) -> None:
        merged = cast(nn.Conv2d | nn.Conv3d, merge_norm(self.conv, self.norm))
        self.conv, self.norm = enlarging(merged, 2) if self.grow else merged, nn.Identity()
        self.grow = False


class ResidualBlock3d(Foldable):
    """x + two convolutions, each after normalisation and ReLU (He et al. 2016b). (N, C, D, H, W), the same out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv3d(channels, channels, 3, padding=1) for _ in range(2))
        self.norm1: nn.Module = nn.BatchNorm3d(channels)
        self.norm2: nn.Module = nn.BatchNorm3d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(F.relu_(self.norm1(x)))
        return x + cast(torch.Tensor, self.conv2(F.relu_(self.norm2(y))))

    def fold(self) -> None:
        # The first normalisation comes before a ReLU, so only the second has a convolution to go into.
        self.conv1 = cast(nn.Conv3d, merge_norm(self.conv1, self.norm2))
        self.norm2 = nn.Identity()


class SpectralConv2d(nn.Module):
    """A convolution whose weight is divided by its largest singular value, as far as training knew it.

    Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018. In eval mode the published
    vectors u and v are used as they are.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, bias: bool = True) -> None:
        super().__init__()
        self.weight_orig = nn.Parameter(torch.empty(channels_out, channels_in, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(channels_out)) if bias else None
        self.register_buffer("weight_u", torch.empty(channels_out))
        self.register_buffer("weight_v", torch.empty(channels_in * kernel * kernel))
        self.padding = kernel // 2

    def weight(self) -> torch.Tensor:
        """(C', C, k, k), divided."""
        sigma = self.get_buffer("weight_u") @ self.weight_orig.flatten(1) @ self.get_buffer("weight_v")
        return self.weight_orig / sigma

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.weight(), self.bias, padding=self.padding)


def fold(network: Network) -> Network:
    """Merge everything that can be merged, in place; the network must be in eval mode, its weights in fp32."""
    if network.training:
        raise ValueError("a network is folded in eval mode")
    with torch.no_grad():
        for part in list(network.modules()):
            if isinstance(part, Foldable):
                part.fold()
    return network


def merge_norm(conv: nn.Module, norm: nn.Module) -> nn.Module:
    """One convolution that computes norm(conv(x))."""
    merged: nn.Module = fuse_conv_bn_eval(conv, norm)  # type: ignore[type-var, arg-type]
    return merged


def enlarged(x: torch.Tensor, factor: int) -> torch.Tensor:
    """(N, C, [D,] H, W) -> (N, C, [D,] factor * H, factor * W), every pixel repeated."""
    scale = (1.0,) * (x.dim() - 4) + (float(factor), float(factor))
    return F.interpolate(x, scale_factor=scale, mode="nearest")


def plain(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Conv2d:
    """A convolution that keeps the size, with these weights."""
    channels_out, channels_in, kernel, _ = weight.shape
    with torch.device("meta"):
        conv = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=bias is not None)
    return _with(conv, weight, bias)


def enlarging(conv: nn.Conv2d | nn.Conv3d, factor: int) -> nn.ConvTranspose2d | nn.ConvTranspose3d:
    """What computes conv(enlarged(x, factor)) in one go, exactly, for a 3-wide `conv` with padding 1."""
    depth = isinstance(conv, nn.Conv3d)
    weight = conv.weight.transpose(0, 1)
    for axis in (weight.dim() - 2, weight.dim() - 1):
        weight = _spread(weight, axis, factor)
    if depth:
        weight = weight.flip(2)  # a transposed convolution runs backwards; here it only moves along, one step a pixel
    steps = (1, factor, factor) if depth else (factor, factor)
    kind = nn.ConvTranspose3d if depth else nn.ConvTranspose2d
    with torch.device("meta"):
        grown = kind(weight.shape[0], weight.shape[1], tuple(weight.shape[2:]), steps, padding=1)  # type: ignore[arg-type]
    return _with(grown, weight, conv.bias)


def _spread(weight: torch.Tensor, axis: int, factor: int) -> torch.Tensor:
    """Three taps -> factor + 2: what one small pixel gives to each large one in and beside it."""
    first, middle, last = weight.unbind(axis)
    whole = first + middle + last
    rows = [last, middle + last, *[whole] * (factor - 2), first + middle, first]
    return torch.stack(rows, dim=axis)


def _halved(x: torch.Tensor) -> torch.Tensor:
    if x.dim() == 4:
        return F.avg_pool2d(x, 2)
    # Layers of space become rows of the batch (a view, channels last): the CPU has no 3D pooling in half precision.
    flat = F.avg_pool2d(x.transpose(1, 2).flatten(0, 1), 2)
    return flat.view(len(x), -1, *flat.shape[1:]).transpose(1, 2)


def _with(module: Network, weight: torch.Tensor, bias: torch.Tensor | None) -> Network:
    state = {"weight": weight.contiguous()} | ({} if bias is None else {"bias": bias})
    module.load_state_dict(state, assign=True)
    return module.eval()
