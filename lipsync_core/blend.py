"""Paste new faces back into their frames, so that neither a box nor a seam shows.

Only the rectangle that the mask reaches is read, computed on the device and written back; every pixel where the mask is
0 keeps its exact value. All arithmetic is float32 on grey levels 0 to 255, whatever precision the engine worked in, so
that a pixel which nothing changes comes back exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from .blend_colour import GRID, colour_matrices, compare_colours, recolour, shrink, steady
from .blend_fit import read_fitted
from .blend_grain import GrainState, measure_grain
from .blend_noise import noise
from .blend_pyramid import blend_pyramid, pyramid_levels
from .blend_regions import Group, Mask, Rows, find_areas, group_rows
from .geometry import Corners, cut_out, halve, invert, move_grid, pick, pixel_centres, sample, to_channels
from .types import Bool, FaceBatch, Float, Pixels, Rendered

PASTES = ("feather", "pyramid")


@dataclass(frozen=True)
class BlendSettings:
    """colour_match: 0 off to 1 fully. paste: one of PASTES. opacity: 0 the frame to 1 the new face.
    grain: share of the frame's grain that a smoother new face gets, drawn by `seed`."""

    colour_match: float = 1.0
    paste: str = "feather"
    opacity: float = 1.0
    grain: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.paste not in PASTES:
            raise ValueError(f"paste '{self.paste}' is none of {', '.join(PASTES)}")


class Blender:
    """Pastes one face through one clip, batch after batch in the order of time: it remembers the last colours."""

    def __init__(self, settings: BlendSettings) -> None:
        self.settings = settings
        self._last_colours: NDArray[np.float64] | None = None
        self._last_levels: int | None = None
        self._last_grain: GrainState | None = None

    def blend(
        self, pixels: Pixels, faces: FaceBatch, rendered: Rendered, mask: Mask | None, share: Bool | Float | None = None
    ) -> Pixels:
        """Paste a batch.

        pixels: (N, H, W, 3) uint8 RGB. faces: what was cut out of them. rendered: what the engine made of it.
        mask: None takes the engine's alpha alone; with both, they multiply. share: (N,) in [0, 1] or bool, of the new
        face; rows of 0 stay.
        Returns the frames: the same array, changed in place, or a copy where it cannot be written to or its rows share
        memory. Raises ValueError when there is neither mask nor alpha.
        """
        rows = np.arange(len(pixels)) if share is None else np.flatnonzero(share)
        if not len(rows) or not self.settings.opacity:
            return pixels
        opacity = self.settings.opacity * (np.ones(len(pixels)) if share is None else share)
        areas = find_areas(faces, rendered, mask, (pixels.shape[2], pixels.shape[1]))
        sources = _Sources(faces, rendered, mask, opacity.astype(np.float32))
        weight = _weight(sources, rows)
        levels, last_levels = self._levels(faces, rows)
        colours, last_colours = self._colours(sources, weight, rows)
        grain, last_grain = self._grain(pixels, sources, weight, (rows, areas))
        sources = replace(sources, colours=colours, grain=grain)
        out = pixels if pixels.flags.writeable and (pixels.strides[0] or len(pixels) == 1) else pixels.copy()
        for group in group_rows(faces, rendered, areas, rows, levels):
            _paste(out, sources, group)
        # Only now: a batch that ran out of memory comes again.
        self._last_colours, self._last_levels, self._last_grain = last_colours, last_levels, last_grain
        return out

    @property
    def grain_levels(self) -> float:
        """Grey levels (one standard deviation, in luma) of the grain that the last frame got."""
        missing = self._last_grain.missing[0].sum() if self._last_grain else 0.0
        return float(self.settings.grain * np.sqrt(missing))

    def _colours(
        self, sources: _Sources, weight: torch.Tensor, rows: Rows
    ) -> tuple[Float | None, NDArray[np.float64] | None]:
        """Colour matrices of the rows, and what the next batch starts from."""
        if not self.settings.colour_match:
            return None, self._last_colours
        crops, new = pick(sources.faces.crops, rows), pick(sources.rendered.crops, rows)
        smooth, last = steady(self._last_colours, compare_colours(crops, new, weight))
        return _spread(colour_matrices(smooth, self.settings.colour_match), rows, len(sources.opacity)), last

    def _grain(
        self, pixels: Pixels, sources: _Sources, weight: torch.Tensor, places: tuple[Rows, Corners]
    ) -> tuple[_Noise | None, GrainState | None]:
        """The noise that the rows get, and what the next batch starts from."""
        if not self.settings.grain:
            return None, self._last_grain
        found, last = measure_grain(pixels, sources.faces, sources.rendered, weight, places, self._last_grain)
        rows, count = places[0], len(pixels)
        missing = _spread(found.missing * self.settings.grain**2, rows, count)
        phase = np.zeros(count)
        phase[rows] = found.phase
        return None if missing is None else _Noise(missing, phase, self.settings.seed), last

    def _levels(self, faces: FaceBatch, rows: Rows) -> tuple[Rows, int | None]:
        """Levels of the pyramid for each row, 0 without one. They stay while the face's size wavers."""
        last, levels = self._last_levels, np.zeros(len(rows), np.int64)
        if self.settings.paste == "pyramid":
            boxes, scale = faces.boxes_xyxy, np.linalg.norm(faces.matrices[:, 0, :2], axis=1)
            for index, width in enumerate((boxes[rows, 2] - boxes[rows, 0]) / scale[rows]):
                levels[index] = last = pyramid_levels(float(width), last)
        return levels, last


