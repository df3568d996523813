"""What a video is before it is decoded as a whole: which stream, which rate, which size, which repairs it will need."""

from __future__ import annotations

import itertools
import math
import os
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import av.codec
import av.container
import av.video.stream

from ..diagnosis import ENCRYPTED, cause_of_failure, codec_tag, is_encrypted, mp4_index
from ..errors import InputError
from ..media import MAX_PIXELS, open_media, regular_file, shown_name
from ..types import VideoInfo
from .convert import HDR_TRANSFERS, Chain, has_alpha, is_transparent, turn_of, upright_size
from .decode import READ_ERRORS, Health, decode
from .image import MIN_SIDE, is_picture, read_image_with_notes
from .timeline import FASTEST, first_slot, snap_rate, tolerance, usable_rate

WANTED = "video or picture"
_COVER = 1024  # AV_DISPOSITION_ATTACHED_PIC
_DEFAULT = 1  # AV_DISPOSITION_DEFAULT
_USUAL_RATE = Fraction(25)
_PLAUSIBLE = (Fraction(1, 60), Fraction(10_000))  # frames a second; anything else is a damaged header
_LONGEST = Fraction(48 * 3600)  # s; a header that claims more is damaged, and the packets are counted
_LOOK = 60  # packets that are looked at where a file does not know its rate

Container = av.container.InputContainer
VideoStream = av.video.stream.VideoStream


@dataclass(frozen=True)
class Clip:
    """A video and how it has to be read.

    stream: index in the file. rate: what the file says of itself. fps: of the time line that it is read on.
    seconds: by the header. loose: `seconds` is that of the whole file, and other streams may be longer.
    tick: seconds of one unit of its time stamps. size: (width, height) upright, with square pixels.
    turn: the filters that bring it upright. transfer: "PQ" or "HLG" for HDR. decoder: "" for the usual one.
    """

    path: Path
    wide: bool
    stream: int
    rate: Fraction
    fps: Fraction
    seconds: Fraction
    loose: bool
    tick: Fraction
    size: tuple[int, int]
    turn: Chain
    transfer: str
    interlaced: bool
    decoder: str
    has_audio: bool
    notes: tuple[str, ...]

    @property
    def frame_count(self) -> int:
        """Frames of the time line, by the header; what decodes can be less."""
        return max(1, first_slot(self.seconds, self.fps, tolerance(self.tick, self.fps)))

    @property
    def info(self) -> VideoInfo:
        width, height = self.size
        return VideoInfo(width, height, self.fps, self.frame_count, False, self.has_audio, self.notes)


def probe(path: str | os.PathLike[str], fps: Fraction | None = None, *, wide: bool = True) -> VideoInfo:
    """What a picture or video is, by its content; its first frame has been decoded. Raises `InputError`.

    fps: the rate to read it at; None for its own.
    """
    if is_picture(path):
        pixels, notes = read_image_with_notes(path, wide=wide)
        return VideoInfo(pixels.shape[1], pixels.shape[0], None, 1, True, False, notes)
    return inspect_clip(path, fps, wide=wide).info


def inspect_clip(path: str | os.PathLike[str], fps: Fraction | None = None, *, wide: bool = True) -> Clip:
    """Open a video, decode its first frame, and decide how it is to be read. Raises `InputError`."""
    name, real = shown_name(path), regular_file(path)
    notes: list[str] = []
    with open_media(path, wide=wide, wanted=WANTED) as container:
        if "mp4" in container.format.name and codec_tag(real) == "encv":  # now and then scrambled bytes do decode
            raise InputError(f"{name}: {ENCRYPTED}")
        stream = _choose_stream(container, name, real)
        decoder = _alpha_decoder(stream, name, notes)
        frame = _first_frame(container, stream, decoder, (name, real))
        rate = _rate(path, stream, name, notes, wide)
        target = fps if fps is not None else _target(rate, name, notes)
        seconds, loose = _seconds(container, stream, rate)
        if seconds is None or seconds > _LONGEST:
            seconds, loose = _count(path, stream.index, wide) / rate, False
        turn = turn_of(frame)
        transfer = HDR_TRANSFERS.get(int(stream.codec_context.color_trc or 0), "")
        _describe(frame, transfer, name, notes)
        return Clip(
            path=Path(path),
            wide=wide,
            stream=stream.index,
            rate=rate,
            fps=target,
            seconds=seconds,
            loose=loose,
            tick=Fraction(stream.time_base or 1 / rate),
            size=upright_size(_square(frame, stream), turn),
            turn=turn,
            transfer=transfer,
            interlaced=bool(frame.interlaced_frame),
            decoder=decoder,
            has_audio=len(container.streams.audio) > 0,
            notes=tuple(notes),
        )


