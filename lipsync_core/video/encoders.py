"""Which encoder makes the picture here, and with which settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction

import av
import av.error
from av.codec.codec import UnknownCodecError

from ..errors import OutputError

# Tried in this order when libx264 is not in this build of PyAV: software first, then what needs its hardware.
_H264 = ("libx264", "libopenh264", "h264_videotoolbox", "h264_nvenc", "h264_mf", "h264_qsv", "h264_amf")
_VP9 = ("libvpx-vp9",)
_THREADS = 6  # of x264, each of which holds frames: 24, as it would take on 16 cores, hold 0.3 GB more of 1080p
_VP9_SPEED = {"ultrafast": 8, "superfast": 7, "veryfast": 6, "faster": 5, "fast": 4, "medium": 3, "slow": 2}


@dataclass(frozen=True)
class Encoding:
    """crf: 0 (best) to 51. preset: of x264, ultrafast to veryslow. codec: of PyAV's encoders; "" for what suits."""

    crf: int = 18
    preset: str = "veryfast"
    codec: str = ""


@dataclass(frozen=True)
class Encoder:
    """codec: its name. options: its own. bit_rate: bits a second where it knows no crf, else None. note: for users."""

    codec: str
    options: dict[str, str]
    bit_rate: int | None = None
    note: str = ""


def choose_encoder(encoding: Encoding, extension: str, pixels_per_second: Fraction) -> Encoder:
    """The first encoder that opens here. extension: of the file, with its dot. Raises `OutputError`."""
    webm = extension == ".webm"
    wanted = (encoding.codec,) if encoding.codec else _VP9 if webm else _H264
    for codec in wanted:
        if _opens(codec):
            return _configured(codec, encoding, pixels_per_second, wanted[0])
    raise OutputError(
        f"This installation of PyAV has no encoder for {extension} ({', '.join(wanted)}). "
        "Choose another ending, .mp4 or .webm, or install the package 'av' from the Python registry."
    )


def _opens(codec: str) -> bool:
    try:
        context = av.CodecContext.create(codec, "w")
    except UnknownCodecError:
        return False
    if codec in ("libx264", "libvpx-vp9"):
        return True
    context.width, context.height, context.pix_fmt = 256, 256, "yuv420p"  # type: ignore[attr-defined]
    context.time_base = Fraction(1, 25)
    try:
        context.open()
    except (av.error.FFmpegError, OSError):  # there is no such hardware
        return False
    return True


def _configured(codec: str, encoding: Encoding, pixels_per_second: Fraction, first_choice: str) -> Encoder:
    if codec == "libx264":
        return Encoder(codec, {"crf": str(encoding.crf), "preset": encoding.preset, "x264-params": _thrifty()})
    if codec == "libvpx-vp9":
        speed = _VP9_SPEED.get(encoding.preset, 1)
        quality = min(63, encoding.crf * 63 // 51)
        options = {"crf": str(quality), "b": "0", "deadline": "good" if speed < 6 else "realtime", "row-mt": "1"}
        return Encoder(codec, {**options, "cpu-used": str(speed)})
    # A tenth of a bit for each pixel looks like crf 23; six steps of crf halve or double the size.
    bit_rate = int(0.1 * 2 ** ((23 - encoding.crf) / 6) * pixels_per_second)
    note = f"The video was encoded with {codec}, because {first_choice} is not available here."
    return Encoder(codec, {}, max(100_000, bit_rate), note if codec != first_choice else "")


def _thrifty() -> str:
    """What saves x264 memory. It decides the same without a queue before its lookahead."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    few = cores * 3 // 2 <= _THREADS  # what x264 takes by itself
    return "sync-lookahead=0" if few else f"sync-lookahead=0:threads={_THREADS}"
