"""Find the lips in a levelled patch of a face, without a learnt model: the lens shapes that part its colours best.

A mouth is eight numbers (`PARAMETERS`). Each candidate divides the patch into upper lip, inside, lower lip and the
rest; its cost is how mixed the four are in colour (the description length of a Gaussian for each), plus what mouths
look like: the lips alike and redder than skin, the inside darker or less red than lips, the edges of the lips dark,
proportions near the usual. The cross-entropy method with a fixed seed looks for the cheapest one.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray

from ..types import Float

# The patch: eye distances left and right of, above and below the middle of the mouth's corners; pixels in one.
HALF_WIDTH, ABOVE, BELOW, SCALE = 0.66, 0.36, 0.50, 48.0

# centre x, y; slope; half width; sag of the upper lip's edge; thickness of upper and lower lip; gap. Eye distances.
PARAMETERS = 8
_USUAL = np.array([0.0, 0.0, 0.0, 0.41, 0.0, 0.10, 0.15, 0.05])
_SPREAD = np.array([0.05, 0.09, 0.08, 0.08, 0.05, 0.025, 0.03, 0.09])
_LOW = np.array([-0.2, -0.25, -0.3, 0.22, -0.15, 0.04, 0.06, 0.0])
_HIGH = np.array([0.2, 0.3, 0.3, 0.62, 0.15, 0.2, 0.26, 0.45])
_STARTS = ((-0.04, 0.0), (0.06, 0.0), (0.14, 0.0), (0.0, 0.1))  # shift down, gap: landmarks err, mouths stand open
_ROUNDS, _CANDIDATES = 14, 200
_INERTIA = np.array([0.5, 0.2, 0.6, 0.5, 0.3, 0.6, 0.6, 0.15])  # share of the frame before
_LOYALTY = 0.06  # cost by which another place must be better

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What the patch tells. below: ((H + 1) W, 7) = three colour features, their squares and one, summed down each
    column to above row r at r W; total: (7,) of the whole patch; dark_lines: (H, W)."""

    below: Float
    total: Float
    dark_lines: Float
    x: Rows
    y: Rows


def lens(rows: Rows, x: Rows) -> tuple[NDArray[np.bool_], Rows, Rows, Rows, Rows]:
    """Curves of candidate mouths (K, 8) at columns x (W,): is it mouth, then top of the upper lip, its lower edge,
    the lower lip's upper edge, its bottom; each (K, W), y in eye distances, downwards. All four meet beyond the
    corners, so that there is nothing between them."""
    cx, cy, slope, half, sag, upper, lower, gap = (rows[:, i, None] for i in range(PARAMETERS))
    s = (x - cx) / half
    bulge = np.clip(1 - s * s, 0, None)
    thick = 0.35 * np.sqrt(bulge) + 0.65 * bulge
    top_edge = cy + slope * (x - cx) + sag * bulge
    low_edge = top_edge + gap * bulge
    return np.abs(s) < 1, top_edge - upper * thick, top_edge, low_edge, low_edge + lower * thick


def evidence(patch: NDArray[np.float32]) -> Evidence:
    """patch: (H, W, 3) RGB in [0, 255]. The features are logarithms, so the light's strength cancels."""
    logs = np.log(np.clip(patch, 2, None))
    light, red, yellow = logs.mean(-1), logs[..., 0] - logs[..., 1], logs[..., 1] - logs[..., 2]
    colour = np.stack([0.8 * light, 2.0 * red, 0.6 * yellow], -1).astype(np.float32)
    colour -= colour.mean((0, 1))  # costs know differences only; small numbers keep float32 exact enough
    height, width = light.shape
    moments = np.concatenate([colour, colour * colour, np.ones_like(colour[..., :1])], -1)
    below = np.zeros((height + 1, width, 7), np.float32)
    np.cumsum(moments, 0, out=below[1:])
    wide, fine = (cv2.GaussianBlur(colour[..., 0], (0, 0), SCALE * size) for size in (0.06, 0.012))
    return Evidence(
        below.reshape(-1, 7),
        below[-1].sum(0),
        np.clip(wide - fine, -0.2, 0.5),
        (np.arange(width) + 0.5) / SCALE - HALF_WIDTH,
        (np.arange(height) + 0.5) / SCALE - ABOVE,
    )


def _mixed(sums: Float, features: tuple[int, ...]) -> Float:
    count = sums[:, 6] + 1e-3
    total = np.zeros_like(count)
    for i in features:
        variance = sums[:, 3 + i] / count - (sums[:, i] / count) ** 2
        total += count * np.log(np.clip(variance, 0, None) + 4e-3)
    return total


def _mean(sums: Float) -> Float:
    return np.asarray(sums[:, :3] / (sums[:, 6:] + 1e-3), dtype=np.float32)