def _choose_stream(container: Container, name: str, real: Path) -> VideoStream:
    """The stream that is marked as default, else the largest. Cover pictures of sound files are none."""
    videos = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not videos:
        raise InputError(f"{name}: {_why_no_video(container)}")
    known = [stream for stream in videos if stream.codec_context is not None and stream.codec_context.name]
    if not known:
        tag = codec_tag(real)
        what = f"codec '{tag}'" if tag else "codec"
        raise InputError(f"{name}: its {what} is not supported. Convert it to H.264.")
    return max(known, key=lambda stream: (_disposition(stream) & _DEFAULT, stream.width * stream.height))


def _disposition(stream: VideoStream) -> int:
    return int(getattr(stream, "disposition", 0))  # PyAV 14.0 does not have it


def _is_cover(stream: VideoStream) -> bool:
    if _disposition(stream) & _COVER:
        return True
    context = stream.codec_context
    return not stream.average_rate and context is not None and context.name in ("png", "mjpeg", "bmp", "gif")


def _why_no_video(container: Container) -> str:
    if container.streams.video:
        return "the file is sound with a cover picture, not a video. Give a video or a picture."
    if container.streams.audio:
        return "the file has sound but no picture. Give a video or a picture."
    return "the file has no video frames. Export it again."


def _alpha_decoder(stream: VideoStream, name: str, notes: list[str]) -> str:
    """FFmpeg's own VP8 and VP9 decoders leave the transparency out; libvpx's keep it."""
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    codec = stream.codec_context.name
    if tags.get("alpha_mode") != "1" or codec not in ("vp8", "vp9"):
        return ""
    decoder = f"libvpx-{codec}" if codec == "vp9" else "libvpx"
    if decoder in av.codec.codecs_available:
        return decoder
    notes.append(f"{name}: is partly transparent, which this machine cannot read; it is shown opaque.")
    return ""


def _first_frame(container: Container, stream: VideoStream, decoder: str, file: tuple[str, Path]) -> av.VideoFrame:
    name, real = file
    _check_size(stream.width, stream.height, name)
    stream.codec_context.thread_count = 1  # one frame is wanted, not sixteen
    health = Health()
    for frame in decode(container, stream, health, decoder):
        _check_size(frame.width, frame.height, name)
        return frame
    raise InputError(f"{name}: {_why_no_frame(real, health)}")


def _why_no_frame(real: Path, health: Health) -> str:
    with real.open("rb") as file:
        index = mp4_index(file) if file.read(8)[4:] in (b"ftyp", b"moov") else None
    if index is not None and is_encrypted(index):
        return cause_of_failure(real, WANTED)
    if health.packets == 0:
        return "the file has no video frames. Export it again."
    return "no frame could be decoded, the file is damaged. Copy or export it again."


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise InputError(f"{name}: {width}x{height} is larger than 4096x4096. Scale it down.")
    if width and height and min(width, height) < MIN_SIDE:
        raise InputError(
            f"{name}: {width}x{height} is too small, a face needs at least {MIN_SIDE} pixels. Use a larger video."
        )


