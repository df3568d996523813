"""Checkpoints of a run: `model.safetensors`, which inference loads, and `state-NNNNNNNN.safetensors`, to go on from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from ..errors import InputError, OutputError
from ..media import atomic_output, shown_name

_KEPT = 2  # states, so that one survives when the newest turns out to be damaged
Tensors = dict[str, torch.Tensor]


def save_model(path: Path, model: nn.Module, facts: dict[str, str]) -> None:
    """Weights alone, float32, with what they are in the metadata."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    _write(path, tensors, facts)


def save_state(folder: Path, step: int, parts: dict[str, Any], facts: dict[str, Any]) -> None:
    """All that a run goes on from. parts: name -> module or optimizer. facts: what JSON can hold, and tensors."""
    tensors: Tensors = {}
    plain: dict[str, Any] = {"step": step}
    for name, part in parts.items():
        _flatten(part.state_dict(), name, tensors, plain)
    _flatten(facts, "facts", tensors, plain)
    _write(folder / f"state-{step:08d}.safetensors", tensors, {"plain": json.dumps(plain)})
    for old in states(folder)[:-_KEPT]:
        old.unlink(missing_ok=True)


def states(folder: Path) -> list[Path]:
    """The states of a run, oldest first."""
    return sorted(folder.glob("state-*.safetensors"))


def load_state(folder: Path, parts: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
    """Put the newest state that can be read into `parts`; (step, facts), None when there is none yet."""
    for path in reversed(states(folder)):
        try:
            with safe_open(path, "pt") as file:
                plain = json.loads(file.metadata()["plain"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            if path == states(folder)[0]:
                raise InputError(
                    f"{shown_name(path)}: this state of the run is damaged ({error}). Delete it."
                ) from None
            continue
        for name, part in parts.items():
            part.load_state_dict(_unflatten(name, tensors, plain))
        facts = _unflatten("facts", tensors, plain)
        return int(plain["step"]), facts
    return None


def _flatten(value: Any, name: str, tensors: Tensors, plain: dict[str, Any]) -> None:
    """Nested dicts and lists to names with / between; the kind of each key is kept, since optimizers use numbers."""
    if isinstance(value, torch.Tensor):
        tensors[name] = value.detach().cpu().contiguous().clone()
        return
    if isinstance(value, (dict, list, tuple)):
        rows = value.items() if isinstance(value, dict) else enumerate(value)
        keys = [(key, f"{name}/{key}") for key, _ in rows]
        kind = "dict" if isinstance(value, dict) else "list"
        plain[name] = {"kind": kind, "keys": [key for key, _ in keys]}
        for key, inner in keys:
            _flatten(value[key], inner, tensors, plain)
        return
    plain[name] = {"kind": "plain", "value": value}


def _unflatten(name: str, tensors: Tensors, plain: dict[str, Any]) -> Any:
    if name in tensors:
        return tensors[name]
    row = plain[name]
    if row["kind"] == "plain":
        return row["value"]
    inner = [(key, _unflatten(f"{name}/{key}", tensors, plain)) for key in row["keys"]]
    return dict(inner) if row["kind"] == "dict" else [value for _, value in inner]


def _write(path: Path, tensors: Tensors, metadata: dict[str, str]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_output(path) as part:
            save_file(tensors, str(part), metadata)
    except OSError as error:
        raise OutputError(f"{path.name}: the checkpoint cannot be written ({error.strerror}).") from None
