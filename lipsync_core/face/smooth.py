"""Calm boxes and landmarks without letting them lag, and the original's pads. Pure."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..types import FaceTrack, Float

Real = NDArray[np.float64]


def window_frames(seconds: float, fps: Fraction) -> int:
    """Odd number of frames of a centred window of so many seconds; 1 is no smoothing."""
    return 2 * round(seconds * float(fps) / 2) + 1


def smooth_rows(rows: Float, window: int, cuts: NDArray[np.int64]) -> Float:
    """Centred weighted mean over `window` frames (odd), separately between cuts.

    rows: (N, ...) float32. Weights fall off like a raised cosine. Near the ends of a scene the window shrinks on both
    sides alike, so a head in steady motion keeps its place, first and last frame included, and a still one never moves.
    """
    if window <= 1 or len(rows) < 3:
        return rows
    values = rows.reshape(len(rows), -1).astype(np.float64)
    smooth = np.empty_like(values)
    edges = [0, *(int(cut) for cut in cuts if 0 < cut < len(rows)), len(rows)]
    for start, end in itertools.pairwise(edges):
        smooth[start:end] = _smooth_scene(values[start:end], window // 2)
    return smooth.reshape(rows.shape).astype(np.float32)


def _smooth_scene(values: Real, reach: int) -> Real:
    """Sum of the middle and of pairs at equal distance; a pair counts where both of it are inside the scene."""
    count = len(values)
    change, weight = np.zeros_like(values), np.ones((count, 1))
    for away in range(1, min(reach, (count - 1) // 2) + 1):
        share = 0.5 + 0.5 * np.cos(np.pi * away / (reach + 1))
        inner = values[away : count - away]
        # As a change of the middle, not as a mean: equal values then give exactly themselves.
        change[away : count - away] += share * ((values[: count - 2 * away] - inner) + (values[2 * away :] - inner))
        weight[away : count - away] += 2 * share
    return np.asarray(values + change / weight)


def smooth_track(track: FaceTrack, window: int, cuts: NDArray[np.int64]) -> FaceTrack:
    """Boxes and landmarks smoothed alike, so that they stay together. See `smooth_rows`."""
    return replace(
        track,
        boxes_xyxy=smooth_rows(track.boxes_xyxy, window, cuts),
        landmarks=smooth_rows(track.landmarks, window, cuts),
    )


def pad_boxes(boxes_xyxy: Float, pads_tblr: tuple[float, float, float, float], size: tuple[int, int]) -> Float:
    """Boxes grown by (top, bottom, left, right) pixels of the frame, cut at its edges; Wav2Lip's default is 0,10,0,0.

    boxes_xyxy: (N, 4). size: (width, height) of the frame. A negative pad takes away; a box keeps at least one pixel.
    """
    top, bottom, left, right = pads_tblr
    width, height = size
    grown = boxes_xyxy + np.array([-left, -top, right, bottom], dtype=np.float32)
    low = np.clip(np.floor(grown[:, :2]), 0, np.array([width - 1, height - 1]))
    high = np.clip(grown[:, 2:], low + 1, np.array([width, height]))
    low = np.clip(grown[:, :2], 0, high - 1)
    return np.concatenate([low, high], axis=1).astype(np.float32)
