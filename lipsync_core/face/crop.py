"""Cut one face out of every frame, the way its engine wants it.

`plan_crops` decides the geometry of the whole clip once; `crop_faces` cuts a batch by it. Only the part of a frame
that holds the face is converted or sent to the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..geometry import (
    Corners,
    cut_out,
    halve,
    map_boxes,
    map_points,
    sample,
    to_channels,
)
from ..types import CropStyle, FaceBatch, FaceTrack, Float, Pixels

GRID = 8  # sides of native crops divide by this, as convolutions like them
_ROWS_AT_ONCE = {"cpu": 1}  # what is worked on should stay in the cache; a GPU takes the whole batch
_LINES_AT_ONCE = {"cpu": 32}  # of a native crop: before it is halved it is many times as large, in float32

# Where the five landmarks lie in a face box, as shares of it: for a track that has none.
USUAL_LANDMARKS = np.array([[0.31, 0.40], [0.69, 0.40], [0.50, 0.60], [0.35, 0.78], [0.65, 0.78]], np.float32)


@dataclass(frozen=True)
class CropPlan:
    """The crops of a whole clip, one row per frame.

    kind: "box" or "native", as in `CropStyle`. size: side S of every crop.
    matrices: (N, 2, 3) float32, frame px -> crop px. areas: (N, 4) whole frame pixels, xyxy, that a crop shows; of a
    native crop they may reach beyond the frame. halvings: how often a native crop is halved.
    landmarks: (N, 5, 2), boxes_xyxy: (N, 4), both in crop px.
    """

    kind: str
    size: int
    matrices: Float
    areas: Corners
    landmarks: Float
    boxes_xyxy: Float
    halvings: int = 0


def plan_crops(track: FaceTrack, style: CropStyle, frame_size: tuple[int, int]) -> CropPlan:
    """Lay out the crops of a track. frame_size: width, height in px. Raises ValueError for an unknown style.

    "box": the face box, cut off at the frame's border, squeezed into size x size. "native": see `CropStyle`; no
    larger than the frame's longer side, because beyond it there is nothing to see.
    """
    if style.kind not in ("box", "native"):
        raise ValueError(f"crop style '{style.kind}' is neither 'box' nor 'native'")
    landmarks = _finite_landmarks(track)
    if style.kind == "box":
        boxes = _inside(track.boxes_xyxy, frame_size)
        matrices, areas, size, halvings = *_box_geometry(boxes, style.size), style.size, 0
    else:
        boxes = track.boxes_xyxy
        size, halvings = _native_size(boxes, style, frame_size)
        matrices, areas = _native_geometry(boxes, size, halvings, frame_size)
    return CropPlan(
        style.kind, size, matrices, areas, map_points(matrices, landmarks), map_boxes(matrices, boxes), halvings
    )


def crop_faces(
    pixels: Pixels, plan: CropPlan, first: int, device: str, dtype: torch.dtype, still: bool = False
) -> FaceBatch:
    """Cut the faces out of frames `first`, `first` + 1, ...

    pixels: (N, H, W, 3) uint8 RGB. dtype: of the crops; the geometry is worked out in float32.
    still: every frame of the clip is the same picture and the plan does not move: one row is cut and shown N times.
    """
    rows = slice(first, first + len(pixels))
    cut = _cut_boxes if plan.kind == "box" else _cut_native
    count = 1 if still else len(pixels)
    crops = torch.empty(count, 3, plan.size, plan.size, dtype=dtype, device=device, memory_format=torch.channels_last)
    step = _ROWS_AT_ONCE.get(crops.device.type, count)
    for start in range(0, count, step):
        end = min(count, start + step)
        cut(pixels[start:end], plan, slice(first + start, first + end), crops[start:end])
    return FaceBatch(
        first=first,
        crops=crops.expand(len(pixels), -1, -1, -1),
        matrices=plan.matrices[rows],
        landmarks=plan.landmarks[rows],
        boxes_xyxy=plan.boxes_xyxy[rows],
        still=still,
    )


def _finite_landmarks(track: FaceTrack) -> Float:
    """The track's landmarks; where a row has none, the usual places in its box."""
    low, high = track.boxes_xyxy[:, None, :2], track.boxes_xyxy[:, None, 2:]
    usual = low + USUAL_LANDMARKS * (high - low)
    known = np.asarray(np.isfinite(track.landmarks).all(axis=(1, 2)))
    return np.where(known.reshape(-1, 1, 1), track.landmarks, usual).astype(np.float32)