@dataclass(frozen=True)
class _Noise:
    """missing: (N, 3, BANDS) variances, phase: (N,) place in time, as `blend_noise.noise` takes them."""

    missing: Float
    phase: NDArray[np.float64]
    seed: int


@dataclass(frozen=True)
class _Sources:
    """What a batch pastes. opacity: (N,) in [0, 1]. colours: (N, 3, 4) or None."""

    faces: FaceBatch
    rendered: Rendered
    mask: Mask | None
    opacity: Float
    colours: Float | None = None
    grain: _Noise | None = None


def _weight(sources: _Sources, rows: Rows) -> torch.Tensor:
    """(n, 1, GRID, GRID): the mask as it lies in the crops."""
    faces, alpha, device = sources.faces, sources.rendered.alpha, str(sources.rendered.crops.device)
    side = faces.crops.shape[-1]
    weight = torch.ones(len(rows), 1, GRID, GRID, device=device)
    if sources.mask is not None:
        x, y = pixel_centres(np.zeros((len(rows), 2), np.int64), (GRID, GRID), device)
        back = invert(faces.matrices[rows])
        weight = weight * sources.mask.at(rows, *move_grid(back, x * (side / GRID), y * (side / GRID)))
    return weight if alpha is None else weight * shrink(pick(alpha, rows))


def _spread(matrices: Float | None, rows: Rows, count: int) -> Float | None:
    """Values of some rows as an array over all of them."""
    if matrices is None:
        return None
    spread = np.zeros((count, *matrices.shape[1:]), np.float32)
    spread[rows] = matrices
    return spread


def _paste(out: Pixels, sources: _Sources, group: Group) -> None:
    """Blend the rectangles of one group and write them into the frames."""
    device, size = str(sources.rendered.crops.device), group.shape.size
    frame = to_channels(cut_out([out[row] for row in group.rows], group.corners, size), device)
    x, y = pixel_centres(group.corners, size, device)
    new, alpha = _slice_new(sources, group) if group.shape.sliced else _sample_new(sources, group, x, y)
    weight = torch.as_tensor(sources.opacity[group.rows], device=device)[:, None, None, None]
    weight = weight if alpha is None else alpha * weight
    if sources.mask is not None:
        weight = sources.mask.at(group.rows, x, y) * weight
    if group.shape.levels and not group.shape.sliced:
        new = torch.where(_inside_crop(sources.faces, group, x, y), new, frame)
    depth = group.shape.levels
    blended = blend_pyramid(frame, new, weight, depth) if depth else frame.lerp_(new, weight)
    if sources.grain is not None:
        blended = blended + _noise(sources.grain, group, device) * (weight * (2 - weight)).clamp(min=0).sqrt()
    parts = blended.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    for row, corner, part in zip(group.rows, group.corners, parts, strict=True):
        _write(out[row], corner, part)


