"""Which rectangle of each frame a paste works on, and which frames can be worked on together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from .blend_fit import fits
from .geometry import Corners, invert, map_boxes
from .types import FaceBatch, Rendered

Rows = NDArray[np.int64]

_CELL = 16  # px: rectangles are whole cells, so that most frames of a clip have one size
_COARSE = 3  # new px per frame px: from here on reading points, even four by four, would skip detail, and shimmer
_BUDGET = {"cpu": 2**17}  # px of rectangles at once: on a CPU what is worked on should stay in the cache ...
_BUDGET_ELSEWHERE = 2**25  # ... and a GPU should be busy


class Mask(Protocol):
    """A soft mask for each row of a batch, as a formula. `face.mask.SoftMask` is one."""

    @property
    def areas(self) -> Corners:
        """(N, 4) whole frame px, xyxy, inside the frame, outside of which the row's mask is 0."""
        ...

    def at(self, rows: Rows, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """(n, 1, h, w) in [0, 1] at the frame px x (n, 1 or h, w) and y (n, h, 1 or w)."""
        ...


@dataclass(frozen=True)
class Shape:
    """What frames must have in common to be pasted in one go. size: height, width of the rectangle, which divide by
    2^levels, the levels of the pyramid. sliced: the new face's pixels are the frame's. fitted: it is an upright crop
    that was enlarged. Otherwise its pixels are read between: halvings: of the new face before that; fine: it has more
    pixels than the frame, so no blur must be added."""

    size: tuple[int, int]
    levels: int
    sliced: bool
    halvings: int
    fine: bool
    fitted: bool = False


@dataclass(frozen=True)
class Group:
    """Rows of a batch that have one shape; corners: (n, 2) x, y of their rectangles, which may leave the frame."""

    shape: Shape
    rows: Rows
    corners: Corners


def find_areas(faces: FaceBatch, rendered: Rendered, mask: Mask | None, frame_size: tuple[int, int]) -> Corners:
    """(N, 4) whole frame px, xyxy, inside the frame, that a paste can change. ValueError without mask and alpha."""
    if mask is not None:
        return mask.areas
    if rendered.alpha is None:
        raise ValueError("neither a mask nor an alpha says where to paste")
    areas = _areas_of_alpha(faces, rendered.alpha[:, 0])
    return np.clip(areas, 0, np.array([*frame_size, *frame_size]))


def group_rows(faces: FaceBatch, rendered: Rendered, areas: Corners, rows: Rows, levels: Rows) -> Iterator[Group]:
    """Sort rows, (n,) row numbers with (n,) levels, by what can be worked on together.

    Each row's rectangle depends on that row alone, so that the size of a batch changes no pixel.
    """
    found: dict[Shape, list[tuple[int, int, int]]] = {}
    for row, level in zip(rows.tolist(), levels.tolist(), strict=True):
        if (areas[row, 2:] > areas[row, :2]).all():
            shape, corner = _fit(faces, rendered, row, areas[row], level)
            found.setdefault(shape, []).append((row, *corner))
    budget = _BUDGET.get(rendered.crops.device.type, _BUDGET_ELSEWHERE)
    for shape, members in found.items():
        step = max(1, budget // (shape.size[0] * shape.size[1]))
        table = np.array(members, np.int64)
        for start in range(0, len(table), step):
            group = Group(shape, table[start : start + step, 0], table[start : start + step, 1:])
            yield from _strips(group, areas, budget)


def _strips(group: Group, areas: Corners, budget: int) -> Iterator[Group]:
    """A rectangle larger than the budget in parts, where the new face can be read part by part."""
    shape, (height, width) = group.shape, group.shape.size
    if height * width <= budget or shape.levels or shape.fitted or shape.halvings:
        yield group
        return
    lines = max(_CELL, budget // width // _CELL * _CELL)
    low, high = areas[group.rows[0], [1, 3]].tolist()  # a large one is alone
    for start in range(0, height, lines):
        part = min(lines, height - start)
        top = int(group.corners[0, 1]) + start
        if low < top + part and top < high:
            yield replace(group, shape=replace(shape, size=(part, width)), corners=group.corners + np.array([0, start]))


def _fit(faces: FaceBatch, rendered: Rendered, row: int, area: Corners, levels: int) -> tuple[Shape, tuple[int, int]]:
    """The rectangle of whole cells over an area of one row, and how the new face is read there."""
    cell = max(_CELL, 2**levels)
    left, top = (area[:2] // cell * cell).tolist()
    width, height = (-((area[:2] // cell * cell - area[2:]) // cell) * cell).tolist()
    side, new_side, matrix = faces.crops.shape[-1], rendered.crops.shape[-1], faces.matrices[row]
    same_pixels = new_side == side and np.array_equal(matrix[:, :2], np.eye(2)) and not (matrix[:, 2] % 1).any()
    if same_pixels and width <= side and height <= side:
        first_x, first_y = (-matrix[:, 2]).astype(int).tolist()
        left = min(max(left, first_x), first_x + side - width)
        top = min(max(top, first_y), first_y + side - height)
        return Shape((height, width), levels, True, 0, False), (left, top)
    if fits(matrix, side, new_side):
        return Shape((height, width), levels, False, 0, True, fitted=True), (left, top)
    halvings = 0
    scale = float(np.linalg.norm(matrix[:, :2], axis=1).min()) * new_side / side
    while scale >= _COARSE and new_side % 2 == 0:
        scale, new_side, halvings = scale / 2, new_side // 2, halvings + 1
    return Shape((height, width), levels, False, halvings, scale >= 1), (left, top)


def _areas_of_alpha(faces: FaceBatch, alpha: torch.Tensor) -> Corners:
    """(N, 4) whole frame px that (N, S, S) alphas reach; those of an empty one are empty."""
    columns, rows = (alpha.amax(dim=1) > 0).cpu().numpy(), (alpha.amax(dim=2) > 0).cpu().numpy()
    boxes = np.stack([_first(columns) - 1, _first(rows) - 1, _end(columns) + 1, _end(rows) + 1], axis=1)
    in_crops = np.asarray(boxes * (faces.crops.shape[-1] / alpha.shape[-1]), np.float32)
    reach = map_boxes(invert(faces.matrices), in_crops)  # one alpha px wider, for reading between pixels
    areas = np.concatenate([np.floor(reach[:, :2]) - 1, np.ceil(reach[:, 2:]) + 1], axis=1).astype(np.int64)
    areas[alpha.flatten(1).amax(dim=1).cpu().numpy() <= 0] = 0
    return areas


def _first(claims: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.asarray(claims.argmax(axis=1))


def _end(claims: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.asarray(claims.shape[1] - claims[:, ::-1].argmax(axis=1))
