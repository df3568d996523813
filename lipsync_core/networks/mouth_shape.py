"""MouthShapeNet: how the mouth looks while a sound is heard. Mel in, five numbers per mel column out.

A residual temporal convolution network, not causal: it looks 0.4 s ahead and back for articulation, and 2 s for
loudness and the colour of the recording (microphone, room, codec), which it takes out before it listens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ..timing import MEL_COLUMNS_PER_SECOND

MOUTH_SHAPE = ("jaw", "opening", "width", "rounding", "closure")

MEL_BANDS = 80
WIDEST_OPENING = 1.2  # of the scale on which 1 is a wide open /a/
_LEVEL_REACH = 2 * MEL_COLUMNS_PER_SECOND  # columns to either side that tell loudness and colour
_QUIETEST_SPEECH = -3.0  # mean mel; below it nobody speaks, however long the silence lasts
_SPEECH_DEPTH = 1.2  # mel units (12.5 dB each) below the loudest column that still count as speech
_AUDIBLE, _AUDIBLE_STEEPNESS = -3.5, 20.0  # mean mel at which a sound counts as half there, and how sharply
_COARSE_BANDS = 20
_STEM_KERNEL = 5
_STRIDE = 2  # the trunk runs at 40 Hz, half the work; the head gives two columns for each of its steps


@dataclass(frozen=True)
class MouthShapeConfig:
    """width: channels. dilations: one residual block each, in steps of 25 ms. kernel: steps of its convolution, odd."""

    width: int = 128
    dilations: tuple[int, ...] = (1, 2, 4, 1, 2, 4, 1, 2)
    kernel: int = 3

    @property
    def halo(self) -> int:
        """Mel columns to either side that can change an output column; even, as pieces of a mel must start."""
        return 3 * _LEVEL_REACH + _STEM_KERNEL + 1 + _STRIDE * (self.kernel // 2) * sum(self.dilations)


class MouthShapeNet(nn.Module):
    """(B, 80, M) mel in [-4, 4], 80 columns a second -> (B, 5, M), rows as MOUTH_SHAPE names them.

    jaw, rounding, closure in [0, 1]; opening in [0, 1.2]; width in [-1, 1].
    """

    def __init__(self, config: MouthShapeConfig | None = None) -> None:
        super().__init__()
        self.config = config or MouthShapeConfig()
        width = self.config.width
        bands = MEL_BANDS + _COARSE_BANDS + 2
        self.stem = nn.Conv1d(bands, width, _STEM_KERNEL, stride=_STRIDE, padding=_STEM_KERNEL // 2)
        self.blocks = nn.ModuleList(_Block(width, self.config.kernel, d) for d in self.config.dilations)
        self.norm = _ChannelNorm(width)
        self.head = nn.Conv1d(width, len(MOUTH_SHAPE) * _STRIDE, 1)

    def features(self, mel: torch.Tensor) -> torch.Tensor:
        """(B, 80, M) mel -> (B, width, ceil(M / 2)), what the head reads."""
        x: torch.Tensor = self.stem(level_and_colour_removed(mel))
        for block in self.blocks:
            x = block(x)
        normed: torch.Tensor = self.norm(x)
        return normed

    def shape(self, features: torch.Tensor) -> torch.Tensor:
        """(B, width, K) -> (B, 5, 2 K), each row squashed into its range."""
        raw = self.head(features).unflatten(1, (len(MOUTH_SHAPE), _STRIDE)).transpose(2, 3).flatten(2)
        jaw, opening, width, rounding, closure = raw.unbind(1)
        rows = [
            torch.sigmoid(jaw),
            WIDEST_OPENING * torch.sigmoid(opening),
            torch.tanh(width),
            torch.sigmoid(rounding),
            torch.sigmoid(closure),
        ]
        return torch.stack(rows, 1)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        shapes = self.shape(self.features(mel))[..., : mel.shape[-1]]
        heard = audible(mel)
        # jaw and opening; where there is nothing to hear, no training has to be trusted to keep the mouth shut
        return torch.cat([shapes[:, :2] * heard, shapes[:, 2:]], 1)


class _ChannelNorm(nn.Module):
    """Layer norm over channels, each column by itself, so that cutting the sound changes nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, width, 1))
        self.bias = nn.Parameter(torch.zeros(1, width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        variance, mean = torch.var_mean(x, dim=1, keepdim=True, correction=0)
        out: torch.Tensor = (x - mean) * torch.rsqrt(variance + 1e-5) * self.gain + self.bias
        return out


class _Block(nn.Module):
    def __init__(self, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.norm = _ChannelNorm(width)
        self.near = nn.Conv1d(width, width, kernel, padding=kernel // 2 * dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = x + self.mix(F.gelu(self.near(self.norm(x))))
        return out


def level_and_colour_removed(mel: torch.Tensor) -> torch.Tensor:
    """(B, 80, M) mel -> (B, 102, M): the spectrum as it differs from the speaker's own mean over 4 s (cepstral mean
    and variance normalisation, here per mel band, over the loud columns only), a coarse spectrum relative to the
    loudest moment, and two rows of loudness.
    """
    loudness = mel.mean(1, keepdim=True)
    reach = _LEVEL_REACH
    # Where the nearest 4 s are silent, the peak stays at the quietest speech, so silence never looks like loud speech.
    peak = F.max_pool1d(loudness, 2 * reach + 1, stride=1, padding=reach).clamp_min(_QUIETEST_SPEECH)
    speech = torch.sigmoid(4 * (loudness - (peak - _SPEECH_DEPTH)))
    weight = _window_sum(speech) + 1e-3
    mean = _window_sum(mel * speech) / weight
    deviation = (_window_sum((mel - mean) ** 2 * speech) / weight + 0.25).sqrt()
    coarse = F.avg_pool1d((mel - peak).transpose(1, 2), MEL_BANDS // _COARSE_BANDS).transpose(1, 2)
    return torch.cat([(mel - mean) / deviation, coarse / 2, loudness - peak, peak + 1], 1)


def audible(mel: torch.Tensor) -> torch.Tensor:
    """(B, 80, M) mel -> (B, 1, M) in [0, 1]: 0 where the nearest 4 s hold silence or next to it, 50 dB below speech."""
    peak = F.max_pool1d(mel.mean(1, keepdim=True), 2 * _LEVEL_REACH + 1, stride=1, padding=_LEVEL_REACH)
    return torch.sigmoid(_AUDIBLE_STEEPNESS * (peak - _AUDIBLE))


def _window_sum(x: torch.Tensor) -> torch.Tensor:
    """Sum over the columns within reach of each column; what lies outside counts as nothing."""
    reach = _LEVEL_REACH
    running = F.pad(x.cumsum(-1), (reach + 1, 0))
    running = torch.cat([running, running[..., -1:].expand(*running.shape[:-1], reach)], -1)
    return running[..., 2 * reach + 1 :] - running[..., : -2 * reach - 1]
