"""One clip into one container: conversion to YUV, H.264, sound beside it. Everything here runs on one thread."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.error
import numpy as np
from av.video.reformatter import ColorRange

from ..types import Pixels
from .convert import Filters, view_of
from .encoders import Encoding, choose_encoder
from .provenance import Provenance, container_tags
from .soundtrack import AudioSource, Soundtrack, add_soundtrack

_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
# Tags of a moving picture are lost in an MP4 without use_metadata_tags; faststart lets a player begin at once.
_MUXER_OPTIONS = {"movflags": "+faststart+use_metadata_tags"}
_TO_YUV = [("scale", "flags=bilinear:in_range=full:out_range=limited:out_color_matrix=bt709"), ("format", "yuv420p")]
_BT709 = 1  # the number of BT.709 for primaries, transfer and matrix alike (ITU-T H.273)


@dataclass(frozen=True)
class Clip:
    """What is to be written. width, height: pixels of the frames. frame_count: where it is known beforehand."""

    width: int
    height: int
    fps: Fraction
    frame_count: int | None = None

    @property
    def seconds(self) -> Fraction | None:
        return None if self.frame_count is None else self.frame_count / self.fps


class ClipEncoder:
    """Opened on a path that may be thrown away. `count`: frames so far. `notes`: what the user should know."""

    def __init__(
        self,
        path: Path,
        extension: str,
        clip: Clip,
        audio: AudioSource | None,
        provenance: Provenance | None,
        encoding: Encoding,
    ) -> None:
        chosen = choose_encoder(encoding, extension, clip.width * clip.height, clip.fps)
        self.notes: tuple[str, ...] = (chosen.note,) if chosen.note else ()
        self.count = 0
        self._clip = clip
        # Each frame is copied here: FFmpeg may read some bytes past its end, and one place for all is little memory.
        self._rgb = av.VideoFrame(clip.width + clip.width % 2, clip.height + clip.height % 2, "rgb24")
        self._rgb.time_base = 1 / clip.fps
        self._picture = view_of(self._rgb, np.uint8)
        self._to_yuv = Filters(self._rgb, _TO_YUV)
        self._sound: Soundtrack | None = None
        self._open = True
        options = _MUXER_OPTIONS if extension in (".mp4", ".mov") else {}
        self._out = av.open(str(path), "w", format=_FORMATS[extension], options=dict(options))
        try:
            self._out.metadata.update(container_tags(provenance) if provenance else {})
            stream = self._out.add_stream(chosen.codec, rate=clip.fps, options=dict(chosen.options))
            if not isinstance(stream, av.VideoStream):
                raise ValueError(f"{chosen.codec} is no video encoder")
            self._stream = stream
            self._describe(chosen.bit_rate)
            if audio is not None:
                self._sound = add_soundtrack(self._out, extension, audio, clip.seconds, clip.fps)
        except BaseException:
            self.close()
            raise

    @property
    def audio_copied(self) -> bool:
        """True when the sound is the source's own packets."""
        return self._sound is not None and self._sound.copied

    def _describe(self, bit_rate: int | None) -> None:
        context = self._stream.codec_context
        context.width, context.height = self._rgb.width, self._rgb.height
        context.pix_fmt = "yuv420p"
        context.time_base = 1 / self._clip.fps
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = ColorRange.MPEG
        context.thread_type = "FRAME"  # unless the encoder has chosen slices itself, as for large frames
        if bit_rate is not None:
            context.bit_rate = bit_rate

    def take(self, pixels: Pixels) -> None:
        """Copy the next frame, (H, W, 3) uint8 RGB; an odd size is made even by repeating its last row and column."""
        if pixels.shape != (self._clip.height, self._clip.width, 3):
            raise ValueError(f"frame is {pixels.shape}, the clip is {self._clip.width}x{self._clip.height}")
        height, width = pixels.shape[:2]
        self._picture[:height, :width] = pixels
        self._picture[height:, :width] = pixels[-1:]
        self._picture[:, width:] = self._picture[:, width - 1 : width]

    def encode(self) -> None:
        """Encode the frame that was taken, and its sound along, so that memory stays flat."""
        self._to_yuv.push(self._rgb)
        frame = self._to_yuv.pull()
        if frame is None:
            raise ValueError("the frame did not become YUV")
        frame.pts, frame.time_base = self.count, 1 / self._clip.fps
        self._out.mux(self._stream.encode(frame))
        self.count += 1
        if self._sound is not None:
            self._sound.advance(self.count / self._clip.fps)

    def finish(self) -> None:
        """Write what the encoders still hold and close the file."""
        self._out.mux(self._stream.encode(None))
        if self._sound is not None:
            self._sound.finish(self.count / self._clip.fps)
            self._sound.close()
        self._open = False
        self._out.close()

    def close(self) -> None:
        """Let go of everything without caring for the result; safe after `finish`."""
        if self._sound is not None:
            self._sound.close()
        if self._open:
            self._open = False
            try:
                self._out.close()
            except (OSError, av.error.FFmpegError, ValueError):
                return  # the disk that was full is still full
