"""A head that has heard one voice: where its keypoints go on every frame, and the pictures of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from ...networks.sadtalker.geometry import Angles, transform_keypoints
from ...types import Float, Speech
from ..base import HeadSettings
from .drive import Step
from .motion import RADIUS, RATE, angle_curve, at_places, windows
from .parts import Parts
from .portrait import Read

_FRAMES_AT_ONCE = 64  # through the mapping network
_REACH = 0.25  # of a keypoint, in half widths of the crop: what is near goes along
_LEAST = 1e-4  # of a keypoint's weight: far from all of them, their mean counts


@dataclass(frozen=True)
class Keypoints:
    """neutral: (1, 15, 3), the portrait's. frames: (N, 15, 3), one row for each frame of the result. float32."""

    neutral: Float
    frames: Float


@dataclass
class SadTalkerPerformance:
    """See `base.HeadPerformance`. What is kept of a frame is its keypoints and landmarks, 220 bytes."""

    box_xyxy: tuple[int, int, int, int]
    size: tuple[int, int]
    pasted: bool
    crop: torch.Tensor
    landmarks: Float
    networks: Parts
    keypoints: Keypoints
    _source: Any = None

    def draw(self, first: int, count: int) -> torch.Tensor:
        """(count, 3, S, S) float32 in [0, 1]."""
        return self._draw(self.keypoints.frames[first : first + count])

    def rest(self) -> torch.Tensor:
        """(1, 3, S, S), the portrait in its own pose."""
        return self._draw(self.keypoints.neutral)

    def _draw(self, keypoints: Float) -> torch.Tensor:
        """The portrait itself is looked at once."""
        device = self.networks.device
        with torch.inference_mode():
            if self._source is None:
                self._source = self.networks.look(self.crop)
            neutral, driving = (torch.from_numpy(rows).to(device) for rows in (self.keypoints.neutral, keypoints))
            drawn = self.networks.draw(self._source, neutral, driving).float()
        return drawn.clamp(0, 1)  # out here it is an ordinary tensor again, which a paste may change


def perform(
    seen: Read, curve: Float, speech: Speech, settings: HeadSettings, networks: Parts, step: Step
) -> SadTalkerPerformance:
    """curve: (T, 70) coefficients at 25 rows a second, as `drive.coefficients` gives them."""
    with torch.inference_mode():
        keypoints = _keypoints(seen, curve, speech, settings, networks, step)
    framing = seen.framing
    landmarks = follow(seen, keypoints)
    return SadTalkerPerformance(
        framing.box_xyxy, framing.size, framing.pasted, seen.crop, landmarks, networks, keypoints
    )


def _keypoints(
    seen: Read, curve: Float, speech: Speech, settings: HeadSettings, networks: Parts, step: Step
) -> Keypoints:
    own = seen.coefficients[None]
    if networks.full:  # how the face was cut out goes along, and never moves
        placed = seen.placement.row()[None]
        own, curve = np.concatenate([own, placed], 1), np.concatenate([curve, np.repeat(placed, len(curve), 0)], 1)
    canonical = networks.keypoints(seen.crop)
    neutral = transform_keypoints(canonical, networks.head(np.repeat(own[:, :, None], 2 * RADIUS + 1, axis=2)))
    angles = {name: _angles(getattr(settings, name), len(curve)) for name in ("yaw", "pitch", "roll")}
    frames = np.empty((speech.frame_count, *neutral.shape[1:]), np.float32)
    for first in range(0, len(frames), _FRAMES_AT_ONCE):
        step(first)
        count = min(_FRAMES_AT_ONCE, len(frames) - first)
        pose = networks.head(windows(curve, first, count, speech.fps))
        instead = Angles(**{name: _at_frames(keys, first, count, speech.fps) for name, keys in angles.items()})
        frames[first : first + count] = transform_keypoints(canonical, pose, instead).cpu().numpy()
    return Keypoints(neutral.cpu().numpy(), frames)


def _angles(keys: tuple[float, ...], rows: int) -> Float | None:
    return angle_curve(keys, rows)[:, None] if keys else None


def _at_frames(curve: Float | None, first: int, count: int, fps: Fraction) -> torch.Tensor | None:
    """(count,) degrees of frames `first` on."""
    if curve is None:
        return None
    places = [(first + i) * RATE / fps for i in range(count)]
    read = [at_places(curve, np.array([int(place // 1)]), float(place % 1))[0, 0] for place in places]
    return torch.tensor(np.array(read, np.float32))


def follow(seen: Read, keypoints: Keypoints) -> Float:
    """(N, 5, 2) px of the picture: where the renderer takes the five landmarks.

    A point goes where the keypoints near it go, each by a Gaussian of its distance, which is how the renderer weighs
    them too. So whatever works on the moving face afterwards need not look for it.
    """
    half = seen.crop.shape[-1] / 2
    start = seen.to_crop(seen.landmarks) / half - 1
    apart = start[:, None] - keypoints.neutral[0, None, :, :2]
    weight = np.exp(-(apart**2).sum(axis=2) / (2 * _REACH**2)) + _LEAST
    weight /= weight.sum(axis=1, keepdims=True)
    moved = keypoints.frames[:, :, :2] - keypoints.neutral[:, :, :2]
    places = start + np.einsum("pk,nkc->npc", weight, moved)
    return seen.from_crop((places.astype(np.float32) + 1) * half)
