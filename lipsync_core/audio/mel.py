"""The mel spectrogram that Wav2Lip, SyncNet, SadTalker and the puppet hear, whole or as a stream.

Published recipe (Wav2Lip, SadTalker): pre-emphasis 0.97, |STFT| of 800 samples every 200, centred on zero padding
(librosa's `constant`), 80 slaney bands from 55 to 7600 Hz, 20 log10 - 20 dB, mapped from [-100, 0] dB to [-4, 4].
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..types import Float

MEL_BANDS = 80
SILENCE = -4.0  # what digital silence, and everything below -100 dB, maps to
HOP = 200  # samples, 12.5 ms
WINDOW = 800  # samples, 50 ms; also the length of the transform
PRE_EMPHASIS = 0.97
_COLUMNS_AT_ONCE = 1024  # bounds the memory of one transform to some 20 MB

_Double = NDArray[np.float64]


def mel_spectrogram(waveform: Float) -> Float:
    """waveform: (T,) mono at 16 kHz, nominally in [-1, 1]. Returns (80, 1 + T // 200) float32 in [-4, 4].

    Column k is centred on sample 200 k. What is not a finite number counts as 0; silence is exactly -4.
    """
    if waveform.ndim != 1:
        raise ValueError(f"waveform must be (T,), not {waveform.shape}")
    stream = MelStream()
    return np.concatenate([stream.push(waveform), stream.finish()], axis=1)


class MelStream:
    """`mel_spectrogram` of a waveform that comes in pieces; the columns are the same however it is cut."""

    def __init__(self) -> None:
        self._last = 0.0  # the sample before `_pending`'s next one, for the pre-emphasis
        self._pending: _Double = np.zeros(WINDOW // 2)

    def push(self, samples: Float) -> Float:
        """samples: (n,) mono at 16 kHz. Returns the (80, k) columns that are complete now, k >= 0."""
        x = np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        if len(x):
            emphasised = x - PRE_EMPHASIS * np.concatenate([[self._last], x[:-1]])
            self._last = float(x[-1])
            self._pending = np.concatenate([self._pending, emphasised])
        return self._complete()

    def finish(self) -> Float:
        """The sound has ended: the (80, k) columns whose windows reach past its end, k >= 1."""
        self._pending = np.concatenate([self._pending, np.zeros(WINDOW // 2)])
        return self._complete()

    def _complete(self) -> Float:
        count = max(0, 1 + (len(self._pending) - WINDOW) // HOP)
        columns = np.empty((MEL_BANDS, count), np.float32)
        for start in range(0, count, _COLUMNS_AT_ONCE):
            end = min(count, start + _COLUMNS_AT_ONCE)
            columns[:, start:end] = _columns(self._pending[start * HOP : (end - 1) * HOP + WINDOW])
        self._pending = self._pending[count * HOP :]
        return columns


def _columns(emphasised: _Double) -> Float:
    """Every full window of the pre-emphasised, padded samples -> (80, k)."""
    frames = np.lib.stride_tricks.sliding_window_view(emphasised, WINDOW)[::HOP]
    amplitude = np.abs(np.fft.rfft(frames * _hann()))
    decibels = 20.0 * np.log10(np.maximum(1e-5, amplitude @ _filter_bank().T)) - 20.0
    levels: _Double = np.clip(8.0 * (decibels.T + 100.0) / 100.0 - 4.0, -4.0, 4.0)
    return levels.astype(np.float32)


@lru_cache(maxsize=1)
def _hann() -> _Double:
    """The periodic window, as librosa and scipy make it for spectra."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(WINDOW) / WINDOW)


@lru_cache(maxsize=1)
def _filter_bank() -> _Double:
    """(80, 401) slaney-normalised triangles, kept in a file: to import librosa takes 60 MB and a second.

    Made by librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55.0, fmax=7600.0, htk=False, norm="slaney").
    """
    with np.load(Path(__file__).with_name("mel_bank.npz")) as kept:
        return np.asarray(kept["bank"], np.float64)
