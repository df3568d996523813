"""The safetensors file that stands beside a pickled checkpoint from its first use on.

It carries the hash of the file it was made from, and a seal: the SHA-256 of the whole file with the seal's own 64
digits read as zeros. So it can be told from a damaged one, and moved or kept alone, without any list.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import WeightsError
from ..runtime import Runtime
from .hashes import hash_bytes, hash_file, remembered, write_whole
from .header import raw_header, read_header

if TYPE_CHECKING:
    import torch

SOURCE = "sd_lipsync_source"
SOURCE_SHA256 = "sd_lipsync_source_sha256"
SEAL = "sd_lipsync_seal"
_NO_SEAL = "0" * 64
_SUFFIXES = (".safetensors", ".tar", ".pth", ".pt", ".ckpt", ".model", ".bin")


def converted_names(file: str, sha256: str) -> tuple[str, str]:
    """The two names a conversion may have: the plain one, and one for when that is somebody else's."""
    stem = file
    while Path(stem).suffix.lower() in _SUFFIXES:
        stem = Path(stem).stem
    return f"{stem}.safetensors", f"{stem}.{sha256[:8]}.safetensors"


def find_converted(source: Path, sha256: str, runtime: Runtime) -> Path | None:
    """The sound conversion of exactly this content beside `source`, which itself may be gone."""
    for name in converted_names(source.name, sha256):
        path = source.with_name(name)
        if path.is_file() and source_of(path) == sha256 and seal_holds(path, runtime):
            return path
    return None


def source_of(path: Path) -> str | None:
    """The hash of the file that `path` says it was converted from; None when it is not a conversion of ours."""
    try:
        return read_header(path).metadata.get(SOURCE_SHA256)
    except (WeightsError, OSError):
        return None


def seal_holds(path: Path, runtime: Runtime, fresh: bool = False) -> bool:
    """True when not one byte of a conversion changed since it was written. fresh: do not trust an earlier look."""

    def look() -> str:
        raw = raw_header(path)
        seal = read_header(path).metadata.get(SEAL, "")
        place = 8 + raw.find(seal.encode()) if len(seal) == 64 else 0
        return str(bool(place) and hash_file(path, runtime, (place, place + 64)) == seal)

    return (look() if fresh else remembered(path, "seal", runtime, look)) == "True"


def write_converted(tensors: dict[str, torch.Tensor], source: Path, sha256: str) -> Path:
    """Write the conversion beside its source, never over a file that is not an older one of it. May raise OSError."""
    path = source.with_name(converted_names(source.name, sha256)[_name_index(source, sha256)])
    write_whole(path, sealed(tensors, {SOURCE: source.name, SOURCE_SHA256: sha256}))
    return path


def sealed(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> bytes:
    """The bytes of a safetensors file that carries `metadata` and a seal."""
    from safetensors.torch import save

    data = bytearray(save(tensors, metadata={"format": "pt", **metadata, SEAL: _NO_SEAL}))
    end = 8 + int.from_bytes(data[:8], "little")
    place = data.index(f'"{SEAL}":"{_NO_SEAL}"'.encode(), 0, end) + len(SEAL) + 4
    data[place : place + 64] = hash_bytes(data).encode()
    return bytes(data)


def _name_index(source: Path, sha256: str) -> int:
    """0 when the plain name is free or ours, else 1."""
    plain = source.with_name(converted_names(source.name, sha256)[0])
    return 0 if not plain.exists() or source_of(plain) == sha256 else 1
