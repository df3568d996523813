"""The cepstra that SyncNet v2 hears.

Davis and Mermelstein, "Comparison of parametric representations", 1980, with the settings of the published evaluation:
25 ms every 10 ms at 16 kHz, no window function, 26 HTK mel triangles to 8 kHz, 13 coefficients, liftered by 22, the
first replaced by the log energy of the window.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..timing import SAMPLE_RATE
from ..types import Float

COLUMNS_PER_SECOND = 100
COEFFICIENTS = 13
_WINDOW, _HOP, _TRANSFORM = 400, 160, 512  # samples
_BANDS, _LIFTER, _PRE_EMPHASIS = 26, 22, 0.97
_FULL_SCALE = 32768.0  # the protocol reads 16 bit sound as whole numbers

_Double = NDArray[np.float64]


def mfcc(waveform: Float) -> Float:
    """waveform: (T,) mono at 16 kHz in [-1, 1]. Returns (13, 1 + ceil((T - 400) / 160)) float32, 100 columns a second.

    The last window is filled up with zeros.
    """
    stream = MfccStream()
    return np.concatenate([stream.push(waveform), stream.finish()], axis=1)


class MfccStream:
    """`mfcc` of a waveform that comes in pieces; the columns are the same however it is cut."""

    def __init__(self) -> None:
        self._last = 0.0  # the sample before the next one, for the pre-emphasis
        self._pending: _Double = np.zeros(0)
        self._columns = 0

    def push(self, samples: Float) -> Float:
        """samples: (n,). Returns the (13, k) columns that are complete now, k >= 0."""
        whole = np.clip(np.rint(samples.astype(np.float64) * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1)
        if len(whole):
            emphasised = whole - _PRE_EMPHASIS * np.concatenate([[self._last], whole[:-1]])
            self._last = float(whole[-1])
            self._pending = np.concatenate([self._pending, emphasised])
        return self._take(max(0, 1 + (len(self._pending) - _WINDOW) // _HOP))

    def finish(self) -> Float:
        """The sound has ended: the (13, k) columns of its last samples."""
        beyond = len(self._pending) - (_WINDOW - _HOP)  # samples that no window holds yet
        count = -(-beyond // _HOP) if self._columns else 1
        self._pending = np.concatenate([self._pending, np.zeros(_WINDOW + _HOP)])
        return self._take(max(0, count))

    def _take(self, count: int) -> Float:
        self._columns += count
        if not count:
            return np.zeros((COEFFICIENTS, 0), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(self._pending, _WINDOW)[: count * _HOP : _HOP]
        columns = _cepstra(windows)
        self._pending = self._pending[count * _HOP :]
        return columns


def _cepstra(windows: _Double) -> Float:
    """(k, 400) pre-emphasised samples -> (13, k)."""
    from scipy.fft import dct

    power = np.abs(np.fft.rfft(windows, _TRANSFORM)) ** 2 / _TRANSFORM
    least = np.finfo(np.float64).eps  # stands for nothing, whose logarithm there is not
    energy = np.where(power.sum(axis=1) == 0, least, power.sum(axis=1))
    bands = power @ _triangles().T
    cepstra = dct(np.log(np.where(bands == 0, least, bands)), type=2, axis=1, norm="ortho")[:, :COEFFICIENTS]
    cepstra = cepstra * (1 + _LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / _LIFTER))
    cepstra[:, 0] = np.log(energy)
    return np.asarray(cepstra.T, np.float32)


@lru_cache(maxsize=1)
def _triangles() -> _Double:
    """(26, 257): corners equally far apart in mel, rounded down to bins of the transform."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, _BANDS + 2) / 2595) - 1)
    corners = np.floor((_TRANSFORM + 1) * hertz / SAMPLE_RATE).astype(int)
    bank = np.zeros((_BANDS, _TRANSFORM // 2 + 1))
    for row, (low, middle, high) in enumerate(zip(corners, corners[1:], corners[2:], strict=False)):
        bank[row, low:middle] = (np.arange(low, middle) - low) / (middle - low)
        bank[row, middle:high] = (high - np.arange(middle, high)) / (high - middle)
    return bank
