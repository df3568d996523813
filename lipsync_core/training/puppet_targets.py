"""Phones with times -> how the mouth moves: the curves that the puppet's ear is taught.

Coarticulation by dominance (Cohen and Massaro 1993): each sound pulls on the lips with a strength that fades before
and after it, and the posture is the weighted mean of all that pull at that moment. Anticipation (fading in) is longer
than carry-over, so vowels show early and short sounds are undershot, more so at a high rate, without another rule.
Closures are laid over that, because /p b m/ shut the lips whatever stands beside them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from ..timing import MEL_COLUMNS_PER_SECOND
from ..types import Float
from .puppet_phonemes import BILABIALS, KINDS, POSTURES, REST, UNKNOWN, Posture
from .puppet_voices import Phone

FADE_IN, FADE_OUT = 0.075, 0.055  # s in which a sound's pull grows before it and fades after it by 1/e
_LIP_FADE_IN, _LIP_FADE_OUT = 0.13, 0.08  # spreading and rounding spread further than the opening
_SETTLE = 0.022  # s, standard deviation of the lips' own sluggishness
_JAW_SETTLE = 0.04
_SHORTEST_REST = 0.14  # s; in shorter pauses the lips do not come together
_CLOSING, _PARTING = 0.035, 0.03  # s in which the lips meet and part
_FINE = 4  # curves are computed at 320 Hz, then taken at every fourth point

Curve = NDArray[np.float64]


def posture_of(phone: Phone) -> Posture:
    """The target of one phone; a pause is REST, a sound that the table lacks is UNKNOWN."""
    return REST if not phone.sign else POSTURES.get(phone.sign, UNKNOWN)


def mouth_targets(phones: Sequence[Phone], columns: int, loudness: Float | None = None) -> Float:
    """(columns, 5) float32, rows of networks.mouth_shape.MOUTH_SHAPE at column / 80 s.

    phones: in order, without gaps. loudness: (columns,) about -1 (soft) to 1 (loud for this voice), opens the jaw by
    up to a fifth more or less; None leaves that out.
    """
    times = np.arange(columns * _FINE) / (MEL_COLUMNS_PER_SECOND * _FINE)
    phones = _merged_pauses(phones)
    blends = _dominance(phones, times)
    closure = _closure(phones, times)
    effort = np.ones(len(times))
    if loudness is not None:
        effort += 0.2 * np.clip(np.repeat(loudness, _FINE), -1, 1)
    scale = MEL_COLUMNS_PER_SECOND * _FINE
    opening = gaussian_filter1d(blends["opening"] * effort, _SETTLE * scale) * (1 - closure)
    jaw = gaussian_filter1d(blends["jaw"] * effort, _JAW_SETTLE * scale)
    width = gaussian_filter1d(blends["width"], _SETTLE * scale)
    rounding = gaussian_filter1d(blends["rounding"], _SETTLE * scale)
    rows = [jaw.clip(0, 1), opening.clip(0, 1.2), width.clip(-1, 1), rounding.clip(0, 1), closure]
    return np.stack(rows, 1)[::_FINE].astype(np.float32)


def kinds_of(phones: Sequence[Phone], columns: int) -> NDArray[np.uint8]:
    """(columns,) index into KINDS of the sound at column / 80 s."""
    kinds = np.zeros(columns, np.uint8)
    for phone in phones:
        start, end = (round(t * MEL_COLUMNS_PER_SECOND) for t in (phone.start, phone.end))
        kinds[max(0, start) : max(0, end)] = KINDS.index(posture_of(phone).kind)
    return kinds


def _merged_pauses(phones: Sequence[Phone]) -> list[Phone]:
    """Neighbouring pauses as one, and sounds without length left out."""
    merged: list[Phone] = []
    for phone in phones:
        if phone.end - phone.start < 1e-4:
            continue
        if merged and not phone.sign and not merged[-1].sign:
            last = merged.pop()
            phone = Phone("", last.start, phone.end, phone.end)
        merged.append(phone)
    return merged


def _dominance(phones: Sequence[Phone], times: Curve) -> dict[str, Curve]:
    names = ("jaw", "opening", "width", "rounding")
    sums = {name: np.zeros(len(times)) for name in names}
    pulls = {name: np.full(len(times), 1e-6) for name in names}
    for phone in phones:
        posture = posture_of(phone)
        if not phone.sign and phone.end - phone.start < _SHORTEST_REST:
            continue
        first, last = np.searchsorted(times, [phone.start - 0.6, phone.end + 0.6])
        near = times[first:last]
        mouth = _pull(near, phone, FADE_IN, FADE_OUT)
        lips = _pull(near, phone, _LIP_FADE_IN, _LIP_FADE_OUT)
        effort = 0.88 + 0.24 * phone.stress
        for name in names:
            strength = posture.pull * mouth if name in ("jaw", "opening") else posture.lip_pull * lips
            # Closed lips act on the opening through `closure`; their pull would shut the vowels beside them too.
            if phone.sign in BILABIALS and name == "opening":
                strength = 0.25 * strength
            aim = getattr(posture, name) * (effort if name in ("jaw", "opening") else 1.0)
            sums[name][first:last] += strength * aim
            pulls[name][first:last] += strength
    return {name: sums[name] / pulls[name] for name in names}


def _pull(times: Curve, phone: Phone, fade_in: float, fade_out: float) -> Curve:
    """1 in the middle of the sound, fading exponentially outside its inner half; longer sounds hold longer."""
    inset = 0.25 * (phone.end - phone.start)
    if not phone.sign:  # the mouth opens before it speaks, and closes after
        inset, fade_in, fade_out = 0.06, 0.03, 0.05
    before = np.maximum(0, phone.start + inset - times) / fade_in
    after = np.maximum(0, times - (phone.end - inset)) / fade_out
    return np.exp(-(before + after))


def _closure(phones: Sequence[Phone], times: Curve) -> Curve:
    closure = np.zeros(len(times))
    for phone in phones:
        hold = posture_of(phone).closure
        if hold > 0:
            end = max(phone.release, phone.start + 0.03) if phone.sign in BILABIALS else phone.end
            closure = np.maximum(closure, hold * _ramp(times, phone.start, end))
    return closure


def _ramp(times: Curve, start: float, end: float) -> Curve:
    """0 to 1 before `start`, back to 0 after `end`, with a half cosine's corners: lips do not jerk."""
    up = np.clip((times - (start - _CLOSING)) / _CLOSING, 0, 1)
    down = np.clip(((end + _PARTING) - times) / _PARTING, 0, 1)
    return 0.5 - 0.5 * np.cos(np.pi * np.minimum(up, down))
