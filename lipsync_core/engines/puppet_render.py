"""Mouth shapes + portrait -> talking face: one displacement, sampled once, and a mouth drawn where the lips part."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ..types import Float, Rendered
from . import puppet_eyes, puppet_geometry
from .puppet_geometry import FIRST, Search
from .puppet_paint import Inside, Palette, paint, palette_tensors, read_palette
from .puppet_sample import WHOLE, Box, centres, enlarge, for_sampling, is_empty, part, sample, sharpen
from .puppet_warp import Face, Lines, Pose, displacement, face_tensors, pose_of, smooth

_COARSE = 14  # coarse grid points in one distance between the eyes: displacements are smooth
_HEAD, _HEAD_FADE, _NECK_Y = (1.9, -0.7), 1.2, 1.2  # radius and y of the head, over how far it fades, where it turns
_BORDER = 0.45  # face units over which all motion fades at the border of the picture
_BROW, _NOSE = -1.6, -1.0  # highest y that blinks reach, and that speech reaches
_CACHED_PX = 1_200_000  # pixels of one plane of all rows that are rendered together on a CPU
_FEATHER_PX = 0.3  # what moved less than this fades to the untouched picture


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
    the mouth's inside can be. eyes: where lids move. deep: the mouth lies well inside the picture.
    followed, continues: see `FaceShape`. picture: `area`, see `sharpen`; only of a still clip.
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
    followed: puppet_geometry.Followed
    continues: bool
    picture: torch.Tensor | None


def read_portrait(crop: torch.Tensor, landmarks: Float, box_xyxy: Float, search: Search = FIRST) -> Portrait:
    """Analyse a crop (3, S, S) in [0, 1]; landmarks (5, 2), box (4,) in its pixels. About 0.1 s on one
    core, 7 ms where lips are followed from frame to frame."""
    image = _to_bytes(crop)
    landmarks, box_xyxy = puppet_geometry.settled(landmarks, box_xyxy, image.shape[0])
    shape = puppet_geometry.find_face(np.ascontiguousarray(image), landmarks, box_xyxy, search)
    to_crop = puppet_geometry.inverse(shape.to_face)
    area = _picture(image)
    reach = 1.25 * shape.half + 0.06
    still_area = _box_of(to_crop, (-1.1, _BROW if search.eyes else _NOSE, 1.1, shape.chin + 0.8), area)
    mouth = _box_of(to_crop, (-reach, -shape.upper_lip - 0.2, reach, 0.62 + shape.lower_lip), still_area)
    return Portrait(
        face_tensors([shape], crop.device),
        palette_tensors([read_palette(image, shape)], crop.device),
        shape.unit_px,
        torch.from_numpy(to_crop).to(crop.device),
        area,
        still_area,
        mouth,
        (_eye_box(to_crop, shape.eyes[0], still_area), _eye_box(to_crop, shape.eyes[1], still_area)),
        _is_deep(mouth, area, (_BORDER + 0.05) * shape.unit_px),
        shape.followed,
        shape.continues,
        for_sampling(sharpen(crop, area)) if search.eyes else None,
    )


def _to_bytes(crop: torch.Tensor) -> puppet_geometry.Image:
    """(3, S, S) in [0, 1] -> (S, S, 3) uint8, colour by colour: a large face in floats is 10 MB."""
    image = np.empty((*crop.shape[1:], 3), np.uint8)
    for channel, plane in enumerate(crop):
        image[..., channel] = (plane.float() * 255).round_().cpu().numpy()
    return image


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
    height, width = image.shape[:2]
    columns = image.swapaxes(0, 1)
    found = [_repeats(lines) for lines in (columns, image, columns[::-1], image[::-1])]
    left, top, right, bottom = (0 if n is None else n for n in found)
    return (0, 0, width, height) if None in found else (left, top, width - right, height - bottom)


def _repeats(lines: puppet_geometry.Image) -> int | None:
    """How often the first of (N, M, 3) lines is repeated; None when all are alike."""
    first = lines[0]
    return next((i - 1 for i in range(1, len(lines)) if not np.array_equal(lines[i], first)), None)


def render(portrait: Portrait, crops: torch.Tensor, shapes: torch.Tensor, motion: Motion, strength: float) -> Rendered:
    """Give crops (N, 3, S, S) of this portrait the mouths `shapes` (N, 5)."""
    result = untouched(crops, portrait.area if motion.sways else portrait.still_area)
    render_into(portrait, crops, shapes, motion, strength, result)
    return result


def untouched(crops: torch.Tensor, but: Box = WHOLE) -> Rendered:
    """A copy of crops (N, 3, S, S) in which nothing has changed yet; what lies in `but` may be anything."""
    if is_empty(but):
        out = crops.clone()
    else:
        left, top, right, bottom = but
        out = torch.empty_like(crops, memory_format=torch.contiguous_format)
        for rows in (slice(top), slice(bottom, None)):
            out[:, :, rows] = crops[:, :, rows]
        for columns in (slice(left), slice(right, None)):
            out[:, :, top:bottom, columns] = crops[:, :, top:bottom, columns]
    return Rendered(out, crops.new_zeros(len(crops), 1, *crops.shape[2:]))


def render_into(
    portrait: Portrait, crops: torch.Tensor, shapes: torch.Tensor, motion: Motion, strength: float, result: Rendered
) -> None:
    """`render`, into a result that is `untouched` so far."""
    area = portrait.area if motion.sways else portrait.still_area
    if is_empty(area) or result.alpha is None:
        return
    count = len(crops)
    if crops.device.type == "cpu":  # a few rows at a time stay in the cache
        count = max(1, _CACHED_PX // ((area[2] - area[0]) * (area[3] - area[1]) + 1))
    for first in range(0, len(crops), count):
        rows = slice(first, first + count)
        pose = pose_of(portrait.face, shapes[rows], strength)
        views = (part(result.crops[rows], WHOLE, area), part(result.alpha[rows], WHOLE, area))
        _render_rows(portrait, crops[rows], pose, motion.rows(rows), views)


def _render_rows(
    portrait: Portrait, crops: torch.Tensor, pose: Pose, motion: Motion, result: tuple[torch.Tensor, torch.Tensor]
) -> None:
    """Fill in the pictures (N, 3, h, w) and their alpha (N, 1, h, w) of the area that can change."""
    area = portrait.area if motion.sways else portrait.still_area
    picture, moved = result
    shift = _coarse_shift(portrait, pose, motion, area, moved)
    x, y = centres(portrait.mouth, 1, shift.device)
    mouth, at, fy = _shift_at(portrait, pose, motion, x, y, portrait.deep)
    _put(mouth, part(shift, area, portrait.mouth), part(moved, area, portrait.mouth))
    if motion.blinks and bool(motion.blink.any()):  # few frames blink
        _blink(portrait, motion, shift, moved)
    moved.clamp_(max=1)
    if portrait.picture is not None:
        sample(portrait.picture, portrait.area, shift, area, picture)
    else:
        sample(for_sampling(part(crops, WHOLE, area)), area, shift, area, picture)
    if not is_empty(portrait.mouth):
        inside = paint(portrait.face, pose, portrait.palette, at, fy, 1 / portrait.unit_px)
        _lay_inside(part(picture, area, portrait.mouth), part(moved, area, portrait.mouth), inside)


def _put(here: torch.Tensor, shift: torch.Tensor, moved: torch.Tensor) -> None:
    """Set a displacement (N, 2, h, w) px and how much of a move it is."""
    shift.copy_(here)
    torch.sum(here.abs(), 1, keepdim=True, out=moved)
    moved.mul_(1 / _FEATHER_PX)


def _lay_inside(picture: torch.Tensor, moved: torch.Tensor, inside: Inside) -> None:
    cover, shade = inside.cover[:, None], inside.shade[:, None]
    picture.mul_(shade).lerp_(inside.colour, cover)
    moved.copy_(torch.maximum(moved, torch.maximum(cover, 1 - shade)))


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


def _coarse_shift(portrait: Portrait, pose: Pose, motion: Motion, area: Box, moved: torch.Tensor) -> torch.Tensor:
    """The displacement over an area (N, 2, h, w) px, worked out on a coarse grid; fills in how much of a move it is."""
    step = max(1, int(portrait.unit_px / _COARSE))
    x, y = centres(area, step, portrait.to_crop.device)
    coarse, _, _ = _shift_at(portrait, pose, motion, x, y, False)
    shift = coarse.new_empty(len(coarse), 2, *moved.shape[2:])
    enlarge(coarse, step, shift)
    enlarge(coarse.abs().sum(1, keepdim=True) * (1 / _FEATHER_PX), step, moved)
    return shift


def _blink(portrait: Portrait, motion: Motion, shift: torch.Tensor, moved: torch.Tensor) -> None:
    """Add the lids' motion to the shift of an area."""
    area = portrait.area if motion.sways else portrait.still_area
    b = portrait.to_crop
    for eye, box in enumerate(portrait.eyes):
        x, y = centres(box, 1, shift.device)
        here = part(shift, area, box)
        fx, fy = _face_places(portrait, x + here[:, 0], y + here[:, 1])
        up = puppet_eyes.lid_shift(portrait.face, eye, motion.blink, fx, fy)
        _put(here + torch.stack([b[0, 1] * up, b[1, 1] * up], 1), here, part(moved, area, box))
