"""One pass over a clip: where the scenes change, and which faces are on which frames. Holds one batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

import cv2
import numpy as np

from ..runtime import Runtime
from ..types import Detections, Float, FrameBatch, Pixels
from .cuts import CutFinder
from .detectors.base import Detector, NearDetector, RoughDetector, no_detections
from .landmarks import LandmarkFinder, face_box, usual_landmarks

_MOVED = 0.12  # of a face's width between two looks, from which the frames between are looked at too
_EVERYWHERE = 0.5  # s, how often to look everywhere, for new faces, while known ones are followed
_SURE = 0.4  # how sure landmarks must be to make a box from


@dataclass(frozen=True)
class TrackSettings:
    """How a clip is searched.

    fps: of the clip. detect_every: frames from one look to the next; between them faces are interpolated, and looked
    for where they appear, vanish or move fast, so that only a gap shorter than this can go unseen. max_side: detector
    and landmark finder get frames shrunk by a whole number to at least that many pixels on the longer side. scale:
    factor from the pixels of the frames that come in to those of the full frame, in which all results are.
    min_seconds: tracks of less than this are dropped as false.
    """

    fps: Fraction = Fraction(25)
    detect_every: int = 5
    max_side: int = 640
    scale: float = 1.0
    min_seconds: float = 0.3


@dataclass
class Sightings:
    """What a pass saw.

    faces: frame -> its faces, in pixels of the full frame, for the frames that were looked at; every scene's first
    and last among them. cuts: first frames of all scenes but the first, rising. width, height: of the full frame.
    """

    faces: dict[int, Detections] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    frame_count: int = 0
    width: int = 0
    height: int = 0

    def scenes(self) -> list[tuple[int, int]]:
        """(start, end) of each scene, end exclusive."""
        edges = [0, *self.cuts, self.frame_count]
        return [(start, end) for start, end in itertools.pairwise(edges) if end > start]


def seek_faces(
    frames: Iterable[FrameBatch],
    detector: Detector,
    finder: LandmarkFinder | None,
    settings: TrackSettings,
    runtime: Runtime,
    expected: int = 0,
) -> Sightings:
    """Look for faces through a whole clip.

    finder: gives landmarks where the detector has none, and calms those of a rough one; None: where there are none,
    they are where such faces usually have them.
    expected: frames of the clip, for the progress bar. Raises `Cancelled`.
    """
    seeker = _Seeker(_Eyes(detector, finder, settings), settings)
    for batch in frames:
        runtime.step("faces", batch.first, max(expected, batch.first + len(batch)))
        for pixels in batch.pixels:
            seeker.take(pixels)
    return seeker.finish()


class _Eyes:
    """A detector together with the landmark finder: complete faces of one small frame."""

    def __init__(self, detector: Detector, finder: LandmarkFinder | None, settings: TrackSettings) -> None:
        self.detector = detector
        self.finder = finder
        self.patience = max(1, round(_EVERYWHERE * settings.fps / settings.detect_every))
        self.known = no_detections()  # of the look before, as the detector gave them
        self.near_looks = 0

    def look(self, frame: Pixels, everywhere: bool) -> Detections:
        """Near the faces of the look before; everywhere when told to, from time to time, and when one is lost."""
        found = no_detections()
        near = len(self.known) > 0 and not everywhere and self.near_looks < self.patience
        if near and isinstance(self.detector, NearDetector):
            self.near_looks += 1
            found = self.detector.detect_near(frame, self.known.boxes_xyxy)
        if len(found) < max(1, len(self.known)):
            self.near_looks = 0
            found = self.detector.detect(frame[None])[0]
        self.known = found
        return self._complete(frame, found)

    def _complete(self, frame: Pixels, found: Detections) -> Detections:
        """Landmarks where there are none; where the detector is rough, calmer ones and boxes made from them."""
        if not len(found):
            return found
        if np.isnan(found.landmarks).any():
            return Detections(found.boxes_xyxy, found.scores, self._landmarks(frame, found.boxes_xyxy))
        if self.finder is None or not isinstance(self.detector, RoughDetector):
            return found
        landmarks, sure = self.finder.refine(frame, found.boxes_xyxy, found.landmarks)
        boxes = np.where((sure >= _SURE)[:, None], face_box(landmarks), found.boxes_xyxy)
        return Detections(boxes.astype(np.float32), found.scores, landmarks)

    def _landmarks(self, frame: Pixels, boxes_xyxy: Float) -> Float:
        if self.finder is not None:
            return self.finder.find(frame, boxes_xyxy)[0]
        return np.array([usual_landmarks(box) for box in boxes_xyxy], dtype=np.float32)


class _Seeker:
    """Decides which frames are looked at. Keeps small copies of those since the last look."""

    def __init__(self, eyes: _Eyes, settings: TrackSettings) -> None:
        self.eyes = eyes
        self.settings = settings
        self.cuts = CutFinder()
        self.seen = Sightings()
        self.factor = 1.0
        self.last_look = 0
        self.waiting: dict[int, Pixels] = {}

    def take(self, pixels: Pixels) -> None:
        frame = self.seen.frame_count
        self.seen.frame_count += 1
        small, factor = _thinned(pixels, self.settings.max_side)
        if frame == 0:
            self.seen.height = round(pixels.shape[0] * self.settings.scale)
            self.seen.width = round(pixels.shape[1] * self.settings.scale)
            self.factor = factor * self.settings.scale
        if self.cuts.begins_scene(pixels):
            self._close_scene(frame - 1)
            self.seen.cuts.append(frame)
        self.waiting[frame] = small
        if len(self.waiting) == 1:
            self._look(frame, everywhere=True)
            self.last_look = frame
        elif frame - self.last_look >= self.settings.detect_every:
            self._advance(frame)

    def finish(self) -> Sightings:
        if self.seen.frame_count:
            self._close_scene(self.seen.frame_count - 1)
        return self.seen

    def _close_scene(self, last: int) -> None:
        if last > self.last_look:
            self._advance(last)
        self.waiting.clear()

    def _advance(self, frame: int) -> None:
        """Look at `frame`, and at as many before it as needed to know what happened since the last look."""
        self._look(frame, everywhere=False)
        self._settle(self.last_look, frame)
        self.last_look = frame
        self.waiting = {frame: self.waiting[frame]}

    def _settle(self, before: int, after: int) -> None:
        if after - before < 2 or _alike(self.seen.faces[before], self.seen.faces[after]):
            return
        middle = (before + after) // 2
        self._look(middle, everywhere=False)
        self._settle(before, middle)
        self._settle(middle, after)

    def _look(self, frame: int, everywhere: bool) -> None:
        found = self.eyes.look(self.waiting[frame], everywhere)
        factor = np.float32(self.factor)
        self.seen.faces[frame] = Detections(found.boxes_xyxy * factor, found.scores, found.landmarks * factor)


def _thinned(frame: Pixels, max_side: int) -> tuple[Pixels, float]:
    """A copy of its own (a view would keep the batch), at least `max_side` long where the frame is, and its factor.

    Shrunk by a whole number, which OpenCV does ten times as fast as by a fraction.
    """
    times = max(frame.shape[:2]) // max_side
    if times < 2:
        return frame.copy(), 1.0
    height, width = frame.shape[0] // times, frame.shape[1] // times
    whole = frame[: height * times, : width * times]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8), float(times)


def _alike(one: Detections, other: Detections) -> bool:
    """The same number of faces, in about the same places."""
    if len(one) != len(other):
        return False
    if len(one) == 0:
        return True
    centres = [(found.boxes_xyxy[:, :2] + found.boxes_xyxy[:, 2:]) / 2 for found in (one, other)]
    width = (one.boxes_xyxy[:, 2] - one.boxes_xyxy[:, 0])[:, None]
    apart = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=2) / np.maximum(width, 1)
    return bool((apart.min(axis=1) < _MOVED).all())
