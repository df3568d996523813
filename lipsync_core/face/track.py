"""From faces on single frames to one row per frame and face: linking, gaps, scenes. Pure but for `track_faces`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..runtime import Runtime
from ..types import Detections, FaceTrack, Float, FrameBatch
from .detectors.base import Detector
from .landmarks import LandmarkFinder
from .seek import Sightings, TrackSettings, seek_faces

_REACH = 0.7  # of a face's width that it may move between two looks
_REACH_PER_SECOND = 0.5  # and how much more for each second that it was out of sight
_REACH_MOST = 2.0
_RESIZE = 2.0  # times that its size may change
_MOST_OF_SCENE = 0.5  # a short track is kept when it fills this share of its scene


@dataclass(frozen=True)
class ClipFaces:
    """All faces of a clip, from left to right, before smoothing and policy.

    tracks: rows where a face was not seen (`found` False) are interpolated inside a scene, and held from the nearest
    row where the whole scene lacks it; `active` is True everywhere.
    cuts: (C,) int64, rising: first frames of all scenes but the first. width, height: pixels of the frame.
    """

    tracks: tuple[FaceTrack, ...]
    cuts: NDArray[np.int64]
    frame_count: int
    width: int
    height: int


@dataclass
class _Link:
    """One face inside one scene: the looks that saw it."""

    frames: list[int] = field(default_factory=list)
    boxes: list[Float] = field(default_factory=list)
    landmarks: list[Float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def add(self, frame: int, faces: Detections, index: int) -> None:
        self.frames.append(frame)
        self.boxes.append(faces.boxes_xyxy[index])
        self.landmarks.append(faces.landmarks[index])
        self.scores.append(float(faces.scores[index]))


def track_faces(
    frames: Iterable[FrameBatch],
    detector: Detector,
    finder: LandmarkFinder | None,
    settings: TrackSettings,
    runtime: Runtime,
    expected: int = 0,
) -> ClipFaces:
    """Find and follow every face of a clip, holding one batch. See `seek_faces` for the arguments.

    A clip without a face gives no tracks: `policy.require_face` turns that into words for the user.
    """
    return link_faces(seek_faces(frames, detector, finder, settings, runtime, expected), settings)


def link_faces(seen: Sightings, settings: TrackSettings) -> ClipFaces:
    """Join what was seen on single frames into tracks.

    Inside a scene a face is the same when it stays close and keeps its size. Across a cut nobody knows who is who:
    faces are paired by place, so a clip with one face on screen gives one track however often it cuts.
    """
    people: list[list[_Link]] = []
    for start, end in seen.scenes():
        looks = [frame for frame in sorted(seen.faces) if start <= frame < end]
        links = _kept(_links(seen, looks, settings), looks, end - start, settings)
        _hand_over(people, links)
    tracks = [_track(person, seen) for person in people]
    tracks.sort(key=_place)
    return ClipFaces(tuple(tracks), np.array(seen.cuts, dtype=np.int64), seen.frame_count, seen.width, seen.height)


def _links(seen: Sightings, looks: list[int], settings: TrackSettings) -> list[_Link]:
    links: list[_Link] = []
    for frame in looks:
        faces = seen.faces[frame]
        taken = _pairs(links, faces.boxes_xyxy, frame, settings)
        for index in range(len(faces)):
            if index not in taken:
                links.append(_Link())
            (links[taken[index]] if index in taken else links[-1]).add(frame, faces, index)
    return links


def _pairs(links: list[_Link], boxes: Float, frame: int, settings: TrackSettings) -> dict[int, int]:
    """Face of this frame -> link it continues, nearest first."""
    offers = []
    for number, link in enumerate(links):
        gap = float((frame - link.frames[-1]) / settings.fps)
        reach = min(_REACH + _REACH_PER_SECOND * gap, _REACH_MOST)
        for index, box in enumerate(boxes):
            away, resized = _difference(link.boxes[-1], box)
            if away < reach and resized < math.log(_RESIZE):
                offers.append((away + resized, index, number))
    return _greedy(offers)


def _greedy(offers: list[tuple[float, int, int]]) -> dict[int, int]:
    """Cheapest (cost, index, number) first, each index and each number once: index -> number."""
    pairs: dict[int, int] = {}
    for _, index, number in sorted(offers):
        if index not in pairs and number not in pairs.values():
            pairs[index] = number
    return pairs


def _difference(one: Float, other: Float) -> tuple[float, float]:
    """Distance of two boxes' centres in their mean width, and |log| of their ratio of size."""
    width, other_width = float(one[2] - one[0]), float(other[2] - other[0])
    step = (one[:2] + one[2:] - other[:2] - other[2:]) / 2
    away = float(np.hypot(step[0], step[1])) / max((width + other_width) / 2, 1e-3)
    return away, abs(math.log(max(width, 1e-3) / max(other_width, 1e-3)))


