"""How much grain a frame has around a mouth that its new face lacks, and for how long that grain stays in place.

Along the rim of the mask the new face and the frame show the same skin: what only the frame has there, in its two
finest bands, is grain. Medians of squares along the rim are compared, which edges and folds hardly move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from .blend_noise import BANDS, opponent, split_bands
from .geometry import Corners, cut_out, halve, invert, map_points, move_grid, pick, pixel_centres, sample
from .types import FaceBatch, Float, Pixels, Rendered

TILES, TILE = 8, 24  # squares along the rim, and their side in frame px
_MEDIAN_TO_SPREAD = 1.4826  # of a normal distribution
_LEAST = 0.2  # of the frame's variance: less is not noticed, and reading between pixels alone takes as much
_MOST = 10.0  # grey levels
_CALM = TILES // 4  # how many squares lack less than what counts
_MEMORY_ROWS = 8  # changes are followed within about this many frames
_LEAST_RIM = 4.0  # cells; a smaller rim says nothing
_COARSE = 3  # new px per frame px: from here on reading points would skip detail

Rows = NDArray[np.int64]
Real = NDArray[np.float64]


@dataclass(frozen=True)
class GrainState:
    """What is remembered from frame to frame. phase: where in the endless row of noise the frame was.
    patch: the part of the frame around its mask, whose upper left pixel is corner."""

    missing: Real
    step: float
    phase: float
    patch: Pixels
    corner: tuple[int, int]


@dataclass(frozen=True)
class Grain:
    """missing: (n, 3, BANDS) variance in grey levels squared, of luma and two colour differences. phase: (n,)."""

    missing: Float
    phase: Real


def measure_grain(
    pixels: Pixels, faces: FaceBatch, rendered: Rendered, weight: torch.Tensor, places: tuple[Rows, Corners],
    last: GrainState | None,
) -> tuple[Grain, GrainState | None]:  # fmt: skip
    """What grain new faces lack, steadily over time.

    pixels: (N, H, W, 3) uint8, not yet pasted into. weight: (n, 1, G, G) the mask as it lies in the crops.
    places: the rows (n,) it is about, and (N, 4) whole frame px that a paste changes. last: what the frame before left.
    """
    rows, areas = places
    corners, known = _tiles_on_rim(faces, weight, rows, (pixels.shape[2], pixels.shape[1]))
    tiles = np.stack([cut_out([pixels[row]] * TILES, corners[i], (TILE, TILE)) for i, row in enumerate(rows)])
    lacking = _lacking(tiles, faces, rendered, rows, corners) * known[:, None, None]
    missing, phase = np.zeros((len(rows), 3, BANDS)), np.zeros(len(rows))
    for i, row in enumerate(rows):
        last = _follow(last, lacking[i], tiles[i], corners[i], _patch(pixels[row], areas[row]), faces.still)
        missing[i], phase[i] = last.missing, last.phase
    return Grain(missing.astype(np.float32), phase), last


def _follow(
    last: GrainState | None, lacking: Real, tiles: Pixels, corners: Corners, patch: tuple[Pixels, tuple[int, int]],
    still: bool,
) -> GrainState:  # fmt: skip
    """The state after one more frame. Noise moves on by 1 where the frame's grain is new, by 0 where it has stayed."""
    if last is None:
        return GrainState(lacking, 0.0 if still else 0.5, 0.0, *patch)
    missing = last.missing + (lacking - last.missing) / _MEMORY_ROWS
    stayed = None if still else _stayed(tiles, corners, last)
    step = last.step
    if stayed is not None:  # two noises that cross-fade by this part of the way are as alike as the frames' grain
        step += (float(np.arccos(np.clip(stayed, 0, 1)) / (np.pi / 2)) - step) / _MEMORY_ROWS
    return GrainState(missing, step, _move_on(last.phase, step), *patch)


def _move_on(phase: float, step: float) -> float:
    """The next phase; whole numbers, where one noise has given way to the next, are met and not skipped."""
    whole = np.floor(phase) + 1
    return float(whole if phase + 1.5 * step > whole else phase + step)


def _tiles_on_rim(
    faces: FaceBatch, weight: torch.Tensor, rows: Rows, frame_size: tuple[int, int]
) -> tuple[Corners, NDArray[np.bool_]]:
    """(n, TILES, 2) upper left frame px of squares on the rim, one in each direction; (n,) whether there is a rim."""
    grid = weight.shape[-1]
    near = F.avg_pool2d(weight, 5, stride=1, padding=2, count_include_pad=False)
    rim = (near * (1 - near)).flatten(1)
    line = torch.arange(grid, device=weight.device, dtype=torch.float32) + 0.5
    y, x = (part.flatten() for part in torch.meshgrid(line, line, indexing="ij"))
    mass = weight.flatten(1).sum(1, keepdim=True).clamp(min=1e-6)
    middle_x, middle_y = ((weight.flatten(1) * part).sum(1, keepdim=True) / mass for part in (x, y))
    turn = torch.atan2(y - middle_y, x - middle_x) / (2 * np.pi) * TILES
    sector = turn.floor().long() % TILES
    best = torch.stack([(rim * (sector == k)).argmax(1) for k in range(TILES)], 1)
    cells = torch.stack([x[best], y[best]], -1).cpu().numpy()
    back = invert(faces.matrices[rows])
    side = float(faces.crops.shape[-1])
    corners = np.rint(map_points(back, cells * (side / grid)) - TILE / 2)
    ends = map_points(back, np.tile(np.array([[0, 0], [side, side]], np.float32), (len(rows), 1, 1)))
    upright = (faces.matrices[rows][:, 0, 1] == 0)[:, None, None]
    low, high = np.where(upright, np.ceil(ends[:, :1]), 0), np.where(upright, np.floor(ends[:, 1:]), frame_size)
    corners = np.maximum(np.minimum(corners, high - TILE), low)
    corners = np.clip(corners, 0, np.maximum(np.array(frame_size) - TILE, 0))
    return corners.astype(np.int64), (rim.sum(1) >= _LEAST_RIM).cpu().numpy()


