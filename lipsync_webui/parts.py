"""The tab's components, by what they are for: what `tab.py` lays out and `wiring.py` connects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .asked import FIELDS
from .widgets import Widgets


@dataclass(frozen=True)
class Tab:
    """options: one widget for each option, in its order."""

    status: Widgets
    inputs: Widgets
    options: Widgets
    results: Widgets

    def asked(self) -> list[Any]:
        """The inputs of a run, in the order that `asked.read` expects."""
        return [*(self.inputs[name] for name in FIELDS), *self.options.values()]
