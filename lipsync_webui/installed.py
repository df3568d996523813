"""What is installed and what is missing, for the status card and the lists of checkpoints. Loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from lipsync_core.errors import LipSyncError
from lipsync_core.runtime import Runtime

from . import host

# Module -> what a user misses without it.
PACKAGES = {
    "av": "videos and sound files cannot be read or written",
    "cv2": "no face can be found",
    "librosa": "speech cannot be heard",
    "kornia": "faces cannot be cut out",
    "skimage": "the face detector that needs no download is missing",
    "safetensors": "no weights can be read",
    "filelock": "no weights can be read",
    "pooch": "no weights can be downloaded",
}
_DISTRIBUTIONS = {"cv2": "opencv-python", "skimage": "scikit-image"}
_HIDDEN_ENGINES = ("training", "metrics")  # weights that a run never asks for


@dataclass(frozen=True)
class Weights:
    """One row of the catalogue. size: MB, None when unknown. direct: it can be downloaded from here."""

    name: str
    engine: str
    file: str
    size: int | None
    licence: str
    licence_url: str
    page: str
    note: str
    needs_ack: bool
    direct: bool
    ready: bool


def looking() -> Runtime:
    """A Runtime that only looks: the host's folders, no device."""
    return Runtime(model_dirs=host.model_dirs(), offline=bool(host.setting("offline", False)))


def missing_packages() -> dict[str, str]:
    """Distribution -> what does not work without it."""
    return {_DISTRIBUTIONS.get(name, name): words for name, words in PACKAGES.items() if find_spec(name) is None}


def weights() -> list[Weights]:
    """Every checkpoint that a run can use, and whether it is here. Empty while packages for it are missing."""
    if missing_packages():
        return []
    from lipsync_core.weights import entries, list_weights

    runtime = looking()
    known = entries(runtime)
    ready = {row.name for row in list_weights(runtime) if row.state == "ready"}
    return [_row(entry, entry.name in ready) for entry in known.values() if entry.engine not in _HIDDEN_ENGINES]


def _row(entry: object, ready: bool) -> Weights:
    from lipsync_core.weights import Entry

    assert isinstance(entry, Entry)
    best = next((file for file in entry.files if file.urls), entry.main)
    size = None if best.size is None else max(1, round(best.size / 1e6))
    return Weights(
        entry.name, entry.engine, best.file, size, entry.licence, entry.licence_url,
        entry.page, entry.note, entry.needs_ack, bool(best.urls), ready,
    )  # fmt: skip


def checkpoint_names(purpose: str = "") -> list[str]:
    """Names of what is here for a purpose of the catalogue ("enhancer", ...); "": for any engine that needs weights."""
    try:
        rows = [row for row in weights() if row.ready]
        purposes = [purpose] if purpose or not rows else engines_with_weights()
        return [row.name for row in rows if row.engine in purposes]
    except LipSyncError:  # a catalogue that cannot be read: the status card says so
        return []


def engines_with_weights() -> list[str]:
    from lipsync_core.engines import ENGINES

    return [name for name, spec in ENGINES.items() if spec.needs_weights]
