"""The sync expert of Wav2Lip, SyncNet_color: Prajwal et al. 2020, after Chung and Zisserman, "Out of time", 2016."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .blocks import Layer, down, point, same, stack
from .wav2lip import hearing


class SyncNetColor(nn.Module):
    """Do these lips say this sound?

    audio: (N, 1, 80, 16) mel in [-4, 4].
    face: (N, 15, 48, 96) lower halves of five neighbouring BGR frames in [0, 1], one after the other in channels.
    Returns two (N, 512) vectors of length 1 with no negative entry; their dot product in [0, 1] is the agreement.
    """

    def __init__(self) -> None:
        super().__init__()
        self.face_encoder = stack(
            [
                Layer(15, 32, kernel=7, padding=3),
                Layer(32, 64, kernel=5, stride=(1, 2), padding=1),
                *same(64, 2),
                *down(64, 128, 3),
                *down(128, 256, 2),
                *down(256, 512, 2),
                *down(512, 512),
                Layer(512, 512, padding=0),
                point(512, 512),
            ]
        )
        self.audio_encoder = stack(
            hearing(32, (2, 2, 2, 2), (Layer(256, 512, padding=0), point(512, 512))),
        )

    def forward(self, audio: torch.Tensor, face: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.hear(audio), self.look(face)

    def hear(self, audio: torch.Tensor) -> torch.Tensor:
        """(N, 1, 80, 16) -> (N, 512)."""
        return F.normalize(self.audio_encoder(audio).flatten(1))

    def look(self, face: torch.Tensor) -> torch.Tensor:
        """(N, 15, 48, 96) -> (N, 512)."""
        return F.normalize(self.face_encoder(face).flatten(1))
