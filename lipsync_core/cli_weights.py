"""`lipsync weights list | get | add | convert | verify`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from . import weights
from .media import shown_name
from .runtime import Runtime


def _list(arguments: argparse.Namespace, runtime: Runtime) -> str:
    return weights.as_text(weights.list_weights(runtime))


def _get(arguments: argparse.Namespace, runtime: Runtime) -> str:
    path = weights.get(arguments.what, runtime, accept_licence=arguments.accept_licence)
    return f"{arguments.what} is at {path}"


def _add(arguments: argparse.Namespace, runtime: Runtime) -> str:
    from .engines import recognise

    entry = weights.add(Path(arguments.what), runtime, recognise)
    name = shown_name(arguments.what)
    return f"{name} is known as '{entry.name}' from now on ({entry.engine}). Use --checkpoint {entry.name}"


def _convert(arguments: argparse.Namespace, runtime: Runtime) -> str:
    return f"written: {weights.convert(Path(arguments.what), runtime)}"


def _verify(arguments: argparse.Namespace, runtime: Runtime) -> str:
    return weights.as_text(weights.verify(runtime)) or "No checkpoints are here."


ACTIONS: dict[str, Callable[[argparse.Namespace, Runtime], str]] = {
    "list": _list,
    "get": _get,
    "add": _add,
    "convert": _convert,
    "verify": _verify,
}
