"""What weights exist: the catalogue that ships, and the files that the user pinned. Reading it opens no connection."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import WeightsError
from ..runtime import Runtime, default_model_dir

USER_CATALOGUE = "user_catalogue.json"
FORMATS = ("safetensors", "pickle", "torchscript", "onnx")
_HEX = set("0123456789abcdef")


@dataclass(frozen=True)
class WeightFile:
    """One file that an entry accepts.

    size: bytes, None when unknown. format: one of FORMATS. urls: https places that serve exactly this file.
    hash_source: "official" (the publisher names the hash), "third-party" (others measured it) or "user".
    """

    file: str
    sha256: str
    size: int | None
    format: str
    urls: tuple[str, ...] = ()
    hash_source: str = "third-party"


@dataclass(frozen=True)
class Entry:
    """One row of the catalogue; `files` are interchangeable, the best first.

    needs_ack: its licence limits use, so it is downloaded only by someone who said yes to it.
    page: where people find it when no URL serves it. paths: other places where the user pinned it.
    """

    name: str
    engine: str
    files: tuple[WeightFile, ...]
    licence: str
    licence_url: str = ""
    needs_ack: bool = False
    page: str = ""
    note: str = ""
    variant: str = ""
    paths: tuple[Path, ...] = ()

    @property
    def main(self) -> WeightFile:
        return self.files[0]

    @property
    def hashes(self) -> frozenset[str]:
        return frozenset(file.sha256 for file in self.files)


def folders(runtime: Runtime) -> tuple[Path, ...]:
    """Where weights are looked for, first match wins; downloads go to the first."""
    named = os.environ.get("SD_LIPSYNC_MODELS", "").split(os.pathsep)
    places = [*runtime.model_dirs, *(Path(name).expanduser() for name in named if name), default_model_dir()]
    return tuple(dict.fromkeys(places))


def catalogue_path() -> Path:
    """The catalogue that ships with the project."""
    return default_model_dir() / "catalogue.json"


def user_catalogue_path(runtime: Runtime) -> Path:
    """Where `lipsync weights add` writes the user's own files down."""
    return folders(runtime)[0] / USER_CATALOGUE


def entries(runtime: Runtime) -> dict[str, Entry]:
    """Everything known, by name: what ships, then what the user pinned."""
    known = official_entries()
    for entry in user_entries(runtime):
        twin = known.get(entry.name)
        known[entry.name] = entry if twin is None else replace(twin, paths=twin.paths + entry.paths)
    return known


def official_entries() -> dict[str, Entry]:
    """The rows of the catalogue that ships."""
    return {row["name"]: _official(row) for row in _rows(catalogue_path())}


def user_entries(runtime: Runtime) -> list[Entry]:
    """The rows that `lipsync weights add` wrote; empty when there are none."""
    path = user_catalogue_path(runtime)
    return [_pinned(row, path) for row in _rows(path)] if path.is_file() else []


def entry_named(name: str, runtime: Runtime) -> Entry:
    """The entry, or a `WeightsError` that offers the nearest name."""
    known = entries(runtime)
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise WeightsError(f"There are no weights named '{name}'.{hint} Known: {', '.join(known)}.")


def is_official(sha256: str) -> bool:
    """True when the catalogue that ships lists this content."""
    return any(sha256 in entry.hashes for entry in official_entries().values())


def is_pinned(sha256: str, runtime: Runtime) -> bool:
    """True when the user vouched for this content with `lipsync weights add`."""
    return any(sha256 in entry.hashes for entry in user_entries(runtime))


def pinned_row(entry: Entry, runtime: Runtime) -> dict[str, Any]:
    """How an entry of the user's is written down; a path inside the folder stays right when the folder moves."""
    path, folder = entry.paths[0], user_catalogue_path(runtime).parent
    shown = path.relative_to(folder) if path.is_relative_to(folder) else path
    main = entry.main
    return {
        "name": entry.name,
        "path": shown.as_posix(),
        "size": main.size,
        "sha256": main.sha256,
        "format": main.format,
        "engine": entry.engine,
        "variant": entry.variant,
    }


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["entries"]
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            return rows
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise WeightsError(f"{path}: cannot be read as a catalogue of weights. Repair it, or remove it and start again.")


def _official(row: Mapping[str, Any]) -> Entry:
    versions = [row, *({"urls": [], **other} for other in row.get("alternatives", ()))]
    return Entry(
        name=row["name"],
        engine=row["engine"],
        files=tuple(_file(version) for version in versions),
        licence=row["licence"],
        licence_url=row["licence_url"],
        needs_ack=row["needs_ack"],
        page=row.get("page", ""),
        note=row.get("note", ""),
        variant=row.get("variant", ""),
    )


def _file(row: Mapping[str, Any]) -> WeightFile:
    name, sha256, size = row["file"], row["sha256"], row["size"]
    if Path(name).name != name or name.startswith(".") or row["format"] not in FORMATS:
        raise ValueError(f"the catalogue names a file '{name}' of format '{row['format']}'")
    if len(sha256) != 64 or not set(sha256) <= _HEX or not (size is None or size > 0):
        raise ValueError(f"the catalogue gives {name} a hash or size that cannot be")
    return WeightFile(name, sha256, size, row["format"], tuple(row["urls"]), row["hash_source"])


def _pinned(row: Mapping[str, Any], catalogue: Path) -> Entry:
    try:
        path = catalogue.parent / row["path"]  # an absolute path stands for itself
        file = _file({"urls": (), "hash_source": "user", "file": path.name, **row})
        return Entry(
            str(row["name"]), str(row["engine"]), (file,), "your own file", variant=str(row["variant"]), paths=(path,)
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise WeightsError(
            f"{catalogue}: a row of it is damaged. Remove the row, and pin the file again with 'lipsync weights add'."
        ) from None
