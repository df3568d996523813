"""From the samples of a file to mono sound that can be listened to: mixed, mended, without offset, at 16 kHz."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..timing import SAMPLE_RATE
from ..types import Float

# Speech sits in the centre of a film's surround mix, its bass channel holds none.
_WEIGHTS = {"FC": 2.0, "LFE": 0.0, "LFE2": 0.0, "FL": 1.0, "FR": 1.0}
_SURROUND = 0.5
_HIGH_PASS = 5.0  # Hz: takes an offset away and leaves the lowest mel band (55 Hz) as it is, to 0.04 dB


def mono(samples: Float, layout: Sequence[str]) -> Float:
    """(C, n) -> (n,), a mean whose weights sum to 1, so that it is never louder than its loudest channel.

    layout: channel names; unnamed channels count alike.
    """
    if len(samples) == 1:
        return np.asarray(samples[0], np.float32)
    named = len(set(layout)) == len(layout) > 2
    weights = np.array([_WEIGHTS.get(name, _SURROUND) if named else 1.0 for name in layout], np.float32)
    if not weights.any():
        weights[:] = 1.0
    return np.asarray((weights / weights.sum()) @ samples, np.float32)


def mend(samples: Float) -> tuple[Float, int]:
    """Replace what is not a finite number by 0. Returns the samples and how many were replaced."""
    good = np.isfinite(samples)
    bad = int(good.size - np.count_nonzero(good))
    return (np.where(good, samples, np.float32(0)), bad) if bad else (samples, 0)


class HighPass:
    """Takes a constant offset away: a first-order filter at 5 Hz that starts settled on the first piece's mean."""

    def __init__(self, rate: int) -> None:
        self._pole = float(np.exp(-2 * np.pi * _HIGH_PASS / rate))
        self._state: NDArray[np.float64] | None = None

    def __call__(self, samples: Float) -> Float:
        from scipy.signal import lfilter  # slow to import

        if self._state is None:
            self._state = np.array([-samples.mean(dtype=np.float64)])
        filtered, self._state = lfilter([1.0, -1.0], [1.0, -self._pole], samples, zi=self._state)
        return np.asarray(filtered, np.float32)


class Resampler:
    """A stream of any rate -> 16 kHz over the whole band, without delay."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._stream = None
        if rate != SAMPLE_RATE:
            import soxr  # librosa's own resampler

            self._stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")

    def __call__(self, samples: Float, last: bool = False) -> Float:
        if self._stream is None:
            return samples
        return np.asarray(self._stream.resample_chunk(samples, last=last), np.float32)
