"""Find the lids of both eyes: the almond shapes that stand out most from the skin around them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..types import Float

# The patch around one eye: eye distances to each side, above and below the landmark; pixels in one.
PATCH_SIDE, PATCH_ABOVE, PATCH_BELOW, PATCH_SCALE = 0.36, 0.20, 0.24, 56.0
# left x, y, right x, y from the landmarks; slant (mirrored); half width; height above and below the corners' line
_USUAL = np.array([0.0, 0.01, 0.0, 0.01, 0.0, 0.22, 0.085, 0.06])
_SPREAD = np.array([0.035, 0.05, 0.035, 0.05, 0.12, 0.03, 0.025, 0.02])
_LOW = np.array([-0.1, -0.1, -0.1, -0.1, -0.3, 0.15, 0.03, 0.02])
_HIGH = np.array([0.1, 0.14, 0.1, 0.14, 0.3, 0.29, 0.16, 0.12])
_ROUNDS, _CANDIDATES = 12, 160
_SURE = 0.10  # by how much an eye must stand out from the skin around it

Rows = NDArray[np.float64]


def fit_lids(patches: tuple[Float, Float]) -> tuple[Float, bool]:
    """Find the eyes in two levelled patches (H, W, 3) RGB in [0, 255] around their landmarks.

    Returns (2, 5): x, y of the middle of the corners' line from the landmark, half width, y of upper and lower lid from
    that line; and whether eyes are seen at all. Both eyes share size and slant, so that they blink alike.
    """
    seen = [_contrast(p) for p in patches]
    dice, centre, spread = np.random.default_rng(0), _USUAL.copy(), _SPREAD * 1.2
    best = centre
    for turn in range(_ROUNDS):
        rows = np.clip(centre + spread * dice.standard_normal((_CANDIDATES * (1 if turn else 3), 8)), _LOW, _HIGH)
        rows[0] = best
        value = _cost(rows, seen)
        order = np.argsort(value)[:16]
        best = rows[order[0]]
        centre, spread = rows[order].mean(0), rows[order].std(0) * 1.05 + 1e-3
    apart = [_apart(best, eye, seen[eye]) for eye in (0, 1)]
    lids = [[best[2 * e], best[2 * e + 1], best[5], -best[6], best[7]] for e in (0, 1)]
    return np.array(lids, dtype=np.float32), min(apart) > _SURE


def _contrast(patch: Float) -> tuple[Float, Float]:
    """(H, W) how far each pixel is from the skin around the eye, in [0, 1]; (H, W) dark lines."""
    logs = np.log(np.clip(patch, 6, None))
    skin = np.median(np.concatenate([logs[-4:].reshape(-1, 3), logs[:, :3].reshape(-1, 3)]), axis=0)
    distance = np.abs(logs - skin).max(-1)
    light = logs.mean(-1)
    line = cv2.GaussianBlur(light, (0, 0), 3.5) - cv2.GaussianBlur(light, (0, 0), 0.8)
    return np.clip(distance, 0, 1).astype(np.float32), np.clip(line, -0.2, 0.5).astype(np.float32)


def _almond(rows: Rows, eye: int, shape: tuple[int, int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Rows]:
    """Masks (K, H, W) of the eye and of the ring around it, and y (K, W) of the upper lid; eye 0 left, 1 right."""
    height, width = shape
    x = ((np.arange(width) + 0.5) / PATCH_SCALE - PATCH_SIDE)[None] - rows[:, 2 * eye, None]
    y = ((np.arange(height) + 0.5) / PATCH_SCALE - PATCH_ABOVE)[None, :, None]
    half, above, below = (rows[:, i, None] for i in (5, 6, 7))
    line = rows[:, 2 * eye + 1, None] + rows[:, 4, None] * x * (1 if eye == 0 else -1)
    bulge = np.clip(1 - (x / half) ** 2, 0, None)
    upper, lower = line - above * bulge, line + below * bulge
    inside = (y > upper[:, None]) & (y < lower[:, None])
    ring = (y > (upper - 0.055)[:, None]) & (y < (lower + 0.055)[:, None]) & ((np.abs(x) < half * 1.15)[:, None])
    return inside, ring & ~inside, upper


def _cost(rows: Rows, seen: list[tuple[Float, Float]]) -> Rows:
    cost = 0.02 * (((rows - _USUAL) / _SPREAD) ** 2).sum(1)
    for eye, (contrast, line) in enumerate(seen):
        inside, ring, upper = _almond(rows, eye, contrast.shape)
        flat = contrast.reshape(-1, 1)
        within, around = (m.reshape(len(rows), -1).astype(np.float32) for m in (inside, ring))
        cost -= (within @ flat)[:, 0] / np.clip(within.sum(1), 8, None)
        cost += 1.3 * (around @ flat)[:, 0] / np.clip(around.sum(1), 8, None)
        row = np.clip(np.round((upper + PATCH_ABOVE) * PATCH_SCALE).astype(int), 0, len(contrast) - 1)
        cost -= 1.0 * line[row, np.arange(contrast.shape[1])[None]][:, 8:-8].mean(1)
    return np.asarray(cost, dtype=np.float64)


def _apart(row: Rows, eye: int, seen: tuple[Float, Float]) -> float:
    inside, ring, _ = _almond(row[None], eye, seen[0].shape)
    return float(seen[0][inside[0]].mean() - seen[0][ring[0]].mean())
