"""Bring an enlarged face back to the frame's pixels without losing sharpness.

A box crop that is larger than its face was read between the frame's pixels, linearly along x and along y. Reading it
back between its own pixels would blur twice. Here the frame's pixels are taken that, enlarged in the same way, give the
new face as nearly as can be (least squares): what nothing changed comes back almost exactly, and of a crop much larger
than its face every pixel counts, so nothing shimmers.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from .types import Float

# Pull towards plain reading. It bounds what is sharpened along with the picture: noise grows by 1.36 times where the
# crop has the face's own size, by 1.05 times from 1.5 times that size on, and shrinks beyond twice.
_CALM = 0.1
_BEYOND = 4  # frame px around what is wanted: further away nothing has a say

Real = NDArray[np.float64]


def fits(matrix: Float, side: int, new_side: int) -> bool:
    """True where a crop (2, 3) lies upright and the new face has at least the frame's pixels."""
    scale = matrix[[0, 1], [0, 1]] * new_side / side
    return not matrix[0, 1] and not matrix[1, 0] and bool((scale >= 1).all())


def read_fitted(
    pictures: torch.Tensor, matrices: Float, side: int, corners: NDArray[np.int64], size: tuple[int, int]
) -> torch.Tensor:
    """The frame's pixels under enlarged faces.

    pictures: (N, C, S2, S2) float. matrices: (N, 2, 3), frame px -> px of a crop of `side` px that shows the same.
    corners: (N, 2) x, y of the upper left pixel, size: height, width of the wanted rectangles. Returns (N, C, h, w).
    """
    count = pictures.shape[-1]
    scale = matrices[:, [0, 1], [0, 1]].astype(np.float64) * count / side
    starts = -matrices[:, :, 2].astype(np.float64) / matrices[:, [0, 1], [0, 1]]
    read = []
    for row, picture in enumerate(pictures):
        (across, left), (along, top) = (
            _readers(count, float(scale[row, axis]), float(starts[row, axis]), int(corners[row, axis]), size[1 - axis])
            for axis in (0, 1)
        )
        part = picture[:, top : top + along.shape[1], left : left + across.shape[1]]
        rows = torch.from_numpy(along).to(part.device) @ part.transpose(0, 1).flatten(1)
        rows = rows.view(len(along), len(part), -1).flatten(0, 1) @ torch.from_numpy(across).to(part.device).T
        read.append(rows.view(len(along), len(part), -1).transpose(0, 1))
    return torch.stack(read)


@lru_cache(maxsize=64)
def _readers(count: int, scale: float, start: float, first: int, wanted: int) -> tuple[Float, int]:
    """(wanted, k): weights that make frame pixels first, first + 1, ... out of crop pixels, and the first of those k.

    count: of the crop's pixels along this axis. scale: crop px per frame px. start: frame px at which the crop begins.
    """
    pixels = np.arange(first - _BEYOND, first + wanted + _BEYOND)
    places = np.clip((np.arange(count) + 0.5) / scale + start, *_edges(start, count / scale))
    seen = np.flatnonzero((places > pixels[0] + 0.5) & (places < pixels[-1] + 0.5))
    low, high = (int(seen[0]), int(seen[-1]) + 1) if len(seen) else (0, 1)
    enlarge = _tents(places[low:high] - pixels[0], len(pixels)).T
    reads = np.clip((pixels + 0.5 - start) * scale - low, 0.5, high - low - 0.5)
    plain = _tents(reads, high - low)
    weights = plain + _solve(enlarge, plain)
    weights[np.abs(weights) < 1e-6] = 0  # they fade for ever, and arithmetic on the last of it is slow
    return np.ascontiguousarray(weights[_BEYOND : _BEYOND + wanted]), low


def _solve(enlarge: Float, plain: Float) -> Float:
    """What to add to plain reading. enlarge: (pixels, crop px) each crop pixel as a mean of two neighbouring pixels."""
    from scipy.linalg import solveh_banded  # slow to import

    inner, beside = (enlarge * enlarge).sum(axis=1), (enlarge[1:] * enlarge[:-1]).sum(axis=1)
    missed = enlarge - inner[:, None] * plain
    missed[1:] -= beside[:, None] * plain[:-1]
    missed[:-1] -= beside[:, None] * plain[1:]
    bands = np.stack([np.concatenate([[0], beside]), inner + _CALM])
    return np.asarray(solveh_banded(bands, missed, overwrite_b=True, check_finite=False), np.float32)


def _edges(start: float, length: float) -> tuple[float, float]:
    """The first and the last place that a crop is read at: the middles of the outermost pixels of its box."""
    return np.floor(start + 1e-3) + 0.5, np.ceil(start + length - 1e-3) - 0.5


def _tents(places: Real, count: int) -> Float:
    """(len(places), count): how linear reading at each place weighs `count` pixels."""
    distances = np.abs((places[:, None] - 0.5 - np.arange(count)).astype(np.float32))
    return np.asarray(np.maximum(0, 1 - distances))
