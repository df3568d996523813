"""The status card: what is installed, which weights are here, what to do about what is missing."""

from __future__ import annotations

import html
import sys

from lipsync_core import __version__
from lipsync_core.errors import LipSyncError

from . import host, installed
from .failed import failures_html
from .installed import Weights


def card_html() -> str:
    """The whole card. Nothing but advice is shown where something is wrong, one line where all is well."""
    missing = installed.missing_packages()
    if missing:
        return failures_html() + _missing_html(missing)
    try:
        rows = installed.weights()
    except LipSyncError as error:
        return failures_html() + f"<div class='lipsync-card lipsync-bad'><p>{html.escape(str(error))}</p></div>"
    return failures_html() + _ready_html(rows)


def downloadable() -> list[str]:
    """Names that the download button offers."""
    try:
        return [row.name for row in installed.weights() if row.direct and not row.ready]
    except LipSyncError:
        return []


def licence_html(name: str) -> str:
    """What somebody has to know before they download this."""
    row = next((row for row in installed.weights() if row.name == name), None)
    if row is None:
        return ""
    size = f"{row.size} MB" if row.size else "size unknown"
    link = _link(row.licence_url, "the licence's page") if row.licence_url else ""
    folder = html.escape(str(host.model_dirs()[0]))
    note = f"<p>{html.escape(row.note)}</p>" if row.note else ""
    return (
        f"<div class='lipsync-card lipsync-licence'><p><b>{html.escape(row.name)}</b> "
        f"({html.escape(row.file)}, {size}) goes to <code>{folder}</code>.</p>"
        f"<p><b>Licence:</b> {html.escape(row.licence)} {link}</p>{note}</div>"
    )


def _missing_html(missing: dict[str, str]) -> str:
    rows = "".join(f"<li><b>{html.escape(name)}</b>: {html.escape(words)}</li>" for name, words in missing.items())
    command = html.escape(f'"{sys.executable}" -m pip install {" ".join(missing)}')
    return (
        f"<div class='lipsync-card lipsync-bad'><p>Packages are missing:</p><ul>{rows}</ul><p>Restart the WebUI "
        f"without <code>--skip-install</code>, or run this and restart:</p><pre>{command}</pre></div>"
    )


def _ready_html(rows: list[Weights]) -> str:
    here = [row.name for row in rows if row.ready]
    kind = "Forge" if host.is_forge() else "A1111"
    device = html.escape(host.device_name("auto"))
    listed = "".join(_weights_html(row) for row in rows)
    extra = f"; weights here: {html.escape(', '.join(here))}" if here else ", which needs no download"
    return (
        f"<div class='lipsync-card lipsync-good'><details><summary>Ready: engine <b>puppet</b>{extra}. "
        f"Device {device}.</summary><table>{listed}</table>"
        f"<p>Weights are looked for in {_folders()}. sd-lipsync {__version__} on {kind}.</p></details></div>"
    )


def _weights_html(row: Weights) -> str:
    if row.ready:
        state = "<span class='lipsync-yes'>here</span>"
    elif row.direct:
        state = "download below"
    else:
        state = f"{_link(row.page, 'get it by hand')}" if row.page else "get it by hand"
    return (
        f"<tr><td>{html.escape(row.name)}</td><td>{html.escape(row.engine)}</td>"
        f"<td>{html.escape(row.licence)}</td><td>{state}</td></tr>"
    )


def _folders() -> str:
    return ", ".join(f"<code>{html.escape(str(folder))}</code>" for folder in host.model_dirs())


def _link(address: str, words: str) -> str:
    if not address.startswith("https://"):
        return ""
    return f"<a href='{html.escape(address, quote=True)}' target='_blank' rel='noreferrer'>{html.escape(words)}</a>"