def _noise(grain: _Noise, group: Group, device: str) -> torch.Tensor:
    """(n, 3, h, w) grey levels. Where a mask is half open, half of the frame's own grain is still there."""
    fields = [
        noise(grain.missing[row], float(grain.phase[row]), grain.seed, (int(x), int(y)), group.shape.size, device)
        for row, (x, y) in zip(group.rows, group.corners, strict=True)
    ]
    return torch.stack(fields)


def _write(frame: Pixels, corner: Corners, part: Pixels) -> None:
    """Put a rectangle into a frame, as far as it lies in it."""
    left, top = corner.tolist()
    right, bottom = min(left + part.shape[1], frame.shape[1]), min(top + part.shape[0], frame.shape[0])
    start_x, start_y = max(left, 0), max(top, 0)
    frame[start_y:bottom, start_x:right] = part[start_y - top : bottom - top, start_x - left : right - left]


def _slice_new(sources: _Sources, group: Group) -> tuple[torch.Tensor, torch.Tensor | None]:
    """New faces (n, 3, h, w) in grey levels and their alpha, where crop pixels are frame pixels."""
    height, width = group.shape.size
    starts = group.corners + sources.faces.matrices[group.rows][:, :, 2].astype(np.int64)

    def cut(pictures: torch.Tensor) -> torch.Tensor:
        parts = [
            pictures[row, :, top : top + height, left : left + width]
            for row, (left, top) in zip(group.rows.tolist(), starts.tolist(), strict=True)
        ]
        return torch.stack(parts).float()

    new = cut(sources.rendered.crops)
    if sources.colours is not None:
        new = recolour(new, sources.colours[group.rows])
    return new.mul_(255), None if sources.rendered.alpha is None else cut(sources.rendered.alpha)


def _sample_new(
    sources: _Sources, group: Group, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The same where crop pixels lie between frame pixels; x, y: frame px."""
    faces, rendered = sources.faces, sources.rendered
    new = _read(rendered.crops, faces, group, x, y)
    if sources.colours is not None:
        new = recolour(new, sources.colours[group.rows])
    if rendered.alpha is None:
        return new.mul_(255), None
    alpha = _read(rendered.alpha, faces, group, x, y)
    return new.mul_(255), alpha.clamp_(0, 1).mul_(_inside_crop(faces, group, x, y))


def _read(pictures: torch.Tensor, faces: FaceBatch, group: Group, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(n, C, h, w) of pictures (N, C, S2, S2) of the crops, at the frame's pixels."""
    pictures, side = pick(pictures, group.rows).float(), faces.crops.shape[-1]
    pictures = halve(pictures, group.shape.halvings)
    if group.shape.fitted:
        return read_fitted(pictures, faces.matrices[group.rows], side, group.corners, group.shape.size)
    u, v = move_grid(faces.matrices[group.rows], x, y)
    scale, mode = pictures.shape[-1] / side, "bicubic" if group.shape.fine else "bilinear"
    return sample(pictures, u * scale, v * scale, mode)


def _inside_crop(faces: FaceBatch, group: Group, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(n, 1, h, w) bool: the frame px of which the crop shows something."""
    side = faces.crops.shape[-1]
    u, v = move_grid(faces.matrices[group.rows], x, y)
    return ((u > 0) & (u < side) & (v > 0) & (v < side))[:, None]
