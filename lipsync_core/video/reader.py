"""A picture or video as RGB frames at a constant rate, decoded ahead on a thread, in constant memory."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction
from types import TracebackType

import av.container
import av.error
import av.video.stream
import numpy as np

from ..errors import InputError
from ..media import open_media, shown_name
from ..timing import FITS
from ..types import FrameBatch, Pixels, VideoInfo
from .ahead import read_ahead
from .clip import WANTED, Clip, inspect_clip
from .convert import ConversionError, Converter
from .decode import Clock, Frames, Health, decode, deinterlace
from .image import is_picture, read_image_with_notes
from .threads import MOST_THREADS, usable_cores
from .timeline import constant_rate, tolerance

AHEAD_BYTES = 48 << 20  # of finished frames of the next batch that may wait for the consumer
BACKWARDS_BYTES = 96 << 20  # of frames that are held to be played backwards
Rows = Generator[Pixels, None, None]  # one for each slot of a time line
Window = tuple[Fraction, Fraction]  # (start, length) in seconds
WHOLE: Window = (Fraction(0), Fraction(0))

_EARLY = 2  # frames that may be missing at the end before it is worth a word
_ENDLESS = 1 << 62  # slots
# s; a container that searches by decoding order can land on a key frame that is shown only after the target
_SEARCH_EARLIER = (Fraction(0), Fraction(1), Fraction(6))
_LOOSE = Fraction(1, 4)  # s; where only the length of the whole file is known, sound may be longer than the picture


class VideoReader:
    """Reads one picture or video. Use it with `with`.

    info: as `probe` gives it, full size. fps: of the time line, None for a picture.
    width, height: of the frames that are delivered; smaller than info's when `max_side` is. scale: their ratio.
    frame_count: frames that there really are, once they have been read to the end; before that, what the header says.
    start: time stamp (s) of the first frame in its file, once it has been read: where the sound of the same file
    is to be placed from. notes: sentences about what had to be repaired; complete after the last frame.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: Fraction | None = None,
        *,
        max_side: int | None = None,
        wide: bool = True,
        window: Window = WHOLE,
    ) -> None:
        """fps: the rate to read at, None for the source's own. max_side: pixels, larger frames are scaled down.

        wide: see `open_media`. window: (start, length) in seconds of the part that counts as the video; a length of 0
        reaches to the end. Raises `InputError`.
        """
        self.path = path
        self._picture: Pixels | None = None
        self._clip: Clip | None = None
        self._running: list[Rows] = []
        self._seekable = True
        self.start = Fraction(0)
        if is_picture(path):
            pixels, notes = read_image_with_notes(path, wide=wide)
            self.info = VideoInfo(pixels.shape[1], pixels.shape[0], None, 1, True, False, notes)
        else:
            self._clip = inspect_clip(path, fps, wide=wide)
            self.info = self._clip.info
        self.fps = self.info.fps
        self._slots = self._slots_of(window)
        self.frame_count = min(self.info.frame_count, self._slots.stop) - self._slots.start
        self.notes = self.info.notes
        self.scale = min(1.0, max_side / max(self.info.width, self.info.height)) if max_side else 1.0
        self.width = max(1, round(self.info.width * self.scale))
        self.height = max(1, round(self.info.height * self.scale))
        if self._clip is None:
            self._picture = _shrink(pixels, (self.width, self.height))

    def _slots_of(self, window: Window) -> range:
        """The slots of the file's time line that are read as slots 0, 1, ... of this reader's."""
        if window == WHOLE or self.fps is None:
            return range(_ENDLESS)
        first = math.ceil(window[0] * self.fps)
        last = first + max(1, round(window[1] * self.fps)) if window[1] else _ENDLESS
        if first >= self.info.frame_count:
            raise InputError(
                f"{shown_name(self.path)}: it is {self.info.seconds:.2f} s long, and is to be used from "
                f"{float(window[0]):.2f} s on. Choose an earlier start."
            )
        return range(first, last)

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop every thread that is decoding, and close its file."""
        for running in self._running:
            running.close()
        self._running.clear()

    def batches(self, size: int) -> Iterator[FrameBatch]:
        """The video once, from its first frame to its last. A picture is one frame.

        size: frames in a batch; the last one may be shorter. Each batch is the consumer's to keep and change.
        """
        return self._batched(self._once(), size)

    def frames(self, total: int, fit: str, size: int) -> Iterator[FrameBatch]:
        """The first `total` frames of the result: as `timing.source_index` has it, but in constant memory.

        fit "loop", "pingpong" and "hold" give exactly `total` frames, "cut" no more than the video has; a picture
        lasts as long as it has to. size: frames in a batch.
        """
        if fit not in FITS:
            raise ValueError(f"fit must be one of {FITS}, not {fit!r}")
        return self._batched(_first_of(self._fitted(fit), total), size)

    # -- from rows to batches

    def _batched(self, rows: Rows, size: int) -> Iterator[FrameBatch]:
        ahead = min(size, max(1, AHEAD_BYTES // (self.width * self.height * 3)))
        rows = read_ahead(rows, ahead - 1)  # one more is made before it waits
        self._running.append(rows)
        try:
            first = 0
            while count := len(pixels := self._stacked(rows, size)):
                yield FrameBatch(first, pixels)
                first += count
        finally:
            rows.close()
            if rows in self._running:
                self._running.remove(rows)

    def _stacked(self, rows: Iterator[Pixels], size: int) -> Pixels:
        pixels = np.empty((size, self.height, self.width, 3), np.uint8)
        count = 0
        for count, row in enumerate(itertools.islice(rows, size), 1):
            pixels[count - 1] = row
        return pixels[:count]

    def _once(self) -> Rows:
        if self._picture is not None:
            yield self._picture
        else:
            yield from self._forwards()

    def _fitted(self, fit: str) -> Rows:
        """Without end, except for `cut`."""
        if self._picture is not None:
            yield from itertools.repeat(self._picture)
        count, last = 0, None
        for last in self._forwards():
            yield last
            count += 1
        if last is None or fit == "cut":
            return
        if fit == "hold" or count == 1:
            yield from itertools.repeat(last)
        del last  # or it would be held as long as the loops run
        while True:
            if fit == "pingpong":
                yield from self._backwards(count)
            yield from self._forwards()

    def _backwards(self, count: int) -> Rows:
        """From the last frame but one to the second, in pieces that are decoded forwards and turned round."""
        piece = max(8, BACKWARDS_BYTES // (self.width * self.height * 3))
        for end in range(count - 1, 1, -piece):
            yield from reversed(self._span(max(1, end - piece), end))

    # -- from the file to rows

    def _forwards(self) -> Rows:
        """The video once, and what is learnt about it on the way."""
        clock, count = self._clock(), 0
        with self._opened() as container:
            for _, slots, row in self._rows(container, clock, self._slots):
                self.start = clock.start or Fraction(0)
                count += slots
                yield from itertools.repeat(row, slots)
        self._finish(self._known_clip(), clock.health, count)

    def _finish(self, clip: Clip, health: Health, count: int) -> None:
        name = shown_name(clip.path)
        if count == 0 or health.bad * 2 > health.packets:
            raise InputError(
                f"{name}: {health.bad} of {health.packets} parts could not be decoded, the file is damaged. "
                "Copy or export it again."
            )
        self.frame_count = count
        self._seekable = not (health.stamps_missing or health.stamps_jump or health.bad)
        expected = clip.seconds if self._slots == range(_ENDLESS) else count / clip.fps
        self.notes = tuple(dict.fromkeys([*self.notes, *_repairs(name, clip, health, count, expected)]))

    def _span(self, first: int, end: int) -> list[Pixels]:
        """Slots `first` to `end`, end exclusive, from a key frame before them where the file can be searched."""
        wanted = range(first + self._slots.start, end + self._slots.start)
        for before in _SEARCH_EARLIER if self._seekable else ():
            rows = self._sought(wanted, before)
            if len(rows) == len(wanted):
                return rows
        self._seekable = False
        with self._opened() as container:
            return _repeated(self._rows(container, self._clock(), wanted), wanted)

    def _sought(self, wanted: range, before: Fraction) -> list[Pixels]:
        """The slots of `wanted`; fewer where the search did not land `before` seconds before them."""
        clip = self._known_clip()
        target = self.start + wanted.start / clip.fps - before
        with self._opened() as container:
            try:
                container.seek(math.floor(target / clip.tick), stream=self._stream(container))
            except (OSError, ValueError, av.error.FFmpegError):
                return []
            return _repeated(self._rows(container, self._clock(self.start), wanted), wanted)

    def _opened(self) -> av.container.InputContainer:
        clip = self._known_clip()
        return open_media(clip.path, wide=clip.wide, wanted=WANTED)

    def _stream(self, container: av.container.InputContainer) -> av.video.stream.VideoStream:
        clip = self._known_clip()
        stream = container.streams[clip.stream] if clip.stream < len(container.streams) else None
        if not isinstance(stream, av.video.stream.VideoStream):
            raise InputError(f"{shown_name(clip.path)}: the file was changed while it was read. Run it again.")
        return stream

    def _clock(self, start: Fraction | None = None) -> Clock:
        clip = self._known_clip()
        return Clock(clip.tick, clip.rate, Health(), start)

    def _rows(
        self, container: av.container.InputContainer, clock: Clock, wanted: range
    ) -> Iterator[tuple[int, int, Pixels]]:
        """(slot, slots, row) of `wanted`. Frames outside are decoded and not converted."""
        clip, stream = self._known_clip(), self._stream(container)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = min(usable_cores(), MOST_THREADS)
        convert = Converter((self.width, self.height), clip.turn, clip.transfer)
        frames: Frames = map(clock.stamp, decode(container, stream, clock.health, clip.decoder))
        if clip.interlaced:
            frames = deinterlace(frames)
        try:
            for first, slots, frame in constant_rate(frames, clip.fps, tolerance(clip.tick, clip.fps)):
                if first >= wanted.stop:
                    return
                kept = range(max(first, wanted.start), min(first + slots, wanted.stop))
                if kept:
                    yield kept.start, len(kept), convert(frame)
                    clock.health.size_changes = len(convert.sizes) > 1
        except (av.error.FFmpegError, ConversionError) as error:
            raise InputError(
                f"{shown_name(clip.path)}: its frames cannot be converted to RGB ({error}). Convert it to H.264."
            ) from None

    def _known_clip(self) -> Clip:
        if self._clip is None:
            raise ValueError("a picture has no clip to decode")
        return self._clip


def _first_of(rows: Rows, total: int) -> Rows:
    """islice, but closing this closes the rows."""
    try:
        yield from itertools.islice(rows, total)
    finally:
        rows.close()


def _repeated(rows: Iterator[tuple[int, int, Pixels]], wanted: range) -> list[Pixels]:
    """One row for each slot; none at all when the first is missing."""
    whole: list[Pixels] = []
    for slot, slots, row in rows:
        if not whole and slot != wanted.start:
            return []
        whole += [row] * slots
    return whole


def _shrink(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    from PIL import Image

    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _repairs(name: str, clip: Clip, health: Health, count: int, seconds: Fraction) -> Iterable[str]:
    missing = seconds - count / clip.fps
    if missing * clip.fps >= _EARLY and missing > (_LOOSE if clip.loose else 0):
        yield f"{name}: ends early, at {float(count / clip.fps):.1f} s of {float(clip.seconds):.1f} s."
    if health.bad:
        yield f"{name}: {health.bad} of {health.packets} parts are damaged; the picture before each is held."
    if health.size_changes:
        yield f"{name}: changes its size on the way; {clip.size[0]}x{clip.size[1]}, the first, is kept."
    if health.stamps_missing:
        yield f"{name}: has no time stamps; {float(clip.rate):g} frames a second are assumed."
    if health.stamps_jump:
        yield f"{name}: its time stamps jump; the pieces are shown one after the other."
