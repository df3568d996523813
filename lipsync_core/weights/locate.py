"""Where the rest of the project gets its weights: `locate` when it can do without, `require` when it cannot."""

from __future__ import annotations

from pathlib import Path

from ..errors import WeightsError
from ..runtime import Runtime
from .catalogue import Entry, entries, entry_named, folders
from .download import obtain, sources
from .find import find, is_offline
from .http import QUICK, Policy


def locate(name: str, runtime: Runtime, download: bool = False, policy: Policy = QUICK) -> Path | None:
    """The verified file of a catalogue entry (its safetensors conversion where there is one), or None.

    download: get it when it is missing, its licence asks nothing, and a connection is allowed; what goes wrong then
    is a note of the run (`runtime.warn`), not an error, and little time is spent on a network that does not answer.
    Raises WeightsError for a name that is in no catalogue.
    """
    entry = entry_named(name, runtime)
    found = find(entry, runtime)
    if found is not None or not download or entry.needs_ack or not sources(entry, runtime):
        return found
    try:
        return obtain(entry, runtime, policy)
    except WeightsError as error:
        runtime.warn(f"{entry.main.file}: could not be downloaded ({error}).")
        return None


def require(name: str, runtime: Runtime, policy: Policy = Policy()) -> Path:  # noqa: B008 - frozen
    """As `locate` with a download that takes its time, or a WeightsError that says how to get the file by hand."""
    entry = entry_named(name, runtime)
    found = find(entry, runtime)
    if found is not None:
        return found
    if entry.needs_ack:
        raise WeightsError(advice(entry, runtime, "was not downloaded, because its licence needs your yes"))
    return fetch(entry, runtime, policy)


def get(name: str, runtime: Runtime, accept_licence: bool = False, policy: Policy = Policy()) -> Path:  # noqa: B008
    """`lipsync weights get NAME`: the file, downloaded if it is not there.

    accept_licence: the user said yes to a licence that limits what the weights may be used for.
    """
    entry = entry_named(name, runtime)
    found = find(entry, runtime)
    if found is not None:
        return found
    if entry.needs_ack and not accept_licence:
        raise WeightsError(
            f"{entry.main.file}: its licence limits what it may be used for: {entry.licence} ({entry.licence_url}). "
            f"If that suits you, run: lipsync weights get {name} --accept-licence"
        )
    return fetch(entry, runtime, policy)


def fetch(entry: Entry, runtime: Runtime, policy: Policy) -> Path:
    """Download, or say everything that is needed to do it by hand."""
    if not sources(entry, runtime):
        offline = is_offline(runtime) and any(file.urls for file in entry.files)
        why = "could not be downloaded (offline mode is on)" if offline else "has no address that serves it directly"
        raise WeightsError(advice(entry, runtime, why))
    try:
        return obtain(entry, runtime, policy)
    except WeightsError as error:
        why = str(error).rstrip(".")
    raise WeightsError(advice(entry, runtime, f"could not be downloaded ({why})"))


def present(engine: str, runtime: Runtime) -> list[tuple[str, Path]]:
    """(name, file) of everything on this machine for an engine: what ships first, then what the user pinned."""
    rows = ((entry.name, find(entry, runtime)) for entry in entries(runtime).values() if entry.engine == engine)
    return [(name, path) for name, path in rows if path is not None]


def advice(entry: Entry, runtime: Runtime, why: str) -> str:
    """The text for a file that cannot be had: what, from where, whereto, and how to check."""
    best = next((file for file in entry.files if file.urls), entry.main)
    if entry.paths and not best.urls and not entry.page:
        at = ", ".join(str(path) for path in entry.paths)
        return f"{best.file}: is not at {at}, or has changed. Put it back, or pin it again: lipsync weights add FILE"
    size = "size unknown" if best.size is None else f"{best.size} bytes"
    flag = " --accept-licence" if entry.needs_ack else ""
    lines = [
        f"{best.file}: is not on this machine and {why}.",
        f"Get it ({size}, sha256 {best.sha256}) from {best.urls[0] if best.urls else entry.page}",
        f"and put it at {folders(runtime)[0] / best.file}, then run again.",
        f"Or let it be done: lipsync weights get {entry.name}{flag}. Check: lipsync weights verify.",
    ]
    if not best.urls:
        lines[3] = (
            f"If that file has another sha256, pin it: lipsync weights add {best.file}. Check: lipsync weights verify."
        )
    return "\n".join([*lines, f"Licence: {entry.licence} {entry.licence_url}".rstrip()])
