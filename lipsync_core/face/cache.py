"""Faces of a clip on disk, so that the next voice need not look for them again."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from ..media import atomic_output
from ..types import FaceTrack
from .track import ClipFaces

_VERSION = 1  # of the file's form and of what tracking means; a higher one makes old files unreadable


def save_tracks(path: Path, clip: ClipFaces) -> None:
    """Write `clip` as .npz, whole or not at all. Raises OutputError."""
    count, frames = len(clip.tracks), clip.frame_count
    boxes = np.array([track.boxes_xyxy for track in clip.tracks], np.float32).reshape(count, frames, 4)
    landmarks = np.array([track.landmarks for track in clip.tracks], np.float32).reshape(count, frames, 5, 2)
    found = np.array([track.found for track in clip.tracks], bool).reshape(count, frames)
    size = np.array([_VERSION, frames, clip.width, clip.height], dtype=np.int64)
    with atomic_output(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, size=size, cuts=clip.cuts, boxes_xyxy=boxes, landmarks=landmarks, found=found)


def load_tracks(path: Path) -> ClipFaces | None:
    """What `save_tracks` wrote; None where there is none, or it is damaged or of another version: look again then."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            version, frames, width, height = (int(value) for value in stored["size"])
            if version != _VERSION:
                return None
            parts = stored["boxes_xyxy"], stored["landmarks"], stored["found"]
            cuts = stored["cuts"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    boxes, landmarks, found = parts
    if (
        boxes.shape[1:] != (frames, 4)
        or landmarks.shape != (len(boxes), frames, 5, 2)
        or found.shape != boxes.shape[:2]
    ):
        return None
    tracks = (FaceTrack(b, p, f, np.ones(frames, dtype=bool)) for b, p, f in zip(boxes, landmarks, found, strict=True))
    return ClipFaces(tuple(tracks), cuts, frames, width, height)
