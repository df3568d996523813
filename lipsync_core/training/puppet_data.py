"""The puppet's school: streams of synthetic speech, as mel, target curves and kinds of sound, in one npz file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import librosa
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from ..audio.mel import mel_spectrogram
from ..timing import MEL_COLUMNS_PER_SECOND, SAMPLE_RATE
from ..types import Float
from . import puppet_text
from .puppet_targets import kinds_of, mouth_targets
from .puppet_voices import Phone, Utterance, espeak, flite

Say = Callable[[int], Utterance | None]  # about so many words

# Never heard in training: the examination of puppet_eval.py is held with these.
HELD_OUT_ESPEAK = ("en-us+f4", "en-gb-x-rp+m7", "de+klatt3", "fr+Annie", "es+m5", "it+linda")
HELD_OUT_FLITE = ("kal16",)

VARIANTS: tuple[str, ...] = (
    "",
    "",
    "f1",
    "f2",
    "f3",
    "f5",
    "m1",
    "m2",
    "m3",
    "m4",
    "m6",
    "m8",
    "klatt",
    "klatt2",
    "klatt4",
    "klatt5",
)
VARIANTS += (
    "whisper",
    "whisperf",
    "croak",
    "grandma",
    "grandpa",
    "Alex",
    "Alicia",
    "Andrea",
    "Andy",
    "adam",
    "belinda",
)
VARIANTS += (
    "benjamin",
    "boris",
    "caleb",
    "david",
    "ed",
    "edward",
    "edward2",
    "Gene",
    "gustave",
    "Hugo",
    "iven",
    "john",
)
VARIANTS += ("Lee", "marcelo", "max", "michel", "miguel", "mike", "Mr", "norbert", "paul", "pedro", "quincy", "rob")
VARIANTS += ("robert", "sandro", "shelby", "steph", "travis", "victor", "zac", "aunty", "anika", "kaukovalta", "Denis")
_FLITE_SHARE = 0.45  # of the streams, where flite is installed: it is the closest to people


@dataclass(frozen=True)
class Stream:
    """One voice talking. mel: (80, M) float16, targets: (M, 5) float16, kinds: (M,) uint8."""

    mel: NDArray[np.float16]
    targets: NDArray[np.float16]
    kinds: NDArray[np.uint8]


def build(path: Path, hours: float, seed: int) -> None:
    """Synthesise about `hours` of speech into `path` (npz): mel and phones. Deterministic for a seed and the installed
    voices. The target curves are made from the phones by `load`, so another table needs no other speech.
    """
    random = Random(seed)
    mels: list[NDArray[np.float16]] = []
    phones: list[tuple[Phone, ...]] = []
    columns = 0
    while columns < hours * 3600 * MEL_COLUMNS_PER_SECOND:
        spoken = spoken_stream(random)
        if spoken is not None:
            mels.append(mel_spectrogram(spoken.waveform).astype(np.float16))
            phones.append(spoken.phones)
            columns += mels[-1].shape[1]
    flat = [phone for row in phones for phone in row]
    np.savez(
        path,
        mel=np.concatenate(mels, 1),
        lengths=np.array([mel.shape[1] for mel in mels]),
        phone_counts=np.array([len(row) for row in phones]),
        signs=np.array([phone.sign for phone in flat]),
        times=np.array([(phone.start, phone.end, phone.release, phone.stress) for phone in flat]),
    )


def load(path: Path) -> list[Stream]:
    """What `build` wrote, with its target curves."""
    with np.load(path) as data:
        mel, signs, times = data["mel"], data["signs"].tolist(), data["times"].tolist()
        columns, counts = np.cumsum(data["lengths"]).tolist(), np.cumsum(data["phone_counts"]).tolist()
    streams = []
    for c0, c1, p0, p1 in zip([0, *columns], columns, [0, *counts], counts, strict=False):
        phones = tuple(Phone(sign, *row) for sign, row in zip(signs[p0:p1], times[p0:p1], strict=True))
        streams.append(stream_of(mel[:, c0:c1], phones))
    return streams


def stream_of(mel: NDArray[np.float16], phones: tuple[Phone, ...]) -> Stream:
    """Targets (opened further where the voice is loud) and kinds of one stretch of speech."""
    columns = mel.shape[1]
    targets = mouth_targets(phones, columns, loudness_of(mel.astype(np.float32)))
    return Stream(mel, targets.astype(np.float16), kinds_of(phones, columns))


def spoken_stream(random: Random, words: int = 60) -> Utterance | None:
    """Some sentences of one random voice, language, pace, pitch and size of head, with pauses between."""
    speak = _flite_sentence if flite() is not None and random.random() < _FLITE_SHARE else _espeak_sentence
    say = speak(random)
    parts: list[Utterance] = []
    said = 0
    while said < words:
        count = random.randint(3, 14)
        said += count
        part = say(count)
        if part is None:
            return None
        parts.append(part)
    # Head size: resampling moves formants and pitch together, as a shorter vocal tract does.
    return _resampled(_joined(random, parts), random.uniform(0.85, 1.2))


def loudness_of(mel: Float) -> Float:
    """(80, M) mel -> (M,) loudness, smoothed over a syllable, in standard deviations of the loud columns."""
    level = mel.mean(0)
    loud = level > level.max() - 1.5
    smooth = gaussian_filter1d(level, 6.0)
    spread = max(float(smooth[loud].std()), 0.1)
    out: Float = ((smooth - float(smooth[loud].mean())) / (1.5 * spread)).astype(np.float32)
    return out


def _flite_sentence(random: Random) -> Say:
    voice = random.choice(("awb", "rms", "slt", "slt"))
    pace = random.uniform(0.8, 1.3)

    def say(words: int) -> Utterance | None:
        talker = flite()
        text = puppet_text.sentences(random, "en", words)
        return talker.say(text, voice, pace * random.uniform(0.9, 1.15)) if talker is not None else None

    return say


def _espeak_sentence(random: Random) -> Say:
    pool = random.choices(
        (
            puppet_text.ENGLISH_VOICES,
            puppet_text.LISTED_LANGUAGES,
            puppet_text.LATIN_LANGUAGES,
            puppet_text.OTHER_LANGUAGES,
        ),
        weights=(4, 3, 3, 2),
    )[0]
    language = random.choice(pool)
    variant = random.choice(VARIANTS)
    voice = f"{language}+{variant}" if variant else language
    pace, pitch, melody = random.randint(120, 230), random.randint(20, 80), random.randint(20, 90)

    def say(words: int) -> Utterance | None:
        text = puppet_text.sentences(random, language, words)
        return espeak().say(text, voice, round(pace * random.uniform(0.88, 1.12)), pitch, melody)

    return say


def _joined(random: Random, parts: list[Utterance]) -> Utterance:
    """Sentences one after the other, each at its own loudness, with 0.1 to 1.5 s of silence between."""
    waves: list[Float] = []
    phones: list[Phone] = []
    clock = 0.0
    for part in parts:
        pause = np.zeros(
            int(random.choice((0.1, 0.3, 0.5, 0.8, 1.5)) * SAMPLE_RATE * random.uniform(0.5, 1)), np.float32
        )
        waves += [pause, part.waveform * np.float32(10 ** (random.uniform(-6, 2) / 20))]
        start = clock + len(pause) / SAMPLE_RATE
        phones.append(Phone("", clock, start, start))
        phones += [_moved(phone, 1.0, start) for phone in part.phones]
        clock = start + len(part.waveform) / SAMPLE_RATE
    return Utterance(np.concatenate(waves), tuple(phones))


def _resampled(spoken: Utterance, factor: float) -> Utterance:
    """The same played `factor` times as fast."""
    wave = librosa.resample(spoken.waveform, orig_sr=round(16000 * factor), target_sr=SAMPLE_RATE, res_type="soxr_qq")
    scale = 16000 / round(16000 * factor)
    return Utterance(wave, tuple(_moved(phone, scale, 0.0) for phone in spoken.phones))


def _moved(phone: Phone, scale: float, shift: float) -> Phone:
    start, end, release = (t * scale + shift for t in (phone.start, phone.end, phone.release))
    return Phone(phone.sign, start, end, release, phone.stress)
