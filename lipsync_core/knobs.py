"""One setting as data: what a user interface needs to show it, and the check of a value against it."""

from __future__ import annotations

from dataclasses import Field, dataclass, field
from typing import Any

from .errors import UsageError


@dataclass(frozen=True)
class Knob:
    """What a user interface needs to know of one setting.

    low, high, step: for numbers, both ends included. choices: for words. unit: shown behind the number.
    file: the text names a file. weights: that file is a checkpoint, so its name in the catalogue will do.
    advanced: may be hidden behind a fold.
    """

    label: str
    help: str
    group: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    file: bool = False
    weights: bool = False
    advanced: bool = False


def knob(default: Any, group: str, label: str, help: str, **more: Any) -> Any:
    """A dataclass field that carries its Knob."""
    return field(default=default, metadata={"knob": Knob(label=label, help=help, group=group, **more)})


def check_value(row: Field[Any], value: Any) -> None:
    """Raise UsageError, naming label and value, when a field cannot have this value."""
    rule: Knob = row.metadata["knob"]
    wanted: type = type(row.default)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise UsageError(f"{rule.label} is {value!r}. It must be of the kind {wanted.__name__}.")
    if rule.choices and value not in rule.choices:
        raise UsageError(f"{rule.label} is '{value}'. It must be one of {', '.join(rule.choices)}.")
    number: Any = value
    if rule.low is not None and rule.high is not None and not rule.low <= number <= rule.high:
        unit = f" {rule.unit}" if rule.unit else ""
        raise UsageError(f"{rule.label} is {value}{unit}. It must lie between {rule.low:g} and {rule.high:g}.")
