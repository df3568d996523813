"""From what the user named to a loaded engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .. import weights
from ..errors import UsageError, WeightsError
from ..media import content_hash, shown_name
from ..runtime import Runtime
from . import ENGINES, recognise
from .base import Engine, EngineSettings, EngineSpec
from .variants import refusal


@dataclass(frozen=True)
class Chosen:
    """weights: first 8 digits of the checkpoint's SHA-256, empty where none is needed."""

    name: str
    spec: EngineSpec
    engine: Engine
    weights: str = ""


def choose_engine(name: str, checkpoint: str, settings: EngineSettings, runtime: Runtime) -> Chosen:
    """Load an engine. name: of the table, or "auto": the checkpoint's own, puppet without one.

    checkpoint: a name of the catalogue, a file, or "" for the first that is here.
    """
    path = _find(checkpoint, runtime) if checkpoint else None
    name = _resolved(name, path, runtime)
    spec = ENGINES[name]
    if spec.needs_weights and path is None:
        path = spec.find(settings, runtime) if spec.find else _any_present(name, runtime)
    if path is not None and not spec.needs_weights:
        raise UsageError(f"Engine is '{name}', which takes no checkpoint. Leave the checkpoint empty, or choose auto.")
    return Chosen(name, spec, spec.load(path, runtime, settings), content_hash(path)[:8] if path else "")


def moves_head(name: str, checkpoint: str, runtime: Runtime) -> bool:
    """Whether what was named is an engine that brings one still picture to life, before anything is loaded."""
    path = _find(checkpoint, runtime) if checkpoint and name == "auto" else None
    return ENGINES[_resolved(name, path, runtime)].whole_head


def _resolved(name: str, path: Path | None, runtime: Runtime) -> str:
    if name != "auto":
        return name
    return _engine_of(path, runtime) if path else "puppet"


def _find(checkpoint: str, runtime: Runtime) -> Path:
    path = Path(checkpoint)
    return path if path.is_file() else weights.require(checkpoint, runtime)


def _engine_of(path: Path, runtime: Runtime) -> str:
    shapes = weights.shapes_of(path, runtime)
    found = recognise(shapes)
    if found is None:
        raise WeightsError(f"{shown_name(path)}: {refusal(shapes)}")
    return found[0]


def _any_present(name: str, runtime: Runtime) -> Path:
    here = weights.present(name, runtime)
    if here:
        return here[0][1]
    rows = [entry.name for entry in weights.entries(runtime).values() if entry.engine == name]
    if not rows:
        raise WeightsError(f"Engine '{name}' needs a checkpoint. Pin one with `lipsync weights add FILE`.")
    return weights.require(rows[0], runtime)
