"""The settings of a request, all from `options.py`: what /schema says of them, and how a request's own are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lipsync_core.errors import UsageError
from lipsync_core.knobs import Knob
from lipsync_core.options import GROUPS, LipSyncOptions, defaults, from_mapping, knobs

from .api_errors import RefusedError, printable
from .api_files import GivenFile, parse_given

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}

OpenFile = Callable[[str, GivenFile], Path]


def settings() -> list[dict[str, Any]]:
    """One row for each setting, in the order of the groups, for GET /schema."""
    default = defaults()
    rows = [_row(name, rule, default[name]) for name, rule in knobs().items()]
    return sorted(rows, key=lambda row: GROUPS.index(row["group"]))


def _row(name: str, rule: Knob, default: Any) -> dict[str, Any]:
    return {
        "name": name,
        "type": "file" if takes_file(rule) else _TYPES[type(default)],
        "default": None if takes_file(rule) else default,
        "label": rule.label,
        "help": rule.help,
        "group": rule.group,
        "low": rule.low,
        "high": rule.high,
        "step": rule.step,
        "choices": list(rule.choices),
        "unit": rule.unit,
        "advanced": rule.advanced,
    }


def takes_file(rule: Knob) -> bool:
    """Not for checkpoints: those are never sent, only named as the catalogue names them."""
    return rule.file and not rule.weights


def json_schema() -> dict[str, Any]:
    """The settings as a JSON schema, for /docs."""
    default = defaults()
    rows = {name: _property(rule, default[name]) for name, rule in knobs().items()}
    return {"properties": rows, "additionalProperties": False}


def _property(rule: Knob, default: Any) -> dict[str, Any]:
    words = {"title": rule.label, "description": f"{rule.help} [{rule.unit}]" if rule.unit else rule.help}
    if takes_file(rule):
        one = {"data": {"type": "string"}, "file": {"type": "string"}}
        return {**words, "type": "object", "properties": one, "additionalProperties": False}
    limits = {"enum": list(rule.choices)} if rule.choices else {}
    if rule.low is not None and rule.high is not None:
        limits |= {"minimum": rule.low, "maximum": rule.high}
    return {**words, "type": _TYPES[type(default)], "default": default, **limits}


def read_options(given: Any, open_file: OpenFile, find_weights: Callable[[str], Path]) -> LipSyncOptions:
    """The settings of a request, checked. Files come as {"data"} or {"file"}, checkpoints by their names.

    open_file: gives the path of a file of the request. find_weights: name in the catalogue -> file.
    Raises UsageError naming the setting, WeightsError, RefusedError.
    """
    if not isinstance(given, dict):  # pydantic 1 would make a dict of a list
        raise UsageError("'options' must be an object, as in {\"strength\": 1.2}.")
    rules, values = knobs(), dict(given)
    for name in [name for name in values if name in rules and rules[name].file]:
        if rules[name].weights:
            values[name] = _weights(rules[name].label, values[name], find_weights)
        elif values[name] is None or values[name] == "":
            del values[name]
        else:
            values[name] = str(open_file(name, parse_given(f"options.{name}", values[name])))
    unknown = [name for name in values if name not in rules]
    if unknown:
        raise UsageError(f"There is no setting '{printable(unknown[0])}'. GET /lipsync/v1/schema lists them all.")
    return from_mapping(values)


def _weights(label: str, name: Any, find_weights: Callable[[str], Path]) -> str:
    if name == "":
        return ""
    if not isinstance(name, str):
        raise UsageError(f"{label} must be a name that GET /lipsync/v1/models lists.")
    if any(sign in name for sign in '/\\:"') or name.startswith(".") or not name.isprintable():
        raise RefusedError(
            403, "NotAName", f"{label} '{printable(name)}' is no name. GET /lipsync/v1/models lists them."
        )
    return str(find_weights(name))
