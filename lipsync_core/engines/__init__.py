"""The mouth generators. To add one: write engines/<name>.py with a SPEC, then add its line here."""

from __future__ import annotations

from collections.abc import Mapping

from ..registry import Registry
from . import puppet, sadtalker, wav2lip
from .base import EngineSpec

ENGINES: Registry[EngineSpec] = Registry("engine")
ENGINES.add("puppet", puppet.SPEC)
ENGINES.add("wav2lip", wav2lip.SPEC)
ENGINES.add("sadtalker", sadtalker.SPEC)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, str] | None:
    """(engine, variant) of a checkpoint by its tensors' names and shapes, or None when nobody knows it."""
    for name, spec in ENGINES.items():
        variant = spec.detect(shapes)
        if variant is not None:
            return name, variant
    return None
