"""What the engine asks of its networks, in plain arrays; `published.py` puts the published ones behind it."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from ...networks.sadtalker.geometry import HeadPose
from ...types import Float


class Parts(Protocol):
    """The loaded networks. Arrays are float32 on the CPU; pictures stay where the networks are.

    size: side S of the pictures that are drawn. full: the mapping network takes 73 coefficients, not 70.
    """

    size: int
    full: bool
    device: str

    def coefficients(self, faces: torch.Tensor) -> Float:
        """(n, 3, 224, 224) aligned faces in [0, 1] -> (n, 257)."""
        ...

    def express(self, mel: Float, reference: Float, blink: Float) -> Float:
        """(n, 1, 80, 16), the portrait's (64,), (n,) -> (n, 64) expressions."""
        ...

    def hear_pose(self, mel: Float) -> Float:
        """(n, 1, 80, 16) -> (n, 512), what the pose network hears."""
        ...

    def pose(self, heard: Float, reference: Float, latent: Float, style: int) -> Float:
        """(n, 32, 512), the portrait's (6,), (64,), 0 to 45 -> (n, 32, 6), motion away from the portrait's pose."""
        ...

    def head(self, windows: Float) -> HeadPose:
        """(n, 70 or 73, 27) -> the poses of n frames."""
        ...

    def keypoints(self, crop: torch.Tensor) -> torch.Tensor:
        """(1, 3, S, S) in [0, 1] -> (1, 15, 3), of a neutral head."""
        ...

    def look(self, crop: torch.Tensor) -> Any:
        """What every frame is drawn from; computed once for a portrait."""
        ...

    def draw(self, source: Any, neutral: torch.Tensor, driving: torch.Tensor) -> torch.Tensor:
        """(1, 15, 3), (n, 15, 3) -> (n, 3, S, S) float32 in [0, 1]."""
        ...
