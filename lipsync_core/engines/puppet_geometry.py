"""Where the parts of a face lie, from five landmarks and the pixels: lips, what is between them, chin, eyelids.

Everything is in face units: origin in the middle between the mouth's corners, x from the left corner to the right
one (as seen in the picture), y down the face, one unit the distance between the eyes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..types import Float
from . import puppet_fit, puppet_lids
from .puppet_fit import ABOVE, BELOW, HALF_WIDTH, SCALE

COLUMNS = 65  # samples of the lips' edges, from corner to corner
# A fitted gap below this is the line between closed lips; a dark one can look wide.
_SEEN_OPEN, _SEEN_OPEN_DARK = 0.03, 0.09
_DARK_BAND = 0.09  # height of a dark band between the lips that is no line
_IN_BOX = np.array([[0.3, 0.38], [0.7, 0.38], [0.5, 0.58], [0.35, 0.78], [0.65, 0.78]])  # landmarks in usual boxes

Image = NDArray[np.uint8]


_CUT = 0.17  # how much the mouth's surroundings change at a cut; 0.1 at most while somebody talks, 0.23 at least there


@dataclass(frozen=True)
class Followed:
    """What the next frame of a video needs of this one. lips: (8,) as they were fitted; look: (6, 8, 3) logarithms of
    the colours around them."""

    lips: NDArray[np.float64]
    look: Float

    def leads_to(self, look: Float) -> bool:
        """Is that the next moment of the same take?"""
        return float(np.abs(self.look - look).mean()) < _CUT


@dataclass(frozen=True)
class FaceShape:
    """One face.

    to_face: (2, 3) crop pixels -> face units. half: half the mouth's width.
    upper, lower: (65,) y of the lips' inner edges; equal where the lips touch. gap: largest distance between them.
    upper_lip, lower_lip: thickness. chin, nose: y of the chin's lowest point and of the tip of the nose.
    eyes: (2, 5), see `find_eyes`. followed: for the next frame. continues: the lips are those of the frame before.
    """

    to_face: Float
    half: float
    upper: Float
    lower: Float
    gap: float
    upper_lip: float
    lower_lip: float
    chin: float
    nose: float
    eyes: Float
    followed: Followed
    continues: bool

    @property
    def unit_px(self) -> float:
        """Crop pixels in one face unit."""
        return 1.0 / float(np.hypot(self.to_face[0, 0], self.to_face[0, 1]))


def settled(landmarks: Float, box_xyxy: Float, side: int) -> tuple[Float, Float]:
    """Landmarks (5, 2) and box (4,) that can be worked with, in or near a crop (side, side), whatever they were."""
    if not np.isfinite(box_xyxy).all():
        box_xyxy = np.array([0, 0, side, side], dtype=np.float32)
    if not np.isfinite(landmarks).all():
        landmarks = box_xyxy[:2] + _IN_BOX * (box_xyxy[2:] - box_xyxy[:2])
    near = (np.clip(a, -side, 2 * side).astype(np.float32) for a in (landmarks, box_xyxy))
    return next(near), next(near)


def face_frame(landmarks: Float) -> Float:
    """(2, 3) crop pixels -> face units, from the landmarks alone. The eyes say more of the tilt than the mouth."""
    eyes, mouth = landmarks[1] - landmarks[0], landmarks[4] - landmarks[3]
    unit = max(float(np.hypot(*eyes)), 1.0)
    across = eyes / unit + 0.5 * mouth / max(float(np.hypot(*mouth)), 1.0)
    return _affine((landmarks[3] + landmarks[4]) / 2, across, unit)


def shows_inside(patch: Float, mouth: NDArray[np.float64]) -> bool:
    """Is there more than a line between the lips of a fitted mouth (8,): teeth about as bright as they are, or a dark
    band that is too high for a line?"""
    height, width = patch.shape[:2]
    x = np.asarray((np.arange(width) + 0.5) / SCALE - HALF_WIDTH, dtype=np.float64)
    y = ((np.arange(height) + 0.5) / SCALE - ABOVE)[:, None]
    _, top, top_edge, low_edge, bottom = (curve[0][None] for curve in puppet_fit.lens(mouth[None], x))
    middle = np.abs(x - mouth[0]) < 0.7 * mouth[3]
    inside = (y > top_edge) & (y < low_edge) & middle
    whole = (y > top) & (y < bottom) & middle
    lower = whole & (y > low_edge) & (y < 0.3 * low_edge + 0.7 * bottom)
    light = patch.mean(-1)
    if inside.sum() > 8 and np.percentile(light[inside], 85) > 1.1 * np.percentile(light[whole & ~inside], 15):
        return True
    dark = whole & (light < 0.45 * np.median(light[lower])) if lower.any() else np.zeros(1)
    return bool(dark.sum() > _DARK_BAND * SCALE * middle.sum())


def _affine(origin: Float, across: Float, unit: float) -> Float:
    length = float(np.hypot(*across))
    c, s = (across / length if length > 1e-6 else np.array([1.0, 0.0])) / unit
    turn = np.array([[c, s], [-s, c]])
    return np.concatenate([turn, -(turn @ origin)[:, None]], 1).astype(np.float32)


def inverse(matrix: Float) -> Float:
    """The (2, 3) affine map the other way."""
    back = np.linalg.inv(matrix[:, :2])
    return np.concatenate([back, -(back @ matrix[:, 2:])], 1).astype(np.float32)


def apply(matrix: Float, points: Float) -> Float:
    """Affine map (2, 3) of points (..., 2)."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], dtype=np.float32)


