"""The sync expert of Wav2Lip, SyncNet_color: Prajwal et al. 2020, after Chung and Zisserman, "Out of time", 2016."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from .blocks import Layer, point, stack
from .wav2lip import hearing
from .wav2lip_sized import expert_layers


class SyncNetColor(nn.Module):
    """Do these lips say this sound?

    audio: (N, 1, 80, 16) mel in [-4, 4].
    face: (N, 15, 48, 96) lower halves of five neighbouring BGR frames in [0, 1], one after the other in channels.
    Returns two (N, 512) vectors of length 1 with no negative entry; their dot product in [0, 1] is the agreement.
    """

    def __init__(self, size: int = 96, width: int = 32, frames: int = 5) -> None:
        """size: px of the faces whose lower halves are seen. width: channels of the first layers. frames: at once.

        As published: 96, 32, 5; others look at (N, 3 * frames, size / 2, size) and give (N, 16 * width).
        """
        super().__init__()
        top = 16 * width
        self.size = size
        self.face_encoder = stack(expert_layers(size, width, 3 * frames))
        self.audio_encoder = stack(
            hearing(width, (2, 2, 2, 2), (Layer(8 * width, top, padding=0), point(top, top))),
        )

    def forward(self, audio: torch.Tensor, face: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.hear(audio), self.look(face)

    def hear(self, audio: torch.Tensor) -> torch.Tensor:
        """(N, 1, 80, 16) -> (N, 512)."""
        return F.normalize(self.audio_encoder(audio).flatten(1))

    def look(self, face: torch.Tensor) -> torch.Tensor:
        """(N, 15, 48, 96) -> (N, 512)."""
        return F.normalize(self.face_encoder(face).flatten(1))


_SIZE_OF_LAYERS = {14: 48, 17: 96, 19: 192}  # layers of the face encoder -> px


def expert_of_shapes(shapes: Mapping[str, tuple[int, ...]]) -> SyncNetColor:
    """An untrained expert of the size and width of a checkpoint.

    shapes: parameter name -> shape; where they are no expert's it is the published one.
    """
    first = shapes.get("face_encoder.0.conv_block.0.weight", (32,))
    layers = len({name.split(".")[1] for name in shapes if name.startswith("face_encoder.")})
    return SyncNetColor(_SIZE_OF_LAYERS.get(layers, 96), first[0])
