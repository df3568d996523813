"""The settings of a run as one line of text that people read and programs read back; it travels in the file's tags.

    Engine: puppet, Lip strength: 1.2, Seed: 7, Version: sd-lipsync 0.1.0

Only what differs from the default is in it, and of a file its name alone.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from . import __version__
from .errors import UsageError
from .knobs import Knob, check_value
from .options import LipSyncOptions

KEY = "parameters"  # of the container's tags, as image generators call theirs
_VERSION = f"sd-lipsync {__version__}"
_PAIR = re.compile(r'\s*([^:,"]+):\s*("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)')


def write_infotext(options: LipSyncOptions) -> str:
    """One line: 'Label: value' pairs with commas between them, the engine first, this version last."""
    pairs = {"Engine": options.engine}
    for row in fields(options):
        value = getattr(options, row.name)
        if value != row.default:
            pairs[row.metadata["knob"].label] = _shown(value, row.metadata["knob"])
    pairs["Version"] = _VERSION
    return ", ".join(f"{label}: {_quoted(value)}" for label, value in pairs.items())


def read_infotext(text: str) -> dict[str, Any]:
    """Field name -> value, of everything in the text that is an option of today and can have this value."""
    by_label = {row.metadata["knob"].label: row for row in fields(LipSyncOptions)}
    values: dict[str, Any] = {}
    for label, word in _PAIR.findall(text):
        row = by_label.get(label.strip())
        if row is None:
            continue
        with suppress(UsageError, ValueError):
            value = _value(_unquoted(word), type(row.default))
            check_value(row, value)
            values[row.name] = value
    return values


def read_infotext_of(path: str | os.PathLike[str]) -> str:
    """The line that a video carries, empty where it has none. Raises InputError for what is no media file."""
    from .media import open_media

    with open_media(path) as container:
        tags = {name.lower(): value for name, value in container.metadata.items()}
    return str(tags.get(KEY, ""))


def _shown(value: Any, rule: Knob) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.10g}"
    return Path(value).name if rule.file else str(value)


def _value(word: str, kind: type) -> Any:
    if kind is bool:
        if word not in ("on", "off"):
            raise ValueError(word)
        return word == "on"
    return kind(word)


def _quoted(word: str) -> str:
    plain = word and word == word.strip() and not set(word) & set(',:"\n\r')
    return word if plain else json.dumps(word, ensure_ascii=False)


def _unquoted(word: str) -> str:
    return str(json.loads(word)) if word.startswith('"') else word.strip()
