"""Fast, Balanced, Best: a few options set at once. Balanced is every option's default."""

from __future__ import annotations

from typing import Any

from lipsync_core.options import defaults, knobs

PRESETS: dict[str, dict[str, Any]] = {
    "Fast": {"detect_every": 10, "preset": "ultrafast", "crf": 21, "paste": "feather", "enhancer": "none"},
    "Balanced": {},
    "Best": {"detect_every": 1, "preset": "slow", "crf": 14, "paste": "pyramid"},
}


def touched() -> list[str]:
    """Every option that some preset sets, of those that exist."""
    names = {name for values in PRESETS.values() for name in values}
    return [name for name in knobs() if name in names]


def values_of(preset: str) -> dict[str, Any]:
    """Option -> value for all that `touched` names."""
    standard = defaults()
    return {name: PRESETS[preset].get(name, standard[name]) for name in touched()}
