"""What `lipsync weights list | add | convert | verify` do. Each gives values; the command prints them."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import filelock

from ..errors import WeightsError
from ..runtime import Runtime
from .catalogue import Entry, WeightFile, entries, official_entries, pinned_row, user_catalogue_path, user_entries
from .converted import find_converted, write_converted
from .find import find, state_of, strangers
from .hashes import hash_file, write_whole
from .load import kind_of, read_vouched, shapes_of
from .part import disk_error

Shapes = Mapping[str, tuple[int, ...]]
Recognise = Callable[[Shapes], tuple[str, str] | None]  # shapes -> (engine, variant)


@dataclass(frozen=True)
class Row:
    """One line of `list` and `verify`. size: bytes. state: "ready", "damaged" or "missing"."""

    name: str
    engine: str
    size: int | None
    licence: str
    state: str
    path: Path | None


def list_weights(runtime: Runtime) -> list[Row]:
    """Every entry, and whether it is here; files that did not change since the last look are not read again."""
    return [_row(entry, *_quick_state(entry, runtime)) for entry in entries(runtime).values()]


def verify(runtime: Runtime) -> list[Row]:
    """Every entry, with every byte of its files read and hashed now."""
    return [_row(entry, *state_of(entry, runtime)) for entry in entries(runtime).values()]


def add(path: Path, runtime: Runtime, recognise: Recognise | None = None) -> Entry:
    """Vouch for a file of one's own: from now on it may be loaded, and is found by its name.

    recognise: tells engine and variant from the shapes; by default the engine table is asked. A pickle is opened
    (weights_only) to see what it is, and refused where torch is too old to do that safely.
    """
    path = _real_file(path)
    kind, shapes, sha256 = _look_into(path, runtime)
    engine, variant = (shapes and (recognise or recognise_engine)(shapes)) or ("unknown", "")
    file = WeightFile(path.name, sha256, path.stat().st_size, kind, hash_source="user")
    entry = Entry(_name_for(path, sha256, runtime), engine, (file,), "your own file", variant=variant, paths=(path,))
    _pin(entry, runtime)
    return entry


def convert(path: Path, runtime: Runtime) -> Path:
    """Write the safetensors file beside a pickle or TorchScript archive that may be read; returns it."""
    path = _real_file(path)
    if kind_of(path) == "safetensors":
        return path
    found = find_converted(path, hash_file(path, runtime), runtime)
    if found is not None:
        return found
    tensors, sha256 = read_vouched(path, runtime)
    try:
        return write_converted(tensors, path, sha256)
    except OSError as error:
        raise disk_error(error, path.parent) from None


def recognise_engine(shapes: Shapes) -> tuple[str, str] | None:
    """(engine, variant), for face restorers ("enhancer", name), by the two tables; None when nobody knows them."""
    # Named at run time, because the engines themselves load their weights through this package.
    table = getattr(importlib.import_module("..engines", __package__), "ENGINES", None)
    for name, spec in table.items() if table is not None else ():
        variant = spec.detect(shapes)
        if variant is not None:
            return name, variant
    restorer = importlib.import_module("..enhancers", __package__).recognise(shapes)
    return ("enhancer", restorer) if restorer else None


def as_text(rows: Iterable[Row]) -> str:
    """The rows as a table for a terminal."""
    cells = [("name", "for", "MB", "state", "licence", "file"), *(_cells(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]) - 1)]
    lines = (
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    size = "?" if row.size is None else f"{row.size / 1e6:.1f}"
    return row.name, row.engine, size, row.state, row.licence, str(row.path or "")


def _row(entry: Entry, state: str, path: Path | None) -> Row:
    size = path.stat().st_size if path else entry.main.size
    return Row(entry.name, entry.engine, size, entry.licence, state, path)


def _quick_state(entry: Entry, runtime: Runtime) -> tuple[str, Path | None]:
    found = find(entry, runtime)
    if found is not None:
        return "ready", found
    damaged = strangers(entry, runtime)
    return ("damaged", damaged[0]) if damaged else ("missing", None)


def _real_file(path: Path) -> Path:
    path = Path(path).expanduser().resolve()
    if not path.is_file():
        raise WeightsError(f"{path.name}: is not a file. Check the path {path}.")
    return path


def _look_into(path: Path, runtime: Runtime) -> tuple[str, Shapes, str]:
    """Format, shapes and SHA-256 of a file that is being vouched for."""
    if path.suffix.lower() == ".onnx":
        return "onnx", {}, hash_file(path, runtime)
    if kind_of(path) == "safetensors":
        return "safetensors", shapes_of(path), hash_file(path, runtime)
    tensors, sha256 = read_vouched(path, runtime, pinning=True)
    return "pickle", {name: tuple(tensor.shape) for name, tensor in tensors.items()}, sha256


def _name_for(path: Path, sha256: str, runtime: Runtime) -> str:
    """The official name for official content; else the file's own, with a piece of the hash where it is taken."""
    known = official_entries()
    for entry in known.values():
        if sha256 in entry.hashes:
            return entry.name
    name = re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_") or "weights"
    taken = {entry.name for entry in user_entries(runtime) if sha256 not in entry.hashes} | set(known)
    return f"{name}_{sha256[:8]}" if name in taken else name


def _pin(entry: Entry, runtime: Runtime) -> None:
    """Add the entry to the user's catalogue, in place of an older one of the same name."""
    path = user_catalogue_path(runtime)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_name(f"{path.name}.lock.part"), mode=0o666):
            kept = [pinned_row(other, runtime) for other in user_entries(runtime) if other.name != entry.name]
            rows = {"version": 1, "entries": [*kept, pinned_row(entry, runtime)]}
            write_whole(path, json.dumps(rows, indent=2).encode())
    except OSError as error:
        raise disk_error(error, path) from None
