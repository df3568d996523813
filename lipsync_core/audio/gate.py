"""Hears where somebody speaks, and closes the mel where nobody does, so that the mouth rests in pauses.

The noise floor is followed for ten groups of mel bands on their own: a hum in the bass hides no s in the treble, and
the treble of an s counts although the bass is still.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..timing import MEL_COLUMNS_PER_SECOND
from ..types import Bool, Float
from .mel import MEL_BANDS, SILENCE

_GROUP = 8  # mel bands that are heard together
_BLOCK = 40  # columns, 0.5 s
_QUIET_SHARE = 25  # %; a pause that fills this much of a block shows the noise
_REACH = 8  # blocks to either side, 4 s, among which the quietest one is the noise
_DEEPEST = 50.0  # dB below the loudest speech; nothing quieter is speech
_SHALLOWEST = 20.0  # dB below the loudest speech; nothing louder is noise, however seldom the speaker pauses
_STEADY = 8.0  # dB; sound that varies less through a whole clip is noise
_FAINTEST = -90.0  # dB; what dithering leaves of digital silence
_HYSTERESIS = 0.6  # of the threshold: an open gate stays open down to here, so that words keep their ends

_Levels = NDArray[np.float64]


def speech_gate(mel: Float, threshold_db: float = 10.0, attack_ms: float = 50.0, release_ms: float = 150.0) -> Float:
    """How open the mouth may be at each column.

    mel: (80, M) in [-4, 4]. threshold_db: how far above the noise floor counts as speech. attack_ms: the gate opens
    this long before speech, since it looks ahead. release_ms: it closes over this long afterwards; shorter pauses
    stay open. Returns (M,) float32 in [0, 1], 0 where nobody speaks.
    """
    if mel.ndim != 2 or len(mel) != MEL_BANDS:
        raise ValueError(f"mel must be (80, M), not {mel.shape}")
    if mel.shape[1] == 0:
        return np.zeros(0, np.float32)
    excess = _excess(_levels(mel))
    speech = _hysteresis(excess >= threshold_db, excess >= _HYSTERESIS * threshold_db)
    per_ms = MEL_COLUMNS_PER_SECOND / 1000
    return _ramps(speech, attack_ms * per_ms, release_ms * per_ms)


def close_mel(mel: Float, gate: Float) -> Float:
    """(80, M) mel with silence, -4, where the gate (M,) is 0."""
    return np.asarray(SILENCE + gate * (mel - SILENCE), np.float32)


def _levels(mel: Float) -> _Levels:
    """(10, M) dB of groups of bands, averaged over three columns."""
    return np.stack([_level(mel[band : band + _GROUP]) for band in range(0, MEL_BANDS, _GROUP)])


def _level(bands: Float) -> _Levels:
    """(M,) dB of some bands together: a mel of v stands for 12.5 (v + 4) - 100 dB."""
    power = (10.0 ** ((1.25 * (bands.astype(np.float64) + 4.0)) - 10.0)).mean(axis=0)
    padded = np.pad(power, 1, mode="edge")
    return np.asarray(10.0 * np.log10((padded[:-2] + padded[1:-1] + padded[2:]) / 3.0), np.float64)


def _excess(levels: _Levels) -> _Levels:
    """(M,) dB by which the loudest group stands above its noise."""
    loudest = np.percentile(levels, 98, axis=1, keepdims=True)
    steady = loudest - np.percentile(levels, 5, axis=1, keepdims=True) < _STEADY
    speech = loudest[~steady].max() if not steady.all() else np.inf
    floor = np.minimum(_noise_floor(levels), np.where(steady, np.inf, speech - _SHALLOWEST))
    floor = np.maximum(floor, max(_FAINTEST, float(loudest.max()) - _DEEPEST))
    return np.asarray((levels - floor).max(axis=0), np.float64)


def _noise_floor(levels: _Levels) -> _Levels:
    """(10, M) dB: the quietest moment within four seconds, followed smoothly."""
    groups, count = levels.shape
    blocks = -(-count // _BLOCK)
    padded = np.pad(levels, ((0, 0), (0, blocks * _BLOCK - count)), mode="edge")
    quietest = np.percentile(padded.reshape(groups, blocks, _BLOCK), _QUIET_SHARE, axis=2)
    around = np.pad(quietest, ((0, 0), (_REACH, _REACH)), mode="edge")
    low = np.lib.stride_tricks.sliding_window_view(around, 2 * _REACH + 1, axis=1).min(axis=2)
    centres = (np.arange(blocks) + 0.5) * _BLOCK
    return np.stack([np.interp(np.arange(count), centres, row) for row in low])


def _hysteresis(high: Bool, low: Bool) -> Bool:
    """Runs of `low` that contain a `high`."""
    runs = np.cumsum(np.diff(low.astype(np.int8), prepend=0) == 1)  # number of the run that a column lies in or after
    chosen = np.zeros(int(runs[-1]) + 1, np.bool_)
    chosen[runs[high]] = True
    return np.asarray(low & chosen[runs], np.bool_)


def _ramps(speech: Bool, attack: float, release: float) -> Float:
    """Open where there is speech; rising before it and falling after it, both in columns."""
    place = np.arange(len(speech), dtype=np.float64)
    before = np.maximum.accumulate(np.where(speech, place, -np.inf))
    after = np.minimum.accumulate(np.where(speech, place, np.inf)[::-1])[::-1]
    bridged = speech | (after - before <= attack + release)
    gap_open = np.maximum(1.0 - (place - before) / max(release, 1e-9), 1.0 - (after - place) / max(attack, 1e-9))
    return np.where(bridged, 1.0, np.clip(gap_open, 0.0, 1.0)).astype(np.float32)
