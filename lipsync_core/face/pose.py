"""How far a head is turned, from five points, and how much of a new mouth a turned head keeps. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..types import Float

Real = NDArray[np.float64]

# A head's five points in mm: x to the right of the picture, y down, z towards the viewer; eye line as origin. Distances
# across and down are those of the mean face in common use for alignment, depths those of a usual head.
_HEAD = np.array([[-31.5, 0, 0], [31.5, 0, 0], [0, 36, 27], [-26, 72, 3], [26, 72, 3]], np.float64)
# Weak perspective: points = scale * (first two rows of a rotation) @ head + shift, solved by least squares.
_SOLVE = np.linalg.pinv(_HEAD - _HEAD.mean(axis=0))
_FARTHEST = 90.0


def estimate_yaw(landmarks: Float) -> Float:
    """(N,) degrees that heads are turned, positive to the right of the picture; (N, 5, 2) px -> 0 where points are NaN.

    Tilting and nodding change it little. Beyond about 60 degrees, where one eye is hidden, it is a lower bound.
    """
    points = landmarks.astype(np.float64)
    rows = _SOLVE @ (points - points.mean(axis=1, keepdims=True))  # (N, 3, 2): what x, y and depth do to the picture
    depth = rows[:, 2]
    # The rows of a rotation are equally long; the one that keeps its length best is the measure of the others.
    scale = np.maximum(np.linalg.norm(rows[:, 0], axis=1), np.linalg.norm(rows[:, 1], axis=1))
    down = rows[:, 1] / np.maximum(np.linalg.norm(rows[:, 1], axis=1, keepdims=True), 1e-9)
    aside = depth[:, 0] * down[:, 1] - depth[:, 1] * down[:, 0]  # across the face, whichever way it is tilted
    sine = np.clip(aside / np.maximum(scale, 1e-9), -1, 1)
    return np.asarray(np.nan_to_num(np.rad2deg(np.arcsin(sine)), nan=0.0), np.float32)


def fade_with_yaw(landmarks: Float, limit: float, fade: float) -> Float:
    """(N,) share of the new face: 1 up to `limit` degrees, 0 from `limit` + `fade` on; limit 90: always 1."""
    if limit >= _FARTHEST:
        return np.ones(len(landmarks), np.float32)
    beyond = (np.abs(estimate_yaw(landmarks)) - limit) / max(fade, 1e-3)
    left = 1 - np.clip(beyond, 0, 1)
    return np.asarray(left * left * (3 - 2 * left), np.float32)
