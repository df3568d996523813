"""What a run did, as the page shows it. Everything that came from a file's name or a user is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path

from lipsync_core.types import Report


def log_html(report: Report) -> str:
    """Two lines and one for each thing the user should know."""
    stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report.stage_seconds.items())
    lines = [
        f"{report.frames} frames, {report.seconds:.2f} s at {report.fps} fps, {report.width}x{report.height}; "
        f"{report.faces} {'face' if report.faces == 1 else 'faces'}",
        f"{report.engine} on {report.device} ({report.precision}): {report.frames_per_second:.1f} frames/s ({stages})",
    ]
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in report.warnings)
    return _lines(lines) + (f"<ul class='lipsync-notes'>{notes}</ul>" if notes else "")


def saved_html(path: Path) -> str:
    return f"<p class='lipsync-saved'>Saved: {html.escape(str(path))}</p>"


def error_html(error: object) -> str:
    return f"<div class='error lipsync-error'>{html.escape(str(error))}</div>"


def list_html(rows: Iterable[tuple[str, str]]) -> str:
    """(file name, what happened to it) of a batch."""
    items = "".join(f"<li><b>{html.escape(name)}</b>: {html.escape(words)}</li>" for name, words in rows)
    return f"<ul class='lipsync-batch'>{items}</ul>" if items else ""


def infotext_html(text: str) -> str:
    return f"<p class='lipsync-infotext'>{html.escape(text)}</p>" if text else ""


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)
