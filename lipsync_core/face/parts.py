"""Masks that know what they see: the face alone, and nothing that lies in front of it. Steady over time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ..geometry import Corners, invert, map_boxes, map_points, move_grid, sample
from ..runtime import Runtime
from ..types import FaceBatch, Float, Pixels
from .align import cut_aligned
from .mask import MaskSettings, SoftMask, face_widths, mask_faces
from .parse import MAP_SIDE, SIDE, FaceParser, find_parser

_JAW = 0.03  # of the face's width that a parsed face is grown: an opening mouth takes the chin down
_RIM = 0.02  # of the face's width that an occluder is grown
_SOFT = 0.015  # of the face's width: spread of an occluder's soft edge
_RETURNS = 0.5  # share of the way per frame in which a face comes back; it goes at once
_HIDDEN = 0.1  # of the mask: more is counted as covered
# Nearer to the face's outline an open mouth may reach what is not face.
_CORE = MaskSettings(feather=0.06, grow=0.02)

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class PartMask:
    """A soft mask times what a parsing network saw. One row per face.

    inner: the mask, None where the engine says what it changed. areas: see `SoftMask`. face: (N, 1, G, G) in [0, 1] on
    the upright crop, or None. clear: (N, 2, G, G) or None, what has nothing in front: within `core`, and anywhere.
    grid: (N, 2, 3) frame px -> upright crop px.
    """

    inner: SoftMask | None
    areas: Corners
    grid: Float
    core: SoftMask
    face: torch.Tensor | None = None
    clear: torch.Tensor | None = None

    def at(self, rows: Rows, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Look at rows of the mask. x: (n, 1 or h, w), y: (n, h, 1 or w), frame px. Returns (n, 1, h, w) in [0, 1]."""
        u, v = (part * (MAP_SIDE / SIDE) for part in move_grid(self.grid[rows], x, y))
        shape = (len(rows), v.shape[1], u.shape[2])
        u, v = u.expand(shape), v.expand(shape)
        weight = torch.ones_like(u)[:, None] if self.inner is None else self.inner.at(rows, x, y)
        if self.face is not None:
            weight = weight * sample(self.face[rows.tolist()], u, v).clamp(0, 1)
        if self.clear is not None:
            seen = sample(self.clear[rows.tolist()], u, v).clamp(0, 1)
            weight = weight * seen[:, 1:].lerp(seen[:, :1], self.core.at(rows, x, y))
        return weight


class PartFinder:
    """Parses one face through one clip, batch after batch in the order of time.

    grid: (N, 2, 3) of the whole clip, see `align.plan_grid`. as_mask: the face itself is the mask. occlusion: what is
    in front of it stays.
    """

    def __init__(self, grid: Float, settings: MaskSettings, occlusion: bool) -> None:
        self.parser: FaceParser | None = None  # loaded before the first frame, or with it
        self.grid = grid
        self.settings = settings
        self.as_mask = settings.shape == "parsing"
        self.occlusion = occlusion
        self.covered: dict[int, float] = {}  # frame -> share of the core that is hidden
        self._before: tuple[int, torch.Tensor | None] = (0, None)
        self._after: tuple[int, torch.Tensor | None] = (0, None)

    @property
    def frames_covered(self) -> int:
        """Frames in which something lies in front of a tenth of the lower face, or more."""
        return sum(share > _HIDDEN for share in self.covered.values())

    def look(self, pixels: Pixels, faces: FaceBatch, inner: SoftMask | None, runtime: Runtime) -> PartMask:
        """The masks of a batch of (N, H, W, 3) frames. inner: the mask they would have without."""
        self.parser = self.parser or find_parser(runtime)
        grid = self.grid[faces.first : faces.first + len(faces)]
        maps = self._steady(faces.first, _maps(self.parser, pixels, faces, grid))
        size = (pixels.shape[2], pixels.shape[1])
        core = mask_faces(faces, "mouth", _CORE, size)
        areas = _whole_crops(faces, size) if inner is None else inner.areas
        width = float(np.median(face_widths(_upright(faces, grid)))) * MAP_SIDE / SIDE
        mask = PartMask(inner, areas, grid, core)
        if self.as_mask:
            face = _widen(maps[:, :1], (self.settings.grow + _JAW) * width)
            mask = replace(mask, face=_soften(face, self.settings.feather * width / 2))
        if self.occlusion:
            mask = replace(mask, clear=_soften(_widen(maps[:, 1:], -_RIM * width), _SOFT * width))
            self._count(faces, mask)
        return mask

    def _steady(self, first: int, maps: torch.Tensor) -> torch.Tensor:
        """Maps in which parts of a face vanish at once and return slowly. A batch may come again, out of memory."""
        last = self._before[1] if self._before[0] == first else self._after[1] if self._after[0] == first else None
        self._before = (first, last)
        out = []
        for row in maps:
            last = row if last is None else torch.minimum(row, last + _RETURNS * (row - last).clamp(min=0))
            out.append(last)
        self._after = (first + len(maps), last)
        return torch.stack(out)

    def _count(self, faces: FaceBatch, mask: PartMask) -> None:
        line = (torch.arange(32, device=faces.crops.device) + 0.5) * (faces.crops.shape[-1] / 32)
        rows = np.arange(len(faces))
        ones = torch.ones(len(rows), 1, 1, device=line.device)
        x, y = move_grid(invert(faces.matrices), ones * line[None, None, :], ones * line[None, :, None])
        core = mask.core.at(rows, x, y)
        left = replace(mask, inner=None, face=None).at(rows, x, y) * core
        shares = 1 - left.sum(dim=(1, 2, 3)) / core.sum(dim=(1, 2, 3)).clamp(min=1e-6)
        self.covered.update(zip((faces.first + rows).tolist(), shares.tolist(), strict=True))


def _maps(parser: FaceParser, pixels: Pixels, faces: FaceBatch, grid: Float) -> torch.Tensor:
    """(N, 3, G, G); one look is enough for a still picture."""
    rows = slice(0, 1 if faces.still else None)
    maps = parser.parse(cut_aligned(pixels[rows], grid[rows], str(faces.crops.device)))
    return maps.expand(len(faces), -1, -1, -1)


def _upright(faces: FaceBatch, grid: Float) -> Float:
    """(N, 5, 2) landmarks in px of the upright crop."""
    return map_points(grid, map_points(invert(faces.matrices), faces.landmarks))


def _whole_crops(faces: FaceBatch, size: tuple[int, int]) -> Corners:
    """(N, 4) whole frame px that the crops show, inside the frame."""
    side = float(faces.crops.shape[-1])
    boxes = map_boxes(invert(faces.matrices), np.tile(np.array([[0, 0, side, side]], np.float32), (len(faces), 1)))
    edges = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1)
    return np.asarray(np.clip(edges, 0, np.array([*size, *size])), np.int64)


def _widen(maps: torch.Tensor, px: float) -> torch.Tensor:
    """Grow what is bright by so many px, or shrink it."""
    reach = round(abs(px))
    if not reach:
        return maps
    sign = 1 if px > 0 else -1
    return sign * F.max_pool2d(sign * maps, 2 * reach + 1, stride=1, padding=reach)


def _soften(maps: torch.Tensor, px: float) -> torch.Tensor:
    """Gaussian blur of so many px."""
    from kornia.filters import gaussian_blur2d

    sigma = max(px, 0.5)
    size = 2 * int(np.ceil(2.5 * sigma)) + 1
    soft: torch.Tensor = gaussian_blur2d(maps, (size, size), (sigma, sigma), border_type="replicate")
    return soft
