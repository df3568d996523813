"""A signed C2PA manifest in MP4 and MOV, where the optional package c2pa-python is installed (extra `c2pa`).

Nothing is sent or fetched. Without a certificate of the C2PA trust list a reader says "valid, signer not trusted".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..media import atomic_output
from .identity import load_identity
from .provenance_words import TOOL, Provenance

_TYPES = {".mp4": "video/mp4", ".mov": "video/quicktime"}
_SETTINGS = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    # The default of 512 MB would hold the whole video in memory, twice.
    "core": {"allowed_network_hosts": [], "backing_store_memory_threshold_in_mb": 16},
    "builder": {"thumbnail": {"enabled": False}},
}


@dataclass(frozen=True)
class Signature:
    """state: "" (none, or no package that could read it), "valid" or "invalid". source_type: IPTC address or ""."""

    state: str = ""
    source_type: str = ""


def sign(path: Path, extension: str, provenance: Provenance) -> str:
    """Sign a finished file in place. Returns "" when it is done or cannot be done here, else why it failed."""
    package = _package()
    if package is None or extension not in _TYPES:
        return ""
    try:
        identity = load_identity()
        info = package.C2paSignerInfo(identity.algorithm, identity.chain, identity.key, None)
        context = package.Context(package.Settings.from_dict(_SETTINGS))
        with (
            atomic_output(path) as signed,
            package.Signer.from_info(info) as signer,
            package.Builder(_manifest(provenance, _TYPES[extension]), context) as builder,
            path.open("rb") as source,
            signed.open("w+b") as target,
        ):
            builder.sign(signer, _TYPES[extension], source, target)
    except (package.C2paError, OSError, ValueError) as error:
        return f"The result carries no C2PA signature ({error})."
    return ""


def read_signature(path: Path) -> Signature:
    """What a C2PA reader says about the file. Anything but a good manifest is "invalid"; none at all is ""."""
    package = _package()
    if package is None or path.suffix.lower() not in _TYPES:
        return Signature()
    context = package.Context(package.Settings.from_dict(_SETTINGS))
    try:
        with path.open("rb") as file:
            reader = package.Reader.try_create(_TYPES[path.suffix.lower()], file, context=context)
            if reader is None:
                return Signature()
            with reader:
                return _signature(json.loads(reader.json()))
    except package.C2paError:
        return Signature("invalid")


def _signature(store: dict[str, Any]) -> Signature:
    state = "valid" if store.get("validation_state") in ("Valid", "Trusted") else "invalid"
    manifest = store.get("manifests", {}).get(store.get("active_manifest"), {})
    for assertion in manifest.get("assertions", []):
        for action in assertion.get("data", {}).get("actions", []):
            if "digitalSourceType" in action:
                return Signature(state, str(action["digitalSourceType"]))
    return Signature(state)


def _package() -> Any:
    """The module c2pa when it is there and new enough to be told to stay off the network, else None."""
    try:
        import c2pa
    except ImportError:
        return None
    return c2pa if hasattr(c2pa, "Context") else None


def _manifest(provenance: Provenance, media_type: str) -> dict[str, Any]:
    agent = {"name": TOOL, "version": provenance.version}
    action = {
        "action": "c2pa.created",
        "digitalSourceType": provenance.source_type,
        "softwareAgent": agent,
        "when": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "description": provenance.sentence,
    }
    return {
        "claim_generator_info": [agent],
        "format": media_type,
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}],
    }