def _rate(path: str | os.PathLike[str], stream: VideoStream, name: str, notes: list[str], wide: bool) -> Fraction:
    """Frames a second, by the header, by the time stamps, or the usual 25."""
    # From PyAV 19 on rates are its own rationals, and never None.
    average, base = (Fraction(rate) if rate else None for rate in (stream.average_rate, stream.base_rate))
    if average and _PLAUSIBLE[0] <= average <= _PLAUSIBLE[1]:
        if base and abs(base - average) <= average / 50:
            average = base  # the average of a few frames is the less exact of the two
        return snap_rate(Fraction(average))
    if measured := _measured_rate(path, stream.index, wide):
        return snap_rate(measured)
    notes.append(f"{name}: has no frame rate; 25 frames a second are assumed.")
    return _USUAL_RATE


def _measured_rate(path: str | os.PathLike[str], index: int, wide: bool) -> Fraction | None:
    stamps: list[Fraction] = []
    with open_media(path, wide=wide, wanted=WANTED) as container:
        try:
            for packet in container.demux(container.streams[index]):
                if packet.pts is not None and packet.time_base:
                    stamps.append(packet.pts * Fraction(packet.time_base))
                if len(stamps) == _LOOK:
                    break
        except READ_ERRORS:
            pass  # what was seen has to do
    stamps.sort()
    steps = [after - before for before, after in itertools.pairwise(stamps) if after > before]
    rate = 1 / median(steps) if steps else Fraction(0)
    return rate if _PLAUSIBLE[0] <= rate <= _PLAUSIBLE[1] else None


def _target(rate: Fraction, name: str, notes: list[str]) -> Fraction:
    target = usable_rate(rate)
    if target != rate:
        reason = "more than anyone can see" if rate > FASTEST else "too few for lips to move"
        notes.append(
            f"{name}: runs at {_number(rate)} fps, {reason}; it is read at {_number(target)} fps. "
            "--fps chooses another rate."
        )
    return target


def _number(rate: Fraction) -> str:
    return f"{float(rate):.3f}".rstrip("0").rstrip(".")


def _seconds(container: Container, stream: VideoStream, rate: Fraction) -> tuple[Fraction | None, bool]:
    """Length by the header, and whether it is that of the whole file. None where no header knows."""
    tick = Fraction(stream.time_base or 0)
    start = (stream.start_time or 0) * tick
    counted = stream.frames / rate if stream.frames else Fraction(0)
    if stream.duration and stream.duration > 0:
        return max(stream.duration * tick, counted if counted < 2 * stream.duration * tick else Fraction(0)), False
    tags = {key.upper(): value for key, value in stream.metadata.items()}
    if match := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", tags.get("DURATION", "")):
        end = int(match[1]) * 3600 + int(match[2]) * 60 + Fraction(match[3])  # Matroska: where it ends, not how long
        return (end - start, False) if end > start else (None, False)
    if counted:
        return counted, False
    if container.duration and container.duration > 0:
        length = Fraction(container.duration, av.time_base) - max(start, Fraction(0))
        return (length, True) if length > 0 else (None, False)
    return None, False


def _count(path: str | os.PathLike[str], index: int, wide: bool) -> int:
    """Packets of a stream whose length no header knows: the file is read once, nothing is decoded."""
    count = 0
    with open_media(path, wide=wide, wanted=WANTED) as container:
        try:
            for packet in container.demux(container.streams[index]):
                count += packet.size > 0
        except READ_ERRORS:
            pass  # the file ends here
    return max(1, count)


def _square(frame: av.VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """(width, height) with square pixels: the side that is too short grows, so that nothing is lost."""
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    width, height = frame.width, frame.height
    if not Fraction(1, 8) <= aspect <= 8:
        return width, height
    if aspect > 1:
        width = round(width * aspect)
    elif 0 < aspect < 1:
        height = round(height / aspect)
    shrink = math.sqrt(max(1.0, width * height / MAX_PIXELS))
    return int(width / shrink), int(height / shrink)


def _describe(frame: av.VideoFrame, transfer: str, name: str, notes: list[str]) -> None:
    if transfer:
        notes.append(f"{name}: is HDR ({transfer}) and is mapped to the colours of an ordinary screen.")
    if frame.interlaced_frame:
        notes.append(f"{name}: is interlaced and is deinterlaced.")
    if has_alpha(frame) and is_transparent(frame):
        notes.append(f"{name}: has transparency and is put on black.")
