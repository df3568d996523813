"""The sound of the result: the source's own packets where the container takes them, else AAC (Opus in WebM)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import av.container
import av.error
import numpy as np

from ..media import open_media
from ..ogg import links_of
from ..sound import open_track, time_zero
from ..sound_time import SoundPiece
from ..types import Float

_MP4 = {"aac", "mp3", "ac3", "eac3", "alac", "opus"}
_COPIED = {
    ".mp4": _MP4,
    ".mov": (_MP4 - {"opus"}) | {"pcm_s16le", "pcm_s24le", "pcm_f32le"},
    ".mkv": _MP4 | {"flac", "vorbis", "pcm_s16le", "pcm_s24le", "pcm_f32le"},
    ".webm": {"opus", "vorbis"},
}
_DECODER_NAMES = {"mp3float": "mp3", "ac3_fixed": "ac3", "libopus": "opus", "libvorbis": "vorbis"}
_PREROLL = {"aac": 1, "mp3": 2, "opus": 4, "vorbis": 1}  # packets that a decoder must have seen before the first one
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)  # Hz
_OPUS_RATES = (48000,)  # it takes others, but Matroska then misplaces its delay
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 8: "7.1"}
_BIT_RATE = 192_000
_BITS_PER_SAMPLE = 5  # AAC holds six at most
_HALF_MS = Fraction(1, 2000)  # s; as fine as Matroska's clock


@dataclass(frozen=True)
class AudioSource:
    """A file whose sound goes into the result. track: 0 is the first. start: seconds of it that are left out.

    Its time 0 is the start of its picture, else of the sound itself, as everywhere (`sound.py`).
    """

    path: str | os.PathLike[str]
    track: int | None = None
    start: Fraction = Fraction(0)


class Soundtrack(Protocol):
    """Sound that is written as the picture advances."""

    copied: bool

    def advance(self, until: Fraction) -> None:
        """Write what begins before `until`, seconds of the result."""
        ...

    def finish(self, seconds: Fraction) -> None:
        """Write the rest: the sound ends with the picture."""
        ...

    def close(self) -> None:
        """Close the source, finished or not."""
        ...


def add_soundtrack(
    out: av.container.OutputContainer, extension: str, source: AudioSource, seconds: Fraction | None, fps: Fraction
) -> Soundtrack:
    """Add the stream to `out`. seconds: length of the result where it is known. Raises `InputError`."""
    track = open_track(source.path, source.track)
    codec = _DECODER_NAMES.get(track.codec, track.codec)
    length = None if seconds is None or track.seconds is None else track.seconds - source.start - seconds
    padded = length is not None and length < -1 / fps  # silence cannot be copied from anywhere
    if codec in _COPIED[extension] and not padded and len(links_of(Path(source.path))) < 2:
        copy = _Copy(out, extension, source, codec)
        cut = length is None or length > 1 / fps
        if not cut or copy.packet_seconds <= 2 / fps:  # the end is only as fine as a packet
            copy.attach()
            return copy
        copy.close()
    return _Encode(out, extension, source)


class _Copy:
    """Packets as they are, with their time stamps moved."""

    copied = True

    def __init__(self, out: av.container.OutputContainer, extension: str, source: AudioSource, codec: str) -> None:
        self._out = out
        self._container = open_media(source.path)
        self._stream = self._container.streams.audio[source.track or 0]
        self._offset = time_zero(self._container, self._stream) + source.start
        # Matroska has no edit list that could hide what comes before time 0.
        self._preroll = _PREROLL.get(codec, 0) if extension in (".mp4", ".mov") else 0
        self._target: av.AudioStream | None = None
        self._packets = self._placed()
        self._next = next(self._packets, None)
        self._last_dts: int | None = None

    @property
    def packet_seconds(self) -> Fraction:
        """Length of a packet; 0 where the file does not say."""
        packet = self._next
        if packet is None or not packet.time_base:
            return Fraction(0)
        return (packet.duration or 0) * Fraction(packet.time_base)

    def attach(self) -> None:
        self._target = self._out.add_stream_from_template(self._stream)

    def advance(self, until: Fraction) -> None:
        while self._next is not None and self._middle(self._next) < until:
            self._write(self._next)
            self._next = next(self._packets, None)

    def finish(self, seconds: Fraction) -> None:
        self.advance(seconds)

    def close(self) -> None:
        self._container.close()

    def _placed(self) -> Iterator[av.Packet[av.AudioStream]]:
        """Packets from the start on, after the few that the decoder needs to warm up."""
        before: list[av.Packet[av.AudioStream]] = []
        for packet in self._demuxed():
            if self._end(packet) <= self._offset or (
                not self._preroll and self._begin(packet) < self._offset - _HALF_MS
            ):
                before = [*before, packet][-self._preroll :] if self._preroll else []
                continue
            yield from before
            before = []
            yield packet

    def _demuxed(self) -> Iterator[av.Packet[av.AudioStream]]:
        try:
            for packet in self._container.demux(self._stream):
                if packet.pts is not None and packet.dts is not None and packet.size:
                    yield packet
        except av.error.FFmpegError:
            return  # the rest of the file is damaged; what came before is kept

    def _begin(self, packet: av.Packet[av.AudioStream]) -> Fraction:
        return Fraction(packet.pts or 0) * Fraction(packet.time_base or 0)

    def _end(self, packet: av.Packet[av.AudioStream]) -> Fraction:
        return self._begin(packet) + (packet.duration or 0) * Fraction(packet.time_base or 0)

    def _middle(self, packet: av.Packet[av.AudioStream]) -> Fraction:
        return (self._begin(packet) + self._end(packet)) / 2 - self._offset

    def _write(self, packet: av.Packet[av.AudioStream]) -> None:
        if self._target is None or not packet.time_base:
            return
        if self._last_dts is not None and packet.dts is not None and packet.dts <= self._last_dts:
            return  # a broken clock; a muxer takes no packet twice
        self._last_dts = packet.dts
        shift = round(self._offset / Fraction(packet.time_base))
        packet.pts, packet.dts = (packet.pts or 0) - shift, (packet.dts or 0) - shift
        packet.stream = self._target
        self._out.mux(packet)


class _Encode:
    """Samples through an encoder at the source's rate and channels, padded or cut to the picture."""

    copied = False

    def __init__(self, out: av.container.OutputContainer, extension: str, source: AudioSource) -> None:
        self._out = out
        self._track = open_track(source.path, source.track)
        self._pieces = self._track.pieces()
        self._piece: SoundPiece | None = next(self._pieces, None)
        self._skip = source.start
        webm = extension == ".webm"
        first = self._piece or SoundPiece(48000, ("FC",), np.zeros((1, 0), np.float32))
        self._rate = _nearest(first.rate, _OPUS_RATES if webm else _AAC_RATES)
        self._layout = _LAYOUTS.get(len(first.layout), "stereo")
        self._stream = out.add_stream("libopus" if webm else "aac", rate=self._rate, layout=self._layout)
        self._stream.bit_rate = min(_BIT_RATE, _BITS_PER_SAMPLE * self._rate * self._stream.layout.nb_channels)
        self._resampler: av.AudioResampler | None = None
        self._form = (0, 0)
        self._gain = 1.0 / max(1.0, self._track.loudest())
        self._given = 0  # samples at the encoder's rate
        self._written = Fraction(0)  # s of the result that have gone to the encoder

    def advance(self, until: Fraction) -> None:
        while self._written < until and (piece := self._take()) is not None:
            count = min(len(piece), -(-(until - self._written) * piece.rate // 1))
            self._encode(piece.part(0, int(count)))
            self._piece = piece.part(int(count)) if count < len(piece) else next(self._pieces, None)

    def finish(self, seconds: Fraction) -> None:
        self.advance(seconds)
        while self._written < seconds:
            count = min(self._rate, max(1, round((seconds - self._written) * self._rate)))
            channels = self._stream.layout.nb_channels
            silence = SoundPiece(self._rate, ("",) * channels, np.zeros((channels, count), np.float32))
            self._encode(silence)
        self._flush()
        self._out.mux(self._stream.encode(None))

    def close(self) -> None:
        self._pieces = iter(())

    def _take(self) -> SoundPiece | None:
        """The next piece behind what is left out at the start."""
        while self._piece is not None and self._skip > 0:
            cut = min(len(self._piece), max(1, round(self._skip * self._piece.rate)))
            self._skip -= Fraction(cut, self._piece.rate)
            self._skip = max(Fraction(0), self._skip)
            rest = self._piece.part(cut)
            self._piece = rest if len(rest) else next(self._pieces, None)
        return self._piece

    def _encode(self, piece: SoundPiece) -> None:
        self._written += Fraction(len(piece), piece.rate)
        samples = _fitted(piece.samples * np.float32(self._gain), self._stream.layout.nb_channels)
        if self._form != (piece.rate, len(samples)) or self._resampler is None:
            self._flush()
            self._form = (piece.rate, len(samples))
            kind = self._stream.codec_context.format.name
            size = self._stream.codec_context.frame_size or 1024
            self._resampler = av.AudioResampler(format=kind, layout=self._layout, rate=self._rate, frame_size=size)
        # Packed, because PyAV loses count of the planes of eight channels.
        packed = np.ascontiguousarray(samples.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "flt", self._layout)
        frame.sample_rate = piece.rate
        frame.pts = None
        self._mux(self._resampler.resample(frame))

    def _flush(self) -> None:
        if self._resampler is not None:
            self._mux(self._resampler.resample(None))
            self._resampler = None

    def _mux(self, frames: list[av.AudioFrame]) -> None:
        for frame in frames:
            frame.pts, frame.time_base = self._given, Fraction(1, self._rate)
            self._given += frame.samples
            self._out.mux(self._stream.encode(frame))


def _nearest(rate: int, rates: tuple[int, ...]) -> int:
    return rate if rate in rates else min((r for r in rates if r >= rate), default=48000)


def _fitted(samples: Float, channels: int) -> Float:
    """Clean samples in the number of channels that the encoder was opened with; a mean where there are others."""
    clean = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0).clip(-1.0, 1.0)
    if len(clean) == channels:
        return clean
    return np.repeat(clean.mean(axis=0, keepdims=True), channels, axis=0)
