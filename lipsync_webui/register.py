"""What the host is told when it starts. Each part is loaded on its own: one that fails leaves the others."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from modules import script_callbacks

from . import TITLE
from .guard import FAILURES, attempt

# (what the user misses when it fails, module of this package); each module has a `register()`.
PARTS = (
    ("the settings", "settings"),
    ("the send-to buttons", "send_to"),
    ("'Animate after generation'", "after"),
    ("the API", "api"),
)


def register() -> type | None:
    """Register every part. Returns the always-on script's class for the host to find, None where it cannot load."""
    FAILURES.clear()
    for what, name in PARTS:
        if find_spec(f"{__package__}.{name}"):
            attempt(what, _caller(name, "register"))
    script_callbacks.on_ui_tabs(ui_tabs)
    return attempt("'Animate after generation'", lambda: import_module(".after", __package__).AnimateAfterGeneration)


def _caller(name: str, function: str) -> Callable[[], Any]:
    return lambda: getattr(import_module(f".{name}", __package__), function)()


def ui_tabs() -> list[tuple[Any, str, str]]:
    """The tab; where it cannot be built, the reason in its place."""
    blocks = attempt("the tab", _caller("tab", "build"))
    if blocks is None:
        blocks = import_module(".failed", __package__).build()
    return [(blocks, TITLE, "lipsync")]
