"""Where each pixel of the talking face comes from: smooth displacement fields, in face units.

The upper lip's pixels and the lower lip's move apart; nothing is stretched across the gap between them. All maps go
backwards, from a place in the result to the place in the portrait that is shown there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .puppet_geometry import FaceShape

GAP_AT_ONE = 0.35  # gap of an opening of 1, in distances between the eyes
LARGEST_GAP = 0.5
CHEEK = 0.5  # beyond the corners, over how far up and down fades
DIMPLE = 0.34  # and how far in and out
NECK = 0.5  # below the chin, over how far its motion fades


@dataclass(frozen=True)
class Face:
    """A FaceShape as tensors, one row per frame, or one row for all: (B, 1, 1), tables (B, 65), eyes (B, 2, 5)."""

    half: torch.Tensor
    gap: torch.Tensor
    upper_lip: torch.Tensor
    lower_lip: torch.Tensor
    chin: torch.Tensor
    nose: torch.Tensor
    upper: torch.Tensor
    lower: torch.Tensor
    eyes: torch.Tensor
    to_face: torch.Tensor


@dataclass(frozen=True)
class Pose:
    """The mouth that is wanted, (N, 1, 1) each, in face units: half its width, the gap, how far the upper lip rises,
    the corners sink and the chin drops, how much thicker the lips get."""

    half: torch.Tensor
    gap: torch.Tensor
    lift: torch.Tensor
    sink: torch.Tensor
    drop: torch.Tensor
    pout: torch.Tensor
    round: torch.Tensor


@dataclass(frozen=True)
class Lines:
    """The lips' inner edges over a grid of places (N, H, W): s from corner to corner in [-1, 1]; y of the edges in the
    portrait (`upper`, `lower`) and in the result (`top`, `bottom`)."""

    s: torch.Tensor
    upper: torch.Tensor
    lower: torch.Tensor
    top: torch.Tensor
    bottom: torch.Tensor


def face_tensors(shapes: list[FaceShape], device: torch.device | str) -> Face:
    """Stack shapes for the device."""

    def number(name: str) -> torch.Tensor:
        values = [getattr(s, name) for s in shapes]
        return torch.tensor(values, dtype=torch.float32, device=device)[:, None, None]

    def table(name: str) -> torch.Tensor:
        return torch.stack([torch.from_numpy(getattr(s, name)) for s in shapes]).to(device=device, dtype=torch.float32)

    numbers = ("half", "gap", "upper_lip", "lower_lip", "chin", "nose")
    return Face(*(number(n) for n in numbers), *(table(n) for n in ("upper", "lower", "eyes", "to_face")))


def pose_of(face: Face, shapes: torch.Tensor, strength: float) -> Pose:
    """The pose of mouth shapes (N, 5): jaw, opening, width, rounding, closure as the engine's contract has them."""
    jaw, opening, width, rounding, closure = (shapes[:, i, None, None] for i in range(5))
    closed = closure.clamp(0, 1)
    opening = (opening * strength).clamp(min=0) * (1 - closed)
    gap = (GAP_AT_ONE * opening).clamp(max=LARGEST_GAP)
    rounding = rounding.clamp(0, 1) * (0.4 + 0.6 * min(strength, 1.0))
    more = gap - face.gap
    stretch = 0.13 * width.clamp(-1, 1) * min(strength, 1.2) - 0.22 * rounding - 0.22 * more.clamp(min=0)
    half = face.half * (1 + stretch)
    lift = 0.16 * more.clamp(min=0) + 0.4 * more.clamp(max=0)
    lower = more - lift
    drop = 0.12 * jaw.clamp(0, 1.2) * min(strength, 1.5) + 0.4 * lower.clamp(min=0) + 0.55 * lower.clamp(max=0)
    sink = 0.12 * more.clamp(min=0)
    pout = 0.22 * rounding - 0.14 * closed
    return Pose(half, gap, lift, sink, drop, pout, rounding)


def smooth(t: torch.Tensor) -> torch.Tensor:
    """0 below 0, 1 above 1, flat at both ends."""
    t = t.clamp(0, 1)
    return t * t * (3 - 2 * t)


