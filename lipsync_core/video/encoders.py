"""Which encoder makes the picture here, and with which settings."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import av.error
from av.codec.codec import UnknownCodecError

from ..errors import OutputError
from .threads import MOST_THREADS, usable_cores

# Tried in this order when libx264 is not in this build of PyAV: software first, then what needs its hardware.
_H264 = ("libx264", "libopenh264", "h264_videotoolbox", "h264_nvenc", "h264_mf", "h264_qsv", "h264_amf")
_VP9 = ("libvpx-vp9",)
_SLICES = 4  # of a large frame, encoded side by side: frames side by side hold 20 MB of 1080p each
_LARGE = 1_500_000  # pixels
_LOOKAHEAD_BYTES = 20 << 20  # of frames that x264 may look ahead
_BYTES_PER_PIXEL = 2.7  # of a frame that waits there, with its smaller copy
# preset of x264 -> frames it would look ahead, B-frames in a row
_PRESETS = {
    "ultrafast": (0, 0), "superfast": (0, 3), "veryfast": (10, 3), "faster": (20, 3), "fast": (30, 3),
    "medium": (40, 3), "slow": (50, 3), "slower": (60, 3), "veryslow": (60, 8),
}  # fmt: skip
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


def choose_encoder(encoding: Encoding, extension: str, pixels: int, fps: Fraction) -> Encoder:
    """The first encoder that opens here. extension: of the file, with its dot. pixels: of a frame.

    Raises `OutputError`.
    """
    webm = extension == ".webm"
    wanted = (encoding.codec,) if encoding.codec else _VP9 if webm else _H264
    for codec in wanted:
        if _opens(codec):
            return _configured(codec, encoding, pixels, fps, wanted[0])
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


def _configured(codec: str, encoding: Encoding, pixels: int, fps: Fraction, first_choice: str) -> Encoder:
    if codec == "libx264":
        thrifty = _thrifty(encoding.preset, pixels)
        return Encoder(codec, {"crf": str(encoding.crf), "preset": encoding.preset, "x264-params": thrifty})
    if codec == "libvpx-vp9":
        speed = _VP9_SPEED.get(encoding.preset, 1)
        quality = min(63, encoding.crf * 63 // 51)
        options = {"crf": str(quality), "b": "0", "deadline": "good" if speed < 6 else "realtime", "row-mt": "1"}
        return Encoder(codec, {**options, "cpu-used": str(speed)})
    # A tenth of a bit for each pixel looks like crf 23; six steps of crf halve or double the size.
    bit_rate = int(0.1 * 2 ** ((23 - encoding.crf) / 6) * pixels * fps)
    note = f"The video was encoded with {codec}, because {first_choice} is not available here."
    return Encoder(codec, {}, max(100_000, bit_rate), note if codec != first_choice else "")


def _thrifty(preset: str, pixels: int) -> str:
    """What saves x264 memory: of 1080p it holds 80 MB instead of 215, at preset medium 95 instead of 415.

    Files are 3 to 11 % smaller, at 0.4 to 0.9 dB less of 50 dB and more (bench/RESULTS.md). The queue before its
    lookahead changes nothing.
    """
    wanted = {"sync-lookahead": 0}
    lookahead, b_frames = _PRESETS[preset]
    affordable = max(2, int(_LOOKAHEAD_BYTES / (pixels * _BYTES_PER_PIXEL)))
    if affordable < lookahead:
        wanted["rc-lookahead"] = affordable
    large = pixels > _LARGE
    if large:
        wanted |= {"sliced-threads": 1, "bframes": min(1, b_frames)}
    most = _SLICES if large else MOST_THREADS
    if usable_cores() * 3 // 2 > most:  # what x264 takes by itself
        wanted["threads"] = most
    return ":".join(f"{name}={value}" for name, value in wanted.items())
