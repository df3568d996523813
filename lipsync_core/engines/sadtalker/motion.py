"""Curves over a clip: blinks, head motion, angles by hand; and how they are read at any frame rate. Pure.

Everything lives on a time line of 25 frames a second, which is what the networks were trained on. Other rates read
between its rows; the networks never see another rate.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ...timing import source_indices
from ...types import Float

RATE = Fraction(25)  # frames a second of every curve here
RADIUS = 13  # rows before and after a frame that the mapping network sees
POSE_WINDOW = 32  # rows that the pose network makes at once
_POSE_HOP = 16  # rows between two windows: half of each is shared with the next
_WINDOWS_AT_ONCE = 8
_EASE = 15  # rows from the portrait's own pose into the motion
_BLINK = np.array([0.5, 0.9, 1.0, 0.9, 0.5], np.float32)
_FIRST_BLINK, _BLINK_GAP = (10.0, 60.0), (30.0, 110.0)  # rows before the first, 0.4 to 2.4 s, and between two
_SMOOTH_ROWS, _SMOOTH_ORDER = 13, 2  # Savitzky-Golay

Hear = Callable[[int, int], Float]  # rows first..end -> (n, 512)
Decode = Callable[[Float], Float]  # (B, 32, 512) -> (B, 32, 6)


def rows_for(frames: int, fps: Fraction) -> int:
    """Rows at 25 a second that cover the times of so many frames."""
    return max(1, -int(-Fraction(frames - 1) * RATE / fps // 1) + 1)


def blinks(rows: int, seed: int, rate: float) -> Float:
    """(rows,) how far the eyes are shut, 0 to 1. rate: 0 never, 1 as people do, 2 twice as often. Seeded."""
    shut = np.zeros(rows, np.float32)
    if rate <= 0:
        return shut
    dice = np.random.default_rng([seed, 1])
    place = dice.uniform(*_FIRST_BLINK) / rate
    while int(place) + len(_BLINK) <= rows:
        shut[int(place) : int(place) + len(_BLINK)] = _BLINK
        place += len(_BLINK) + dice.uniform(*_BLINK_GAP) / rate
    return shut


def latent(seed: int) -> Float:
    """(64,) what the pose network dreams from: one for the whole clip, the same on every device."""
    return np.random.default_rng([seed, 2]).standard_normal(64).astype(np.float32)


def pose_motion(rows: int, hear: Hear, decode: Decode, step: Callable[[int], None] = lambda _: None) -> Float:
    """(rows, 6) how the head moves away from the portrait's pose, which row 0 has.

    The network makes 32 rows at a time. Windows overlap by half and are cross-faded, so that none ends anywhere: the
    paper's program put them end to end, each with a latent of its own, and the head jumped every 1.28 s.
    hear: audio features of rows first to end; decode: features to motion. step: called with the rows done.
    """
    count = rows - 1  # the first row is the portrait's own
    if count < 1:
        return np.zeros((rows, 6), np.float32)
    if count < POSE_WINDOW:
        heard = hear(1, rows)
        window = np.concatenate([np.repeat(heard[:1], POSE_WINDOW - count, axis=0), heard])
        motion = decode(window[None])[0, -count:]
    else:
        motion = _cross_faded(count, hear, decode, step)
    eased = np.concatenate([np.zeros((1, 6), np.float32), motion])
    ease = np.clip(np.arange(rows) / _EASE, 0, 1)[:, None]
    return smoothed(np.asarray(eased * (ease * ease * (3 - 2 * ease)), np.float32))


def _cross_faded(count: int, hear: Hear, decode: Decode, step: Callable[[int], None]) -> Float:
    starts = [*range(0, count - POSE_WINDOW, _POSE_HOP), count - POSE_WINDOW]
    shape = np.sin(np.pi * (np.arange(POSE_WINDOW) + 0.5) / POSE_WINDOW)[:, None] ** 2
    total, weight = np.zeros((count, 6)), np.zeros((count, 1))
    for first in range(0, len(starts), _WINDOWS_AT_ONCE):
        some = starts[first : first + _WINDOWS_AT_ONCE]
        step(some[0])
        heard = hear(1 + some[0], 1 + some[-1] + POSE_WINDOW)  # row 0 has no motion of its own
        made = decode(np.stack([heard[s - some[0] : s - some[0] + POSE_WINDOW] for s in some]))
        for start, motion in zip(some, made, strict=True):
            total[start : start + POSE_WINDOW] += motion * shape
            weight[start : start + POSE_WINDOW] += shape
    return (total / weight).astype(np.float32)


def smoothed(curve: Float) -> Float:
    """(T, D) after a Savitzky-Golay filter of 13 rows; fewer where there are fewer, none below three."""
    from scipy.signal import savgol_filter

    window = min(_SMOOTH_ROWS, 2 * ((len(curve) - 1) // 2) + 1)
    if window <= _SMOOTH_ORDER:
        return curve
    return np.asarray(savgol_filter(curve, window, _SMOOTH_ORDER, axis=0), np.float32)


def angle_curve(keys: tuple[float, ...], rows: int) -> Float:
    """(rows,) degrees, through the keys in turn at one speed. Two equal keys in a row hold for an equal share of time.

    keys: one at least; a single one holds throughout.
    """
    if len(keys) == 1 or rows == 1:
        return np.full(rows, keys[0], np.float32)
    steps = np.abs(np.diff(keys))
    hold = steps == 0
    share = np.where(hold, 1 / len(steps), 0.0)
    moving = steps.sum()
    share += steps / moving * (1 - share.sum()) if moving else 0.0
    times = np.concatenate([[0.0], np.cumsum(share)]) * (rows - 1)
    return np.interp(np.arange(rows), times, keys).astype(np.float32)


def windows(curve: Float, first: int, count: int, fps: Fraction) -> Float:
    """What the mapping network sees of frames `first` on: (count, D, 27), rows at 25 a second around each frame's time.

    curve: (T, D) at 25 a second; beyond its ends they repeat. Between rows it is read by a cubic (Catmull-Rom), and at
    25 frames a second not at all.
    """
    steps = np.arange(-RADIUS, RADIUS + 1)
    out = np.empty((count, curve.shape[1], len(steps)), np.float32)
    for i in range(count):
        place = (first + i) * RATE / fps
        base, part = int(place // 1), float(place % 1)
        out[i] = at_places(curve, base + steps, part).T
    return out


def at_places(curve: Float, base: NDArray[np.int64], part: float) -> Float:
    """Rows of (T, D) at base + part, 0 <= part < 1; beyond the ends they repeat."""
    rows = [curve[np.clip(base + k, 0, len(curve) - 1)] for k in ((0,) if part == 0 else (-1, 0, 1, 2))]
    if part == 0:
        return rows[0]
    a, b, c, d = rows
    bent = b + 0.5 * part * (c - a + part * (2 * a - 5 * b + 4 * c - d + part * (3 * (b - c) + d - a)))
    return np.asarray(bent, np.float32)


def played_again(curve: Float, rows: int) -> Float:
    """(rows, D) of a curve that may be shorter: forth and back, so that it never jumps."""
    return curve[source_indices("pingpong", 0, rows, len(curve))]
