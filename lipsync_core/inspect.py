"""`lipsync inspect`: what is in a file, in flat memory however long it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from . import weights
from .errors import Cancelled, InputError
from .media import regular_file, shown_name
from .types import AudioInfo, VideoInfo

WEIGHT_ENDINGS = (".safetensors", ".pth", ".pt", ".ckpt", ".tar", ".model", ".onnx")

Facts = dict[str, str]


def describe(path: Path, wanted: Callable[[], bool] = lambda: False) -> Facts:
    """Name of a fact -> fact, of a picture, video, sound or checkpoint. Raises InputError when it is none of them."""
    regular_file(path)
    if path.suffix.lower() in WEIGHT_ENDINGS:
        return _checkpoint(path)
    return _media(path, wanted)


def _checkpoint(path: Path) -> Facts:
    from .engines import recognise
    from .engines.variants import identify
    from .media import content_hash

    facts = {"file": shown_name(path), "kind": "checkpoint", "sha256": content_hash(path)}
    if path.suffix.lower() != ".safetensors":
        return {**facts, "network": "unknown until it is pinned: lipsync weights add FILE"}
    shapes = weights.shapes_of(path)
    found, row = recognise(shapes), identify(shapes)
    network = f"{found[0]} ({found[1]})" if found else f"{row.words} ({row.name})" if row else "unknown"
    return {**facts, "tensors": str(len(shapes)), "network": network}


def _media(path: Path, wanted: Callable[[], bool]) -> Facts:
    from .audio.read import probe_audio
    from .video.clip import probe
    from .video.provenance import read_provenance

    facts = {"file": shown_name(path)}
    picture = sound = None
    try:
        picture = probe(path)
        facts |= _picture_facts(picture)
    except InputError as error:
        reason = error
    if wanted():
        raise Cancelled("Stopped.")
    if picture is None or picture.has_audio:
        try:
            sound = probe_audio(path)
            facts |= _sound_facts(sound, "kind" not in facts)
        except InputError:
            if picture is None:
                raise reason from None
    notes = [*(picture.notes if picture else ()), *(sound.notes if sound else ())]
    if notes:
        facts["notes"] = " ".join(notes)
    found = read_provenance(path) if picture is None or not picture.is_image else None
    facts["made by AI"] = found.source_type if found and found.source_type else "no mark found"
    return facts


def _picture_facts(picture: VideoInfo) -> Facts:
    size = f"{picture.width}x{picture.height}"
    if picture.is_image:
        return {"kind": "picture", "size": size}
    return {
        "kind": "video",
        "size": size,
        "frame rate": str(picture.fps),
        "frames": str(picture.frame_count),
        "seconds": f"{picture.seconds:.3f}",
    }


def _sound_facts(sound: AudioInfo, alone: bool) -> Facts:
    facts = {"kind": "sound"} if alone else {}
    return {
        **facts,
        "sound": f"{sound.codec}, {sound.sample_rate} Hz, {sound.channels} channels",
        "sound seconds": f"{sound.seconds:.3f}",
    }
