"""What plays under the lips: a picture or video after crop, turn and shrink, for both passes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..media import content_hash
from ..types import FrameBatch, Pixels
from .edit import Edit
from .reader import WHOLE, VideoReader, Window

STILL_FPS = Fraction(25)  # of a picture, when the user names no rate


@dataclass
class Source:
    """One picture or video. width, height: after the edit. still: every frame is the same picture.

    frame_count: 1 for a still; else what the header says, and what there really is once it was read to the end.
    notes: what was repaired, complete after a pass. window: see `VideoReader`.
    """

    path: Path
    edit: Edit
    fps: Fraction
    width: int
    height: int
    still: bool
    frame_count: int
    notes: list[str] = field(default_factory=list)
    window: Window = WHOLE

    def small_batches(self, most: int, max_side: int, size: int) -> Iterator[FrameBatch]:
        """The first `most` frames, shrunk to `max_side` where nothing is edited before; `scale` undoes it."""
        side = max_side if self.edit.changes_nothing else None
        with self._reader(side) as reader:
            count = 0
            for batch in reader.batches(size):
                kept = self.edit.apply(FrameBatch(batch.first, batch.pixels[: most - count]))
                count += len(kept)
                yield kept
                if count >= most or self.still:
                    break
            else:
                self.frame_count = count
            self._note(reader)

    def scale(self, max_side: int) -> float:
        """Factor from the pixels of `small_batches` to those of the full frame."""
        if not self.edit.changes_nothing:
            return 1.0
        return max(1.0, max(self.width, self.height) / max_side)

    def batches(self, total: int, fit: str, size: int) -> Iterator[FrameBatch]:
        """`total` frames of the result, edited, at full size; a still is one picture shown again and again."""
        if self.still:
            yield from _repeated(self._first(), total, size)
            return
        with self._reader(None) as reader:
            for batch in reader.frames(total, fit, size):
                yield self.edit.apply(batch)
            self._note(reader)

    def identity(self) -> str | None:
        """What tells its frames from any other's, for what is remembered of them; None: nothing does."""
        start, length = self.window
        return content_hash(self.path) if self.window == WHOLE else f"{content_hash(self.path)} {start} {length}"

    def _first(self) -> Pixels:
        with self._reader(None) as reader:
            batch = self.edit.apply(next(reader.batches(1)))
            self._note(reader)
        return batch.pixels

    def _reader(self, max_side: int | None) -> VideoReader:
        return VideoReader(self.path, self.fps, max_side=max_side, window=self.window)

    def _note(self, reader: VideoReader) -> None:
        self.notes.extend(text for text in reader.notes if text not in self.notes)


def _repeated(picture: Pixels, total: int, size: int) -> Iterator[FrameBatch]:
    for first in range(0, total, size):
        count = min(size, total - first)
        yield FrameBatch(first, np.broadcast_to(picture, (count, *picture.shape[1:])))


def open_source(path: Path, fps: Fraction | None, static: bool, edit: Edit, window: Window = WHOLE) -> Source:
    """Look at a picture or video. fps: the rate of the result, None for its own. static: only its first frame.

    window: (start, length) in seconds of the part that is used. Raises InputError for a file that cannot be used,
    UsageError for a crop that leaves nothing.
    """
    with VideoReader(path, fps, window=window) as reader:
        info, rate, notes, count = reader.info, reader.fps, list(reader.notes), reader.frame_count
    width, height = edit.size(info.width, info.height)
    still = info.is_image or static or count == 1
    fps = fps or rate or STILL_FPS
    return Source(path, edit, fps, width, height, still, 1 if still else count, notes, window)
