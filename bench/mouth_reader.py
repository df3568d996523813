"""How wide a drawn mouth is open, read from pixels: a small network taught on true frames of people for training.

It knows nothing of generators and sound; what it says of the true frames of held-out people tells how far it can be
trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from lipsync_core.training.shards import ClipPlace, read_frames
from lipsync_core.types import Float, Pixels

_STEPS, _BATCH = 600, 64
_UNIT = 0.1  # eye distances, about the spread of openings: errors are of the order of 1
_PER_CLIP = 16  # frames of a clip that are looked at


class MouthReader(nn.Module):
    """(N, 3, S / 2, S) RGB lower halves in [0, 1] -> (N,) distance of the lips in eye distances."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, 64)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [
                nn.Conv2d(before, after, 3, stride=2 if before > 3 else 1, padding=1),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(0.1),
            ]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(64), nn.LeakyReLU(0.1), nn.Linear(64, 1))

    def forward(self, lower: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = _UNIT * self.layers(lower)[:, 0]
        return out

    def read(self, frames: Pixels) -> Float:
        """(N, S, S, 3) uint8 RGB -> (N,)."""
        with torch.inference_mode():
            return np.asarray(self(_lower(frames)).numpy(), np.float32)


def taught_reader(clips: Sequence[ClipPlace], seed: int = 0) -> MouthReader:
    """A reader that saw `_PER_CLIP` true frames of each clip."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    rows = [sorted(rng.choice(len(clip.frames), _PER_CLIP, replace=False)) for clip in clips]
    frames = np.concatenate([read_frames(clip, places) for clip, places in zip(clips, rows, strict=True)])
    truth = np.concatenate([np.asarray(clip.facts["opening"])[row] for clip, row in zip(clips, rows, strict=True)])
    reader = MouthReader()
    reader(_lower(frames[:2]))
    adam = torch.optim.Adam(reader.parameters(), 2e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, _STEPS)
    for _ in range(_STEPS):
        places = rng.integers(0, len(frames), _BATCH)
        loss = (reader(_lower(frames[places])) - torch.from_numpy(truth[places]).float()).div(_UNIT).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        decay.step()
    return reader.eval()


def _lower(frames: Pixels) -> torch.Tensor:
    lower = frames[:, frames.shape[1] // 2 :]
    return torch.from_numpy(np.ascontiguousarray(lower)).permute(0, 3, 1, 2).float() / 255
