"""gradio 3.41 (A1111) and 4.40 (Forge) where they want different words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gradio as gr

GRADIO = int(gr.__version__.split(".")[0])


def js(code: str) -> dict[str, str]:
    """The keyword for an event's JavaScript."""
    return {"_js" if GRADIO < 4 else "js": code}


def sources(*names: str) -> dict[str, Any]:
    """The keyword for where a picture or sound may come from; gradio 3 takes the first alone."""
    return {"source": names[0]} if GRADIO < 4 else {"sources": list(names)}


def volatile(component: Any) -> Any:
    """Keep the host from remembering this one's value in ui-config.json. Returns it."""
    component.do_not_save_to_config = True
    return component


def path_of(value: Any) -> Path | None:
    """The file behind what gr.Audio, gr.Video or gr.File hands over; None for nothing."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        value = value.get("path") or value.get("name")
    if value is not None and not isinstance(value, (str, os.PathLike)):
        value = value.name
    return Path(value) if value else None
