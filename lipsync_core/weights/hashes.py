"""SHA-256 of big files, kept between runs, and writing a file whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import WeightsError
from ..runtime import Runtime

_BLOCK = 1 << 22  # bytes between two looks at the stop button
_YOUNG_S = 2.0  # a file this fresh may change again within one tick of its clock, so its hash is not kept


def cache_dir(runtime: Runtime) -> Path:
    """Where hashes are remembered: the host's folder, else the user's cache."""
    if runtime.cache_dir is not None:
        return runtime.cache_dir
    import pooch

    return Path(pooch.os_cache("sd-lipsync"))


def hash_bytes(data: bytes | bytearray | memoryview) -> str:
    """SHA-256 of what is in memory, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def hash_file(path: Path, runtime: Runtime, mask: tuple[int, int] = (0, 0)) -> str:
    """SHA-256 of a whole file, read now; bytes mask[0]:mask[1] count as the digit 0."""
    digest = hashlib.sha256()
    start = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            runtime.check()
            low, high = max(mask[0] - start, 0), min(mask[1] - start, len(block))
            if low < high:
                block = block[:low] + b"0" * (high - low) + block[high:]
            digest.update(block)
            start += len(block)
    return digest.hexdigest()


def sha256_of(path: Path, runtime: Runtime) -> str:
    """SHA-256 of a file; one that is unchanged (place, size, times, inode) since last time is not read again."""
    return remembered(path, "sha256", runtime, lambda: hash_file(path, runtime))


def remembered(path: Path, what: str, runtime: Runtime, work: Callable[[], str]) -> str:
    """The answer of `work` about a file, kept as long as the file does not change."""
    key = _key(path)
    store = cache_dir(runtime) / "hashes.json"
    name = f"{what}:{path.resolve()}"
    row = _read(store).get(name)
    if isinstance(row, dict) and row.get("key") == key and isinstance(row.get("answer"), str):
        return str(row["answer"])
    answer = work()
    if _key(path) != key:
        raise WeightsError(f"{path.name}: was changed while it was read. Wait until it is complete, then run again.")
    if time.time() - path.stat().st_mtime > _YOUNG_S and store.is_absolute():  # "~" where nobody has a home
        with suppress(OSError):  # it only saves time
            write_whole(store, json.dumps({**_read(store), name: {"key": key, "answer": answer}}, indent=0).encode())
    return answer


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears complete or not at all, with the rights that the umask gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with open_new(part) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def open_new(path: Path) -> Any:
    """A new binary file with mode 0666 & ~umask: temporary-file helpers and safetensors make them 0600."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "w+b")


def sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with suppress(OSError):  # some network file systems refuse it
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _key(path: Path) -> list[int]:
    stat = path.stat()
    # ctime cannot be set back, so a content that changes under an old mtime is noticed.
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns]


def _read(store: Path) -> dict[str, Any]:
    try:
        rows = json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return rows if isinstance(rows, dict) else {}
