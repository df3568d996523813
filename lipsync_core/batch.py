"""Folders: which face speaks which voice, and what the results are called."""

from __future__ import annotations

from pathlib import Path

from .errors import InputError, UsageError

FACES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif",
         ".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".ts")  # fmt: skip
VIDEOS = FACES[FACES.index(".mp4") :]
VOICES = (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".wma", ".aiff",
          ".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")  # fmt: skip

Job = tuple[Path, Path, Path]  # face, voice, output


def pairs(face: Path, voice: Path, output: Path) -> tuple[list[Job], bool]:
    """(jobs, whether folders were given). Two folders are paired by file name; else each file gets the other's one.

    Raises UsageError when two folders share no name, InputError when a folder holds nothing to use.
    """
    if not face.is_dir() and not voice.is_dir():
        return [(face, voice, output)], False
    faces = _files(face, FACES, "face") if face.is_dir() else [face]
    voices = _files(voice, VOICES, "voice") if voice.is_dir() else [voice]
    if output.suffix.lower() in (".mp4", ".mov", ".mkv", ".webm"):
        raise UsageError(f"{output.name}: for folders OUT must be a folder, not a file.")
    chosen = _by_name(faces, voices) if face.is_dir() and voice.is_dir() else [(f, v) for f in faces for v in voices]
    named_by_face = face.is_dir()
    names = _unique([(f if named_by_face else v).stem for f, v in chosen])
    return [(f, v, output / f"{name}.mp4") for (f, v), name in zip(chosen, names, strict=True)], True


def _files(folder: Path, kinds: tuple[str, ...], what: str) -> list[Path]:
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in kinds and not p.name.startswith("."))
    if not found:
        raise InputError(f"{folder.name}: no {what} in this folder. It takes files like {', '.join(kinds[:4])}.")
    return found


def _by_name(faces: list[Path], voices: list[Path]) -> list[tuple[Path, Path]]:
    by_stem = {voice.stem: voice for voice in voices}
    both = [(face, by_stem[face.stem]) for face in faces if face.stem in by_stem]
    if not both:
        raise UsageError("Two folders are paired by file name (anna.png with anna.wav), but no name is in both.")
    return both


def _unique(names: list[str]) -> list[str]:
    """a, a -> a, a-2: two inputs that differ in their ending alone must not share a result."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return out
