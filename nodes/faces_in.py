"""Faces as they come in: our own, or what the host's detection nodes give."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from ..lipsync_core.errors import InputError
from ..lipsync_core.face.landmarks import usual_landmarks
from ..lipsync_core.face.policy import Searched
from ..lipsync_core.face.seek import Sightings, TrackSettings
from ..lipsync_core.face.track import link_faces
from ..lipsync_core.types import Detections, Float
from ..lipsync_core.video.source import Source
from .types import Faces

_NOBODY = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))
# Points of the 478-point face mesh: the middle of each eye's corners, nose tip, corners of the mouth.
_MESH = {"left eye": (33, 133), "right eye": (362, 263), "nose": (1,), "left mouth": (61,), "right mouth": (291,)}


def faces_of(value: Any, source: Source) -> Faces:
    """LIPSYNC_FACES, BOUNDING_BOX or FACE_LANDMARKS as `Faces`. source: what they were found in."""
    if isinstance(value, Faces):
        return value
    if isinstance(value, Mapping) and "frames" in value:
        frames = [[_from_mesh(face) for face in frame] for frame in value["frames"]]
    else:
        frames = [[_from_box(box) for box in frame] for frame in _box_frames(value)]
    return _linked(frames, source)


def _box_frames(value: Any) -> list[list[Mapping[str, float]]]:
    """dict | list of dicts | list of lists of dicts -> one list for each frame."""
    if isinstance(value, Mapping):
        return [[value]]
    if not isinstance(value, (list, tuple)):
        raise InputError("What is connected to 'faces' is no list of boxes. Connect Detect Faces (Lip Sync).")
    if value and isinstance(value[0], Mapping):
        return [list(value)]
    return [list(frame) for frame in value]


def _from_box(box: Mapping[str, float]) -> tuple[Float, float, Float]:
    left, top = float(box["x"]), float(box["y"])
    edges = np.array([left, top, left + float(box["width"]), top + float(box["height"])], np.float32)
    return edges, float(box.get("score", 1.0)), usual_landmarks(edges)


def _from_mesh(face: Mapping[str, Any]) -> tuple[Float, float, Float]:
    edges = np.asarray(face["bbox_xyxy"], np.float32).reshape(4)
    points = np.asarray(face["landmarks_xy"], np.float32)
    known = len(points) > max(max(rows) for rows in _MESH.values())
    five = np.stack([points[list(rows)].mean(axis=0) for rows in _MESH.values()]) if known else usual_landmarks(edges)
    return edges, float(face.get("score", 1.0)), five.astype(np.float32)


def _linked(frames: list[list[tuple[Float, float, Float]]], source: Source) -> Faces:
    """Faces of single frames joined into tracks; one frame of boxes counts for the whole clip."""
    count = 1 if source.still else source.frame_count
    if len(frames) == 1 and count > 1:
        frames = frames * count
    if not source.still and len(frames) != count:
        raise InputError(
            f"The faces are of {len(frames)} frames, but the source has {count}. Detect them in the same source."
        )
    seen = Sightings({}, [], len(frames), source.width, source.height)
    for number, found in enumerate(frames):
        seen.faces[number] = _detections(found)
    fps = None if source.still else source.fps
    clip = link_faces(seen, TrackSettings(source.fps, detect_every=1))
    return Faces(clip, fps, Searched(source.path.name, fps, "connected", 0.5))


def _detections(found: list[tuple[Float, float, Float]]) -> Detections:
    if not found:
        return _NOBODY
    boxes, scores, landmarks = zip(*found, strict=True)
    return Detections(np.stack(boxes), np.array(scores, np.float32), np.stack(landmarks))


def same_frames(faces: Faces, source: Source, what: str) -> None:
    """Raise InputError when faces were found in a picture of another size."""
    found_in = (faces.clip.width, faces.clip.height)
    if found_in != (source.width, source.height):
        raise InputError(
            f"The faces were found in pictures of {found_in[0]}x{found_in[1]}, but {what} has "
            f"{source.width}x{source.height}. Connect the same picture or video to both nodes."
        )


def frame_rate(fps: Fraction) -> str:
    """25 or 29.97, as people write it."""
    return f"{float(fps):.3f}".rstrip("0").rstrip(".")
