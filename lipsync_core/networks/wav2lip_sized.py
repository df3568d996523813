"""Wav2Lip's generator and its expert at other sizes: the same blocks, one halving less or more.

48 px is what two processor cores can be taught; 192 px sits between the published 96 and 288.
"""

from __future__ import annotations

from collections.abc import Mapping

from .blocks import Layer, down, point, same, up
from .wav2lip import Layout, from_point, hearing, to_point

SIZES = (48, 192)
_WIDEST = 32  # times the first width


def layout_sized(size: int, width: int = 16, residuals: int = 1) -> Layout:
    """size: 48 or 192 px (3 px doubled four or six times). width: channels of the first picture; doubles as the picture
    halves, up to 32 times. residuals: residual layers at each size. The audio encoder is as wide as at 96 px for 16.
    """
    levels = _levels(size)
    widths = [width * min(_WIDEST, 2**level) for level in range(levels + 1)]
    top = widths[-1]
    face: list[tuple[Layer, ...]] = [(Layer(6, width, kernel=7, padding=3),)]
    face += [tuple(down(widths[i], widths[i + 1], residuals)) for i in range(levels)]
    decoder: list[tuple[Layer, ...]] = [(point(top, top),), from_point(2 * top, top, residuals=residuals)]
    before = 2 * top
    for level in reversed(range(levels)):
        decoder.append(tuple(up(before, widths[level], residuals)))
        before = 2 * widths[level]
    audio = hearing(2 * width, (residuals,) * 4, (Layer(16 * width, top, padding=0), point(top, top)))
    return Layout(size, audio, (*face, to_point(top)), tuple(decoder), output_width=2 * width)


def layout_of_shapes(shapes: Mapping[str, tuple[int, ...]]) -> Layout:
    """The layout of a checkpoint that `layout_sized` made."""
    width = shapes["face_encoder_blocks.0.0.conv_block.0.weight"][0]
    blocks = len({name.split(".")[1] for name in shapes if name.startswith("face_encoder_blocks.")})
    layers = len({name.split(".")[2] for name in shapes if name.startswith("face_encoder_blocks.1.")})
    return layout_sized(3 * 2 ** (blocks - 2), width, layers - 1)


def expert_layers(size: int, width: int, channels_in: int = 15) -> list[Layer]:
    """The face encoder of SyncNet_color for lower halves of size / 2 x size; 96 and 32 are the published ones."""
    first = [
        Layer(channels_in, width, kernel=7, padding=3),
        Layer(width, 2 * width, kernel=5, stride=(1, 2), padding=1),
    ]
    published = ((4, 3), (8, 2), (16, 2), (16, 1), (16, 1))[: _levels(size) - 2]
    rows, channels = [*first, *same(2 * width, 2)], 2 * width
    for times, count in published:
        rows += down(channels, times * width, count)
        channels = times * width
    top = 16 * width
    return [*rows, *down(channels, top), Layer(top, top, padding=0), point(top, top)]


def _levels(size: int) -> int:
    """How often 3 px are doubled to make `size`."""
    levels = (size // 3).bit_length() - 1
    if size != 3 * 2**levels or levels < 4:
        raise ValueError(f"size is {size}, it must be 48, 96, 192 or 384")
    return levels
