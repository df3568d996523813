"""Noise like a frame's grain: in two bands of detail, in luma and colour, fixed to the frame's pixels, and seeded.

It is cut out of one small picture of noise that repeats, shifted by a random way for each step in time.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from .types import Float

BANDS = 2  # detail of about one and of about two pixels
SIDE = 384  # px after which the noise repeats
_LINES_AT_ONCE = {"cpu": 32}  # what is worked on should stay in the cache; a GPU makes the whole rectangle
_BORDER = 3  # px at the edge for which the coarser band cannot be told

_TO_OPPONENT = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
_FROM_OPPONENT = np.linalg.inv(_TO_OPPONENT)


def opponent(pictures: torch.Tensor) -> torch.Tensor:
    """(..., 3, H, W) RGB -> luma and two colour differences."""
    matrix = torch.as_tensor(_TO_OPPONENT, dtype=pictures.dtype, device=pictures.device)
    return (matrix @ pictures.flatten(-2)).view(pictures.shape)


def split_bands(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(..., H, W) -> two of (..., H - 6, W - 6): the finest detail, and what is about twice as coarse."""
    once = _smooth(pictures, 1)
    return pictures[..., 3:-3, 3:-3] - once[..., 2:-2, 2:-2], once[..., 2:-2, 2:-2] - _smooth(once, 2)


def noise(
    missing: Float, phase: float, seed: int, corner: tuple[int, int], size: tuple[int, int], device: str
) -> torch.Tensor:
    """(3, h, w) grey levels of RGB to be added to one frame's rectangle.

    missing: (3, BANDS) variance of each band, as `split_bands` of `opponent` sees it. phase: at whole numbers the
    noise is new, in between two cross-fade. corner: x, y of the rectangle in the frame. size: its height, width.
    """
    tiles, mixing = _tiles(device)
    amounts = np.sqrt(_amounts(missing.astype(np.float64), mixing))
    turn, step = (phase % 1) * np.pi / 2, int(np.floor(phase))
    mix = torch.as_tensor(_FROM_OPPONENT[:, :, None] * amounts, dtype=torch.float32, device=device).flatten(1)
    made = torch.empty(3, *size, device=device)
    lines = _LINES_AT_ONCE.get(made.device.type, size[0])
    for top in range(0, size[0], lines):
        strip = made[:, top : top + lines]
        place, extent = (corner[0], corner[1] + top), (strip.shape[1], size[1])
        field = float(np.cos(turn)) * _cut(tiles, seed, step, place, extent)
        if turn:
            field += float(np.sin(turn)) * _cut(tiles, seed, step + 1, place, extent)
        strip.copy_((mix @ field.flatten(1)).view(strip.shape))
    return made


def _amounts(missing: NDArray[np.float64], mixing: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, BANDS) variance of each noise. mixing: (BANDS, BANDS), what one of each noise gives in each band.

    Coarse noise has fine detail too: it never gives more of that than is missing.
    """
    fine, coarse = missing.T
    wanted = np.clip((coarse * mixing[0, 0] - fine * mixing[1, 0]) / np.linalg.det(mixing), 0, fine / mixing[0, 1])
    return np.stack([np.clip(fine - wanted * mixing[0, 1], 0, None) / mixing[0, 0], wanted], axis=1)


def _cut(tiles: torch.Tensor, seed: int, step: int, corner: tuple[int, int], size: tuple[int, int]) -> torch.Tensor:
    """(3 * BANDS, h, w) of the repeating noise, shifted as this step in time has it."""
    shift_x, shift_y = np.random.default_rng([seed, step]).integers(0, SIDE, 2).tolist()
    left, top = (corner[0] + shift_x) % SIDE, (corner[1] + shift_y) % SIDE
    rows = (torch.arange(size[0], device=tiles.device) + top) % SIDE
    lines = tiles.index_select(1, rows)
    times = -(-(left + size[1]) // SIDE)
    return torch.cat([lines] * times, dim=2)[:, :, left : left + size[1]]


@lru_cache(maxsize=4)
def _tiles(device: str) -> tuple[torch.Tensor, NDArray[np.float64]]:
    """(3 * BANDS, SIDE, SIDE) repeating noise; (BANDS, BANDS) what fine and coarse noise give each band."""
    white = torch.randn(3, BANDS, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    fine, coarse = split_bands(_wrapped(white[:, 0]))[0], split_bands(_wrapped(white[:, 1]))[1]
    seen = [[float(band.square().mean()) for band in split_bands(_wrapped(tile))] for tile in (fine, coarse)]
    tiles = torch.stack([fine, coarse], dim=1).flatten(0, 1)
    return tiles.to(device), np.array(seen).T


def _wrapped(pictures: torch.Tensor) -> torch.Tensor:
    rows = torch.cat([pictures[..., -_BORDER:, :], pictures, pictures[..., :_BORDER, :]], dim=-2)
    return torch.cat([rows[..., -_BORDER:], rows, rows[..., :_BORDER]], dim=-1)


def _smooth(pictures: torch.Tensor, step: int) -> torch.Tensor:
    """Weights 1, 2, 1 along rows and columns, `step` px apart; `step` px narrower on every side."""
    for axis in (-2, -1):
        length = pictures.shape[axis] - 2 * step
        low, middle, high = (pictures.narrow(axis, start, length) for start in (0, step, 2 * step))
        pictures = (low + high + 2 * middle) / 4
    return pictures