def _kept(links: list[_Link], looks: list[int], length: int, settings: TrackSettings) -> list[_Link]:
    """Without what was seen too shortly to be a face."""
    wanted = min(settings.min_seconds * float(settings.fps), _MOST_OF_SCENE * length)
    return [link for link in links if int(_found(link, looks).sum()) >= wanted]


def _found(link: _Link, looks: list[int]) -> NDArray[np.bool_]:
    """(last look + 1 - first,) bool from the scene's first look on: seen, or between two looks that both saw it."""
    first = looks[0]
    found = np.zeros(looks[-1] + 1 - first, dtype=bool)
    seen = set(link.frames)
    for before, after in itertools.pairwise(looks):
        if before in seen and after in seen:
            found[before - first : after - first] = True
    found[[frame - first for frame in link.frames]] = True
    return found


def _hand_over(people: list[list[_Link]], links: list[_Link]) -> None:
    """Give the links of a new scene to those who were there before, nearest first; the rest are new people."""
    offers = []
    for number, person in enumerate(people):
        for index, link in enumerate(links):
            away, resized = _difference(person[-1].boxes[-1], link.boxes[0])
            offers.append((away + resized, index, number))
    pairs = _greedy(offers)
    for index, link in enumerate(links):
        if index in pairs:
            people[pairs[index]].append(link)
        else:
            people.append([link])


def _track(person: list[_Link], seen: Sightings) -> FaceTrack:
    count = seen.frame_count
    frames = np.concatenate([link.frames for link in person]).astype(np.int64)
    boxes = np.concatenate([np.stack(link.boxes) for link in person])
    landmarks = np.concatenate([np.stack(link.landmarks) for link in person])
    rows = np.concatenate([boxes, landmarks.reshape(len(boxes), -1)], axis=1)
    filled = np.zeros((count, rows.shape[1]), dtype=np.float32)
    found = np.zeros(count, dtype=bool)
    looks = sorted(seen.faces)
    for start, end in seen.scenes():
        here = (frames >= start) & (frames < end)
        known, values = (frames[here], rows[here]) if here.any() else _nearest(frames, rows, start)
        for column in range(rows.shape[1]):
            filled[start:end, column] = np.interp(np.arange(start, end), known, values[:, column])
    for link in person:
        scene = _scene_of(link.frames[0], seen)
        own = [look for look in looks if scene[0] <= look < scene[1]]
        found[own[0] : own[-1] + 1] |= _found(link, own)
    return FaceTrack(filled[:, :4], filled[:, 4:].reshape(count, 5, 2), found, np.ones(count, dtype=bool))


def _nearest(frames: NDArray[np.int64], rows: Float, start: int) -> tuple[NDArray[np.int64], Float]:
    """The one row before `start`, else the first one there is: what a scene without this face holds."""
    index = max(0, int(np.searchsorted(frames, start)) - 1)
    return frames[index : index + 1], rows[index : index + 1]


def _scene_of(frame: int, seen: Sightings) -> tuple[int, int]:
    return next(scene for scene in seen.scenes() if scene[0] <= frame < scene[1])


def _place(track: FaceTrack) -> tuple[float, float]:
    """Where a face mostly is, left to right, then top to bottom."""
    boxes = track.boxes_xyxy[track.found]
    middle = np.median((boxes[:, :2] + boxes[:, 2:]) / 2, axis=0)
    return float(middle[0]), float(middle[1])
