"""The visual quality discriminator of Wav2Lip: Prajwal et al. 2020, section 3.3."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from .blocks import Layer, PlainBlock, point


class QualityDiscriminator(nn.Module):
    """How real do these mouths look?

    faces: (N, 3, T, 96, 96) BGR in [0, 1]; only the lower half is looked at.
    Returns (T * N, 1) in (0, 1), 1 for real, all clips' first frame first.
    """

    def __init__(self) -> None:
        super().__init__()
        table = (
            (Layer(3, 32, kernel=7, padding=3),),
            (Layer(32, 64, kernel=5, stride=(1, 2), padding=2), Layer(64, 64, kernel=5, padding=2)),
            (Layer(64, 128, kernel=5, stride=2, padding=2), Layer(128, 128, kernel=5, padding=2)),
            (Layer(128, 256, kernel=5, stride=2, padding=2), Layer(256, 256, kernel=5, padding=2)),
            (Layer(256, 512, stride=2), Layer(512, 512)),
            (Layer(512, 512, stride=2), Layer(512, 512)),
            (Layer(512, 512, padding=0), point(512, 512)),
        )
        self.face_encoder_blocks = nn.ModuleList(nn.Sequential(*map(PlainBlock, block)) for block in table)
        self.binary_pred = nn.Sequential(nn.Conv2d(512, 1, 1), nn.Sigmoid())

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        x = torch.cat(faces.unbind(2))
        x = x[:, :, x.shape[2] // 2 :]
        for block in self.face_encoder_blocks:
            x = block(x)
        return cast(torch.Tensor, self.binary_pred(x)).flatten(1)
