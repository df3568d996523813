"""What moves besides the mouth: blinks now and then, and a head that sways a little with the voice. Seeded curves over
the whole clip, so that a frame's pose depends on nothing but its time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..timing import MEL_COLUMNS_PER_SECOND
from ..types import Float

Times = NDArray[np.float64]

_BLINK_CLOSES, _BLINK_SHUT, _BLINK_OPENS = 0.07, 0.03, 0.12  # s
_BLINK_GAP = (2.0, 6.0)  # s between blinks
_SWAY_REACH = 0.02  # face units: about 1 % of a face's width
_ROLL_REACH = np.deg2rad(0.9)
_WAVES_HZ = (0.09, 0.16, 0.27, 0.43)
_SETTLE = 1.5  # s until the head sways fully; the first frame is the portrait itself


def blink_curve(times_s: Times, seed: int, amount: float) -> Float:
    """(N,) 0 open to 1 shut, at moments (N,) in s. amount: 0 never, 1 natural, above 1 more often."""
    shut = np.zeros(len(times_s), np.float32)
    if amount <= 0 or not len(times_s):
        return shut
    dice, moment = np.random.default_rng([seed, 1]), 0.0
    while moment < times_s.max():
        moment += dice.uniform(*_BLINK_GAP) / max(amount, 1.0)
        since = times_s - moment
        closing, opening = since / _BLINK_CLOSES, 1 - (since - _BLINK_CLOSES - _BLINK_SHUT) / _BLINK_OPENS
        shut = np.maximum(shut, np.clip(np.minimum(closing, opening), 0, 1)).astype(np.float32)
    return np.asarray(min(amount, 1.0) * shut * shut * (3 - 2 * shut), dtype=np.float32)


def sway_curve(times_s: Times, shapes: Float, seed: int, amount: float) -> Float:
    """(N, 3) right and down in face units, roll in radians, at moments (N,) in s. shapes: (M, 5) at 80 Hz.

    Slow waves, wider while somebody speaks, and a nod with the loud syllables. amount: 0 still, 1 natural.
    """
    if amount <= 0 or not len(times_s):
        return np.zeros((len(times_s), 3), np.float32)
    voice = np.interp(times_s * MEL_COLUMNS_PER_SECOND, np.arange(len(shapes)), _slow(shapes[:, 1]))
    dice = np.random.default_rng([seed, 2])
    waves = [_waves(times_s, dice) for _ in range(3)]
    reach = 0.35 + 1.3 * voice
    right, roll = (np.tanh(1.1 * reach * waves[i]) for i in (0, 1))
    down = np.tanh(1.6 * (voice - 0.25) + 0.7 * reach * waves[2])
    start = np.clip((times_s - times_s.min()) / _SETTLE, 0, 1)
    scale = np.array([_SWAY_REACH, 0.7 * _SWAY_REACH, _ROLL_REACH]) * amount
    ease = start * start * (3 - 2 * start)
    return np.asarray(np.stack([right, down, roll], 1) * scale * ease[:, None], dtype=np.float32)


def _slow(opening: Float) -> Times:
    """The opening without its syllables: a Gaussian of 0.3 s."""
    sigma = 0.3 * MEL_COLUMNS_PER_SECOND
    reach = np.arange(-int(3 * sigma), int(3 * sigma) + 1)
    kernel = np.exp(-0.5 * (reach / sigma) ** 2)
    padded = np.pad(opening.astype(np.float64), len(reach) // 2, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


def _waves(times_s: Times, dice: np.random.Generator) -> Times:
    """A sum of slow sines, about 1 at most."""
    total = np.zeros(len(times_s))
    for hz in _WAVES_HZ:
        turn, detune = dice.uniform(0, 2 * np.pi), dice.uniform(0.85, 1.15)
        total += np.sin(2 * np.pi * hz * detune * times_s + turn) * 0.45
    return total
