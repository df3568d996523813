"""The status card's download: the licence first, then the file, checked by its hash."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import Any

import gradio as gr

from lipsync_core.errors import LipSyncError

from . import installed, status

_progress = gr.Progress()


def ask(name: str | None) -> list[Any]:
    """Show the licence. Returns the updates of its box, its text and its check mark."""
    if not name:
        return [gr.update(visible=True), "<p>Everything that can be downloaded from here is here.</p>", False]
    return [gr.update(visible=True), status.licence_html(name), False]


def start(name: str | None, accepted: bool, progress: gr.Progress = _progress) -> list[Any]:
    """Download. Returns the updates of the licence's box and its text."""
    if not name:
        return [gr.update(visible=False), ""]
    if not accepted:
        return [gr.update(visible=True), status.licence_html(name) + _error("Tick that you accept the licence first.")]
    from lipsync_core.weights import get

    def show(stage: str, done: int, total: int) -> None:
        progress(done / total if total else 0.0, desc=f"{name}: {done >> 20} of {total >> 20} MB")

    try:
        get(name, replace(installed.looking(), progress=show), accept_licence=True)
    except LipSyncError as error:
        return [gr.update(visible=True), status.licence_html(name) + _error(str(error))]
    return [gr.update(visible=False), ""]


def _error(text: str) -> str:
    return f"<div class='error lipsync-error'>{html.escape(text)}</div>"
