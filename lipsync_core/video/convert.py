"""Decoded frame -> RGB array: upright, square pixels, the right matrix and range, at the size that is asked for."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import SupportsBytes, TypeVar, cast

import av
import av.filter
import numpy as np
from av.sidedata.sidedata import Type as SideData
from numpy.typing import NDArray

from ..types import Pixels
from .colour import tone_map

Depth = TypeVar("Depth", np.uint8, np.uint16)
Chain = Sequence[tuple[str, str]]  # (filter, arguments)

# H.273 code -> the name that the scale filter knows. 2 (unspecified) is decided by the size of the picture.
_MATRICES = {1: "bt709", 4: "fcc", 5: "smpte170m", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
_LIMITED_RANGE, _FULL_RANGE = 1, 2
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}

# (x right -> , y down ->) of the display matrix, as signs -> the filters that do the same to the pixels.
_TURNS: dict[tuple[int, int, int, int], tuple[tuple[str, str], ...]] = {
    (1, 0, 0, 1): (),
    (-1, 0, 0, 1): (("hflip", ""),),
    (1, 0, 0, -1): (("vflip", ""),),
    (-1, 0, 0, -1): (("hflip", ""), ("vflip", "")),
    (0, 1, 1, 0): (("transpose", "cclock_flip"),),
    (0, 1, -1, 0): (("transpose", "clock"),),
    (0, -1, 1, 0): (("transpose", "cclock"),),
    (0, -1, -1, 0): (("transpose", "clock_flip"),),
}


def turn_of(frame: av.VideoFrame) -> tuple[tuple[str, str], ...]:
    """The filters that bring a frame upright, mirrored ones included, to the nearest quarter turn."""
    side_data = cast("dict[SideData, SupportsBytes]", frame.side_data)  # PyAV's own annotation says strings
    data = bytes(side_data.get(SideData.DISPLAYMATRIX, b""))
    if len(data) != 36:
        return ()
    a, b, _, c, d = struct.unpack("=5i", data[:20])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return _TURNS[(-1 if a < 0 else 1, 0, 0, -1 if d < 0 else 1)]
    return _TURNS[(0, -1 if b < 0 else 1, -1 if c < 0 else 1, 0)]


def upright_size(size: tuple[int, int], turn: Chain) -> tuple[int, int]:
    """(width, height) after the filters of `turn_of`."""
    sideways = any(name == "transpose" for name, _ in turn)
    return (size[1], size[0]) if sideways else size


def has_alpha(frame: av.VideoFrame) -> bool:
    """True when the pixel format has room for transparency, used or not."""
    return any(component.is_alpha for component in frame.format.components)


class ConversionError(Exception):
    """FFmpeg knows no way from this kind of frame to RGB."""


class Filters:
    """One chain of FFmpeg's filters, for frames of one kind."""

    def __init__(self, frame: av.VideoFrame, chain: Chain) -> None:
        self._graph = av.filter.Graph()
        self._source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        last = self._source
        for name, arguments in chain:
            step = self._graph.add(name, arguments)
            last.link_to(step)
            last = step
        self._sink = self._graph.add("buffersink")
        last.link_to(self._sink)
        self._graph.configure()

    def push(self, frame: av.VideoFrame | None) -> None:
        """None: no more will come."""
        self._source.push(frame)

    def pull(self) -> av.VideoFrame | None:
        """The next frame that is ready, None when there is none."""
        try:
            return cast(av.VideoFrame, self._sink.pull())
        except (BlockingIOError, EOFError):
            return None


@dataclass(frozen=True)
class _Kind:
    """All that the conversion of a frame depends on."""

    width: int
    height: int
    format: str
    colorspace: int
    color_range: int


def is_transparent(frame: av.VideoFrame) -> bool:
    """True when some pixel of a frame with alpha is not opaque."""
    filters = Filters(frame, [("format", "rgba")])
    filters.push(frame)
    converted = filters.pull()
    return converted is not None and bool(view_of(converted, np.uint8, 4)[..., 3].min() < 255)


class Converter:
    """Frames of one clip -> (H, W, 3) uint8 RGB of one size, whatever changes in the middle.

    size: (width, height) of the result. turn: from `turn_of`. transfer: "PQ", "HLG" or "".
    sizes: the sizes that have come in so far.
    The result is a view into the converted frame: read-only by convention, copy it to keep or change it.
    """

    def __init__(self, size: tuple[int, int], turn: Chain, transfer: str = "") -> None:
        self._size = size
        self._turn = turn
        self._transfer = transfer
        self.sizes: set[tuple[int, int]] = set()
        self._kind: _Kind | None = None
        self._filters: Filters | None = None

    def __call__(self, frame: av.VideoFrame) -> Pixels:
        kind = _Kind(frame.width, frame.height, frame.format.name, int(frame.colorspace), int(frame.color_range))
        if self._filters is None or kind != self._kind:
            self._filters, self._kind = Filters(frame, self._chain(frame, kind)), kind
            self.sizes.add((frame.width, frame.height))
        self._filters.push(frame)
        converted = self._filters.pull()
        if converted is None:
            raise ConversionError(f"no way from {kind.format} at {kind.width}x{kind.height}")
        if self._transfer:
            return tone_map(view_of(converted, np.uint16), self._transfer)
        if converted.format.name == "rgba":
            return _on_black(view_of(converted, np.uint8, 4))
        return view_of(converted, np.uint8)

    def _chain(self, frame: av.VideoFrame, kind: _Kind) -> list[tuple[str, str]]:
        scale = f"{self._size[0]}:{self._size[1]}:flags={self._flags(kind)}" + _matrix(frame, kind)
        chain = [*self._turn, ("scale", scale)]
        if self._transfer:
            return [*chain, ("format", "rgb48")]
        return [*chain, ("format", "rgba" if has_alpha(frame) else "rgb24")]

    def _flags(self, kind: _Kind) -> str:
        width, height = upright_size((kind.width, kind.height), self._turn)
        if (width, height) == self._size:
            return (
                "bilinear"  # no other has swscale's fast path; the chroma is then repeated, and survives encoding best
            )
        return "area" if self._size[0] * self._size[1] < width * height else "bicubic"


def _matrix(frame: av.VideoFrame, kind: _Kind) -> str:
    """What the scale filter has to be told about YUV; RGB and palettes it knows itself."""
    if frame.format.is_rgb or kind.format.startswith("pal"):
        return ""
    if kind.format.startswith(("gray", "ya8", "ya16", "mono")):
        return f":in_range={'limited' if kind.color_range == _LIMITED_RANGE else 'full'}:out_range=full"
    full = kind.color_range == _FULL_RANGE or kind.format.startswith("yuvj")
    untagged = "bt709" if kind.height >= 720 or kind.width >= 1280 else "smpte170m"
    matrix = _MATRICES.get(kind.colorspace, untagged)
    return f":in_color_matrix={matrix}:in_range={'full' if full else 'limited'}:out_range=full"


def _on_black(pixels: Pixels) -> Pixels:
    """(H, W, 4) RGBA -> what it looks like on black, which is what players show behind it."""
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    if alpha.min() == 255:
        return colour
    return ((colour.astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)


def view_of(frame: av.VideoFrame, dtype: type[Depth], channels: int = 3) -> NDArray[Depth]:
    """(H, W, channels) view of a packed frame, without the padding at the end of its lines."""
    plane = frame.planes[0]
    lines = np.frombuffer(memoryview(plane), dtype).reshape(frame.height, plane.line_size // np.dtype(dtype).itemsize)
    return lines[:, : frame.width * channels].reshape(frame.height, frame.width, channels)
