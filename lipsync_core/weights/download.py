"""Getting a file of the catalogue: mirror and official places in turn, retried, resumed, checked, then renamed."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from ..errors import WeightsError
from ..runtime import Runtime
from .catalogue import Entry, WeightFile, folders
from .find import find, is_offline, strangers
from .hashes import hash_file
from .http import Answer, Policy, Refused, StartOver, TryLater, get
from .part import Part, disk_error, need_room

_BLOCK = 1 << 20  # bytes
_STEP_S = 0.2  # between two reports of progress
_ALL_TRIES = 1000  # a server that drops every connection after a few bytes ends here
_BIGGEST = 16 << 30  # bytes, where nobody knows the size


@dataclass(frozen=True)
class Source:
    """One place that may have one file: a URL, or a path in the folder that SD_LIPSYNC_WEIGHTS_MIRROR names."""

    file: WeightFile
    place: str | Path


def sources(entry: Entry, runtime: Runtime) -> list[Source]:
    """Where the entry can be had now, in the order of trying; without a connection only a mirror folder."""
    found = [*_mirrored(entry), *(Source(file, url) for file in entry.files for url in file.urls)]
    return [source for source in found if isinstance(source.place, Path) or not is_offline(runtime)]


def obtain(entry: Entry, runtime: Runtime, policy: Policy) -> Path:
    """Download the entry into the first folder, once however many ask for it, and return the verified file.

    Raises WeightsError when no place gives it, and Cancelled within half a second of the stop button.
    """
    folder = folders(runtime)[0]
    reasons = []
    with _alone(folder / f"{entry.main.file}.lock.part", entry.main.file, runtime):
        found = find(entry, runtime)  # somebody else may have got it while we waited
        if found is not None:
            return found
        for source in sources(entry, runtime):
            try:
                return _obtain_from(source, folder, entry, runtime, policy)
            except Refused as refusal:
                reasons.append(f"{source.place}: {refusal}")
    raise WeightsError("; ".join(reasons) or "no address is known for it")


def _obtain_from(source: Source, folder: Path, entry: Entry, runtime: Runtime, policy: Policy) -> Path:
    target = folder / source.file.file
    with Part(target, source.file) as part:
        was_begun = part.size > 0
        sha256 = _fill(part, source, runtime, policy)
        if sha256 != source.file.sha256 and was_begun:  # what an earlier run left may be what is wrong
            part.restart("", "")
            sha256 = _fill(part, source, runtime, policy)
        if sha256 != source.file.sha256:
            part.discard()
            raise Refused(f"what came is not the published file (sha256 {sha256})")
        _set_aside(target, entry, runtime)
        part.finish()
    return target


def _fill(part: Part, source: Source, runtime: Runtime, policy: Policy) -> str:
    """Get the whole file into the part; returns its SHA-256."""
    if isinstance(source.place, Path):
        _copy(source.place, part, runtime)
    else:
        _fetch(source.place, source.file, part, runtime, policy)
    part.flush()
    return hash_file(part.path, runtime)


def _mirrored(entry: Entry) -> Iterator[Source]:
    mirror = os.environ.get("SD_LIPSYNC_WEIGHTS_MIRROR", "")
    if not mirror:
        return
    for file in entry.files:
        is_url = "://" in mirror
        yield Source(file, f"{mirror.rstrip('/')}/{file.file}" if is_url else Path(mirror).expanduser() / file.file)


@contextmanager
def _alone(lock_file: Path, name: str, runtime: Runtime) -> Iterator[None]:
    """One download of a file at a time on this machine, and whoever waits hears of it and can stop."""
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(lock_file, mode=0o666)
        _acquire(lock, name, runtime)
    except OSError as error:
        raise disk_error(error, lock_file.parent) from None
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: filelock.BaseFileLock, name: str, runtime: Runtime) -> None:
    since = time.monotonic()
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_STEP_S)
        except filelock.Timeout:
            runtime.step(f"Waiting for the download of {name}", int(time.monotonic() - since), 0)
        except NotImplementedError:  # a file system without locks: parts with names of their own keep it harmless
            return


def _fetch(url: str, file: WeightFile, part: Part, runtime: Runtime, policy: Policy) -> None:
    """Until the whole body is there: every break is continued where it broke, with growing pauses."""
    failures = 0
    if part.size == file.size:  # a run ended between the last byte and the name
        return
    for _ in range(_ALL_TRIES):
        before = part.size
        try:
            return _fetch_once(url, file, part, runtime, policy)
        except StartOver as problem:
            part.restart("", "")
            reason, wait_s = str(problem), None
        except TryLater as problem:
            reason, wait_s = str(problem), problem.after_s
        failures = 0 if part.size > before else failures + 1
        if failures >= policy.tries:
            break
        _pause(wait_s, failures, runtime, policy)
    raise Refused(reason)


def _pause(asked_s: float | None, failures: int, runtime: Runtime, policy: Policy) -> None:
    grown = policy.wait_s * 2.0 ** max(0, failures - 1) * random.uniform(0.8, 1.2)
    until = time.monotonic() + min(policy.longest_wait_s, grown if asked_s is None else asked_s)
    while (left := until - time.monotonic()) > 0:
        runtime.check()
        time.sleep(min(left, _STEP_S))


def _fetch_once(url: str, file: WeightFile, part: Part, runtime: Runtime, policy: Policy) -> None:
    headers = {"Accept-Encoding": "identity"}
    if part.size and part.validator and part.url == url:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.validator}
    if file.size is not None:
        need_room(part.target.parent, file.file, file.size - part.size)
    with get(url, headers, policy, runtime) as (answer, blocks):
        total = _begin(url, answer, file, part, "Range" in headers)
        if total is not None and file.size is None:
            need_room(part.target.parent, file.file, total - part.size)
        _receive(blocks, file, total, part, runtime)
    if total is not None and part.size < total:
        raise TryLater(f"the connection broke after {part.size} of {total} bytes")


def _begin(url: str, answer: Answer, file: WeightFile, part: Part, asked_range: bool) -> int | None:
    """Make the part ready for the body that follows. Returns the size of the whole file, None when nobody says it."""
    if answer.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
        raise Refused("the server sent it compressed, which was not asked for")
    if answer.status == 206:
        return _continued(answer, file, part, asked_range)
    if answer.status != 200:
        raise Refused(f"the server answered {answer.status}")
    if answer.headers.get_content_type() == "text/html":
        raise Refused("the server sent a web page instead of the file; open the address in a browser")
    length = answer.number("Content-Length")
    if None not in (length, file.size) and length != file.size:
        raise Refused(f"the server offers {length} bytes, the published file has {file.size}")
    part.restart(url, _validator(answer))
    return file.size if length is None else length


def _continued(answer: Answer, file: WeightFile, part: Part, asked_range: bool) -> int:
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", str(answer.headers.get("Content-Range", "")).strip())
    if not asked_range or found is None or int(found[1]) != part.size:
        raise StartOver("the server continued at another place than it was asked to")
    if file.size is not None and int(found[3]) != file.size:
        raise Refused(f"the server offers {found[3]} bytes, the published file has {file.size}")
    return int(found[3])


def _validator(answer: Answer) -> str:
    """What makes a resumed download safe: a strong ETag, or the date."""
    etag = str(answer.headers.get("ETag", ""))
    return etag if etag.startswith('"') else str(answer.headers.get("Last-Modified", ""))


def _receive(blocks: Iterator[bytes], file: WeightFile, total: int | None, part: Part, runtime: Runtime) -> None:
    limit = file.size or total or _BIGGEST
    stage = f"Download {file.file}"
    shown = 0.0
    for block in blocks:
        if part.size == 0:
            _refuse_text(block)
        part.write(block)
        if part.size > limit:
            part.discard()
            raise Refused(f"the server sends more than the {limit} bytes of the published file")
        if time.monotonic() - shown >= _STEP_S:
            shown = time.monotonic()
            runtime.step(stage, part.size, total or 0)
    runtime.step(stage, part.size, total or part.size)


def _refuse_text(block: bytes) -> None:
    start = block[:512].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        raise Refused("the server sent a web page instead of the file; open the address in a browser")
    if start.startswith(b"version https://git-lfs"):
        raise Refused("the server sent a pointer to the file (git LFS) instead of the file")


def _copy(path: Path, part: Part, runtime: Runtime) -> None:
    """From a mirror that is a folder."""
    try:
        size = path.stat().st_size
        need_room(part.target.parent, path.name, size)
        part.restart("", "")
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                runtime.step(f"Copy {path.name}", part.size, size)
                part.write(block)
    except OSError as error:
        raise Refused(f"cannot be read ({error.strerror})") from None


def _set_aside(target: Path, entry: Entry, runtime: Runtime) -> None:
    """What bears the name and is not the published file may be somebody's work: keep it under another name."""
    if target in strangers(entry, runtime):
        aside = target.with_name(f"set-aside-{hash_file(target, runtime)[:8]}-{target.name}")
        target.replace(aside)
        runtime.warn(
            f"{target.name}: was not the published file. It is kept as {aside.name}; remove it if it is not yours."
        )
