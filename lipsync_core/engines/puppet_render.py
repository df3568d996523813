"""Mouth shapes + portrait -> talking face: one displacement, sampled once, and a mouth drawn where the lips part."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ..types import Float, Rendered
from . import puppet_eyes, puppet_geometry
from .puppet_geometry import FIRST, Search
from .puppet_paint import Inside, Palette, paint, palette_tensors, read_palette
from .puppet_warp import Face, Lines, Pose, displacement, face_tensors, pose_of, smooth

_COARSE = 14  # coarse grid points in one distance between the eyes: displacements are smooth
_HEAD, _HEAD_FADE, _NECK_Y = (1.9, -0.7), 1.2, 1.2  # radius and y of the head, over how far it fades, where it turns
_BORDER = 0.45  # face units over which all motion fades at the border of the picture
_CACHED_PX = 1_200_000  # pixels of one plane of all rows that are rendered together on a CPU
_SHARP_PX = 700_000  # largest area that is kept at twice its size
_WHOLE = (0, 0, 0, 0)
_FEATHER_PX = 0.3  # what moved less than this fades to the untouched picture

Box = tuple[int, int, int, int]  # left, top, right, bottom in crop pixels


@dataclass(frozen=True)
class Motion:
    """What moves besides the mouth, (N,) or (N, 3): blink in [0, 1]; sway = right, down in face units, roll in rad."""

    blink: torch.Tensor
    sway: torch.Tensor
    blinks: bool = True
    sways: bool = True

    def rows(self, part: slice) -> Motion:
        return replace(self, blink=self.blink[part], sway=self.sway[part])

    def at_rest_where_off(self) -> Motion:
        """Exactly nothing moves where it is switched off."""
        blink = self.blink if self.blinks else torch.zeros_like(self.blink)
        return replace(self, blink=blink, sway=self.sway if self.sways else torch.zeros_like(self.sway))


@dataclass(frozen=True)
class Portrait:
    """All that is known of one picture of one face.

    area: what is picture and not its repeated border. still_area: what blinks and speech reach. mouth: where lips and
    the mouth's inside can be. eyes: where lids move. deep: the mouth lies well inside the picture. lips: (8,) as
    they were fitted. sharp: see `sharpen`; only of a still clip.
    """

    face: Face
    palette: Palette
    unit_px: float
    to_crop: torch.Tensor
    area: Box
    still_area: Box
    mouth: Box
    eyes: tuple[Box, Box]
    deep: bool
    lips: NDArray[np.float64]
    sharp: torch.Tensor | None


def read_portrait(crop: torch.Tensor, landmarks: Float, box_xyxy: Float, search: Search = FIRST) -> Portrait:
    """Analyse a crop (3, S, S) in [0, 1]; landmarks (5, 2), box (4,) in its pixels. About 0.3 s on one core."""
    image = (crop.permute(1, 2, 0).float().cpu().numpy() * 255).round().astype(np.uint8)
    shape = puppet_geometry.find_face(np.ascontiguousarray(image), landmarks, box_xyxy, search)
    to_crop = puppet_geometry.inverse(shape.to_face)
    area = _picture(image)
    reach = 1.25 * shape.half + 0.06
    mouth = _box_of(to_crop, (-reach, -shape.upper_lip - 0.2, reach, 0.62 + shape.lower_lip), area)
    still_area = _box_of(to_crop, (-1.1, -1.6, 1.1, shape.chin + 0.8), area)
    return Portrait(
        face_tensors([shape], crop.device),
        palette_tensors([read_palette(image, shape)], crop.device),
        shape.unit_px,
        torch.from_numpy(to_crop).to(crop.device),
        area,
        still_area,
        mouth,
        (_eye_box(to_crop, shape.eyes[0], area), _eye_box(to_crop, shape.eyes[1], area)),
        _is_deep(mouth, area, (_BORDER + 0.05) * shape.unit_px),
        shape.lips,
        sharpen(crop, area) if search.eyes else None,
    )


def _box_of(to_crop: Float, rectangle: tuple[float, float, float, float], area: Box) -> Box:
    """The upright box around a rectangle of the face (left, top, right, bottom in face units), within `area`."""
    left, top, right, bottom = rectangle
    corners = puppet_geometry.apply(to_crop, np.array([[i, j] for i in (left, right) for j in (top, bottom)]))
    low, high = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
    box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    left, top = max(box[0], area[0]), max(box[1], area[1])
    return left, top, max(left, min(box[2], area[2])), max(top, min(box[3], area[3]))


def _is_deep(box: Box, area: Box, margin: float) -> bool:
    return min(box[0] - area[0], box[1] - area[1], area[2] - box[2], area[3] - box[3]) > margin


def _eye_box(to_crop: Float, eye: Float, area: Box) -> Box:
    x, y = float(eye[0]), float(eye[1])
    reach = puppet_eyes.HALF_WIDTH
    return _box_of(to_crop, (x - reach, y - puppet_eyes.ABOVE, x + reach, y + puppet_eyes.BELOW), area)


def _picture(image: puppet_geometry.Image) -> Box:
    """The part of a crop that is not the picture's repeated border."""
    rows = np.nonzero((image[1:] != image[:-1]).any((1, 2)))[0]
    columns = np.nonzero((image[:, 1:] != image[:, :-1]).any((0, 2)))[0]
    if not len(rows) or not len(columns):
        return 0, 0, image.shape[1], image.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 2, int(rows[-1]) + 2