def _looks(upper: Float, inside: Float, lower: Float, rest: Float, area: float) -> Float:
    """What sets lips and the inside of a mouth apart, whatever the picture: smaller is more like a mouth."""
    lips, inner = _mean(upper + lower), _mean(inside)
    apart = np.maximum(lips[:, 1] - inner[:, 1], 1.2 * (lips[:, 0] - inner[:, 0]))
    cost = 0.8 * np.clip(0.25 - apart, 0, 0.5) * np.minimum(20 * inside[:, 6] / area, 1)
    cost -= 0.8 * np.clip(lips[:, 1] - _mean(rest)[:, 1], -0.2, 0.5)
    return np.asarray(cost + 0.3 * np.abs(_mean(upper)[:, 1] - _mean(lower)[:, 1]), dtype=np.float32)


def costs(rows: Rows, seen: Evidence) -> Rows:
    """(K,) cost of the candidates (K, 8)."""
    mouth, top, top_edge, low_edge, bottom = lens(rows, seen.x)
    above = _sums_above(np.stack([top, top_edge, low_edge, bottom], 1), seen)
    upper, inside, lower = (above[:, i + 1] - above[:, i] for i in range(3))
    rest, area = seen.total - upper - inside - lower, float(seen.total[6])
    mixed = [_mixed(region, (0,)) for region in (upper, inside, lower, rest)]
    mixed += [_mixed(region, (1, 2)) for region in (upper + lower, inside, rest)]
    cost = np.sum(mixed, axis=0, dtype=np.float64) / area + _looks(upper, inside, lower, rest, area)
    cost -= 0.3 * (_along(seen, mouth, top_edge) + _along(seen, mouth, low_edge))
    return np.asarray(cost + 0.012 * (((rows - _USUAL) / _SPREAD) ** 2).sum(1), dtype=np.float64)


def _sums_above(curves: Rows, seen: Evidence) -> Float:
    """(K, 4, 7): the patch's moments above each of the curves (K, 4, W)."""
    count, _, width = curves.shape
    row = np.ceil((curves + ABOVE) * SCALE - 0.5).astype(np.int64)  # the first whose middle is not above
    index = np.clip(row, 0, len(seen.below) // width - 1) * width + np.arange(width)
    bags = torch.from_numpy(index.reshape(-1, width))
    sums = functional.embedding_bag(bags, torch.from_numpy(seen.below), mode="sum")  # ten times as fast as NumPy
    return np.asarray(sums.reshape(count, 4, 7))


def _along(seen: Evidence, mouth: NDArray[np.bool_], curve: Rows) -> Rows:
    """Mean darkness of the line under each curve."""
    height, width = seen.dark_lines.shape
    row = np.clip(np.round((curve + ABOVE) * SCALE - 0.5).astype(int), 0, height - 1)
    dark = seen.dark_lines[row, np.arange(width)[None]] * mouth
    return np.asarray(dark.sum(1) / np.clip(mouth.sum(1), 1, None), dtype=np.float64)


def fit_lips(patch: NDArray[np.float32], before: Rows | None = None, afresh: bool = True) -> tuple[Rows, float]:
    """The best mouth (8,) of a patch (H, W, 3) RGB in [0, 255], and its cost. About 50 ms on one core.

    before: the mouth of the frame before, which the search starts from (4 ms); it then looks elsewhere only when
    `afresh`, and goes there only when that is clearly better. The result keeps some of `before`, against jitter.
    """
    seen, dice = evidence(patch), np.random.default_rng(0)
    found: list[tuple[Rows, float]] = []
    if before is not None:
        row, cost = _search(seen, dice, before, 0.35 * _SPREAD, (6, 80))
        found.append((row + _INERTIA * (before - row), cost - _LOYALTY))
    if before is None or afresh:
        for shift, gap in _STARTS:
            start = _USUAL + np.array([0, shift, 0, 0, 0, 0, 0, gap])
            found.append(_search(seen, dice, start, 1.2 * _SPREAD, (_ROUNDS, _CANDIDATES)))
    return min(found, key=lambda pair: pair[1])


def _search(
    seen: Evidence, dice: np.random.Generator, centre: Rows, spread: Rows, effort: tuple[int, int]
) -> tuple[Rows, float]:
    """Cross-entropy method: draw, keep the best tenth, draw around them. effort: rounds, candidates."""
    best, cost, least = centre, np.inf, 0.25 * spread
    for turn in range(effort[0]):
        count = effort[1] if turn else 3 * effort[1]
        rows = np.clip(centre + spread * dice.standard_normal((count, PARAMETERS)), _LOW, _HIGH)
        rows[0] = best
        value = costs(rows, seen)
        order = np.argsort(value)[: effort[1] // 10]
        best, cost = rows[order[0]], float(value[order[0]])
        centre, spread = rows[order].mean(0), rows[order].std(0) * 1.05 + 2e-3
        if turn == 0:
            spread = np.maximum(spread, least)
    return best, cost
