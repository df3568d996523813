"""Which files of the catalogue are on this machine, and whether they are what they should be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..runtime import Runtime
from .catalogue import Entry, WeightFile, folders
from .converted import find_converted, seal_holds
from .hashes import hash_file, sha256_of

_ON = ("1", "true", "yes", "on")


def is_offline(runtime: Runtime) -> bool:
    """True when no connection may be opened: the host says so, SD_LIPSYNC_OFFLINE or HF_HUB_OFFLINE is set."""
    names = ("SD_LIPSYNC_OFFLINE", "HF_HUB_OFFLINE")
    return runtime.offline or any(os.environ.get(name, "").lower() in _ON for name in names)


def places(entry: Entry, runtime: Runtime) -> Iterator[tuple[WeightFile, Path]]:
    """Every path where a file of the entry may lie, best first, there or not."""
    for path in entry.paths:
        for file in entry.files:
            yield file, path
    for folder in folders(runtime):
        for file in entry.files:
            yield file, folder / file.file


def find(entry: Entry, runtime: Runtime) -> Path | None:
    """The file to load: a sound conversion first, then a file whose size and SHA-256 are right. Nothing is fetched."""
    for file, path in places(entry, runtime):
        converted = find_converted(path, file.sha256, runtime) if file.format in ("pickle", "torchscript") else None
        if converted is not None:
            return converted
        if is_right(path, file, runtime):
            return path
    for path in strangers(entry, runtime):
        runtime.warn(
            f"{path}: has the name of {entry.name}, but is not the published file, so it is left alone. If it is "
            "your own, pin it with 'lipsync weights add'; if it is damaged, 'lipsync weights get' replaces it."
        )
    return None


def is_right(path: Path, file: WeightFile, runtime: Runtime, fresh: bool = False) -> bool:
    """True when the file is there with the right size and SHA-256. fresh: read it now, whatever is remembered."""
    if not path.is_file() or (file.size is not None and path.stat().st_size != file.size):
        return False
    return (hash_file if fresh else sha256_of)(path, runtime) == file.sha256


def strangers(entry: Entry, runtime: Runtime) -> list[Path]:
    """Files that bear a name of the entry and are not it: damaged, unfinished, or somebody's own."""
    present = dict.fromkeys(path for _, path in places(entry, runtime) if path.is_file())
    return [path for path in present if not any(is_right(path, file, runtime) for file in entry.files)]


def state_of(entry: Entry, runtime: Runtime) -> tuple[str, Path | None]:
    """What `lipsync weights verify` says of an entry, every byte read now: "ready", "damaged" or "missing"."""
    damaged = None
    for file, path in places(entry, runtime):
        converted = find_converted(path, file.sha256, runtime)
        if converted is not None:
            if seal_holds(converted, runtime, fresh=True):
                return "ready", converted
            damaged = converted
        if is_right(path, file, runtime, fresh=True):
            return "ready", path
        if path.is_file():
            damaged = damaged or path
    return ("damaged", damaged) if damaged else ("missing", None)
