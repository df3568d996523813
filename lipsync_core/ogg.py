"""Chained Ogg: streams one after the other in one file, as internet radio records them, each with its own rate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import av
import av.container

from .media import LENIENT

_HEADER = 27  # bytes of a page before its table of segments
_FIRST = 2  # flag of the page that starts a stream

Link = tuple[int, int]  # first byte, byte after the last


def links_of(path: Path) -> list[Link]:
    """The links of an Ogg file in their order; [] for what is no Ogg file."""
    starts: list[int] = []
    with path.open("rb") as file:
        starting = False  # several streams may start side by side: that is one link
        place = 0
        while page := _page(file, place):
            size, first = page
            if first and not starting:
                starts.append(place)
            starting, place = first, place + size
    return list(zip(starts, [*starts[1:], path.stat().st_size], strict=False))


def _page(file: BinaryIO, place: int) -> tuple[int, bool] | None:
    """(size, is the first page of its stream) of the page at `place`; None where there is none."""
    file.seek(place)
    header = file.read(_HEADER)
    if len(header) < _HEADER or header[:4] != b"OggS":
        return None
    table = file.read(header[26])
    return _HEADER + len(table) + sum(table), bool(header[5] & _FIRST)


@contextmanager
def open_link(path: Path, link: Link) -> Iterator[av.container.InputContainer]:
    """Open one link as an Ogg file of its own.

    Safe without a list of allowed formats: the format is given, the object has no name, and Ogg points nowhere.
    """
    part = _Part(path, link)
    try:
        with av.open(part, "r", format="ogg", **LENIENT) as container:
            yield container
    finally:
        part.close()


class _Part:
    """The bytes of a file from `start` up to `end`, as PyAV wants to read them."""

    def __init__(self, path: Path, link: Link) -> None:
        self._file = path.open("rb")
        self._start, self._end = link
        self._file.seek(self._start)

    def read(self, size: int) -> bytes:
        return self._file.read(max(0, min(size, self._end - self._file.tell())))

    def tell(self) -> int:
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._file.tell(), os.SEEK_END: self._end}[whence]
        return self._file.seek(max(self._start, base + offset)) - self._start

    def close(self) -> None:
        self._file.close()
