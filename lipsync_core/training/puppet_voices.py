"""Speech whose sounds and times are known: libespeak-ng and, where it is there, flite, through ctypes.

Both are called as libraries only by training and tests, never by the product. espeak-ng (GPL-3 program; what it says
is not covered by its licence) speaks a hundred languages by formant synthesis. flite's `awb`, `rms`, `slt` are
statistical voices made from recordings of the CMU ARCTIC speakers, `kal16` splices recorded diphones: closer to
human speech, US English alone, free for any use.
"""

from __future__ import annotations

import ctypes
from ctypes.util import find_library
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import librosa
import numpy as np
from numpy.typing import NDArray

from ..timing import SAMPLE_RATE
from ..types import Float
from .puppet_phonemes import ARPABET, VOICELESS_STOPS, split_phoneme

FLITE_VOICES = ("awb", "rms", "slt", "kal16")

_SYNCHRONOUS, _PHONEMES, _IPA = 2, 1, 2  # espeak_Initialize: output mode and options
_PHONEME_EVENT, _LAST_EVENT = 7, 0
_UTF8 = 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4  # espeak_PARAMETER
_LONGEST_HOLD = 0.09  # s of silence before the burst of a voiceless stop that belong to the stop


@dataclass(frozen=True)
class Phone:
    """One sound: an IPA sign ("" is a pause), start and end in s, when lips that it closes part, stress 0 or 1."""

    sign: str
    start: float
    end: float
    release: float
    stress: float = 0.5


@dataclass(frozen=True)
class Utterance:
    """waveform: (T,) float32 at 16 kHz. phones: in order, without gaps."""

    waveform: Float
    phones: tuple[Phone, ...]


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p),
        ("id", _Id),
    ]


_Heard = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """One loaded libespeak-ng. Raises OSError when the library is not installed."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(find_library("espeak-ng") or "libespeak-ng.so.1")
        self._rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEMES | _IPA)
        if self._rate <= 0:
            raise OSError("libespeak-ng: it finds no voice data. Install the package espeak-ng-data.")
        self._pieces: list[NDArray[np.int16]] = []
        self._events: list[tuple[int, str]] = []
        self._callback = _Heard(self._heard)  # kept here: ctypes does not
        self._library.espeak_SetSynthCallback(self._callback)

    def _heard(self, samples: Any, count: int, events: Any) -> int:
        if count > 0 and samples:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        place = 0
        while events[place].type != _LAST_EVENT:
            event = events[place]
            if event.type == _PHONEME_EVENT:
                self._events.append((event.sample, bytes(event.id.string).decode("utf-8", "ignore")))
            place += 1
        return 0

    def say(self, text: str, voice: str, speed: int = 165, pitch: int = 50, pitch_range: int = 50) -> Utterance | None:
        """voice: "language" or "language+variant". speed: words a minute. None when there is nothing to be heard."""
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            return None
        for parameter, value in ((_RATE, speed), (_PITCH, pitch), (_RANGE, pitch_range)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._pieces.clear()
        self._events.clear()
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8, None, None)
        if not self._pieces or len(self._events) < 3:
            return None
        samples = _as_float(np.concatenate(self._pieces))
        return Utterance(_at_16k(samples, self._rate), tuple(self._phones(samples)))

    def _phones(self, samples: Float) -> list[Phone]:
        rate = self._rate
        marks = [(at, sign) for at, sign in self._events if not sign.startswith("(")]
        earliest = [0, *(at for at, _ in marks)]  # a closure cannot begin before the sound that precedes it
        starts = [max(low, self._closure_start(samples, *mark)) for low, mark in zip(earliest, marks, strict=False)]
        starts.append(len(samples))
        phones = [Phone("", 0.0, starts[0] / rate, starts[0] / rate)]
        for (at, sign), start, end in zip(marks, starts, starts[1:], strict=False):
            phones += _sounds(sign, start / rate, end / rate, at / rate if at > start else None)
        return phones

    def _closure_start(self, samples: Float, at: int, sign: str) -> int:
        """espeak marks a voiceless stop where it bursts; its silence before that counts as the vowel's end."""
        if sign[:1] not in VOICELESS_STOPS or not sign:
            return at
        step = self._rate // 200
        start = at
        while at - start < _LONGEST_HOLD * self._rate and start >= step:
            if np.abs(samples[start - step : start]).max() > 0.01:
                break
            start -= step
        return start


