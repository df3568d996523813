"""Schemas: inputs made from the core's options, and one source for old and new ComfyUI.

What is folded away is also optional: a prompt over the API need not name it, and a saved one goes on to work when more
is added.

ComfyUI 0.3.64 knows neither `advanced` nor `search_aliases`; what a version does not take is left out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from comfy_api.latest import io

from ..lipsync_core.options import defaults, knobs

CATEGORY = "lipsync"
STEPS = f"{CATEGORY}/steps"
LOADERS = f"{CATEGORY}/loaders"
ALIASES = ("lipsync", "lip sync", "wav2lip", "talking head", "dub")


def build(make: Callable[..., Any], *arguments: Any, **words: Any) -> Any:
    """Call `make` with those of the keywords that this ComfyUI's version of it takes."""
    known = inspect.signature(make).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return make(*arguments, **words)
    made = make(*arguments, **{name: value for name, value in words.items() if name in known})
    if words.get("advanced") and "advanced" not in known:  # the page of 0.3.64 knows the word, its Python does not
        made.extra_dict = {**made.extra_dict, "advanced": True}
    return made


def finish(schema: io.Schema, *aliases: str, keeps_preview: bool = False) -> io.Schema:
    """Add what newer versions show: words under which the node is found, and a preview that outlives a reload."""
    for name, value in (("search_aliases", [*ALIASES, *aliases]), ("has_intermediate_output", keeps_preview)):
        if hasattr(schema, name):
            setattr(schema, name, value)
    return schema


def socket(kind: Any, id: str, label: str, tooltip: str, *, optional: bool = False, lazy: bool = False) -> Any:
    """An input without a widget. kind: a type, or a list of types of which each may be connected."""
    words = {"display_name": label, "tooltip": tooltip, "optional": optional, "lazy": lazy or None}
    if isinstance(kind, list):
        return io.MultiType.Input(id, types=kind, **words)
    return kind.Input(id, **words)


def output(kind: Any, id: str, label: str, tooltip: str) -> Any:
    """An output. Its id must differ from every input's (ComfyUI 0.3.64), its label need not."""
    return kind.Output(id, display_name=label, tooltip=tooltip)


@dataclass(frozen=True)
class Changed:
    """Where a node's widget is not quite the option: what it is called, where it starts, what may be chosen."""

    default: Any = None
    choices: tuple[str, ...] | None = None
    low: float | None = None
    help: str = ""
    advanced: bool | None = None


_SAME = Changed()


def option(name: str, changed: Changed = _SAME) -> Any:
    """The widget of an option of the core: its default, range and words are in lipsync_core/options.py."""
    rule, default = knobs()[name], defaults()[name] if changed.default is None else changed.default
    unit = f" ({rule.unit})" if rule.unit else ""
    advanced = rule.advanced if changed.advanced is None else changed.advanced
    words: dict[str, Any] = {
        "display_name": f"{rule.label}{unit}",
        "tooltip": changed.help or rule.help,
        "default": default,
        "optional": advanced,
        "advanced": advanced or None,
    }
    choices = changed.choices or rule.choices
    if choices:
        return build(io.Combo.Input, name, options=list(choices), **words)
    if isinstance(default, bool):
        return build(io.Boolean.Input, name, **words)
    if isinstance(default, str):
        return build(io.String.Input, name, **words)
    low = rule.low if changed.low is None else changed.low
    kind = io.Int if isinstance(default, int) else io.Float
    number = type(default)
    return build(kind.Input, name, min=number(low), max=number(rule.high), step=number(rule.step), **words)


def hidden_option(name: str, changed: Changed = _SAME) -> Any:
    """`option` that is folded away where the version can."""
    return option(name, replace(changed, advanced=True))


def number(id: str, label: str, tooltip: str, limits: tuple[float, float, float, float], advanced: bool = False) -> Any:
    """A number of the nodes' own. limits: default, lowest, highest, step; whole numbers make an INT."""
    kind = io.Int if all(isinstance(limit, int) for limit in limits) else io.Float
    default, low, high, step = limits
    words = {
        "default": default,
        "min": low,
        "max": high,
        "step": step,
        "optional": advanced,
        "advanced": advanced or None,
    }
    return build(kind.Input, id, display_name=label, tooltip=tooltip, **words)


def choice(id: str, label: str, tooltip: str, options: list[str], default: str | None = None) -> Any:
    """A list of the nodes' own."""
    return io.Combo.Input(id, options=options, display_name=label, tooltip=tooltip, default=default or options[0])


def switch(id: str, label: str, tooltip: str, default: bool) -> Any:
    """A yes or no of the nodes' own."""
    return io.Boolean.Input(id, display_name=label, tooltip=tooltip, default=default)


def text(id: str, label: str, tooltip: str, default: str = "") -> Any:
    """A line of text of the nodes' own."""
    return io.String.Input(id, display_name=label, tooltip=tooltip, default=default)
