"""Soft masks: which part of a frame takes the new face, and how gently it ends.

A mask is a formula over the frame's pixels, not a picture, so it costs only where it is looked at and is equally sharp
for a face of 20 and of 2000 pixels. It follows the head's tilt through the landmarks, never touches the eyes (but for
"face", "ellipse", "box" and "user", which are the caller's wish), and ends softly at the crop's edge, where nothing new
is known, unless that edge is the frame's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import UsageError
from ..geometry import Corners, invert, map_points, move_grid, pixel_centres
from ..types import FaceBatch, Float, Pixels

SHAPES = ("mouth", "lower_face", "face", "parsing", "ellipse", "box", "user")

# A face is about 140 mm wide, its eyes 63 mm apart and 66 mm above the mouth. The larger of the two distances is taken,
# because turning the head shortens one and nodding the other.
FACE_WIDTHS_PER_LANDMARK_DISTANCE = 2.15  # within 8 % of the measured width on 17 sample faces

# Ellipses around the middle of the mouth, in face widths: centre downwards, radius across, radius along the face.
_MOUTH = (0.05, 0.29, 0.21)
_LOWER_FACE = (0.04, 0.40, 0.34)
_FACE = (-0.33, 0.52, 0.68)  # from the hair line to the chin
_PARSING = (0.00, 0.62, 0.62)  # where a parsed face may be replaced
_PLACES = {"mouth": _MOUTH, "lower_face": _LOWER_FACE, "face": _FACE, "parsing": _PARSING}
_GUARDED = ("mouth", "lower_face", "parsing")
_LARGEST_SHIFT = 0.12  # of the face's width, across, towards the middle of its box
# Between the eyes (0) and the mouth (1) a mask that spares the eyes rises from nothing to whole.
_GUARD_FROM, _GUARD_TO = 0.22, 0.50
_FAR = 1e9  # crop px: an edge that is not there


@dataclass(frozen=True)
class MaskSettings:
    """shape: "auto" or one of SHAPES. feather: width of the soft edge, grow: how far the edge moves out; both as shares
    of the face's width."""

    shape: str = "auto"
    feather: float = 0.08
    grow: float = 0.0