def render(portrait: Portrait, crops: torch.Tensor, shapes: torch.Tensor, motion: Motion, strength: float) -> Rendered:
    """Give crops (N, 3, S, S) of this portrait the mouths `shapes` (N, 5)."""
    out, alpha = crops.clone(), crops.new_zeros(len(crops), 1, *crops.shape[2:])
    area = portrait.area if motion.sways else portrait.still_area
    count = len(crops)
    if crops.device.type == "cpu":  # a few rows at a time stay in the cache
        count = max(1, _CACHED_PX // ((area[2] - area[0]) * (area[3] - area[1]) + 1))
    for first in range(0, len(crops), count):
        rows = slice(first, first + count)
        pose = pose_of(portrait.face, shapes[rows], strength)
        result = (part(out[rows], _WHOLE, area), part(alpha[rows], _WHOLE, area))
        _render_rows(portrait, crops[rows], pose, motion.rows(rows), result)
    return Rendered(out, alpha)


def _render_rows(
    portrait: Portrait, crops: torch.Tensor, pose: Pose, motion: Motion, result: tuple[torch.Tensor, torch.Tensor]
) -> None:
    """Fill in the pictures (N, 3, h, w) and their alpha (N, 1, h, w) of the area that can change."""
    area = portrait.area if motion.sways else portrait.still_area
    shift = _coarse_shift(portrait, pose, motion, area)
    x, y = _centres(portrait.mouth, 1, shift.device)
    mouth, at, fy = _shift_at(portrait, pose, motion, x, y, portrait.deep)
    part(shift, area, portrait.mouth).copy_(mouth)
    if motion.blinks:
        _blink(portrait, motion, shift, area)
    picture, moved = result
    torch.add(shift[:, :1].abs(), shift[:, 1:].abs(), out=moved)
    moved.mul_(1 / _FEATHER_PX).clamp_(max=1)
    source, frame = crops, (0, 0, crops.shape[-1], crops.shape[-2])
    if portrait.sharp is not None:
        source, frame = portrait.sharp.expand(len(crops), -1, -1, -1), portrait.area
    grid = _grid(shift, area, frame)
    picture.copy_(F.grid_sample(source, grid, padding_mode="border", align_corners=True))
    inside = paint(portrait.face, pose, portrait.palette, at, fy, 1 / portrait.unit_px)
    _lay_inside(part(picture, area, portrait.mouth), part(moved, area, portrait.mouth), inside)


def part(tensor: torch.Tensor, area: Box, box: Box) -> torch.Tensor:
    """The view of `box` in a tensor (N, C, h, w) that covers `area`."""
    left, top, right, bottom = (box[i] - area[i % 2] for i in range(4))
    return tensor[:, :, top:bottom, left:right]


def _lay_inside(picture: torch.Tensor, moved: torch.Tensor, inside: Inside) -> None:
    cover, shade = inside.cover[:, None], inside.shade[:, None]
    picture.mul_(shade).lerp_(inside.colour, cover)
    moved.copy_(torch.maximum(moved, torch.maximum(cover, 1 - shade)))


def _centres(box: Box, step: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """x (1, 1, w) and y (1, h, 1) of the middles of step x step cells that cover a box, in crop pixels."""
    left, top, right, bottom = box
    x = torch.arange(left, right, step, device=device, dtype=torch.float32) + step / 2
    y = torch.arange(top, bottom, step, device=device, dtype=torch.float32) + step / 2
    return x[None, None, :], y[None, :, None]


def _face_places(portrait: Portrait, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    m = portrait.face.to_face[0]
    return m[0, 0] * x + (m[0, 1] * y + m[0, 2]), m[1, 0] * x + (m[1, 1] * y + m[1, 2])


def _border(portrait: Portrait, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """0 at the border of the picture, 1 further in."""
    left, top, right, bottom = portrait.area
    inner = torch.minimum(torch.minimum(x - left, right - x), torch.minimum(y - top, bottom - y))
    return smooth(inner / (_BORDER * portrait.unit_px))


def _shift_at(
    portrait: Portrait, pose: Pose, motion: Motion, x: torch.Tensor, y: torch.Tensor, deep: bool
) -> tuple[torch.Tensor, Lines, torch.Tensor]:
    """(N, 2, h, w) px from places of the result to the portrait; the lips' edges there; y in face units.

    deep: all places are so far inside head and picture that nothing fades.
    """
    fx, fy = _face_places(portrait, x, y)
    fade = x.new_ones(1) if deep else _border(portrait, x, y)
    dx, dy = x.new_zeros(1), x.new_zeros(1)
    if motion.sways:
        right, down, roll = (motion.sway[:, i, None, None] for i in range(3))
        distance = torch.sqrt(fx**2 + (fy - _HEAD[1]) ** 2)
        weight = x.new_ones(1) if deep else fade * (1 - smooth((distance - _HEAD[0]) / _HEAD_FADE))
        dx, dy = weight * (roll * (fy - _NECK_Y) - right), -weight * (down + roll * fx)
    fx, fy = fx + dx, fy + dy
    mx, my, at = displacement(portrait.face, pose, fx, fy)
    mx, my = mx * fade + dx, my * fade + dy
    b = portrait.to_crop
    return torch.stack([b[0, 0] * mx + b[0, 1] * my, b[1, 0] * mx + b[1, 1] * my], 1), at, fy


def _coarse_shift(portrait: Portrait, pose: Pose, motion: Motion, area: Box) -> torch.Tensor:
    """The displacement over an area (N, 2, h, w) px, worked out on a coarse grid."""
    step = max(1, int(portrait.unit_px / _COARSE))
    x, y = _centres(area, step, portrait.to_crop.device)
    shift, _, _ = _shift_at(portrait, pose, motion, x, y, False)
    size = (shift.shape[2] * step, shift.shape[3] * step)
    full = F.interpolate(shift, size, mode="bilinear", align_corners=False)
    return full[:, :, : area[3] - area[1], : area[2] - area[0]]


def _blink(portrait: Portrait, motion: Motion, shift: torch.Tensor, area: Box) -> None:
    """Add the lids' motion to the shift of an area."""
    b = portrait.to_crop
    for eye, box in enumerate(portrait.eyes):
        x, y = _centres(box, 1, shift.device)
        here = part(shift, area, box)
        fx, fy = _face_places(portrait, x + here[:, 0], y + here[:, 1])
        up = puppet_eyes.lid_shift(portrait.face, eye, motion.blink, fx, fy)
        here += torch.stack([b[0, 1] * up, b[1, 1] * up], 1)


def _grid(shift: torch.Tensor, area: Box, source: Box) -> torch.Tensor:
    """Where to sample a picture of `source`, (N, h, w, 2) in [-1, 1] from the middle of its first to that of its last
    pixel; works in place."""
    x, y = _centres(area, 1, shift.device)
    for i, centre in enumerate((x, y)):
        scale = 2 / max(source[i + 2] - source[i] - 1, 1)
        shift[:, i].mul_(scale).add_((centre - (source[i] + 0.5)) * scale - 1)
    return shift.permute(0, 2, 3, 1)


def sharpen(crop: torch.Tensor, area: Box) -> torch.Tensor | None:
    """(1, 3, 2h - 1, 2w - 1): the picture with cubic pixels between its own, so that moving it does not blur it.

    None where it is so large that nobody would see the difference.
    """
    height, width = area[3] - area[1], area[2] - area[0]
    if height * width > _SHARP_PX or min(height, width) < 2:
        return None
    size = (2 * height - 1, 2 * width - 1)
    return F.interpolate(part(crop[None], _WHOLE, area), size, mode="bicubic", align_corners=True).clamp_(0, 1)
