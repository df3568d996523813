"""What happens on frames without the face: keep, hold, interpolate or stop. Pure."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UsageError
from ..types import Bool, FaceTrack
from .track import ClipFaces

POLICIES = ("keep", "hold", "interpolate", "stop")
_NAMED = 5  # ranges that a message spells out


@dataclass(frozen=True)
class Searched:
    """How a clip was searched, for the words of an error.

    file: its name. fps: None for a picture. detector: name in the table. threshold: the least score.
    """

    file: str
    fps: Fraction | None
    detector: str
    threshold: float


def missing_ranges(found: Bool) -> list[tuple[int, int]]:
    """(first, last) of each run of frames without the face, both included."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], found, [True]]).astype(np.int8)))
    return [(int(start), int(end) - 1) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def require_face(clip: ClipFaces, searched: Searched) -> None:
    """Raise InputError when nobody is there, with the ways out."""
    if clip.tracks:
        return
    what = "in the picture" if searched.fps is None else f"in any of its {clip.frame_count} frames"
    raise InputError(f"{searched.file}: no face found {what}. {_ways_out(searched)}")


def apply_policy(track: FaceTrack, policy: str, cuts: NDArray[np.int64], searched: Searched) -> FaceTrack:
    """Settle the rows where the face was not seen.

    keep: those frames stay as they are (`active` False). hold: they take the last box of their scene, or its first
    where none came before. interpolate: the box moves between its neighbours in the scene. Frames of a scene that
    never shows the face have nothing to hold and stay as they are. stop: InputError naming frames and seconds.
    """
    if policy not in POLICIES:
        raise UsageError(f"There is no policy '{policy}' for frames without a face. Known: {', '.join(POLICIES)}.")
    if track.found.all():
        return track
    if policy == "stop":
        raise InputError(_stop_message(missing_ranges(track.found), searched))
    if policy == "keep":
        return replace(track, active=track.found.copy())
    active = _in_a_scene_with_it(track.found, cuts)
    if policy == "interpolate":
        return replace(track, active=active)  # tracking has interpolated already
    rows = _last_found(track.found, cuts)
    return replace(track, boxes_xyxy=track.boxes_xyxy[rows], landmarks=track.landmarks[rows], active=active)


def limit_gaps(track: FaceTrack, most: int) -> FaceTrack:
    """Leave gaps of more than `most` frames as they are, whatever the policy filled in; 0 is no limit."""
    if not most:
        return track
    active = track.active.copy()
    for first, last in missing_ranges(track.found):
        if last - first + 1 > most:
            active[first : last + 1] = False
    return replace(track, active=active)


def _scenes(count: int, cuts: NDArray[np.int64]) -> list[tuple[int, int]]:
    edges = [0, *(int(cut) for cut in cuts), count]
    return list(itertools.pairwise(edges))


def _in_a_scene_with_it(found: Bool, cuts: NDArray[np.int64]) -> Bool:
    active = np.zeros_like(found)
    for start, end in _scenes(len(found), cuts):
        active[start:end] = found[start:end].any()
    return active


def _last_found(found: Bool, cuts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row to show on each frame: the last one found in its scene, else the scene's first found, else itself."""
    rows = np.arange(len(found), dtype=np.int64)
    for start, end in _scenes(len(found), cuts):
        seen = np.flatnonzero(found[start:end]) + start
        if len(seen):
            place = np.searchsorted(seen, np.arange(start, end), side="right") - 1
            rows[start:end] = seen[np.maximum(place, 0)]
    return rows


def _stop_message(ranges: list[tuple[int, int]], searched: Searched) -> str:
    named = ", ".join(_range_text(first, last, searched.fps) for first, last in ranges[:_NAMED])
    more = f" and {len(ranges) - _NAMED} more ranges" if len(ranges) > _NAMED else ""
    return (
        f"{searched.file}: no face found in frames {named}{more}. {_ways_out(searched)} Or set 'frames without a "
        "face' (--no-face) to keep, hold or interpolate instead of stop."
    )


def _range_text(first: int, last: int, fps: Fraction | None) -> str:
    frames = f"{first}" if first == last else f"{first}-{last}"
    if fps is None:
        return frames
    return f"{frames} ({float(first / fps):.2f}-{float((last + 1) / fps):.2f} s)"


def _ways_out(searched: Searched) -> str:
    if searched.detector == "box":
        return "Give another face box (--box x1,y1,x2,y2)."
    other = "cascade" if searched.detector in ("yunet", "s3fd") else "yunet"
    return (
        f"Lower the face threshold (--face-threshold, now {searched.threshold:.2f}), choose another detector "
        f"(--detector {other}), or give the face's box yourself (--box x1,y1,x2,y2)."
    )
