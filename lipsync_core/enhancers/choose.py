"""From what the user named to a loaded enhancer, or to none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .. import weights
from ..errors import UsageError, WeightsError
from ..media import content_hash, shown_name
from ..runtime import Runtime
from . import ENHANCERS, recognise
from .base import Enhancer

USUAL_FIDELITY = 0.7


@dataclass(frozen=True)
class ChosenEnhancer:
    """weights: first 8 digits of the checkpoint's SHA-256, empty for a network that a host handed over."""

    name: str
    enhancer: Enhancer
    weights: str = ""

    @property
    def shown(self) -> str:
        """What the report says of it."""
        return " ".join(
            filter(None, [self.name, self.weights, f"({self.enhancer.backend}, {self.enhancer.precision})"])
        )


def choose_enhancer(
    name: str, checkpoint: str, runtime: Runtime, fidelity: float = USUAL_FIDELITY
) -> ChosenEnhancer | None:
    """Load an enhancer. name: of the table, "none", or "auto".

    "auto" takes the named checkpoint's own; without one the first whose weights are here, if a GPU computes: on a CPU a
    face takes seconds. It never downloads, and it goes without, saying so, where a package is missing.
    checkpoint: a name of the catalogue, a file, or "". Raises WeightsError and UsageError for what was asked for by
    name and cannot be had.
    """
    if name == "none":
        return None
    if name == "auto" and not checkpoint:
        return _whatever_is_here(runtime)
    path = _find(checkpoint, runtime) if checkpoint else _first_of(name, runtime)
    return _load(name, path, runtime, fidelity)


def _whatever_is_here(runtime: Runtime) -> ChosenEnhancer | None:
    if runtime.device.split(":")[0] == "cpu":
        return None
    here = weights.present("enhancer", runtime)
    if not here:
        return None
    try:
        return _load("auto", here[0][1], runtime, USUAL_FIDELITY)
    except (UsageError, WeightsError) as error:
        runtime.warn(f"Faces are not enhanced, although {here[0][1].name} is here: {error}")
    return None


def _find(checkpoint: str, runtime: Runtime) -> Path:
    path = Path(checkpoint)
    return path if path.is_file() else weights.require(checkpoint, runtime)


def _first_of(name: str, runtime: Runtime) -> Path:
    """The checkpoint of an enhancer that is here, or the WeightsError that says how to get one."""
    spec = ENHANCERS[name]
    for row, path in weights.present("enhancer", runtime):
        if row in spec.weights or weights.entries(runtime)[row].variant == name:
            return path
    if not spec.weights:
        raise WeightsError(
            f"Enhancer is '{name}', and no checkpoint of it is here. Pin yours: lipsync weights add FILE."
        )
    return weights.require(spec.weights[0], runtime)


def _load(name: str, path: Path, runtime: Runtime, fidelity: float) -> ChosenEnhancer:
    tensors = weights.load_state_dict(path, runtime)
    found = recognise({key: tuple(tensor.shape) for key, tensor in tensors.items()})
    if found is None or name not in ("auto", found):
        known = f"it belongs to {found}" if found else "it belongs to no enhancer that we know"
        raise WeightsError(
            f"{shown_name(path)}: Enhancer is '{name}', but {known}. Choose another file, or one of "
            f"{', '.join(ENHANCERS)}."
        )
    try:
        enhancer = ENHANCERS[found].load(tensors, runtime, fidelity)
    except WeightsError as error:
        raise WeightsError(f"{shown_name(path)}: {error}") from None
    return ChosenEnhancer(found, enhancer, content_hash(path)[:8])
