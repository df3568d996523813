"""Training data on disk: WebDataset shards of face crops and mel, with an index for random access.

A shard is a tar file; the members of a clip share their name up to the first point: NAME.json, NAME.mel.npy (80, M)
float32, NAME.00000.jpg, NAME.00001.jpg ... An index beside it says where each member lies, so that five frames are read
without the rest. Nothing depends on the clock or the user: the same clips give the same bytes.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import InputError
from ..media import atomic_output, output_error, shown_name
from ..types import Float, Pixels

_JPEG_QUALITY = 95
_BLOCK = 512  # bytes, of a tar


@dataclass(frozen=True)
class ClipData:
    """One run of frames of one face. crops: (N, S, S, 3) uint8 RGB at 25 fps. mel: (80, M). facts: for NAME.json."""

    name: str
    crops: Sequence[Pixels]
    mel: Float
    facts: dict[str, Any]


@dataclass(frozen=True, eq=False)  # told apart by identity: its facts cannot be hashed
class ClipPlace:
    """Where a clip lies. frames: (N, 2) offset and bytes of each picture; mel: the same of its mel."""

    shard: Path
    name: str
    frames: tuple[tuple[int, int], ...]
    mel: tuple[int, int]
    facts: dict[str, Any]


def write_shard(path: Path, clips: Iterable[ClipData], notes: Mapping[str, Any] | None = None) -> int:
    """Write PATH.tar and its index PATH.json, both whole or not at all; the index last, so that it vouches for the tar.

    notes: kept in the index; read when all clips are written. Returns the number of clips. Raises OutputError.
    """
    rows = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_output(path.with_suffix(".tar"), overwrite=True) as part, tarfile.open(part, "w") as tar:
            for clip in clips:
                rows.append(_write_clip(tar, clip))
            path.with_suffix(".json").unlink(missing_ok=True)  # an older one must not vouch for this tar
        with atomic_output(path.with_suffix(".json"), overwrite=True) as part:
            part.write_text(
                json.dumps({"version": 1, "clips": rows, "notes": dict(notes or {})}) + "\n", encoding="utf-8"
            )
    except OSError as error:
        raise output_error(error, path.with_suffix(".tar")) from None
    return len(rows)


def _write_clip(tar: tarfile.TarFile, clip: ClipData) -> dict[str, Any]:
    _add(tar, f"{clip.name}.json", json.dumps(clip.facts, sort_keys=True).encode())
    buffer = io.BytesIO()
    np.save(buffer, clip.mel.astype(np.float32))
    mel = _add(tar, f"{clip.name}.mel.npy", buffer.getvalue())
    frames = [_add(tar, f"{clip.name}.{row:05d}.jpg", encode(crop)) for row, crop in enumerate(clip.crops)]
    return {"name": clip.name, "mel": mel, "frames": frames, "facts": clip.facts}


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> tuple[int, int]:
    """Append a member without owner or time; returns where its bytes begin and how many they are."""
    row = tarfile.TarInfo(name)
    row.size = len(data)
    start = tar.offset + _BLOCK * len(row.tobuf(tar.format, tar.encoding or "utf-8")) // _BLOCK
    tar.addfile(row, io.BytesIO(data))
    return start, len(data)


def encode(crop: Pixels) -> bytes:
    """(S, S, 3) uint8 RGB -> JPEG."""
    done, data = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise ValueError(f"a crop of shape {crop.shape} cannot be encoded")
    return bytes(data.tobytes())


def read_index(folder: Path) -> list[ClipPlace]:
    """Every clip of every finished shard of a folder, in order. Raises InputError where there is none."""
    places = []
    for path in sorted(folder.glob("*.json")):
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            places += [_place(path.with_suffix(".tar"), row) for row in index["clips"]]
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(
                f"{shown_name(path)}: this is not the index of a shard. Run lipsync prepare again."
            ) from None
    if not places:
        raise InputError(
            f"{shown_name(folder)}: no training data in this folder. Make some: lipsync prepare DATA -o FOLDER"
        )
    return places


def _place(shard: Path, row: dict[str, Any]) -> ClipPlace:
    frames = tuple((int(start), int(size)) for start, size in row["frames"])
    start, size = row["mel"]
    return ClipPlace(shard, str(row["name"]), frames, (int(start), int(size)), dict(row["facts"]))


def read_mel(place: ClipPlace) -> Float:
    """(80, M) float32."""
    (data,) = _read(place.shard, [place.mel])
    return np.asarray(np.load(io.BytesIO(data), allow_pickle=False), np.float32)


def read_frames(place: ClipPlace, rows: Sequence[int]) -> Pixels:
    """(len(rows), S, S, 3) uint8 RGB."""
    pictures = []
    for data in _read(place.shard, [place.frames[row] for row in rows]):
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise InputError(f"{shown_name(place.shard)}: a picture of '{place.name}' is damaged. Prepare it again.")
        pictures.append(picture[..., ::-1])
    return np.stack(pictures).astype(np.uint8)


def _read(path: Path, spans: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            for start, size in spans:
                file.seek(start)
                yield file.read(size)
    except OSError as error:
        raise InputError(f"{shown_name(path)}: the shard cannot be read ({error.strerror}).") from None
