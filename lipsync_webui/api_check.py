"""Is a file what a request says it is? Looked at before the request waits for its turn."""

from __future__ import annotations

from pathlib import Path

from lipsync_core.errors import InputError
from lipsync_core.media import open_media, shown_name
from lipsync_core.sound import open_track
from lipsync_core.video.clip import probe
from lipsync_core.video.image import is_picture

from .api_errors import RefusedError


def check_face(path: Path) -> None:
    """A picture or video of the kinds that a server opens. Raises InputError."""
    probe(path, wide=False)


def check_speech(path: Path, max_seconds: int) -> None:
    """Sound of the kinds that a server opens, not too long by its own account. Raises InputError, RefusedError."""
    with open_media(path, wide=False, wanted="sound file") as container:
        if not container.streams.audio:
            raise InputError(f"{shown_name(path)}: the file has no sound track. Choose a file with sound.")
    check_seconds(float(open_track(path).seconds or 0), max_seconds)


def check_any(path: Path) -> None:
    """A picture, video or sound of the kinds that a server opens: what a setting names. Raises InputError."""
    if is_picture(path):
        probe(path, wide=False)
    else:
        open_media(path, wide=False).close()


def check_seconds(seconds: float, max_seconds: int) -> None:
    if seconds > max_seconds:
        raise RefusedError(
            413,
            "TooLong",
            f"The speech is longer than {max_seconds} s. Cut it, or raise the limit in Settings > Lip Sync.",
        )
