"""Which of several faces speaks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..types import FaceTrack

HOW = ("largest", "left", "right", "top", "bottom", "center", "all", "index", "point")

Real = NDArray[np.float64]


def select_faces(
    tracks: tuple[FaceTrack, ...],
    how: str,
    size: tuple[int, int],
    index: int = 0,
    point: tuple[float, float] | None = None,
) -> tuple[FaceTrack, ...]:
    """The track that speaks, or all of them; tracks and answer go from left to right.

    how: one of HOW. size: (width, height) of the frame. index: for "index", 0 is the leftmost. point: for "point",
    (x, y) in pixels. Of equals the leftmost wins. Raises UsageError for a face that is not there.
    """
    if how not in HOW:
        raise UsageError(f"There is no way '{how}' to choose a face. Known: {', '.join(HOW)}.")
    if how == "all" or not tracks:
        return tracks
    if how == "index":
        return (tracks[_checked(index, len(tracks))],)
    if how == "point" and point is None:
        raise UsageError("Which face is 'point', but no point is given. Set the face point to x,y.")
    cost = _costs(size, point or (0.0, 0.0))[how]
    return (min(tracks, key=lambda track: cost(_usual_box(track))),)


def _costs(size: tuple[int, int], point: tuple[float, float]) -> dict[str, Callable[[Real], float]]:
    middle = np.array(size, dtype=np.float64) / 2
    return {
        "largest": lambda box: -float((box[2] - box[0]) * (box[3] - box[1])),
        "left": lambda box: float(box[0] + box[2]),
        "right": lambda box: -float(box[0] + box[2]),
        "top": lambda box: float(box[1] + box[3]),
        "bottom": lambda box: -float(box[1] + box[3]),
        "center": lambda box: float(np.linalg.norm((box[:2] + box[2:]) / 2 - middle)),
        "point": lambda box: _distance(box, np.array(point)),
    }


def _usual_box(track: FaceTrack) -> Real:
    """Median box of the frames that show the face: one frame far off does not decide."""
    rows = track.found if track.found.any() else np.ones_like(track.found)
    return np.asarray(np.median(track.boxes_xyxy[rows].astype(np.float64), axis=0))


def _distance(box: Real, point: Real) -> float:
    """Inside the box: negative, nearer to the middle is better. Outside: pixels to its edge."""
    outside = np.maximum(np.maximum(box[:2] - point, point - box[2:]), 0)
    if outside.any():
        return float(np.linalg.norm(outside))
    half = np.maximum((box[2:] - box[:2]) / 2, 1e-6)
    return float(np.abs((point - (box[:2] + box[2:]) / 2) / half).max()) - 2


def _checked(index: int, count: int) -> int:
    if 0 <= index < count:
        return index
    faces = "is 1 face" if count == 1 else f"are {count} faces"
    raise UsageError(f"Face number is {index}, but there {faces}. Set it to 0 to {count - 1}, counted from the left.")
