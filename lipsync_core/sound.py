"""One sound track of any file, decoded with tolerance and laid out on a time line: what listening and encoding share.

Time 0 is the start of the picture where the file has one, else the start of the sound itself. What starts earlier is
cut, what starts later gets silence before it, holes are filled with silence and overlaps are trimmed. Encoder delay
(AAC edit lists, Opus pre-skip, the LAME tag) is taken off by the decoder, padding at the end of an MP4 here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.error
import numpy as np

from .diagnosis import cause_of_failure
from .errors import InputError
from .media import open_media, regular_file, shown_name
from .ogg import links_of, open_link
from .sound_time import SoundPiece, TimeLine

_ATTACHED_PICTURE = 1024  # flag of a stream that is the cover of a song
_PICTURE_CODECS = ("png", "mjpeg", "bmp", "gif", "tiff", "webp")
_STREAMED = 0xFFFF0000  # bytes; who writes a WAV without knowing its end declares as much
_RATES = range(1000, 768001)  # Hz
_MOST_CHANNELS = 64
_FULL_SCALE = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0, "flt": 1.0, "dbl": 1.0}


@dataclass
class SoundTrack:
    """A sound track that can be decoded, any number of times. Use `open_track`.

    rate: Hz, channels, codec: by the header. seconds: by the header, None where it does not say.
    can_exceed: the format can hold samples of any size, so they may lie far beyond full scale.
    notes: what was repaired, complete when `pieces` has been read to its end.
    """

    path: str | os.PathLike[str]
    index: int
    rate: int
    channels: int
    codec: str
    seconds: Fraction | None
    can_exceed: bool
    notes: list[str] = field(default_factory=list)

    def pieces(self) -> Iterator[SoundPiece]:
        """The sound from time 0 on, without holes. Raises `InputError` when most of it cannot be decoded."""
        line = TimeLine()
        tally = _Tally()
        for container in self._links():
            stream = container.streams.audio[self.index]
            line.begin(_origin(container), _declared_end(container, stream))
            for frame in _frames(container, stream, tally):
                yield from line.place(_seconds(frame), _piece(frame, self.path))
        self._judge(tally)
        self.notes[:] = [*tally.notes(), *line.notes(), *_cut_off(regular_file(self.path))]

    def loudest(self) -> float:
        """The largest sample, by reading all of it; 0 for formats that have a full scale and cannot exceed it."""
        if not self.can_exceed:
            return 0.0
        peaks = (np.abs(piece.samples[np.isfinite(piece.samples)]).max(initial=0.0) for piece in self.pieces())
        return float(max(peaks, default=0.0))

    def _links(self) -> Iterator[av.container.InputContainer]:
        """The file; a chained Ogg, which FFmpeg reads only up to the first change of rate, link by link."""
        real = regular_file(self.path)
        links = links_of(real)
        if len(links) < 2:
            with open_media(self.path) as container:
                yield container
            return
        for link in links:
            with open_link(real, link) as container:
                yield container

    def _judge(self, tally: _Tally) -> None:
        if tally.bad * 2 <= tally.good:
            return
        cause = cause_of_failure(regular_file(self.path))
        if "encrypted" not in cause:
            cause = f"the sound is damaged ({tally.bad} of {tally.good + tally.bad} packets). Export it again."
        raise InputError(f"{shown_name(self.path)}: {cause}")


def open_track(path: str | os.PathLike[str], track: int | None = None) -> SoundTrack:
    """Look at a sound track without decoding it. track: 0 is the first; None too. Raises `InputError`."""
    name = shown_name(path)
    with open_media(path) as container:
        streams, number = container.streams.audio, track or 0
        if not streams:
            raise InputError(f"{name}: the file has no sound track. Choose a file with sound.")
        if not 0 <= number < len(streams):
            raise InputError(f"{name}: there is no sound track {number}. It has {len(streams)}, counted from 0.")
        stream = streams[number]
        if stream.codec_context is None:
            raise InputError(f"{name}: its sound is of an unknown kind (codec). Convert it to WAV or AAC.")
        context = stream.codec_context
        return SoundTrack(
            path,
            number,
            context.sample_rate or 0,
            context.layout.nb_channels,
            context.name,
            _declared_seconds(container, stream),
            context.name.startswith(("pcm_f", "wavpack")),
        )


def _is_cover(stream: av.VideoStream) -> bool:
    disposition = getattr(stream, "disposition", None)  # not in PyAV 14.0
    if disposition is None:
        return stream.codec_context.name in _PICTURE_CODECS and stream.frames <= 1
    return bool(int(disposition) & _ATTACHED_PICTURE)


def _origin(container: av.container.InputContainer) -> Fraction | None:
    """Time stamp of the first picture, s; None where there is no picture."""
    for stream in container.streams.video:
        if not _is_cover(stream):
            return (stream.start_time or 0) * Fraction(stream.time_base or 0)
    return None


def time_zero(container: av.container.InputContainer, stream: av.AudioStream) -> Fraction:
    """The time stamp that is time 0 of this track, s, for who copies its packets."""
    origin = _origin(container)
    return (stream.start_time or 0) * Fraction(stream.time_base or 0) if origin is None else origin


def _declared_seconds(container: av.container.InputContainer, stream: av.AudioStream) -> Fraction | None:
    if stream.duration is not None and stream.time_base:
        return stream.duration * Fraction(stream.time_base)
    return Fraction(container.duration, av.time_base) if container.duration is not None else None


def _declared_end(container: av.container.InputContainer, stream: av.AudioStream) -> Fraction | None:
    """Time stamp where an MP4 says that its sound ends, s."""
    if "mp4" not in container.format.name or stream.duration is None or not stream.time_base:
        return None
    return ((stream.start_time or 0) + stream.duration) * Fraction(stream.time_base)


@dataclass
class _Tally:
    good: int = 0
    bad: int = 0

    def notes(self) -> list[str]:
        return [f"{self.bad} damaged packets of the sound were left out."] if self.bad else []


_DEMUX_FAILURES = 32  # in a row, before the rest of the file is given up


def _frames(container: av.container.InputContainer, stream: av.AudioStream, tally: _Tally) -> Iterator[av.AudioFrame]:
    """Every frame that decodes; a damaged packet does not end the track."""
    for packet in _packets(container, stream, tally):
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            tally.bad += 1
            continue
        tally.good += 1
        yield from frames


def _packets(
    container: av.container.InputContainer, stream: av.AudioStream, tally: _Tally
) -> Iterator[av.Packet[av.AudioStream]]:
    failures = 0
    while failures < _DEMUX_FAILURES:
        try:
            for packet in container.demux(stream):
                failures = 0
                yield packet
            return
        except av.error.FFmpegError:
            failures += 1
            tally.bad += failures == 1


def _seconds(frame: av.AudioFrame) -> Fraction | None:
    return None if frame.pts is None or not frame.time_base else frame.pts * Fraction(frame.time_base)


def _piece(frame: av.AudioFrame, path: str | os.PathLike[str]) -> SoundPiece:
    kind, channels = frame.format.packed.name, frame.layout.nb_channels
    scale = _FULL_SCALE.get(kind)
    if scale is None or frame.sample_rate not in _RATES or not 1 <= channels <= _MOST_CHANNELS:
        raise InputError(
            f"{shown_name(path)}: its sound cannot be used ({frame.sample_rate} Hz, {channels} channels, {kind}). "
            "Convert it to WAV with 16 bits and 48000 Hz."
        )
    array = frame.to_ndarray()
    planes = array if frame.format.is_planar else array.reshape(-1, channels).T
    samples = planes.astype(np.float32) - (128.0 if kind == "u8" else 0.0)
    names = tuple(channel.name for channel in frame.layout.channels)
    return SoundPiece(frame.sample_rate, names, (samples / np.float32(scale)).astype(np.float32, copy=False))


def _cut_off(path: Path) -> list[str]:
    """FFmpeg believes a WAV that ends too early to be whole. 0 and 4 GB are the sizes of recordings that stream."""
    with path.open("rb") as file:
        head = file.read(4096)
        size = file.seek(0, os.SEEK_END)
    place = head.find(b"data")
    if head[:4] != b"RIFF" or not 0 <= place <= len(head) - 8:
        return []
    declared = int.from_bytes(head[place + 4 : place + 8], "little")
    missing = place + 8 + declared - size
    whole = missing <= 0 or declared > _STREAMED
    return [] if whole else [f"The file is cut off: {missing} bytes of its sound are missing."]