def _lacking(tiles: Pixels, faces: FaceBatch, rendered: Rendered, rows: Rows, corners: Corners) -> Real:
    """(n, 3, BANDS) variance that the frame has more of than the new face; nothing where the difference is slight."""
    device = str(rendered.crops.device)
    frame = _variance(torch.from_numpy(tiles).to(device).permute(0, 1, 4, 2, 3).float())
    new = _variance(_read(rendered.crops, faces, rows, corners))
    if float(np.linalg.norm(faces.matrices[rows][:, 0, :2], axis=1).min()) >= 1:
        # Read between its pixels an enlarged face loses what `blend_fit` keeps: the crop itself tells how much.
        crop = _variance(_read(faces.crops, faces, rows, corners))
        new = new * (frame / crop.clamp(min=1e-3)).clamp(1, 4)
    # Grain is everywhere, detail of a small face only here and there: the squares that lack little are the measure.
    missing, usual = ((frame - new).sort(dim=1).values[:, _CALM], frame.sort(dim=1).values[:, _CALM])
    missing = torch.where(missing < _LEAST * usual, torch.zeros_like(missing), missing)
    return np.asarray(missing.clamp(0, _MOST**2).double().cpu().numpy())


def _read(pictures: torch.Tensor, faces: FaceBatch, rows: Rows, corners: Corners) -> torch.Tensor:
    """(n, TILES, 3, TILE, TILE) grey levels of pictures of the crops, at the frame's pixels."""
    new = pick(pictures, rows).float()
    side, scale = faces.crops.shape[-1], float(np.linalg.norm(faces.matrices[rows][:, 0, :2], axis=1).mean())
    times = 0
    while scale * new.shape[-1] / side / 2**times >= _COARSE and new.shape[-1] % 2 ** (times + 1) == 0:
        times += 1
    new = halve(new, times)
    x, y = pixel_centres(corners.reshape(-1, 2), (TILE, TILE), str(new.device))
    u, v = move_grid(np.repeat(faces.matrices[rows], TILES, axis=0), x, y)
    u, v = (part.expand(-1, TILE, TILE).reshape(len(rows), TILES * TILE, TILE) for part in (u, v))
    ratio = new.shape[-1] / side
    read = sample(new, u * ratio, v * ratio, "bicubic" if scale * ratio >= 1 else "bilinear") * 255
    return read.view(len(rows), 3, TILES, TILE, TILE).transpose(1, 2)


def _variance(tiles: torch.Tensor) -> torch.Tensor:
    """(n, TILES, 3, BANDS), from (n, TILES, 3, TILE, TILE) grey levels."""
    bands = split_bands(opponent(tiles))
    spread = torch.stack([band.abs().flatten(3).median(dim=3).values for band in bands], -1)
    return (spread * _MEDIAN_TO_SPREAD).square()


def _patch(frame: Pixels, area: NDArray[np.int64]) -> tuple[Pixels, tuple[int, int]]:
    left, top = (int(value) for value in np.maximum(area[:2] - TILE, 0))
    return frame[top : area[3] + TILE, left : area[2] + TILE].copy(), (left, top)


def _stayed(tiles: Pixels, corners: Corners, last: GrainState) -> float | None:
    """Correlation of the finest band with the frame before at the same pixels; None where that is not known."""
    places = corners - last.corner
    room = np.array(last.patch.shape[1::-1]) - TILE
    inside = np.flatnonzero(((places >= 0) & (places <= room)).all(axis=1))
    if not len(inside):
        return None
    before = cut_out([last.patch] * len(inside), places[inside], (TILE, TILE))
    pair = torch.from_numpy(np.stack([tiles[inside], before])).permute(0, 1, 4, 2, 3).float()
    now, then = split_bands(opponent(pair)[:, :, 0])[0].flatten(2)
    most = 3 * now.abs().median(dim=1, keepdim=True).values  # an edge that moves must not outvote the grain
    now, then = now.clamp(-most, most), then.clamp(-most, most)
    both = (now.square().sum(1) * then.square().sum(1)).sqrt()
    return float(((now * then).sum(1) / both.clamp(min=1e-3)).median())