def _inside(boxes: Float, frame_size: tuple[int, int]) -> Float:
    """Boxes cut off at the frame's border, at least two pixels wide and high."""
    limit = np.array(frame_size, np.float32)
    low = np.clip(boxes[:, :2], 0, np.maximum(limit - 2, 0))
    high = np.clip(boxes[:, 2:], np.minimum(low + 2, limit), limit)
    return np.concatenate([low, high], axis=1).astype(np.float32)


def _box_geometry(boxes: Float, size: int) -> tuple[Float, Corners]:
    scale = size / (boxes[:, 2:] - boxes[:, :2]).astype(np.float64)
    areas = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1).astype(np.int64)
    return _scale_and_shift(scale, boxes[:, :2]), areas


def _native_size(boxes: Float, style: CropStyle, frame_size: tuple[int, int]) -> tuple[int, int]:
    """Side of the crops and how often they are halved: one for the clip, so that a network sees one scale."""
    side = float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1))) * style.margin
    side = max(min(side, max(frame_size)), GRID)
    halvings = 0
    while side / 2**halvings > style.size:
        halvings += 1
    size = int(np.ceil(side / 2**halvings / GRID)) * GRID
    return min(size, style.size), halvings


def _native_geometry(boxes: Float, size: int, halvings: int, frame_size: tuple[int, int]) -> tuple[Float, Corners]:
    step = 2**halvings
    side = size * step
    centres = (boxes[:, :2].astype(np.float64) + boxes[:, 2:]) / 2
    # Whole steps: the squares that are averaged stay on one grid of the frame, so still skin does not shimmer.
    corners = np.floor((centres - side / 2) / step + 0.5).astype(np.int64) * step
    corners = np.clip(corners, 1 - side, np.array(frame_size) - 1)
    scale = np.full((len(boxes), 2), 1 / step)
    return _scale_and_shift(scale, corners), np.concatenate([corners, corners + side], axis=1)


def _scale_and_shift(scale: NDArray[np.float64], corners: NDArray[Any]) -> Float:
    matrices = np.zeros((len(scale), 2, 3), np.float64)
    matrices[:, [0, 1], [0, 1]] = scale
    matrices[:, :, 2] = -corners * scale
    return matrices.astype(np.float32)


def _cut_boxes(pixels: Pixels, plan: CropPlan, rows: slice, out: torch.Tensor) -> None:
    """As cv2.resize INTER_LINEAR does it, without antialias: what Wav2Lip's networks saw in training."""
    areas, matrices = plan.areas[rows], plan.matrices[rows].astype(np.float64)
    extent = (areas[:, 2:] - areas[:, :2]).max(axis=0)
    corners = np.minimum(areas[:, :2], np.array([pixels.shape[2], pixels.shape[1]]) - extent)
    parts = cut_out(pixels, corners, (int(extent[1]), int(extent[0])))
    centres = np.arange(plan.size) + 0.5
    places = (centres - matrices[:, :, 2:]) / matrices[:, [0, 1], [0, 1]][:, :, None]
    # A row's rectangle may be wider than its box (all are as large as the largest): the box's own edge is the limit.
    places = np.clip(places, areas[:, :2, None] + 0.5, areas[:, 2:, None] - 0.5) - corners[:, :, None]
    parts, places[:, 1] = _lines_that_are_read(parts, places[:, 1])
    x, y = torch.from_numpy(places.astype(np.float32)).to(out.device).unbind(1)
    out.copy_(sample(to_channels(parts, str(out.device)), x[:, None, :], y[:, :, None]).mul_(1 / 255))


def _lines_that_are_read(parts: Pixels, places: NDArray[np.float64]) -> tuple[Pixels, NDArray[np.float64]]:
    """Of pictures (N, h, w, 3) the two lines around each of (N, k) places, and the places there.

    A large face is mostly lines that a small crop never reads: they need not become floats, or go to the device.
    """
    count, places_count = places.shape
    if parts.shape[1] <= 2 * places_count:
        return parts, places
    upper = np.clip(np.floor(places - 0.5), 0, parts.shape[1] - 2).astype(np.int64)
    lines = np.stack([upper, upper + 1], axis=2).reshape(count, -1)
    return parts[np.arange(count)[:, None], lines], places - upper + 2 * np.arange(places_count)


def _cut_native(pixels: Pixels, plan: CropPlan, rows: slice, out: torch.Tensor) -> None:
    step, corners = 2**plan.halvings, plan.areas[rows, :2]
    lines = _LINES_AT_ONCE.get(out.device.type, plan.size)
    for top in range(0, plan.size, lines):
        strip = out[:, :, top : top + lines]
        size = (step * strip.shape[2], step * plan.size)
        parts = torch.from_numpy(cut_out(pixels, corners + np.array([0, step * top]), size)).to(out.device)
        strip.copy_(halve((parts * (1 / 255)).permute(0, 3, 1, 2), plan.halvings))
