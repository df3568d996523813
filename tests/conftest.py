"""Media that the tests make for themselves, so that none is stored."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

Pixels = np.ndarray
SIZE = (64, 48)  # width, height; nothing here needs more


def numbered_card(number: int, size: tuple[int, int] = SIZE) -> Pixels:
    """A picture that carries its number, as 16 black or white fields in two rows, through any encoder."""
    width, height = size
    bits = [(number >> bit) & 1 for bit in range(16)]
    fields = np.array(bits, np.uint8).reshape(2, 8) * 200 + 30
    rows, columns = np.arange(height) * 2 // height, np.arange(width) * 8 // width
    return np.repeat(fields[rows][:, columns, None], 3, axis=2)


def number_on(pixels: Pixels) -> int:
    """The number of a card, whatever its size."""
    height, width = pixels.shape[:2]
    rows = [height // 4, height * 3 // 4]
    columns = [(2 * column + 1) * width // 16 for column in range(8)]
    bits = (pixels[rows][:, columns].mean(axis=2) > 130).reshape(-1)
    return int(sum(int(bit) << place for place, bit in enumerate(bits)))


def write_video(
    path: Path,
    frames: int = 25,
    *,
    size: tuple[int, int] = SIZE,
    rate: Fraction | int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times_ms: list[int] | None = None,
    picture: Callable[[int], Any] | None = None,
    container: str | None = None,
    container_options: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    sound: Pixels | None = None,
    setup: Callable[[Any], None] | None = None,
) -> Path:
    """Encode a video. picture: index -> RGB array or av.VideoFrame; numbered cards when None.

    times_ms: when each frame is shown, for a variable rate. sound: mono float32 at 16 kHz. setup: gets the stream.
    """
    with av.open(str(path), "w", format=container, options=container_options or {}) as out:
        stream = out.add_stream(codec, rate=Fraction(rate), options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if setup is not None:
            setup(stream)
        track = out.add_stream("aac", rate=16000, layout="mono") if sound is not None else None
        for index in range(frames):
            image = numbered_card(index, size) if picture is None else picture(index)
            frame = image if isinstance(image, av.VideoFrame) else av.VideoFrame.from_ndarray(image, "rgb24")
            frame = frame.reformat(format=pix_fmt)
            frame.pts = index if times_ms is None else times_ms[index]
            frame.time_base = 1 / Fraction(rate) if times_ms is None else Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if track is not None and sound is not None:
            _write_sound(out, track, sound)
    return path


def _write_sound(out: Any, track: Any, sound: Pixels) -> None:
    for start in range(0, len(sound), 1024):
        frame = av.AudioFrame.from_ndarray(sound[None, start : start + 1024].astype(np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
        out.mux(track.encode(frame))
    out.mux(track.encode())


def tone(seconds: float, hertz: float = 220.0) -> Pixels:
    """A sine of half scale, float32, 16 kHz."""
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * 16000)) / 16000)).astype(np.float32)


@pytest.fixture(name="write_video")
def write_video_fixture(tmp_path: Path) -> Callable[..., Path]:
    """`write_video`, with a name in this test's own folder instead of a path."""
    return lambda name, *rest, **options: write_video(tmp_path / name, *rest, **options)


@pytest.fixture(name="number_on")
def number_on_fixture() -> Callable[[Pixels], int]:
    return number_on


@pytest.fixture(name="tone")
def tone_fixture() -> Callable[..., Pixels]:
    return tone


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The nodes over the stand-in for ComfyUI."""
    from comfy_standin import standin

    with standin(tmp_path_factory.mktemp("comfy")) as found:
        yield found
