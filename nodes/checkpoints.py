"""Which engine and checkpoint a name in a node's list stands for, and what is said when the file is not there."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import folder_paths

from ..lipsync_core import weights
from ..lipsync_core.engines import ENGINES
from ..lipsync_core.errors import WeightsError
from ..lipsync_core.runtime import Runtime
from ..lipsync_core.weights.catalogue import Entry, official_entries
from .host import FOLDER

AUTO = "auto"
NEEDS_NOTHING = tuple(name for name, spec in ENGINES.items() if not spec.needs_weights)
_OFFLINE = "could not be downloaded (offline mode is on)"
_BY_HAND = "nodes download nothing by themselves"
_NETWORKS = (".safetensors", ".pth", ".pt", ".ckpt")


def model_names() -> list[str]:
    """auto, the engines that need no file, the files in models/lipsync, then what could be downloaded."""
    here = [name for name in folder_paths.get_filename_list(FOLDER) if name.lower().endswith(_NETWORKS)]
    known = [entry.main.file for entry in official_entries().values() if entry.engine in _with_one_file()]
    return list(dict.fromkeys([AUTO, *NEEDS_NOTHING, *_of_engines(here), *known]))


def _with_one_file() -> list[str]:
    """Engines whose checkpoint is one file, so that naming it names the engine."""
    return [name for name in ENGINES if name not in NEEDS_NOTHING and name == "wav2lip"]


def _of_engines(files: list[str]) -> list[str]:
    """Without the files of the catalogue that are something else: detectors, enhancers, critics."""
    others = {file.file for entry in official_entries().values() for file in entry.files if entry.engine not in ENGINES}
    return [name for name in files if Path(name).name not in others]


def engine_options(name: str, runtime: Runtime) -> dict[str, str]:
    """The options `engine` and `checkpoint` that a name of `model_names` stands for."""
    if name in (AUTO, ""):
        return {"engine": "auto", "checkpoint": ""}
    if name in ENGINES:
        return {"engine": name, "checkpoint": ""}
    found = folder_paths.get_full_path(FOLDER, name)
    if found is not None:
        return {"engine": "auto", "checkpoint": found}
    entry = next((each for each in official_entries().values() if name in {file.file for file in each.files}), None)
    if entry is None:
        raise WeightsError(
            f"{name} is not in {weights.folders(runtime)[0]}. Put it there, or choose another model in the list."
        )
    return {"engine": "auto", "checkpoint": entry.name}


def needs_network(named: Mapping[str, Any]) -> bool:
    """True when `engine_options` stand for a checkpoint, False for an engine that needs no file."""
    return bool(named["checkpoint"]) or named["engine"] not in (AUTO, *NEEDS_NOTHING)


@contextlib.contextmanager
def missing_first() -> Iterator[None]:
    """A missing file is said in a form that the page can offer to download."""
    try:
        yield
    except WeightsError as error:
        words = str(error).replace(_OFFLINE, _BY_HAND)
        name = _missing_name(words)
        raise WeightsError(f"Missing weights: {name}.\n{words}" if name else words) from None


def _missing_name(words: str) -> str | None:
    """The catalogue's name of the file that an error says is missing: every such error says how to get it."""
    named = re.search(r"lipsync weights get ([\w.-]*\w)", words)
    return named[1] if named else next((row.name for row in official_entries().values() if _is_of(words, row)), None)


def _is_of(words: str, row: Entry) -> bool:
    return "is not on this machine" in words and words.startswith(tuple(f"{file.file}:" for file in row.files))
