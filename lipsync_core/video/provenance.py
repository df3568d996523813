"""Says in the file itself that AI made the picture: tags of the container and, in MP4 and MOV, XMP.

Written always: the EU AI Act (article 50) asks for marks that machines can read.
No path and no name of a user is in them.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from ..infotext import KEY
from ..media import open_media
from .c2pa import read_signature
from .provenance_words import COMPOSITE, GENERATED, TOOL, Provenance
from .xmp import append_xmp, read_xmp

__all__ = ["COMPOSITE", "GENERATED", "Found", "Provenance", "add_xmp", "container_tags", "read_provenance"]

_OWN_KEY = "sd_lipsync"


@dataclass(frozen=True)
class Found:
    """The marks of a file. source_type: IPTC address or "". xmp, c2pa: whether there is such a mark.

    signature: of C2PA: "" (none, or nothing here can read it), "valid" or "invalid".
    """

    source_type: str = ""
    tool: str = ""
    details: dict[str, str] = field(default_factory=dict)
    xmp: bool = False
    signature: str = ""

    @property
    def made_with_ai(self) -> bool:
        return bool(self.source_type)


def container_tags(provenance: Provenance) -> dict[str, str]:
    """Name -> value for the container's metadata."""
    details = {
        "tool": TOOL,
        "version": provenance.version,
        "engine": provenance.engine,
        "weights": provenance.weights,
        "label": "on" if provenance.label else "off",
    }
    settings = {KEY: provenance.parameters} if provenance.parameters else {}
    return {
        **settings,
        **dict(provenance.tags),
        "comment": provenance.sentence,
        "description": provenance.sentence,
        "DigitalSourceType": provenance.source_type,
        _OWN_KEY: json.dumps({name: value for name, value in details.items() if value}),
    }


def add_xmp(path: Path, provenance: Provenance) -> None:
    """Append the XMP box to a finished MP4 or MOV."""
    append_xmp(path, provenance.source_type, f"{TOOL} {provenance.version}", provenance.sentence)


def read_provenance(path: str | os.PathLike[str]) -> Found:
    """The marks that a file carries; all empty where there are none. Raises `InputError` for what is no media file."""
    with open_media(path) as container:
        tags = {name.lower(): value for name, value in container.metadata.items()}
    xmp = read_xmp(Path(path))
    details = _details(tags.get(_OWN_KEY, ""))
    signature = read_signature(Path(path))
    source_type = tags.get("digitalsourcetype", "") or xmp or signature.source_type
    return Found(source_type, details.get("tool", ""), details, bool(xmp), signature.state)


def _details(text: str) -> dict[str, str]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return {str(name): str(entry) for name, entry in value.items()} if isinstance(value, dict) else {}
