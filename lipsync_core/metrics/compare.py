"""One pass over a finished video, and over the true one beside it: what the face of every frame is like."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..media import shown_name
from ..runtime import Runtime
from ..types import FaceTrack, Float, Pixels
from ..video.source import Source
from .pictures import Faces, Measure, cpbd

_AT_ONCE = 16  # frames
_MOUTH_PX = (64, 40)  # of the patch around the mouth that is compared from frame to frame
_MOUTH_PLACES = np.array([[0.25, 0.4], [0.75, 0.4]])  # where the corners of the mouth lie in it


@dataclass(frozen=True)
class FaceFrames:
    """What a pass found. sharpness: (N,) CPBD of the face. change: (N,) grey levels that the mouth changed since the
    frame before, row 0 NaN. measures: name of a comparison -> (N,) figures against the true video.
    """

    sharpness: Float
    change: Float
    measures: dict[str, Float]


def face_frames(
    made: Source,
    true: Source | None,
    track: FaceTrack,
    measures: dict[str, Measure],
    runtime: Runtime,
    watch: Callable[[Faces, Faces], None] | None = None,
) -> FaceFrames:
    """track: one row per frame of `made`. watch: is shown every made and true face.

    Raises InputError when the true video differs in size.
    """
    if true is not None and (true.width, true.height) != (made.width, made.height):
        raise InputError(
            f"{shown_name(true.path)}: it is {true.width}x{true.height} and {shown_name(made.path)} "
            f"{made.width}x{made.height}. Scores against a reference take two videos of one size."
        )
    sharpness, change = [], _Change()
    compared: dict[str, list[Float]] = {name: [] for name in measures if true is not None}
    for first, frames, truth in _both(made, true, len(track)):
        runtime.step("score", first, len(track))
        boxes = track.boxes_xyxy[first : first + len(frames)]
        landmarks = track.landmarks[first : first + len(frames)]
        faces, corners = _cut_out(frames, boxes)
        sharpness.append(cpbd(faces))
        change.push(frames, landmarks)
        if truth is not None:
            real, _ = _cut_out(truth, boxes[: len(truth)])
            places = [points - corner for points, corner in zip(landmarks, corners, strict=True)]
            for name, rows in compared.items():
                rows.append(measures[name](faces[: len(real)], real, places[: len(real)]))
            if watch is not None:
                watch(faces[: len(real)], real)
    runtime.step("score", len(track), len(track))
    joined = {name: np.concatenate(rows) for name, rows in compared.items() if rows}
    return FaceFrames(np.concatenate(sharpness), change.values(), joined)


def _both(made: Source, true: Source | None, total: int) -> Iterator[tuple[int, Pixels, Pixels | None]]:
    others = true.batches(min(total, true.frame_count), "cut", _AT_ONCE) if true is not None else iter(())
    for batch in made.batches(total, "cut", _AT_ONCE):
        other = next(others, None)
        yield batch.first, batch.pixels, None if other is None else other.pixels


def _cut_out(frames: Pixels, boxes: Float) -> tuple[list[Pixels], NDArray[np.int64]]:
    """The face boxes, cut off at the frame's border, at the frame's own size, and their upper left corners (N, 2)."""
    height, width = frames.shape[1:3]
    low = np.clip(np.floor(boxes[:, :2]), 0, (width - 8, height - 8)).astype(np.int64)
    high = np.clip(np.ceil(boxes[:, 2:]), low + 8, (width, height)).astype(np.int64)
    return [frame[y0:y1, x0:x1] for frame, (x0, y0), (x1, y1) in zip(frames, low, high, strict=True)], low


class _Change:
    """How much the mouth changes from frame to frame, after its corners were laid over each other."""

    def __init__(self) -> None:
        self._rows: list[float] = []
        self._last: NDArray[np.float32] | None = None

    def push(self, frames: Pixels, landmarks: Float) -> None:
        for frame, points in zip(frames, landmarks, strict=True):
            patch = _mouth_patch(frame, points)
            known = self._last is not None and patch is not None
            self._rows.append(float(np.abs(patch - self._last).mean()) if known else float("nan"))  # type: ignore[operator]
            self._last = patch

    def values(self) -> Float:
        return np.array(self._rows, np.float32)


def _mouth_patch(frame: Pixels, landmarks: Float) -> NDArray[np.float32] | None:
    """The mouth in grey, upright and of one size; None without landmarks."""
    corners = landmarks[3:5].astype(np.float64)
    if not np.isfinite(corners).all() or np.allclose(corners[0], corners[1]):
        return None
    goal = _MOUTH_PLACES * _MOUTH_PX
    (ax, ay), (bx, by) = corners[1] - corners[0], goal[1] - goal[0]
    turn = complex(bx, by) / complex(ax, ay)
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    matrix = np.column_stack([linear, goal[0] - linear @ corners[0]])
    patch = cv2.warpAffine(frame, matrix, _MOUTH_PX, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), np.float32)
