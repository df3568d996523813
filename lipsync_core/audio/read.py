"""What the engines hear of a file: mono at 16 kHz, on the time line of its picture or its own, in flat memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..errors import InputError
from ..media import shown_name
from ..sound import open_track
from ..timing import SAMPLE_RATE
from ..types import AudioInfo, Float
from .condition import HighPass, Resampler, mend, mono
from .mel import MelStream

_CHUNK = 16384  # samples of the source that are worked on at once
_MOST_BROKEN = 0.01  # share of samples that may be no numbers
_LOW_RATE = 8000  # Hz; below it, consonants cannot be told apart


@dataclass(frozen=True)
class Heard:
    """A whole voice. mel: (80, M) float32, ungated. seconds: exact length. notes: what was repaired."""

    mel: Float
    seconds: Fraction
    info: AudioInfo

    @property
    def notes(self) -> tuple[str, ...]:
        return self.info.notes


class SpeechReader:
    """Iterate for (n,) float32 chunks, mono, 16 kHz, no holes; `seconds` and `notes` are complete afterwards.

    Time 0 is the start of the picture where the file has one, else of the sound. track: 0 is the first.
    start, end: seconds of it to hear; end 0 means to its end. plain: leave a constant offset in, as
    published scores do. Raises `InputError` for sound that cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        track: int | None = None,
        start: float = 0.0,
        end: float = 0.0,
        *,
        plain: bool = False,
    ) -> None:
        self._track = open_track(path, track)
        self._name = shown_name(path)
        self._first = round(start * SAMPLE_RATE)
        self._last = round(end * SAMPLE_RATE) if end else None
        self._gain = 1.0
        self._plain = plain
        self._broken = self._read = 0
        self._place = 0  # samples at 16 kHz that have passed, heard or not
        self._kept = 0
        self._peak_note: list[str] = []

    @property
    def seconds(self) -> Fraction:
        """Length of what has been given out so far."""
        return Fraction(self._kept, SAMPLE_RATE)

    @property
    def notes(self) -> tuple[str, ...]:
        mended = [f"{self._broken} samples that are no numbers were replaced by silence."] if self._broken else []
        rough = self._track.rate < _LOW_RATE
        low = [f"At {self._track.rate} Hz much of the speech is missing. Use a better recording."] if rough else []
        return (*self._track.notes, *mended, *self._peak_note, *low)

    @property
    def info(self) -> AudioInfo:
        track = self._track
        return AudioInfo(track.rate, track.channels, float(self.seconds), track.codec, self.notes)

    def __iter__(self) -> Iterator[Float]:
        self._broken = self._read = self._place = self._kept = 0
        self._measure_gain()
        for chunk in self._resampled(_gathered(self._mixed())):
            heard = self._cut(chunk)
            if len(heard):
                self._kept += len(heard)
                yield heard
            if self._last is not None and self._place >= self._last:
                break
        self._judge()

    def _measure_gain(self) -> None:
        """Sound of a format without full scale is brought below 1; every other format cannot be far above it."""
        peak = self._track.loudest()
        if peak > 1.0:
            self._gain = 1.0 / peak
            self._peak_note = [f"The sound is {peak:.1f} times too loud and was turned down."]

    def _mixed(self) -> Iterator[tuple[int, Float]]:
        for piece in self._track.pieces():
            samples, broken = mend(piece.samples)
            self._broken += broken
            self._read += samples.size
            yield piece.rate, mono(samples, piece.layout)

    def _resampled(self, chunks: Iterable[tuple[int, Float]]) -> Iterator[Float]:
        """Filter and resample; a change of rate in the middle ends one resampler and starts the next."""
        resample = high_pass = None
        for rate, samples in chunks:
            if resample is None or resample.rate != rate:
                if resample is not None:
                    yield resample(np.zeros(0, np.float32), last=True)
                resample, high_pass = Resampler(rate), HighPass(rate)
            if high_pass is not None:
                yield resample((samples if self._plain else high_pass(samples)) * np.float32(self._gain))
        if resample is not None:
            yield resample(np.zeros(0, np.float32), last=True)

    def _cut(self, chunk: Float) -> Float:
        """The part of the next samples that lies between start and end."""
        begin = max(0, self._first - self._place)
        stop = len(chunk) if self._last is None else min(len(chunk), self._last - self._place)
        self._place += len(chunk)
        return chunk[begin : max(begin, stop)]

    def _judge(self) -> None:
        if self._read and self._broken > _MOST_BROKEN * self._read:
            share = 100 * self._broken / self._read
            raise InputError(f"{self._name}: {share:.0f} % of its samples are no numbers (NaN). Export it again.")
        if not self._kept and self._place:
            raise InputError(
                f"{self._name}: it is {self._place / SAMPLE_RATE:.2f} s long, and the part to be heard begins at "
                f"{self._first / SAMPLE_RATE:.2f} s. Choose an earlier 'Speech from'."
            )
        if not self._kept:
            raise InputError(f"{self._name}: the sound track contains no samples. Record or export it again.")


def _gathered(pieces: Iterable[tuple[int, Float]]) -> Iterator[tuple[int, Float]]:
    """Join small pieces of one rate, because filtering each of them costs more than decoding it."""
    waiting: list[Float] = []
    rate = count = 0
    for next_rate, samples in pieces:
        if waiting and (next_rate != rate or count >= _CHUNK):
            yield rate, np.concatenate(waiting)
            waiting, count = [], 0
        rate, count = next_rate, count + len(samples)
        waiting.append(samples)
    if waiting:
        yield rate, np.concatenate(waiting)


def read_speech(
    path: str | os.PathLike[str], track: int | None = None, start: float = 0.0, end: float = 0.0
) -> SpeechReader:
    """Open any audio or video file for listening. See `SpeechReader`."""
    return SpeechReader(path, track, start, end)


def listen(
    path: str | os.PathLike[str],
    track: int | None = None,
    start: float = 0.0,
    end: float = 0.0,
    step: Callable[[float], None] | None = None,
) -> Heard:
    """Hear a whole file; of its sound only the mel is ever held, 92 MB for an hour.

    step: called with the seconds heard so far; what it raises ends the listening.
    """
    reader, stream = SpeechReader(path, track, start, end), MelStream()
    columns = []
    for chunk in reader:
        columns.append(stream.push(chunk))
        if step is not None:
            step(float(reader.seconds))
    columns.append(stream.finish())
    return Heard(np.concatenate(columns, axis=1), reader.seconds, reader.info)


def probe_audio(path: str | os.PathLike[str], track: int | None = None, count: bool = True) -> AudioInfo:
    """What a sound track is. count: decode it to learn how much sound there really is, keeping none of it.

    Without counting, the length is the one that the file declares (0 where it declares none).
    """
    facts = open_track(path, track)
    if not count:
        return AudioInfo(facts.rate, facts.channels, float(facts.seconds or 0), facts.codec)
    seconds = sum((Fraction(len(piece), piece.rate) for piece in facts.pieces()), Fraction(0))
    if not seconds:
        raise InputError(f"{shown_name(path)}: the sound track contains no samples. Record or export it again.")
    return AudioInfo(facts.rate, facts.channels, float(seconds), facts.codec, tuple(facts.notes))
