"""The Wav2Lip generator at 96 px: Prajwal et al., "A Lip Sync Expert Is All You Need for Speech to Lip Generation In
The Wild", ACM Multimedia 2020. `Generator` is the machine that all of the family share; the larger ones are layer
tables in `wav2lip_hq.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from .blocks import Layer, SpatialAttention, down, point, same, stack, up

Features = list[torch.Tensor]


@dataclass(frozen=True)
class Layout:
    """What tells one generator from another.

    size: pixels of the square picture it was trained on. audio, face, decoder: its layer tables.
    output_width: channels between the last picture and its colours. refine: extra layers over what was heard.
    audio_leak: slope below zero of the audio encoder's activations. attention: each picture feature says where the
    decoder should look, and what was heard has length 1.
    """

    size: int
    audio: tuple[Layer, ...]
    face: tuple[tuple[Layer, ...], ...]
    decoder: tuple[tuple[Layer, ...], ...]
    output_width: int = 32
    refine: tuple[Layer, ...] = ()
    attention: bool = False
    audio_leak: float = 0.0


class Generator(nn.Module):
    """Mel windows and faces in, the same faces speaking out.

    audio: (N, 1, 80, 16) mel in [-4, 4], or (N, T, 1, 80, 16).
    face: (N, 6, S, S) BGR in [0, 1]: the target with its lower half zeroed, then a reference; or (N, 6, T, S, S).
    Returns (N, 3, S, S) BGR in [0, 1], or (N, 3, T, S, S).
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self.audio_encoder = stack(layout.audio, layout.audio_leak)
        if layout.refine:
            self.audio_refine = stack(layout.refine)
        if layout.attention:
            self.sam = nn.ModuleDict({"sa": SpatialAttention()})
        self.face_encoder_blocks = nn.ModuleList(stack(block) for block in layout.face)
        self.face_decoder_blocks = nn.ModuleList(stack(block) for block in layout.decoder)
        width = layout.decoder[-1][-1].channels_out + layout.face[0][-1].channels_out
        self.output_block = nn.Sequential(
            *stack([Layer(width, layout.output_width)]),
            nn.Conv2d(layout.output_width, 3, 1),
            nn.Sigmoid(),
        )

    def forward(self, audio: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
        if face.dim() == 4:
            return self.speak(self.hear(audio), self.look(face))
        steps = face.shape[2]
        # Time goes into the batch step by step (all clips' first frame, then all second ones), as in training.
        pictures = self.forward(torch.cat(audio.unbind(1)), torch.cat(face.unbind(2)))
        return torch.stack(pictures.chunk(steps), dim=2)

    def hear(self, audio: torch.Tensor) -> torch.Tensor:
        """(N, 1, 80, 16) -> (N, C, 1, 1), what the mouth is told."""
        heard = cast(torch.Tensor, self.audio_encoder(audio))
        if self.layout.refine:
            heard = self.audio_refine(heard)
        return F.normalize(heard) if self.layout.attention else heard

    def look(self, face: torch.Tensor) -> Features:
        """(N, 6, S, S) -> one feature map a block, largest first. They do not depend on the sound."""
        features = []
        for block in self.face_encoder_blocks:
            face = block(face)
            features.append(face)
        return features

    def speak(self, heard: torch.Tensor, features: Features) -> torch.Tensor:
        """What was heard (N, C, 1, 1) and what was seen -> (N, 3, S, S)."""
        x = heard
        for block, seen in zip(self.face_decoder_blocks, reversed(features), strict=True):
            x = block(x)
            if self.layout.attention:
                x = x + x * self.sam["sa"](seen)
            x = torch.cat((x, seen), dim=1)
        return cast(torch.Tensor, self.output_block(x))


def hearing(width: int, residuals: Sequence[int], last: Sequence[Layer]) -> tuple[Layer, ...]:
    """An audio encoder from 80x16 down to 3x3 at 8 * `width` channels, then `last`.

    residuals: how many residual layers follow each of the four first layers.
    """
    first = Layer(1, width)
    strides: tuple[tuple[int, int], ...] = ((3, 1), (3, 3), (3, 2))
    rows = [first, *same(width, residuals[0])]
    for step, (stride, count) in enumerate(zip(strides, residuals[1:], strict=True)):
        channels = width << step
        rows += [Layer(channels, 2 * channels, stride=stride), *same(2 * channels, count)]
    return (*rows, *last)


def to_point(channels: int, kernel: int = 3) -> tuple[Layer, ...]:
    """The last layers of an encoder: all of the picture into one pixel, then a 1x1 layer."""
    return (Layer(channels, channels, kernel, padding=0), point(channels, channels))


def from_point(channels_in: int, channels: int, kernel: int = 3, residuals: int = 1) -> tuple[Layer, ...]:
    """The first growing layer of a decoder: one pixel into kernel x kernel."""
    return (Layer(channels_in, channels, kernel, padding=0, up=True), *same(channels, residuals))


def layout_96(quarter: bool = False) -> Layout:
    """The published generator, 36.3 M parameters.

    quarter: the compressed one (1.26 M; Kim et al., "A Unified Compression Framework for Efficient Speech-Driven
    Talking-Face Generation", 2023): a quarter of the channels and no residual layers, otherwise the same.
    """
    w = 1 if quarter else 4  # all widths are multiples of it

    def r(count: int) -> int:
        return 0 if quarter else count

    return Layout(
        size=96,
        audio=hearing(8 * w, (r(2), r(2), r(2), r(1)), (Layer(64 * w, 128 * w, padding=0), point(128 * w, 128 * w))),
        face=(
            (Layer(6, 4 * w, kernel=7, padding=3),),
            tuple(down(4 * w, 8 * w, r(2))),
            tuple(down(8 * w, 16 * w, r(3))),
            tuple(down(16 * w, 32 * w, r(2))),
            tuple(down(32 * w, 64 * w, r(2))),
            tuple(down(64 * w, 128 * w, r(1))),
            to_point(128 * w),
        ),
        decoder=(
            (point(128 * w, 128 * w),),
            from_point(256 * w, 128 * w, residuals=r(1)),
            tuple(up(256 * w, 128 * w, r(2))),
            tuple(up(192 * w, 96 * w, r(2))),
            tuple(up(128 * w, 64 * w, r(2))),
            tuple(up(80 * w, 32 * w, r(2))),
            tuple(up(40 * w, 16 * w, r(2))),
        ),
        output_width=8 * w,
    )
