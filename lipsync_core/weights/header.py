"""The header of a safetensors file, read with a cap of our own and checked before any library sees the file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import WeightsError

HEADER_CAP = 16 << 20  # bytes; the library's own cap is 100 MB
_MAX_DIMENSIONS = 16
_MAX_EXTENT = 1 << 48
_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """shapes: name -> shape of every tensor. metadata: free text. end: bytes before the first tensor."""

    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str]
    end: int


def read_header(path: Path) -> Header:
    """Read and check; `WeightsError` for anything that the format's description forbids."""
    try:
        with path.open("rb") as file:
            raw = _raw_header(file, path.stat().st_size)
        return _parse(raw, path.stat().st_size - 8 - len(raw))
    except (ValueError, RecursionError) as error:
        # A RecursionError is JSON nested deeper than any header; its own text says nothing to a user.
        why = str(error) if type(error) is ValueError else "the header is not plain JSON"
        raise WeightsError(f"{path.name}: is not a sound safetensors file ({why}). Download it again.") from None


def raw_header(path: Path) -> bytes:
    """The JSON text of a header that `read_header` has accepted."""
    with path.open("rb") as file:
        return _raw_header(file, path.stat().st_size)


def _raw_header(file: BinaryIO, size: int) -> bytes:
    length = int.from_bytes(file.read(8), "little")
    if size < 10:
        raise ValueError("it is too short")
    if length > HEADER_CAP:
        raise ValueError(f"the header claims {length} bytes, more than {HEADER_CAP}")
    raw = file.read(length)
    if len(raw) < length or length < 2:
        raise ValueError("it ends inside the header")
    if raw[:1] != b"{":
        raise ValueError("the header does not begin with '{'")
    return raw


def _parse(raw: bytes, data_bytes: int) -> Header:
    rows = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_twins)
    metadata = rows.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("the metadata is not text")
    spans = sorted(_span(name, row) for name, row in rows.items())
    place = 0
    for start, end, name in spans:
        if start != place:
            raise ValueError(f"'{name}' overlaps another tensor or leaves a gap")
        place = end
    if place != data_bytes:
        raise ValueError(f"its tensors need {place} bytes, it has {data_bytes}")
    return Header({name: tuple(row["shape"]) for name, row in rows.items()}, metadata, 8 + len(raw))


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _span(name: str, row: Any) -> tuple[int, int, str]:
    if not isinstance(row, dict) or set(row) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"'{name}' is not described as a tensor")
    shape, offsets = row["shape"], row["data_offsets"]
    if not (_are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2 and len(shape) <= _MAX_DIMENSIONS):
        raise ValueError(f"'{name}' has a shape or place that cannot be")
    width = _BYTES.get(row["dtype"]) if isinstance(row["dtype"], str) else None
    if width is None:
        raise ValueError(f"'{name}' has the unknown type {row['dtype']!r:.40}")
    if offsets[1] - offsets[0] != width * math.prod(shape):
        raise ValueError(f"'{name}' has a shape that does not fit its bytes")
    return offsets[0], offsets[1], name


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < _MAX_EXTENT for value in values)
