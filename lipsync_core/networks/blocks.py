"""The convolution blocks that Wav2Lip, SyncNet and their discriminators are made of.

Names of parameters are those of the published checkpoints (`<module>.conv_block.0.weight`, ...), so that a state_dict
loads as it is. Batch normalisation: Ioffe and Szegedy 2015; residual blocks: He et al. 2016; spatial attention: Woo et
al., "CBAM", 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Size = int | tuple[int, int]
Network = TypeVar("Network", bound=nn.Module)

PLAIN_LEAK = 0.01  # slope below zero of the blocks without normalisation


@dataclass(frozen=True)
class Layer:
    """One row of a layer table: channels in and out, kernel, stride, padding, and what is special about it.

    up: a transposed convolution, `grow` being its output padding. residual: the input is added before the activation.
    """

    channels_in: int
    channels_out: int
    kernel: int = 3
    stride: Size = 1
    padding: int = 1
    residual: bool = False
    up: bool = False
    grow: int = 0


def same(channels: int, count: int = 1) -> list[Layer]:
    """`count` residual 3x3 layers that keep size and channels."""
    return [Layer(channels, channels, residual=True)] * count


def down(channels_in: int, channels_out: int, residuals: int = 0, kernel: int = 3) -> list[Layer]:
    """A layer that halves the picture, then residual ones."""
    return [
        Layer(channels_in, channels_out, kernel, stride=2, padding=kernel // 2),
        *same(channels_out, residuals),
    ]


def up(channels_in: int, channels_out: int, residuals: int = 0, grow: int = 1) -> list[Layer]:
    """A transposed layer that doubles the picture (one pixel less where `grow` is 0), then residual ones."""
    first = Layer(channels_in, channels_out, stride=2, up=True, grow=grow)
    return [first, *same(channels_out, residuals)]


def point(channels_in: int, channels_out: int) -> Layer:
    """A 1x1 layer."""
    return Layer(channels_in, channels_out, kernel=1, padding=0)


class ConvBlock(nn.Module):
    """Convolution, batch normalisation, optional residual sum, activation. (N, C, H, W) -> (N, C', H', W')."""

    def __init__(self, layer: Layer, leak: float = 0.0) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(_convolution(layer), nn.BatchNorm2d(layer.channels_out))
        self.residual = layer.residual
        self.leak = leak

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = cast(torch.Tensor, self.conv_block(x))
        if self.residual:
            y += x
        # In place: these maps are large, and memory is what a small layer waits for.
        return F.leaky_relu_(y, self.leak) if self.leak else F.relu_(y)


class PlainBlock(nn.Module):
    """Convolution without normalisation, leaky ReLU: what the discriminators use."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(_convolution(layer))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.leaky_relu(self.conv_block(x), PLAIN_LEAK)


class SpatialAttention(nn.Module):
    """Where to look: a map in (0, 1) from the mean and the maximum over channels. (N, C, H, W) -> (N, 1, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        summary = torch.cat((x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)), dim=1)
        return torch.sigmoid(self.conv1(summary))


def stack(layers: Sequence[Layer], leak: float = 0.0) -> nn.Sequential:
    """Layers one after the other, each a ConvBlock; `leak` is the slope of its activation below zero."""
    return nn.Sequential(*(ConvBlock(layer, leak) for layer in layers))


def fold_batch_norm(network: Network) -> Network:
    """Merge every batch normalisation into its convolution, in place; the network must be in eval mode.

    The result computes the same function with one pass less over every feature map. It can no longer be trained, and
    its state_dict no longer has the published names.
    """
    for block in network.modules():
        if isinstance(block, ConvBlock) and len(block.conv_block) == 2:
            convolution, norm = block.conv_block
            transposed = isinstance(convolution, nn.ConvTranspose2d)
            block.conv_block = nn.Sequential(_merged(convolution, cast(nn.BatchNorm2d, norm), transposed))
    return network


def _convolution(layer: Layer) -> nn.Conv2d | nn.ConvTranspose2d:
    channels, kernel = (layer.channels_in, layer.channels_out), layer.kernel
    if layer.up:
        return nn.ConvTranspose2d(*channels, kernel, layer.stride, layer.padding, layer.grow)
    return nn.Conv2d(*channels, kernel, layer.stride, layer.padding)


def _merged(convolution: nn.Module, norm: nn.BatchNorm2d, transposed: bool) -> nn.Module:
    if norm.training:
        raise ValueError("batch normalisation can only be folded in eval mode")
    return fuse_conv_bn_eval(convolution, norm, transpose=transposed)  # type: ignore[type-var]
