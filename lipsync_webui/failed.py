"""The tab when it could not be built: what went wrong, and what to do. Needs gradio alone."""

from __future__ import annotations

import html
import sys

import gradio as gr

from .guard import FAILURES, Failure

_ADVICE = (
    "The rest of the WebUI is not affected. Most often a package is missing or too old: close the WebUI and start it "
    "again without <code>--skip-install</code>, or run this in a terminal and restart:"
)


def build() -> gr.Blocks:
    with gr.Blocks(analytics_enabled=False) as blocks:
        gr.HTML(failures_html(), elem_id="lipsync_failed")
    return blocks


def failures_html() -> str:
    """Every failure so far, empty where there is none."""
    if not FAILURES:
        return ""
    command = html.escape(f'"{sys.executable}" -m pip install av librosa scikit-image')
    rows = "".join(_row(failure) for failure in FAILURES)
    return f"<div class='lipsync-card lipsync-bad'>{rows}<p>{_ADVICE}</p><pre>{command}</pre></div>"


def _row(failure: Failure) -> str:
    return (
        f"<p><b>Lip Sync could not load {html.escape(failure.what)}:</b> {html.escape(failure.reason)}</p>"
        f"<details><summary>Details for a report</summary><pre>{html.escape(failure.details)}</pre></details>"
    )