@dataclass(frozen=True)
class SoftMask:
    """The masks of a batch of faces, one row per face. Made by `mask_faces`.

    matrices: (N, 2, 3) frame px -> crop px. limits: (N, 4) crop px, xyxy, where the mask has ended; +-1e9: nowhere.
    feather_px: (N,) frame px. areas: (N, 4) whole frame px, xyxy, outside of which the mask is 0; inside the frame.
    ellipse: (N, 2, 3) frame px -> a space in which the shape is the circle of radius 1, or None; ellipse_soft: (N,)
    width of its soft edge there. guard: (N, 1, 3) frame px -> 0 at the eyes, 1 at the mouth, or None.
    user: (H, W) float32 in [0, 1] or None.
    """

    matrices: Float
    limits: Float
    feather_px: Float
    areas: Corners
    ellipse: Float | None = None
    ellipse_soft: Float | None = None
    guard: Float | None = None
    user: torch.Tensor | None = None

    def at(self, rows: NDArray[np.int64], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Look at rows of the mask. x: (n, 1 or h, w), y: (n, h, 1 or w), frame px. Returns (n, 1, h, w) in [0, 1]."""
        column = torch.as_tensor(self.limits[rows], device=x.device)[:, :, None, None]
        scale = torch.as_tensor(self._crop_px_per_frame_px(rows), device=x.device)[:, :, None, None]
        u, v = move_grid(self.matrices[rows], x, y)
        across = _rise(torch.minimum(u - column[:, 0], column[:, 2] - u) * scale[:, 0])
        along = _rise(torch.minimum(v - column[:, 1], column[:, 3] - v) * scale[:, 1])
        weight = across * along
        if self.ellipse is not None and self.ellipse_soft is not None:
            p, q = move_grid(self.ellipse[rows], x, y)
            soft = torch.as_tensor(self.ellipse_soft[rows], device=x.device)[:, None, None]
            weight = weight * _rise((1 - (p * p + q * q).sqrt()) / soft + 0.5)
        if self.guard is not None:
            plane = torch.as_tensor(self.guard[rows], device=x.device)[:, 0, :, None, None]
            height = plane[:, 0] * x + (plane[:, 1] * y + plane[:, 2])
            weight = weight * _rise((height - _GUARD_FROM) / (_GUARD_TO - _GUARD_FROM))
        if self.user is not None:
            weight = weight * _look_up(self.user.to(x.device), x, y)
        return weight[:, None]

    def cut(self, rows: NDArray[np.int64], corners: Corners, size: tuple[int, int], device: str) -> torch.Tensor:
        """The mask over equal rectangles of the frame. Returns (n, 1, height, width) float32 in [0, 1]."""
        return self.at(rows, *pixel_centres(corners, size, device))

    def _crop_px_per_frame_px(self, rows: NDArray[np.int64]) -> Float:
        """(n, 2) what a distance in crop px is multiplied by to be in feather widths."""
        scale = np.linalg.norm(self.matrices[rows][:, :, :2], axis=2)
        soft = np.maximum(self.feather_px[rows], 1e-3)[:, None]
        return np.asarray(1 / (scale * soft), np.float32)


def choose_shape(settings: MaskSettings, style_mask: str, has_alpha: bool) -> str | None:
    """The shape to use: the user's choice, else None where the engine says itself what it changed, else its own."""
    if settings.shape != "auto":
        return settings.shape
    return None if has_alpha else style_mask


def mask_faces(
    faces: FaceBatch,
    shape: str,
    settings: MaskSettings,
    frame_size: tuple[int, int],
    user: torch.Tensor | None = None,
) -> SoftMask:
    """The masks of a batch.

    shape: one of SHAPES, see `choose_shape`. frame_size: width, height. user: from `soften_user_mask`, for "user".
    Raises ValueError for an unknown shape, and for "user" without one.
    """
    if shape not in SHAPES or (shape == "user") != (user is not None):
        raise ValueError(f"mask shape '{shape}' with{'' if user is not None else 'out'} a user's mask")
    back = invert(faces.matrices)
    landmarks = map_points(back, faces.landmarks)
    widths = face_widths(landmarks)
    feather_px = (settings.feather * widths).astype(np.float32)
    limits = _limits(faces, shape, settings.grow * widths, frame_size)
    parts: dict[str, Float] = {}
    if shape in _PLACES or shape == "ellipse":
        centres, radii, turn = _ellipses(faces, shape, landmarks, widths, back)
        radii = np.maximum(radii + settings.grow * widths[:, None], 0.5)
        parts["ellipse"] = _to_circle(centres, radii, turn)
        parts["ellipse_soft"] = np.maximum(feather_px / radii.mean(axis=1), 1e-4).astype(np.float32)
    if shape in _GUARDED:
        parts["guard"] = _guards(landmarks)
    areas = _areas(back, limits, parts, frame_size)
    return SoftMask(faces.matrices, limits, feather_px, areas, user=user, **parts)


def face_widths(landmarks: Float) -> Float:
    """(N,) px, from (N, 5, 2) landmarks, whichever way the head is turned or tilted."""
    eyes = np.linalg.norm(landmarks[:, 1] - landmarks[:, 0], axis=1)
    drop = np.linalg.norm(landmarks[:, 3:].mean(axis=1) - landmarks[:, :2].mean(axis=1), axis=1)
    widths = FACE_WIDTHS_PER_LANDMARK_DISTANCE * np.maximum(eyes, 0.95 * drop)
    return np.asarray(np.maximum(widths, 4.0), np.float32)


def soften_user_mask(
    grey: Pixels, frame_size: tuple[int, int], face_width: float, settings: MaskSettings
) -> torch.Tensor:
    """Make a user's mask ready, once for a clip: grown or shrunk, its edge softened inwards, so that black stays black.

    grey: (H, W) uint8, white is replaced. frame_size: width, height. face_width: px, for feather and grow.
    Returns (H, W) float32 in [0, 1]. Raises UsageError when the sizes differ or nothing is white.
    """
    if (grey.shape[1], grey.shape[0]) != frame_size:
        raise UsageError(
            f"The mask is {grey.shape[1]}x{grey.shape[0]} px, the frames are {frame_size[0]}x{frame_size[1]}. "
            "Give a mask of the frame's size."
        )
    if not grey.any():
        raise UsageError("The mask is black everywhere, so nothing would be replaced. White marks what is replaced.")
    reach = round(abs(settings.grow) * face_width)
    if reach:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        grey = np.asarray((cv2.dilate if settings.grow > 0 else cv2.erode)(grey, disc), np.uint8)
    mask = grey.astype(np.float32) / 255
    width = 2 * round(settings.feather * face_width) + 1
    # Averaged, a straight edge becomes a slope from 0 to 1 with its middle on the edge: its upper half is the feather.
    slope = cv2.blur(mask, (width, width), borderType=cv2.BORDER_REPLICATE)
    return torch.from_numpy(mask * np.clip(2 * slope - 1, 0, 1) if width > 1 else mask)


def _rise(t: torch.Tensor) -> torch.Tensor:
    """0 up to 0, 1 from 1 on, and no corner where it starts or ends."""
    t = t.clamp(0, 1)
    return t * t * (3 - 2 * t)


def _look_up(picture: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    columns = x.floor().long().clamp(0, picture.shape[1] - 1)
    return picture[y.floor().long().clamp(0, picture.shape[0] - 1), columns]


def _limits(faces: FaceBatch, shape: str, grow_px: Float, frame_size: tuple[int, int]) -> Float:
    """Where the mask has ended, in crop px: at the crop's edge, for "box" at the box, but not at the frame's border."""
    size = float(faces.crops.shape[-1])
    limits = np.tile(np.array([0, 0, size, size], np.float32), (len(faces), 1))
    if shape == "box":
        grow = grow_px[:, None] * np.linalg.norm(faces.matrices[:, :, :2], axis=2)
        boxes = faces.boxes_xyxy + np.concatenate([-grow, grow], axis=1)
        limits[:, :2] = np.maximum(limits[:, :2], boxes[:, :2])
        limits[:, 2:] = np.minimum(limits[:, 2:], boxes[:, 2:])
    upright = (faces.matrices[:, 0, 1] == 0) & (faces.matrices[:, 1, 0] == 0)
    border = map_points(faces.matrices, np.tile(np.array([[0, 0], frame_size], np.float32), (len(faces), 1, 1)))
    low, high = upright[:, None] & (limits[:, :2] <= border[:, 0] + 1e-3), limits[:, 2:] >= border[:, 1] - 1e-3
    high &= upright[:, None]
    limits[:, :2][low] = -_FAR
    limits[:, 2:][high] = _FAR
    return limits.astype(np.float32)


def _ellipses(faces: FaceBatch, shape: str, landmarks: Float, widths: Float, back: Float) -> tuple[Float, Float, Float]:
    """Centres (N, 2) and radii (N, 2) in frame px, and the unit vector (N, 2) that runs across the face."""
    across = (landmarks[:, 1] - landmarks[:, 0]) + (landmarks[:, 4] - landmarks[:, 3])
    across = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-6)
    if shape == "ellipse":
        corners = map_points(back, faces.boxes_xyxy.reshape(-1, 2, 2))
        return corners.mean(axis=1), np.abs(corners[:, 1] - corners[:, 0]) / 2, across
    down, wide, high = _PLACES[shape]
    along = np.stack([-across[:, 1], across[:, 0]], axis=1)
    centres = landmarks[:, 3:].mean(axis=1) + down * widths[:, None] * along
    if shape != "mouth":  # a turned head has more cheek on one side of its mouth; its box knows
        middles = map_points(back, faces.boxes_xyxy.reshape(-1, 2, 2)).mean(axis=1)
        aside = ((middles - centres) * across).sum(axis=1)
        reach = _LARGEST_SHIFT * widths
        centres = centres + np.clip(aside, -reach, reach)[:, None] * across
    return centres, widths[:, None] * np.array([wide, high], np.float32), across


def _to_circle(centres: Float, radii: Float, across: Float) -> Float:
    """(N, 2, 3) frame px -> the ellipse as the circle of radius 1."""
    along = np.stack([-across[:, 1], across[:, 0]], axis=1)
    linear = np.stack([across / radii[:, :1], along / radii[:, 1:]], axis=1).astype(np.float64)
    return np.concatenate([linear, -linear @ centres[:, :, None]], axis=2).astype(np.float32)


def _guards(landmarks: Float) -> Float:
    """(N, 1, 3): how far down a point lies from the line of the eyes (0) to the mouth (1)."""
    eyes = landmarks[:, 1] - landmarks[:, 0]
    middle = landmarks[:, :2].mean(axis=1)
    normal = np.stack([-eyes[:, 1], eyes[:, 0]], axis=1).astype(np.float64)
    drop = ((landmarks[:, 3:].mean(axis=1) - middle) * normal).sum(axis=1)
    normal = normal / np.where(np.abs(drop) < 1e-6, 1e-6, drop)[:, None]
    shift = -(normal * middle).sum(axis=1, keepdims=True)
    return np.concatenate([normal, shift], axis=1)[:, None].astype(np.float32)


def _areas(back: Float, limits: Float, parts: dict[str, Float], frame_size: tuple[int, int]) -> Corners:
    """(N, 4) whole frame pixels that a mask can reach."""
    frame = np.array([*frame_size, *frame_size], np.float64)
    corners = np.clip(limits, -_FAR, _FAR)[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = map_points(back, corners)
    areas = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1).astype(np.float64)
    if "ellipse" in parts:
        around = invert(parts["ellipse"])
        reach = np.linalg.norm(around[:, :, :2], axis=2) * (1 + parts["ellipse_soft"][:, None] / 2)
        areas[:, :2] = np.maximum(areas[:, :2], around[:, :, 2] - reach)
        areas[:, 2:] = np.minimum(areas[:, 2:], around[:, :, 2] + reach)
    low = np.floor(np.clip(areas[:, :2] - 1e-3, 0, frame[:2]))
    high = np.ceil(np.clip(areas[:, 2:] + 1e-3, 0, frame[2:]))
    return np.concatenate([low, np.maximum(low, high)], axis=1).astype(np.int64)
