"""Packets -> frames in order of time, through damage: a bad packet costs its frames and no more."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import cast

import av
import av.container
import av.error
import av.video.stream

from .convert import Filters
from .timeline import Timed

_PATIENCE = 32  # failures in a row to read a packet, after which the rest of the file is given up
_BACKWARDS = 12  # frames; time stamps that fall back further have started anew (files that were joined),
# less comes out of order from decoders that have lost their place in a damaged file
_LONGEST = 10  # s; a frame that says it stays longer has a damaged header
_FORWARDS = Fraction(300)  # s; those that jump further ahead are wrong

# What reading a packet can raise. IndexError: PyAV meets a stream that appeared after the file was opened.
READ_ERRORS = (av.error.FFmpegError, OSError, ValueError, IndexError)

Frames = Iterable[Timed[av.VideoFrame]]


@dataclass
class Health:
    """What was found wrong while decoding one stream once."""

    packets: int = 0
    bad: int = 0
    frames: int = 0
    stamps_missing: bool = False
    stamps_jump: bool = False
    size_changes: bool = False
    read_failures: int = 0


@dataclass
class Clock:
    """Frame times in seconds from the first frame on: never backwards, and without jumps.

    tick: seconds of one unit of the stream's time stamps. rate: frames a second where there are none.
    start: the time stamp that is 0; taken from the first frame when None.
    """

    tick: Fraction
    rate: Fraction
    health: Health
    start: Fraction | None = None
    _end: Fraction = field(default=Fraction(0))
    _last: Fraction | None = None
    _shift: Fraction = field(default=Fraction(0))

    def stamp(self, frame: av.VideoFrame) -> Timed[av.VideoFrame]:
        duration = (getattr(frame, "duration", 0) or 0) * self.tick  # PyAV 14 may not know it
        if not 0 < duration <= _LONGEST:
            duration = 1 / self.rate
        time = self._time(frame)
        self._last, self._end = time, time + duration
        return Timed(time, duration, frame)

    def _time(self, frame: av.VideoFrame) -> Fraction:
        if frame.pts is None:
            self.health.stamps_missing = True
            return self._end
        stamp = frame.pts * self.tick
        if self.start is None:
            self.start = stamp
        time = stamp - self.start + self._shift
        if self._last is None:
            return time
        if time < self._last - _BACKWARDS / self.rate or time > self._end + _FORWARDS:
            self.health.stamps_jump = True
            self._shift += self._end - time
            return self._end
        return max(time, self._last)


def decode(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, health: Health, decoder: str = ""
) -> Iterator[av.VideoFrame]:
    """The frames of one stream that can be decoded. decoder: another one than FFmpeg would choose."""
    other = cast(av.VideoCodecContext, av.CodecContext.create(decoder, "r")) if decoder else None
    for packet in _packets(container, stream, health):
        try:
            frames = packet.decode() if other is None else other.decode(packet if packet.size else None)
        except (av.error.FFmpegError, ValueError, EOFError):
            health.bad += packet.size > 0
            continue
        for frame in frames:
            if isinstance(frame, av.VideoFrame):
                health.frames += 1
                yield frame


def _packets(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, health: Health
) -> Iterator[av.Packet[av.video.stream.VideoStream]]:
    """All packets and at last an empty one, which flushes the decoder. A reader that fails is asked again."""
    failures = 0
    while failures < _PATIENCE:
        try:
            for packet in container.demux(stream):
                failures = 0
                health.packets += packet.size > 0
                yield packet
            return
        except READ_ERRORS:
            failures += 1
            health.read_failures += 1


def deinterlace(frames: Frames) -> Iterator[Timed[av.VideoFrame]]:
    """Whole pictures from interlaced ones; frames that are not flagged as interlaced pass unchanged."""
    waiting: deque[Timed[av.VideoFrame]] = deque()
    filters: Filters | None = None
    kind = None
    for timed in frames:
        frame = timed.frame
        if filters is None or kind != (frame.width, frame.height, frame.format.name):
            yield from _drain(filters, waiting)
            kind = (frame.width, frame.height, frame.format.name)
            frame.time_base = Fraction(1, 1000)
            filters = Filters(frame, [("bwdif", "mode=send_frame:parity=auto:deint=interlaced")])
            number = 0
        frame.pts, frame.time_base = 40 * number, Fraction(1, 1000)  # its own; the order is all it has to know
        number += 1
        waiting.append(timed)
        filters.push(frame)
        yield from _ready(filters, waiting)
    yield from _drain(filters, waiting)


def _ready(filters: Filters, waiting: deque[Timed[av.VideoFrame]]) -> Iterator[Timed[av.VideoFrame]]:
    while waiting and (done := filters.pull()) is not None:
        timed = waiting.popleft()
        yield Timed(timed.time, timed.duration, done)


def _drain(filters: Filters | None, waiting: deque[Timed[av.VideoFrame]]) -> Iterator[Timed[av.VideoFrame]]:
    if filters is not None:
        filters.push(None)
        yield from _ready(filters, waiting)
        waiting.clear()