class _Wave(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_char_p),
        ("rate", ctypes.c_int),
        ("count", ctypes.c_int),
        ("channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    ]


class _Voice(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("features", ctypes.c_void_p)]


class Flite:
    """The flite library and its voices. Raises OSError when it is not installed."""

    def __init__(self) -> None:
        self._flite = ctypes.CDLL(find_library("flite") or "libflite.so.1", mode=ctypes.RTLD_GLOBAL)
        for name in ("usenglish", "cmulex"):
            ctypes.CDLL(find_library(f"flite_{name}") or f"libflite_{name}.so.1", mode=ctypes.RTLD_GLOBAL)
        self._declare()
        self._flite.flite_init()
        self._voices = {name: self._load(name) for name in FLITE_VOICES}

    def _declare(self) -> None:
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        for name, result, arguments in (
            ("flite_synth_text", pointer, [text, pointer]),
            ("utt_wave", ctypes.POINTER(_Wave), [pointer]),
            ("utt_relation", pointer, [pointer, text]),
            ("relation_head", pointer, [pointer]),
            ("item_next", pointer, [pointer]),
            ("item_feat_float", ctypes.c_float, [pointer, text]),
            ("item_feat_string", text, [pointer, text]),
            ("ffeature_string", text, [pointer, text]),
            ("feat_set_float", None, [pointer, text, ctypes.c_float]),
            ("delete_utterance", None, [pointer]),
        ):
            function = getattr(self._flite, name)
            function.restype, function.argtypes = result, arguments

    def _load(self, name: str) -> Any:
        library = f"flite_cmu_us_{name}"
        register = getattr(ctypes.CDLL(find_library(library) or f"lib{library}.so.1"), f"register_cmu_us_{name}")
        register.restype, register.argtypes = ctypes.POINTER(_Voice), [ctypes.c_char_p]
        return register(None)

    def say(self, text: str, voice: str, stretch: float = 1.0) -> Utterance:
        """voice: one of FLITE_VOICES. stretch: 1 is the voice's own pace, more is slower."""
        loaded = self._voices[voice]
        self._flite.feat_set_float(loaded.contents.features, b"duration_stretch", stretch)
        spoken = self._flite.flite_synth_text(text.encode(), ctypes.cast(loaded, ctypes.c_void_p))
        wave = self._flite.utt_wave(spoken).contents
        samples = _as_float(np.ctypeslib.as_array(wave.samples, (wave.count,)))
        phones = self._phones(spoken, wave.count / wave.rate)
        waveform = _at_16k(samples, wave.rate)
        self._flite.delete_utterance(spoken)
        return Utterance(waveform, tuple(phones))

    def _phones(self, spoken: Any, length: float) -> list[Phone]:
        phones: list[Phone] = []
        start = 0.0
        item = self._flite.relation_head(self._flite.utt_relation(spoken, b"Segment"))
        while item:
            end = min(length, float(self._flite.item_feat_float(item, b"end")))
            name = self._flite.item_feat_string(item, b"name").decode()
            stress = float(self._flite.ffeature_string(item, b"R:SylStructure.parent.stress") == b"1")
            # A flite stop is one segment: silence, then burst and breath.
            release = start + 0.6 * (end - start) if name in "ptk" else None
            phones += _sounds(ARPABET.get(name, ""), start, end, release, stress)
            start = end
            item = self._flite.item_next(item)
        return phones


def _sounds(ipa: str, start: float, end: float, release: float | None, stress: float = 0.5) -> list[Phone]:
    parts = split_phoneme(ipa) or [("", 1.0)]
    phones = []
    length = max(0.0, end - start)
    for place, (sign, share) in enumerate(parts):
        stop = end if place == len(parts) - 1 else start + share * length
        phones.append(Phone(sign, start, stop, stop if release is None else min(stop, release), stress))
        start = stop
    return phones


def _as_float(samples: NDArray[np.int16]) -> Float:
    scaled: Float = samples.astype(np.float32) / np.float32(32768)
    return scaled


def _at_16k(samples: Float, rate: int) -> Float:
    if rate == SAMPLE_RATE:
        return samples
    out: Float = librosa.resample(samples, orig_sr=rate, target_sr=SAMPLE_RATE, res_type="soxr_hq")
    return out


@lru_cache(maxsize=1)
def espeak() -> Espeak:
    """The one libespeak-ng of this process (it cannot be initialised twice)."""
    return Espeak()


@lru_cache(maxsize=1)
def flite() -> Flite | None:
    """flite, or None where it is not installed."""
    try:
        return Flite()
    except OSError:
        return None
