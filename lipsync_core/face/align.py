"""Upright 512 px crops for the networks that restore faces, on a grid that keeps still while the face does.

Those networks know faces whose eyes, nose and mouth lie where FFHQ has them. A crop that follows every tremble of the
landmarks makes still skin shimmer, so the grid moves only when the face has left it by more than they tremble, and then
no further than it must. One warp goes down to the crop, one comes back.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..geometry import chain, cut_out, invert, map_boxes, map_points, warp
from ..types import FaceBatch, Float, Pixels
from .mask import face_widths

SIDE = 512  # px

# Where the five landmarks of an FFHQ face lie in a crop of 512 px, pixel centres at +0.5 (facexlib's and GFPGAN's
# numbers, which count from the centre of the first pixel).
TEMPLATE = np.array(
    [[193.48, 240.45], [319.40, 240.69], [257.13, 314.52], [201.76, 371.91], [313.59, 371.65]], np.float64
)

_BAND_SHIFT = 0.015  # of the face's width: landmarks tremble less
_BAND_SCALE = 0.03  # of the scale
_BAND_TURN = 0.03  # rad

Points = NDArray[np.float64]
Rows = NDArray[np.int64]


def plan_grid(landmarks: Float, side: int = SIDE) -> Float:
    """Lay out the upright crops of a whole track.

    landmarks: (N, 5, 2) frame px, finite. Returns (N, 2, 3) float32, frame px -> crop px: a turn, one scale for both
    directions, a shift. A face that trembles gets the same matrix throughout; one that moves is followed.
    """
    points = landmarks.astype(np.float64)
    template = TEMPLATE * (side / SIDE)
    anchor = template.mean(axis=0)
    turns = _turns(points, template - anchor)
    band = _BAND_SHIFT * float(np.median(face_widths(landmarks)))
    centres = np.stack([hold(column, band) for column in points.mean(axis=1).T], axis=1)
    scales = np.exp(hold(np.log(np.maximum(np.abs(turns), 1e-6)), _BAND_SCALE))
    angles = hold(np.unwrap(np.angle(turns)), _BAND_TURN)
    cos, sin = scales * np.cos(angles), scales * np.sin(angles)
    linear = np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)
    shift = anchor - (linear @ centres[:, :, None])[:, :, 0]
    return np.concatenate([linear, shift[:, :, None]], axis=2).astype(np.float32)


def hold(values: Points, band: float) -> Points:
    """(N,) values that stay where they are while the given ones are within `band`, and else follow at its edge."""
    held, out = float(values[0]), np.empty(len(values))
    for index, value in enumerate(values.tolist()):
        held = min(max(held, value - band), value + band)
        out[index] = held
    return out


def see_upright(pixels: Pixels, faces: FaceBatch, grid: Float, rows: Rows) -> FaceBatch:
    """A batch of faces on the upright grid, S = 512.

    pixels: (N, H, W, 3) uint8 frames. faces: cut out of them in any way. grid: (N, 2, 3), rows of `plan_grid`.
    rows: (n,) of the batch that are looked at; the others are black. Crops are float32.
    """
    crops = torch.zeros(len(pixels), 3, SIDE, SIDE, device=faces.crops.device)
    crops[rows.tolist()] = cut_aligned(pixels[rows], grid[rows], str(faces.crops.device))
    across = chain(invert(faces.matrices), grid)
    return FaceBatch(
        faces.first, crops, grid, map_points(across, faces.landmarks), map_boxes(across, faces.boxes_xyxy), faces.still
    )


def cut_aligned(pixels: Pixels, matrices: Float, device: str, side: int = SIDE) -> torch.Tensor:
    """Cut upright faces out of frames, in one warp.

    pixels: (N, H, W, 3) uint8 RGB. matrices: (N, 2, 3) frame px -> crop px. Beyond the frame its edge goes on.
    Returns (N, 3, side, side) float32 in [0, 1] on the device.
    """
    back = invert(matrices)
    box = np.array([[0, 0, side, side]], np.float32)
    areas = np.stack([map_boxes(row[None], box)[0] for row in back])
    low = np.floor(areas[:, :2]).astype(np.int64) - 2
    extent = (np.ceil(areas[:, 2:]).astype(np.int64) + 2 - low).max(axis=0)
    corners = np.clip(low, 1 - extent, np.array([pixels.shape[2], pixels.shape[1]]) - 1)
    parts = torch.from_numpy(cut_out(pixels, corners, (int(extent[1]), int(extent[0])))).to(device)
    back[:, :, 2] -= corners
    return warp(parts.permute(0, 3, 1, 2).float() / 255, back, side)


def _turns(points: Points, template: Points) -> NDArray[np.complex128]:
    """(N,) scale and turn, as complex numbers, that bring (N, 5, 2) points nearest to the template's shape."""
    away = points - points.mean(axis=1, keepdims=True)
    face, wanted = away[..., 0] + 1j * away[..., 1], template[:, 0] + 1j * template[:, 1]
    square = np.maximum((np.abs(face) ** 2).sum(axis=1), 1e-9)
    return np.asarray((np.conj(face) * wanted).sum(axis=1) / square)
