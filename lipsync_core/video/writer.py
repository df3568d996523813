"""Frames in, a finished video out: encoded on a thread, marked as made with AI, whole or not at all."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import av.error

from ..media import atomic_output, output_error
from ..types import FrameBatch, Pixels
from .c2pa import sign
from .check import check_written
from .encode import Clip, ClipEncoder
from .encoders import Encoding
from .provenance import Provenance, add_xmp
from .soundtrack import AudioSource

__all__ = ["AudioSource", "Clip", "Encoding", "Provenance", "VideoWriter", "open_writer"]

_QUEUED = 1  # batch that waits for the encoder


class VideoWriter:
    """Takes frames while a thread encodes them. Made by `open_writer`."""

    def __init__(self, encoder: ClipEncoder, final: Path) -> None:
        self._encoder = encoder
        self._final = final
        self._batches: queue.Queue[Pixels | None] = queue.Queue(_QUEUED)
        self._notes: list[str] = []
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="lipsync-encode", daemon=True)
        self._thread.start()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know; complete when the file is there."""
        return (*self._encoder.notes, *self._notes)

    def note(self, text: str) -> None:
        """Add to the notes."""
        if text:
            self._notes.append(text)

    @property
    def audio_copied(self) -> bool:
        """True when the sound is the source's own packets."""
        return self._encoder.audio_copied

    def write(self, batch: FrameBatch) -> None:
        """Append frames; they must not be changed afterwards. Raises what went wrong with earlier ones."""
        self._put(batch.pixels)

    def _put(self, item: Pixels | None) -> None:
        while True:
            if self._error is not None:
                raise self._error
            with suppress(queue.Full):  # asked again, because the thread may have died while it was full
                self._batches.put(item, timeout=0.1)
                return

    def _run(self) -> None:
        try:
            while (pixels := self._batches.get()) is not None:
                frames = deque(pixels)
                del pixels  # it is let go of as soon as its last frame is taken
                while frames:
                    self._encoder.take(frames.popleft())
                    self._encoder.encode()
                    if self._stop.is_set():
                        return
            if not self._stop.is_set():
                self._encoder.finish()
        except (OSError, av.error.FFmpegError) as error:
            self._error = output_error(error, self._final)
        except BaseException as error:
            self._error = error  # raised again where frames are written

    def finish(self) -> int:
        """Encode what waits and close the file. Returns how many frames it has."""
        self._put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._encoder.count

    def abort(self) -> None:
        """End within one frame and close what is open; does nothing after `finish`."""
        self._stop.set()
        while self._thread.is_alive():
            with suppress(queue.Empty):
                self._batches.get_nowait()
            with suppress(queue.Full):
                self._batches.put_nowait(None)
            self._thread.join(0.02)
        self._encoder.close()


@contextmanager
def open_writer(
    path: str | os.PathLike[str],
    clip: Clip,
    audio: AudioSource | None = None,
    provenance: Provenance | None = None,
    encoding: Encoding | None = None,
    overwrite: bool = True,
) -> Iterator[VideoWriter]:
    """Write a video; the file appears at `path` when the block ends well, and in no other case.

    The ending of `path` chooses the container. Odd sizes are made even by repeating the last row and column.
    audio: the sound of the result, as long as the picture; None for none. provenance: None writes no marks.
    Raises `OutputError`, and `InputError` for sound that cannot be read.
    """
    final = Path(os.path.abspath(path))  # noqa: PTH100 - FFmpeg must never take a name for a protocol
    with atomic_output(final, overwrite=overwrite) as temporary:
        try:
            encoder = ClipEncoder(temporary, final.suffix.lower(), clip, audio, provenance, encoding or Encoding())
        except (OSError, av.error.FFmpegError) as error:
            raise output_error(error, final) from error
        writer = VideoWriter(encoder, final)
        try:
            yield writer
            count = writer.finish()
        finally:
            writer.abort()
        try:
            check_written(temporary, final, count, clip.fps)
            writer.note(_mark(temporary, final.suffix.lower(), provenance))
        except (OSError, av.error.FFmpegError) as error:
            raise output_error(error, final) from error


def _mark(temporary: Path, extension: str, provenance: Provenance | None) -> str:
    """Marks that are added to a finished file; returns what went wrong, which is no reason to lose the result."""
    if provenance is None or extension not in (".mp4", ".mov"):
        return ""
    add_xmp(temporary, provenance)
    return sign(temporary, extension, provenance)
