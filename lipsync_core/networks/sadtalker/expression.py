"""ExpNet: what is heard to the expression of a face."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from ..blocks import stack
from ..wav2lip import layout_96

EXPRESSION = 64  # coefficients
_HEARD = 512


class ExpressionNetwork(nn.Module):
    """mel: (N, 1, 80, 16) in [-4, 4]. reference: (N, 64), the source's expression. blink: (N, 1), 0 open, 1 closed.

    Returns (N, 64) expression coefficients. Rows do not touch each other, so any batch gives the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = stack(layout_96().audio)
        self.mapping1 = nn.Linear(_HEARD + EXPRESSION + 1, EXPRESSION)

    def forward(self, mel: torch.Tensor, reference: torch.Tensor, blink: torch.Tensor) -> torch.Tensor:
        heard = self.audio_encoder(mel).flatten(1)
        return cast(torch.Tensor, self.mapping1(torch.cat((heard, reference, blink), dim=1)))
