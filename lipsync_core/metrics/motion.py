"""What a face does over time: mouths that move in silence, and jitter. From landmarks and the pictures themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..types import Bool, FaceTrack, Float

_EYES, _MOUTH = slice(0, 2), slice(3, 5)


@dataclass(frozen=True)
class Stillness:
    """Frame-to-frame change of the mouth, in grey levels: while somebody speaks, and while nobody does.

    ratio: silent / speaking, 0 is a mouth that rests; NaN where one of the two never happens.
    """

    speaking: float
    silent: float

    @property
    def ratio(self) -> float:
        return self.silent / self.speaking if self.speaking > 0 else float("nan")


def mouth_stillness(change: Float, speaking: Bool) -> Stillness:
    """change: (N,) of the mouth from frame to frame, NaN where it is not known. speaking: (N,) somebody does."""
    known = np.isfinite(change)
    return Stillness(_mean(change[known & speaking]), _mean(change[known & ~speaking]))


def _mean(values: Float) -> float:
    return float(values.mean()) if len(values) else float("nan")


def speaking_frames(gate: Float, fps: float, frames: int) -> Bool:
    """(M,) gate at 80 columns a second -> (frames,), whether it is open anywhere within 0.1 s of the frame."""
    centres = np.round(np.arange(frames) / fps * 80).astype(np.int64)
    near = centres[:, None] + np.arange(-8, 9)
    return np.asarray(gate[near.clip(0, len(gate) - 1)].max(axis=1) > 0.5)


def jitter(track: FaceTrack) -> float:
    """How much landmarks tremble: median length of their second difference in shares of the distance of the eyes.

    A steady motion gives 0, however fast. NaN for fewer than three frames.
    """
    points = track.landmarks.astype(np.float64)
    points = points[np.isfinite(points).all(axis=(1, 2))]
    if len(points) < 3:
        return float("nan")
    scale = np.median(np.linalg.norm(points[:, 1] - points[:, 0], axis=1))
    second = np.linalg.norm(np.diff(points, n=2, axis=0), axis=2)
    return float(np.median(second) / max(scale, 1e-9))


def mouth_motion(track: FaceTrack) -> NDArray[np.float64]:
    """(N,) how far the corners of the mouth went since the frame before, in shares of the distance of the eyes,
    after the head's own motion is taken away; row 0 is NaN.
    """
    points = track.landmarks.astype(np.float64)
    eyes, mouth = points[:, _EYES], points[:, _MOUTH]
    across = eyes[:, 1] - eyes[:, 0]
    length = np.maximum(np.linalg.norm(across, axis=1), 1e-9)
    axis = across / length[:, None]
    local = (mouth - eyes.mean(axis=1)[:, None]) / length[:, None, None]
    turned = np.stack([(local * axis[:, None]).sum(-1), (local * axis[:, None, ::-1] * (-1, 1)).sum(-1)], axis=-1)
    steps = np.linalg.norm(np.diff(turned, axis=0), axis=2).mean(axis=1)
    return np.concatenate([[np.nan], steps])