def level_patch(
    image: Image, to_face: Float, corner: tuple[float, float], size: tuple[int, int], scale: float
) -> Float:
    """Cut a levelled patch: corner (x, y) in face units, size (width, height) and scale in pixels of the patch.

    Returns (height, width, 3) float32 RGB in [0, 255], smoothed first where it shrinks.
    """
    linear = to_face[:, :2] * scale
    shift = (to_face[:, 2] - np.asarray(corner)) * scale
    image, origin = _reached(image, linear, shift, size)
    shift = shift + linear @ (origin + 0.5) - 0.5  # pixel centres lie at +0.5 here, at whole numbers in OpenCV
    matrix = np.concatenate([linear, shift[:, None]], 1)
    patch = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return patch.astype(np.float32)


def _reached(image: Image, linear: Float, shift: Float, size: tuple[int, int]) -> tuple[Image, Float]:
    """The part of an image that a patch of `size` shows, smoothed where it shrinks, and its top left corner (x, y)."""
    shrink = float(np.hypot(linear[0, 0], linear[0, 1]))
    sigma = 0.45 / shrink if shrink < 1 else 0.0
    corners = np.array([[i, j] for i in (0, size[0]) for j in (0, size[1])]) - shift
    corners = corners @ np.linalg.inv(linear).T
    limit, margin = np.array(image.shape[1::-1]), int(4 * sigma) + 2
    low, high = (np.clip(edge, 0, limit - 1).astype(int) for edge in (corners.min(0), corners.max(0)))
    low, high = np.maximum(low - margin, 0), np.minimum(high + margin + 1, limit)
    near = image[low[1] : high[1], low[0] : high[0]]
    if sigma:
        near = cv2.GaussianBlur(near, (0, 0), sigma)  # type: ignore[assignment]
    return near, low.astype(np.float32)


@dataclass(frozen=True)
class Search:
    """What is looked for. before: of the frame before; afresh: elsewhere too; eyes: lids, for a still clip."""

    before: Followed | None = None
    afresh: bool = True
    eyes: bool = True


FIRST = Search()


def find_face(image: Image, landmarks: Float, box_xyxy: Float, search: Search = FIRST) -> FaceShape:
    """Read one face off a crop (S, S, 3) uint8 RGB; landmarks (5, 2) and box (4,) in its pixels."""
    rough = face_frame(landmarks)
    size = (round(2 * HALF_WIDTH * SCALE), round((ABOVE + BELOW) * SCALE))
    patch = level_patch(image, rough, (-HALF_WIDTH, -ABOVE), size, SCALE)
    look = np.log(cv2.resize(patch, (8, 6), interpolation=cv2.INTER_AREA) + 8).astype(np.float32)
    before = search.before.lips if search.before and search.before.leads_to(look) else None
    mouth, _ = puppet_fit.fit_lips(patch, before, search.afresh)
    cx, cy, slope, half, sag, upper_lip, lower_lip, gap = (float(v) for v in mouth)
    back = inverse(rough)
    across = back[:, :2] @ np.array([1.0, slope], dtype=np.float32)
    unit = float(np.hypot(*(back[:, :2] @ np.array([1.0, 0.0], dtype=np.float32))))
    to_face = _affine(apply(back, np.array([cx, cy], dtype=np.float32)), across, unit)
    s = np.linspace(-1, 1, COLUMNS)
    bulge = 1 - s * s
    upper = sag * bulge
    lower = upper + gap * bulge
    if gap < (_SEEN_OPEN if shows_inside(patch, mouth) else _SEEN_OPEN_DARK):
        upper = lower = dark_seam(image, to_face, half, (upper, lower)).astype(np.float64)
        lower_lip += 0.5 * gap
        upper_lip += 0.5 * gap
        gap = 0.0
    points = apply(to_face, landmarks)
    return FaceShape(
        to_face,
        half,
        upper.astype(np.float32),
        lower.astype(np.float32),
        gap,
        upper_lip,
        lower_lip,
        _chin(to_face, box_xyxy),
        float(np.clip(points[2, 1], -0.75, -0.3)),
        find_eyes(image, to_face, points[:2]) if search.eyes else _unseen(points[:2]),
        Followed(mouth, look),
        before is not None,
    )