def lookup(table: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    """Interpolate a table (B, C) over [-1, 1] at s (N, H, W), B being 1 or N."""
    last = table.shape[1] - 1
    place = (s + 1) * (0.5 * last)
    low = place.floor().clamp(0, last - 1)
    index = low.long()
    if len(table) > 1:
        index = index + torch.arange(len(table), device=table.device)[:, None, None] * table.shape[1]
    flat = table.reshape(-1)
    return torch.lerp(flat.take(index), flat.take(index + 1), place - low)


def lines(face: Face, pose: Pose, x: torch.Tensor) -> Lines:
    """The lips' edges at columns x (N, H, W)."""
    s = (x / pose.half).clamp(-1, 1)
    bulge = 1 - s * s
    upper = lookup(face.upper, s)
    own = lookup(face.lower, s) - upper
    lens = bulge * (1 + 0.55 * (s * s)) + pose.round * bulge * (s * s) * 0.5
    kept = (pose.gap / face.gap.clamp(min=1e-4)).clamp(max=1)
    wanted = own * kept + (pose.gap - face.gap).clamp(min=0) * lens
    top = upper - pose.lift * bulge + pose.sink * (1 - bulge)
    return Lines(s, upper, upper + own, top, top + wanted)


def displacement(face: Face, pose: Pose, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, Lines]:
    """(dx, dy) to add to places (N, H, W) of the result to find them in the portrait, in face units; the lips there."""
    at = lines(face, pose, x)
    side = 1 - smooth((x.abs() - pose.half) / CHEEK)
    content = (at.lower - at.upper).clamp(min=0)
    edge = torch.minimum(at.top + content, (at.top + at.bottom) / 2 + content / 2).minimum(at.bottom)
    below = y > edge
    up = _upper(face, pose, at, y) * side
    down = _lower(face, pose, at, x, y, side)
    from_y = torch.where(below, y - down, y - up)
    # Inside the mouth each lip's edge repeats rather than showing the other lip; the paint lies over it.
    kept = torch.where(below, torch.maximum(from_y, at.lower), torch.minimum(from_y, at.lower))
    from_y = torch.where(at.s.abs() < 1, kept, from_y)
    around = 1 - smooth((torch.where(below, y - at.bottom, at.top - y) - 0.10) / 0.40)
    across = torch.minimum(x.abs(), pose.half) * x.sign() * (face.half / pose.half - 1)
    dx = across * (1 - smooth((x.abs() - pose.half) / DIMPLE)) * around
    return dx, from_y - y, at


def _upper(face: Face, pose: Pose, at: Lines, y: torch.Tensor) -> torch.Tensor:
    """How far what is shown at y, above the gap, has moved down: the lip as one, fading towards the nose."""
    moved = at.top - at.upper
    height = (at.top - y).clamp(min=0)
    lip = face.upper_lip * (1 - at.s * at.s)
    swell = -pose.pout * torch.minimum(height, lip)
    room = (-face.nose - 0.12 - face.upper_lip).clamp(min=0.12)
    return moved * (1 - smooth((height - lip) / room)) + swell * (1 - smooth((height - lip) / 0.15))


def _lower(face: Face, pose: Pose, at: Lines, x: torch.Tensor, y: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
    """How far what is shown at y, below the gap, has moved down: the lip as one, then over to the chin's drop."""
    moved = (at.bottom - at.lower) * side
    depth = (y - at.bottom).clamp(min=0)
    lip = face.lower_lip * (1 - at.s * at.s)
    swell = pose.pout * torch.minimum(depth, lip) * (1 - smooth((depth - lip) / 0.15))
    jaw = x.abs().clamp(max=1.05) * (math.pi / 2.1)
    drop = pose.drop * torch.cos(jaw) ** 2
    chin = (face.chin * (1 - 0.8 * (x / 1.05) ** 2)).maximum(at.lower + lip + 0.12) + drop
    soft = at.bottom + lip
    to_chin = smooth((y - soft) / (chin - soft).clamp(min=0.1))
    to_neck = smooth((y - chin + 0.06) / NECK)
    return torch.lerp(moved, drop, to_chin) * (1 - to_neck) + swell
