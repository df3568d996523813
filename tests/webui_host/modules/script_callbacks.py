"""Callbacks: kept in lists, called in order; what one of them raises is kept, and never reaches the host."""

import traceback
from collections import defaultdict
from typing import Any

CALLBACKS: dict[str, list] = defaultdict(list)
REPORTED: list[str] = []  # tracebacks of callbacks that failed


def _adder(name: str):
    def add(callback, *, name: str | None = None, key=name) -> None:
        CALLBACKS[key].append(callback)

    return add


on_app_started = _adder("app_started")
on_before_reload = _adder("before_reload")
on_before_ui = _adder("before_ui")
on_ui_tabs = _adder("ui_tabs")
on_ui_settings = _adder("ui_settings")
on_after_component = _adder("after_component")
on_before_component = _adder("before_component")
on_script_unloaded = _adder("script_unloaded")
on_infotext_pasted = _adder("infotext_pasted")


def clear_callbacks() -> None:
    CALLBACKS.clear()


def run(name: str, *rest: Any, **more: Any) -> list:
    """What the callbacks of a kind give; those that fail are left out."""
    results = []
    for callback in CALLBACKS[name]:
        try:
            results.append(callback(*rest, **more))
        except Exception:
            REPORTED.append(traceback.format_exc())
    return results