def dark_seam(image: Image, to_face: Float, half: float, band: tuple[NDArray[np.float64], ...]) -> Float:
    """The darkest line from corner to corner within `band` (upper, lower; (65,) each) and a little around: (65,)."""
    scale, margin = 96.0, 0.035
    top = min(float(band[0].min()), 0.0) - 0.15
    height = round((float(band[1].max()) + 0.15 - top) * scale)
    patch = level_patch(image, to_face, (-half, top), (round(2 * half * scale), height), scale)
    light = cv2.resize(np.log(patch.mean(-1) + 4), (COLUMNS, height), interpolation=cv2.INTER_AREA)
    fine, wide = (cv2.GaussianBlur(light, (0, 0), sigmaX=1.5, sigmaY=v * scale) for v in (0.01, 0.07))
    y = (np.arange(height) + 0.5) / scale + top
    outside = np.maximum(np.maximum(band[0][None] - y[:, None], y[:, None] - band[1][None]), 0)
    cost = (fine - wide) + 40.0 * np.maximum(outside - margin, 0) + 2.0 * outside
    path = _cheapest_path(cost.astype(np.float64), stiffness=0.02)
    line = np.asarray(y[path], dtype=np.float32)
    return np.asarray(cv2.GaussianBlur(line[None], (0, 0), 2.2, borderType=cv2.BORDER_REPLICATE)[0], dtype=np.float32)


def _cheapest_path(cost: NDArray[np.float64], stiffness: float) -> NDArray[np.int64]:
    """Row of each column of a left-to-right path of least cost; steps of up to two rows, each row costs stiffness."""
    height, width = cost.shape
    steps = np.arange(-2, 3)
    came = np.zeros((width, height), dtype=np.int64)
    padded = np.full(height + 4, 1e9)
    total, windows = padded[2:-2], np.lib.stride_tricks.sliding_window_view(padded, 5)
    total[:] = cost[:, 0]
    price, rows = stiffness * steps * steps, np.arange(height)
    for column in range(1, width):
        options = windows + price
        came[column] = choice = options.argmin(1)
        total[:] = options[rows, choice] + cost[:, column]
    path = np.zeros(width, dtype=np.int64)
    path[-1] = total.argmin()
    for column in range(width - 1, 0, -1):
        path[column - 1] = path[column] + steps[came[column, path[column]]]
    return path


def _chin(to_face: Float, box_xyxy: Float) -> float:
    """Detectors' boxes end near the chin; 0.55 to 0.9 eye distances below the lips is what faces have."""
    middle = np.array([(box_xyxy[0] + box_xyxy[2]) / 2, box_xyxy[3]], dtype=np.float32)
    return float(np.clip(apply(to_face, middle)[1], 0.58, 0.9))


def _unseen(eyes: Float) -> Float:
    """Eyes (2, 2) of which only the place is known, as `find_eyes` gives them."""
    return np.concatenate([eyes, np.tile(np.array([[0.22, 0, 0]], np.float32), (2, 1))], 1)


def find_eyes(image: Image, to_face: Float, eyes: Float) -> Float:
    """(2, 5) per eye x, y of the middle of its corners' line, half width, y of upper and lower lid from that line; lids
    0 where eyes are not seen well enough to blink. eyes: (2, 2) landmarks in face units."""
    side, above, below, scale = (
        puppet_lids.PATCH_SIDE,
        puppet_lids.PATCH_ABOVE,
        puppet_lids.PATCH_BELOW,
        puppet_lids.PATCH_SCALE,
    )
    size = (round(2 * side * scale), round((above + below) * scale))
    left, right = (level_patch(image, to_face, (float(x) - side, float(y) - above), size, scale) for x, y in eyes)
    lids, seen = puppet_lids.fit_lids((left, right))
    lids[:, :2] += eyes
    lids[:, 3:] *= seen
    return lids
