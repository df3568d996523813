"""Where a pixel of one picture lies in another, and the few moves of pixels that crops and pastes share.

Coordinates are continuous: a pixel's centre is at +0.5, a picture w pixels wide spans 0 to w. Matrices are (N, 2, 3).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from .types import Float, Pixels

Corners = NDArray[np.int64]

_FINEST = 8  # reading points per pixel of a warp, along one side
_BUDGET = {"cpu": 2**21}  # reading points at once: what is worked on should stay near the cache ...
_BUDGET_ELSEWHERE = 2**25  # ... and a GPU should be busy


def map_points(matrices: NDArray[np.floating[Any]], points: NDArray[np.floating[Any]]) -> Float:
    """Send (N, K, 2) points through (N, 2, 3) matrices."""
    wide = matrices.astype(np.float64)
    moved = points @ wide[:, :, :2].transpose(0, 2, 1) + wide[:, None, :, 2]
    return np.asarray(moved, np.float32)


def invert(matrices: Float) -> Float:
    """The way back of (N, 2, 3) matrices. Worked out in double precision: frames are thousands of pixels wide."""
    wide = matrices.astype(np.float64)
    linear = np.linalg.inv(wide[:, :, :2])
    shift = -linear @ wide[:, :, 2:]
    return np.concatenate([linear, shift], axis=2).astype(np.float32)


def map_boxes(matrices: Float, boxes_xyxy: Float) -> Float:
    """Send (N, 4) boxes through matrices; a turned box becomes the upright one around it."""
    corners = boxes_xyxy[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = map_points(matrices, corners)
    return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)


def cut_out(pixels: Iterable[Pixels], corners: Corners, size: tuple[int, int]) -> Pixels:
    """Equal rectangles of neighbouring frames; beyond a frame its edge goes on.

    pixels: N frames (H, W, 3) uint8. corners: (N, 2) x, y of the upper left pixel. size: height, width.
    Returns (N, height, width, 3) uint8.
    """
    return np.stack([_cut_one(frame, x, y, size) for frame, (x, y) in zip(pixels, corners.tolist(), strict=True)])


def _cut_one(frame: Pixels, left: int, top: int, size: tuple[int, int]) -> Pixels:
    rows, over_rows = _inside(top, size[0], frame.shape[0])
    columns, over_columns = _inside(left, size[1], frame.shape[1])
    inside = frame[rows, columns]
    return inside if inside.shape[:2] == size else np.pad(inside, (over_rows, over_columns, (0, 0)), mode="edge")


def _inside(start: int, size: int, length: int) -> tuple[slice, tuple[int, int]]:
    """The lines of `size` from `start` on that a frame has, at least one, and how often its first and last go on."""
    low = min(max(start, 0), length - 1)
    high = max(min(start + size, length), low + 1)
    missing = size - (high - low)
    before = min(max(-start, 0), missing)
    return slice(low, high), (before, missing - before)


def to_channels(pixels: Pixels, device: str) -> torch.Tensor:
    """(N, h, w, 3) uint8 -> (N, 3, h, w) float32 grey levels 0 to 255 on the device, contiguous."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).contiguous().float()


def pixel_centres(corners: Corners, size: tuple[int, int], device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """x (N, 1, width) and y (N, height, 1), float32, of the pixels of equal rectangles; they broadcast to a grid."""
    start = torch.as_tensor(corners, dtype=torch.float32, device=device)
    x = start[:, 0, None, None] + (torch.arange(size[1], dtype=torch.float32, device=device) + 0.5)[None, None, :]
    y = start[:, 1, None, None] + (torch.arange(size[0], dtype=torch.float32, device=device) + 0.5)[None, :, None]
    return x, y


def move_grid(matrices: Float, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Send a grid through matrices. Where they do not turn, x stays a row and y a column: far less to compute."""
    rows = torch.as_tensor(matrices, dtype=torch.float32, device=x.device)[:, :, :, None, None]
    if not matrices[:, 0, 1].any() and not matrices[:, 1, 0].any():
        return rows[:, 0, 0] * x + rows[:, 0, 2], rows[:, 1, 1] * y + rows[:, 1, 2]
    return (
        rows[:, 0, 0] * x + (rows[:, 0, 1] * y + rows[:, 0, 2]),
        rows[:, 1, 0] * x + (rows[:, 1, 1] * y + rows[:, 1, 2]),
    )


def sample(pictures: torch.Tensor, x: torch.Tensor, y: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """Read pictures between their pixels; beyond the edge, the edge. mode: "bilinear", or "bicubic" (may overshoot).

    pictures: (N, C, H, W) float. x, y: (N, h or 1, w or 1) in their pixels. Returns (N, C, h, w).
    """
    grid = torch.empty((len(x), y.shape[1], x.shape[2], 2), dtype=torch.float32, device=pictures.device)
    grid[..., 0] = x * (2 / pictures.shape[3]) - 1
    grid[..., 1] = y * (2 / pictures.shape[2]) - 1
    return F.grid_sample(pictures, grid, mode=mode, padding_mode="border", align_corners=False)


def pick(pictures: torch.Tensor, rows: NDArray[np.int64]) -> torch.Tensor:
    """Rows of a tensor: a view where they are neighbours."""
    first, last = int(rows[0]), int(rows[-1])
    return pictures[first : last + 1] if last - first + 1 == len(rows) else pictures[rows.tolist()]


def halve(pictures: torch.Tensor, times: int) -> torch.Tensor:
    """Average squares of 2^times pixels: (N, C, H, W) float with sides that divide by it."""
    return F.avg_pool2d(pictures, 2**times) if times else pictures


def chain(first: Float, then: Float) -> Float:
    """(N, 2, 3) matrices that do `first` and then `then`."""
    a, b = first.astype(np.float64), then.astype(np.float64)
    linear = b[:, :, :2] @ a[:, :, :2]
    shift = b[:, :, :2] @ a[:, :, 2:] + b[:, :, 2:]
    return np.concatenate([linear, shift], axis=2).astype(np.float32)


def warp(pictures: torch.Tensor, matrices: Float, side: int) -> torch.Tensor:
    """Read pictures on a grid, so that nothing is skipped: where the grid is coarser, it averages.

    pictures: (N, C, h, w) float. matrices: (N, 2, 3) grid px -> picture px. Returns (N, C, side, side) float32.
    """
    step = float(np.linalg.norm(matrices[:, :, :2].astype(np.float64), axis=1).max())  # picture px per grid px
    fine = min(max(1, int(np.ceil(step - 0.25))), _FINEST)
    dense = (matrices.astype(np.float64) * np.array([1 / fine, 1 / fine, 1])).astype(np.float32)
    points = side * fine
    rows = max(1, _BUDGET.get(pictures.device.type, _BUDGET_ELSEWHERE) // points**2)
    out = torch.empty(len(pictures), pictures.shape[1], side, side, device=pictures.device)
    for start in range(0, len(pictures), rows):
        some = slice(start, start + rows)
        corners = np.zeros((len(dense[some]), 2), np.int64)
        x, y = move_grid(dense[some], *pixel_centres(corners, (points, points), str(pictures.device)))
        read = sample(pictures[some].float(), x, y, "bicubic" if fine == 1 else "bilinear")
        out[some] = F.avg_pool2d(read, fine) if fine > 1 else read
    return out
