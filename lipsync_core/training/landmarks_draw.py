"""Drawn heads with known landmarks: what the landmark finder is taught on. No photograph, no other data.

Everything is stated in units of the distance between the eyes, x to the right and y down, from the point between eyes
and mouth; z towards the viewer. A head is turned in space, then its parts are painted flat, back to front.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..types import Float, Pixels
from .landmarks_style import restyle, soft_noise

Real = NDArray[np.float64]
Colour = tuple[float, float, float]

CANVAS_PX = 128  # side of a finished picture
CANVAS_UNITS = 4.2  # and what it shows of the world
PAINT_PX = 192  # side while it is painted
_FRACTION_BITS = 4  # OpenCV draws polygons at 1/16 px


@dataclass
class Head:
    """One head: how it is turned, how it is built, and the canvas it is painted on."""

    rng: np.random.Generator
    turn: Real
    canvas: NDArray[np.uint8]
    skin: Real
    hair: Real
    mouth_y: float
    chin_y: float
    half_width: float
    nose_y: float
    drawn: float  # 0 a photograph, 1 a cartoon

    def place(self, x: Real | float, y: Real | float, lift: Real | float = 0.0, flat: float | None = None) -> Real:
        """Points of the face's surface -> (K, 2) px of the canvas. lift: z above the surface; flat: z instead of it."""
        x, y, lift = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float), np.asarray(lift, float))
        dome = (
            np.sqrt(np.clip(1 - (x / 1.25) ** 2 - (y / 2.1) ** 2, 0, None)) if flat is None else np.full(x.shape, flat)
        )
        points = np.stack([x, y, dome + lift], axis=-1).reshape(-1, 3)
        points[:, 2] -= 0.85
        turned = points @ self.turn.T
        flattened = turned[:, :2] * (1 + 0.06 * turned[:, 2:])
        return np.asarray(PAINT_PX / 2 + flattened * PAINT_PX / CANVAS_UNITS)

    def fill(self, points: Real, colour: Real) -> None:
        cv2.fillPoly(self.canvas, [_fixed(points)], _as_colour(colour), cv2.LINE_AA, _FRACTION_BITS)

    def line(self, points: Real, colour: Real, width: float) -> None:
        thick = max(1, round(width * PAINT_PX / CANVAS_UNITS))
        cv2.polylines(self.canvas, [_fixed(points)], False, _as_colour(colour), thick, cv2.LINE_AA, _FRACTION_BITS)

    def glaze(self, points: Real, colour: Real, strength: float, softness: float) -> None:
        """Paint a soft-edged patch over what is there; softness in eye distances."""
        sigma = max(0.4, softness * PAINT_PX / CANVAS_UNITS)
        reach = math.ceil(3 * sigma) + 1
        left, top = np.clip(np.floor(points.min(axis=0)).astype(int) - reach, 0, PAINT_PX)
        right, bottom = np.clip(np.ceil(points.max(axis=0)).astype(int) + reach, 0, PAINT_PX)
        if right <= left or bottom <= top:
            return
        mask = np.zeros((bottom - top, right - left), np.float32)
        cv2.fillPoly(mask, [_fixed(points - (left, top))], strength, cv2.LINE_8, _FRACTION_BITS)
        size = 2 * reach - 1
        alpha = cv2.GaussianBlur(mask, (size, size), sigma, borderType=cv2.BORDER_REPLICATE)[..., None]
        part = self.canvas[top:bottom, left:right]
        part[:] = (part * (1 - alpha) + alpha * np.asarray(colour, np.float32)).clip(0, 255)

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)


def _fixed(points: Real) -> NDArray[np.int32]:
    return np.asarray(np.round((points - 0.5) * 2**_FRACTION_BITS), dtype=np.int32)


def _as_colour(colour: Real) -> Colour:
    red, green, blue = (float(value) for value in np.clip(colour, 0, 255))
    return red, green, blue


def draw_head(rng: np.random.Generator) -> tuple[Pixels, Float]:
    """One head -> ((CANVAS_PX, CANVAS_PX, 3) uint8 RGB, (5, 2) float32 landmarks in its pixels)."""
    head = new_head(rng)
    small, landmarks = paint(head, _paint_mouth)
    return restyle(small, head.drawn, rng), landmarks


def paint(head: Head, mouth: Callable[[Head], list[Real]]) -> tuple[Pixels, Float]:
    """The whole head, back to front -> ((CANVAS_PX, CANVAS_PX, 3) uint8 RGB, (5, 2) landmarks in its pixels).

    mouth: paints it and returns its corners. What else is seen follows from `head.rng` alone: a generator of the same
    state paints the same person again.
    """
    _paint_behind(head)
    _paint_face(head)
    corners = mouth(head)
    nose = _paint_nose(head)
    eyes = _paint_eyes(head)
    _paint_in_front(head)
    landmarks = np.stack([*eyes, nose, *corners]) * (CANVAS_PX / PAINT_PX)
    small = cv2.resize(head.canvas, (CANVAS_PX, CANVAS_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8), landmarks.astype(np.float32)


def _paint_eyes(head: Head) -> list[Real]:
    """Both eyes, alike but for one head in seven. Returns their centres, left of the picture first."""
    own, seed, centres = head.rng, int(head.rng.integers(2**31)), []
    for side in (-1, 1):
        head.rng = np.random.default_rng(seed if own.random() > 0.07 else int(own.integers(2**31)))
        centres.append(_paint_eye(head, side))
    head.rng = own
    return centres


def new_head(rng: np.random.Generator) -> Head:
    """Somebody, with nothing painted yet."""
    drawn = float(rng.random() ** 1.5)
    skin = np.array([1.0, rng.uniform(0.68, 0.95), rng.uniform(0.5, 0.95)]) * rng.uniform(60, 250)
    if rng.random() < 0.12:  # statues, robots, goblins
        skin = rng.uniform(50, 240, 3)
    hair = np.array([1.0, rng.uniform(0.5, 1.0), rng.uniform(0.2, 1.0)]) * rng.uniform(5, 220)
    if rng.random() < 0.25:
        hair = rng.uniform(0, 255, 3)
    return Head(
        rng=rng,
        turn=turn_by(rng.normal(0, 0.28), rng.normal(0.0, 0.16), 0.0),
        canvas=np.zeros((PAINT_PX, PAINT_PX, 3), np.uint8),
        skin=skin,
        hair=hair,
        mouth_y=0.5 + rng.normal(0, 0.05),
        chin_y=1.12 + rng.normal(0, 0.1),
        half_width=rng.uniform(0.95, 1.25),
        nose_y=rng.uniform(0.02, 0.2),
        drawn=drawn,
    )


def turn_by(yaw: float, pitch: float, roll: float) -> Real:
    """Rotation matrix, radians: about the vertical, then the ear-to-ear axis, then the line of sight."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ about_y)


def _ring(centre: tuple[float, float], radii: tuple[float, float], count: int = 24) -> tuple[Real, Real]:
    angle = np.linspace(0, 2 * math.pi, count, endpoint=False)
    return centre[0] + radii[0] * np.cos(angle), centre[1] + radii[1] * np.sin(angle)


def _paint_behind(head: Head) -> None:
    """Background, hair behind the head, shoulders, neck, ears."""
    rng = head.rng
    base = rng.uniform(0, 255, 3)
    rough = soft_noise(rng, PAINT_PX, int(rng.integers(2, 24)))[..., None]
    head.canvas = (base + rough * rng.uniform(-90, 90, 3)).clip(0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 5))):
        where = PAINT_PX * (rng.uniform(-0.2, 1.2, (1, 2)) + rng.normal(0, 0.2, (int(rng.integers(3, 7)), 2)))
        head.fill(where, rng.uniform(0, 255, 3))
    if head.chance(0.85):
        length, wide = head.between(0.6, 2.6), head.half_width * head.between(1.05, 1.6)
        x, y = _ring((0, (length - 2) / 2), (wide, (length + 2.1) / 2))
        head.fill(head.place(x, y, flat=-0.3), head.hair * head.between(0.5, 1.0))
    neck = head.half_width * head.between(0.45, 0.85)
    x, y = np.array([-neck, neck, neck * 1.1, -neck * 1.1]), np.array([0.5, 0.5, 2.4, 2.4])
    head.fill(head.place(x, y, flat=-0.2), head.skin * head.between(0.55, 0.95))
    top, wide = head.between(1.5, 2.2), head.between(1.4, 2.6)
    x, y = np.array([-0.5, 0.5, wide, wide, -wide, -wide]), np.array([top, top, top + 0.4, 4, 4, top + 0.4])
    head.fill(head.place(x, y, flat=-0.1), rng.uniform(0, 255, 3))
    if head.chance(0.7):
        for side in (-1, 1):
            x, y = _ring((side * head.half_width * 1.03, head.between(-0.5, 0.0)), (0.17, 0.36))
            head.fill(head.place(x, y, flat=0.0), head.skin * head.between(0.7, 1.0))


def _outline(head: Head) -> Real:
    """The face from temple to chin to temple and over the skull."""
    angle = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    x, y = np.cos(angle), np.sin(angle)
    pointed = head.between(0.0, 0.35)
    narrow = np.where(y > 0, 1 - pointed * y**2, 1.0)
    blunt = np.sign(x) * np.abs(x) ** head.between(0.75, 1.05)
    height = np.where(y > 0, head.chin_y, head.between(1.5, 2.0))
    return head.place(blunt * narrow * head.half_width, y * height, flat=head.between(0.1, 0.45))


def _paint_face(head: Head) -> None:
    """Skin, its light and shadows, cheeks, beard."""
    outline = _outline(head)
    before = head.canvas.copy()
    head.fill(outline, head.skin)
    shade = 1 - 0.65 * head.drawn
    side = 1 if head.chance(0.5) else -1
    for _ in range(int(head.rng.integers(1, 5))):
        x, y = _ring((head.between(-1, 1), head.between(-1.2, 1.2)), (head.between(0.2, 0.9), head.between(0.2, 0.9)))
        head.glaze(head.place(x, y), head.skin * head.between(0.5, 1.35), head.between(0, 0.5) * shade, 0.25)
    x, y = _ring((side * head.half_width, 0), (head.between(0.2, 1.0), 1.6))
    head.glaze(head.place(x, y), head.skin * head.between(0.1, 0.7), head.between(0, 0.95) * shade, 0.2)
    for cheek in (-1, 1):
        x, y = _ring((cheek * 0.62, 0.15), (0.25, 0.18))
        head.glaze(head.place(x, y), head.skin * np.array([1.05, 0.75, 0.75]), head.between(0, 0.5), 0.12)
        x, y = _ring((cheek * 0.5, -0.5), (0.36, 0.24))
        head.glaze(head.place(x, y), head.skin * head.between(0.3, 0.9), head.between(0, 0.7) * shade, 0.1)
    if head.chance(0.15):
        _paint_beard(head)
    mask = np.zeros((PAINT_PX, PAINT_PX), np.uint8)
    cv2.fillPoly(mask, [_fixed(outline)], 255, cv2.LINE_AA, _FRACTION_BITS)
    head.canvas = np.where(mask[..., None] > 127, head.canvas, before)
    if head.chance(0.2 + 0.6 * head.drawn):
        head.line(np.concatenate([outline, outline[:1]]), head.skin * head.between(0.0, 0.6), head.between(0.01, 0.06))


def _paint_beard(head: Head) -> None:
    low = np.linspace(-0.95, 0.95, 15)
    edge = head.mouth_y + head.between(-0.25, 0.25) - 0.5 * np.abs(low) ** 3
    x = np.concatenate([low, low[::-1]])
    y = np.concatenate([edge, np.full(15, head.chin_y + 0.3)])
    head.glaze(head.place(x, y), head.hair, head.between(0.2, 0.9), head.between(0.02, 0.12))
    if head.chance(0.6):
        x, y = _ring((0, head.mouth_y - 0.17), (0.38, 0.09))
        head.glaze(head.place(x, y), head.hair, head.between(0.2, 0.9), 0.04)


def _paint_mouth(head: Head) -> list[Real]:
    """Lips, the line between them, what is seen when they part. Returns the corners, left of the picture first."""
    low_share = 0.14 if head.chance(head.drawn * 0.8) else 0.3
    half, opening = head.between(low_share, 0.46), max(0.0, head.between(-0.25, 0.2))
    smile, slant = head.rng.normal(0.02, 0.06), head.rng.normal(0, 0.015)
    t = np.linspace(-1, 1, 17)
    bend = head.mouth_y - smile * (t**2) + slant * t
    upper, lower = head.between(0.03, 0.13), head.between(0.05, 0.17)
    bow = np.clip(1 - t**2, 0, None) ** 0.8 * (1 - head.between(0, 0.3) * np.exp(-((t / 0.18) ** 2)))
    gap = opening * np.clip(1 - t**2, 0, None) ** 0.6 / 2
    tone = head.skin * np.array([head.between(0.7, 1.1), head.between(0.3, 0.95), head.between(0.3, 0.95)])
    if head.chance(0.75 - 0.5 * head.drawn):
        over = np.concatenate([bend - gap - upper * bow, (bend - gap)[::-1]])
        under = np.concatenate([bend + gap, (bend + gap + lower * np.sqrt(np.clip(1 - t**2, 0, None)))[::-1]])
        both = np.concatenate([t, t[::-1]]) * half
        head.glaze(head.place(both, over), tone * head.between(0.6, 1.0), head.between(0.3, 1), 0.015)
        head.glaze(head.place(both, under), tone * head.between(0.8, 1.2), head.between(0.3, 1), 0.015)
        x, y = _ring((0, head.mouth_y + opening / 2 + lower * 0.5), (half * 0.4, lower * 0.2))
        head.glaze(head.place(x, y), head.skin * 1.4, head.between(0, 0.6), 0.03)
    _paint_gap(head, t * half, bend, gap)
    x, y = _ring((0, head.mouth_y + opening / 2 + lower + 0.07), (half * 0.6, 0.04))
    head.glaze(head.place(x, y), head.skin * 0.5, head.between(0, 0.6) * (1 - head.drawn), 0.04)
    ends = head.place(np.array([-half, half]), bend[[0, -1]])
    return [ends[0], ends[1]]


def _paint_gap(head: Head, x: Real, bend: Real, gap: Real) -> None:
    dark = head.skin * np.array([head.between(0.1, 0.5), head.between(0.02, 0.3), head.between(0.02, 0.3)])
    if gap.max() > 0.01:
        head.fill(head.place(np.concatenate([x, x[::-1]]), np.concatenate([bend - gap, (bend + gap)[::-1]])), dark)
        if head.chance(0.6):
            teeth = bend - gap + 2 * gap * head.between(0.2, 0.9)
            inner = slice(2, -2)
            across = np.concatenate([x[inner], x[inner][::-1]])
            head.fill(head.place(across, np.concatenate([(bend - gap)[inner], teeth[inner][::-1]])), np.full(3, 235.0))
    if gap.max() <= 0.01 or head.chance(0.5):
        head.line(head.place(x, bend - gap), dark, head.between(0.005, 0.04))


def _paint_nose(head: Head) -> Real:
    """Bridge, side shadow, wings and nostrils. Returns the tip."""
    base, wide, lift = head.nose_y + 0.1, head.between(0.13, 0.24), head.between(0.2, 0.42)
    dark, side = head.skin * head.between(0.25, 0.75), 1 if head.chance(0.5) else -1
    if head.drawn < 0.75:
        x = side * np.array([0.1, 0.13, wide, 0.03, 0.02])
        y = np.array([-0.5, -0.2, base, base, -0.3])
        head.glaze(head.place(x, y, 0.1), dark, head.between(0, 0.8), 0.04)
        x, y = _ring((0, head.nose_y - 0.15), (0.06, 0.35))
        head.glaze(head.place(x, y, lift * 0.7), head.skin * 1.4, head.between(0, 0.5), 0.05)
        x, y = _ring((0, base + 0.05), (wide, 0.05))
        head.glaze(head.place(x, y, lift * 0.4), dark, head.between(0, 0.8), 0.04)
        for wing in (-1, 1):
            x, y = _ring((wing * wide * 0.5, base + 0.01), (wide * 0.28, head.between(0.015, 0.05)))
            head.glaze(head.place(x, y, lift * 0.6), head.skin * head.between(0.0, 0.5), head.between(0.2, 1), 0.015)
            bow = np.linspace(-1.2, 1.4, 7)
            curve = head.place(wing * (wide * 0.75 + 0.05 * np.cos(bow)), base - 0.04 + 0.07 * np.sin(bow), lift * 0.3)
            if head.chance(0.5):
                head.line(curve, dark, 0.01)
    elif head.chance(0.8):
        x, y = side * np.array([0.0, 0.06, 0.0]), base + np.array([-0.12, -0.02, 0.0])
        head.line(head.place(x, y, lift), dark, head.between(0.005, 0.03))
    return np.asarray(head.place(0.0, head.nose_y, lift)[0])


def _paint_eye(head: Head, side: int) -> Real:
    """One eye with its brow. Returns its centre."""
    cartoon = head.chance(head.drawn)
    half = head.between(0.19, 0.3) if cartoon else head.between(0.18, 0.27)
    opening = head.between(0.1, 0.27) if cartoon else head.between(0.0, 0.14)
    centre = (side * 0.5, -0.5)
    t = np.linspace(-1, 1, 13)
    lid = np.clip(1 - np.abs(t) ** head.between(1.7, 2.6), 0, None)
    slant = head.rng.normal(0, 0.04) * t * side
    upper, lower = centre[1] - opening * lid + slant, centre[1] + opening * head.between(0.5, 0.9) * lid + slant
    x = centre[0] + half * t
    almond = head.place(np.concatenate([x, x[::-1]]), np.concatenate([upper, lower[::-1]]))
    before = head.canvas.copy()
    head.fill(almond, np.clip(head.skin * 0.3 + 170, 0, 255) * head.between(0.7, 1.0))
    _paint_iris(head, centre, opening, cartoon)
    mask = np.zeros((PAINT_PX, PAINT_PX), np.uint8)
    cv2.fillPoly(mask, [_fixed(almond)], 255, cv2.LINE_8, _FRACTION_BITS)
    head.canvas = np.where(mask[..., None] > 127, head.canvas, before)
    lash = head.hair * head.between(0.0, 0.6)
    head.line(head.place(x, upper), lash, head.between(0.015, 0.09 if cartoon else 0.06))
    if head.chance(0.6):
        head.line(head.place(x, lower), head.skin * head.between(0.3, 0.8), head.between(0.005, 0.025))
    if head.chance(0.5):
        head.line(head.place(x, upper - head.between(0.05, 0.1)), head.skin * head.between(0.3, 0.8), 0.01)
    _paint_brow(head, side, opening)
    return np.asarray(head.place(*centre)[0])


def _paint_iris(head: Head, centre: tuple[float, float], opening: float, cartoon: bool) -> None:
    radius = head.between(0.1, 0.17) if cartoon else head.between(0.09, 0.125)
    tall = max(radius, opening * head.between(0.8, 1.1)) if cartoon else radius
    where = (centre[0] + head.rng.normal(0, 0.03), centre[1] + head.rng.normal(0, 0.015))
    head.fill(head.place(*_ring(where, (radius, tall))), head.rng.uniform(0, 190, 3))
    head.fill(head.place(*_ring(where, (radius * 0.5, tall * 0.5))), np.full(3, head.between(0, 40)))
    if head.chance(0.7):
        spark = (where[0] + head.between(-0.05, 0.05), where[1] - head.between(0, 0.06))
        head.fill(head.place(*_ring(spark, (0.03, 0.03), 8)), np.full(3, 250.0))


def _paint_brow(head: Head, side: int, opening: float) -> None:
    t = np.linspace(-1, 1, 9)
    high = opening + head.between(0.1, 0.26)
    arch, tilt, thick = head.between(0.0, 0.1), head.rng.normal(0, 0.06), head.between(0.008, 0.05)
    middle = -0.5 - high - arch * (1 - t**2) + tilt * t * side
    x = side * head.between(0.48, 0.58) + head.between(0.26, 0.38) * t
    tip = thick * (1 - 0.7 * (t * side * 0.5 + 0.5))
    brow = head.place(np.concatenate([x, x[::-1]]), np.concatenate([middle - tip, (middle + tip)[::-1]]))
    head.glaze(brow, head.hair * head.between(0.3, 1.0), head.between(0.3, 1), 0.015)


def _paint_in_front(head: Head) -> None:
    """Fringe and strands of hair, glasses, now and then a hand or a microphone."""
    if head.chance(0.8):
        t = np.linspace(-1.3, 1.3, 14)
        edge = (
            -head.between(0.9, 1.4) + head.between(0.0, 0.9) * t**2 + head.rng.normal(0, 0.09, 14) * head.between(0, 2)
        )
        edge += head.between(-0.4, 0.4) * t
        x = np.concatenate([t * head.half_width, [1.9, 1.2, 0, -1.2, -1.9]])
        y = np.concatenate([edge, [-0.6, -2.1, -2.4, -2.1, -0.6]])
        head.fill(head.place(x, y, flat=0.5), head.hair * head.between(0.8, 1.1))
    for _ in range(int(head.rng.integers(0, 8))):
        x = head.between(-1.3, 1.3) + np.linspace(0, head.rng.normal(0, 0.2), 5)
        y = np.linspace(-1.6, head.between(-0.6, 1.6) if abs(x[0]) > 0.8 else head.between(-0.9, -0.3), 5)
        head.line(head.place(x, y, flat=0.7), head.hair * head.between(0.4, 1.7), head.between(0.005, 0.1))
    if head.chance(0.15):
        tone, width = head.rng.uniform(0, 255, 3) * head.between(0, 1), head.between(0.01, 0.08)
        wide, tall = head.between(0.3, 0.45), head.between(0.22, 0.42)
        for side in (-1, 1):
            rim = head.place(*_ring((side * 0.52, -0.45), (wide, tall)), 0.15)
            head.line(np.concatenate([rim, rim[:1]]), tone, width)
            if head.chance(0.2):
                head.glaze(rim, tone, head.between(0, 0.9), 0.01)
        head.line(head.place(np.array([-0.22, 0, 0.22]), np.array([-0.5, -0.55, -0.5]), 0.2), tone, width)
    if head.chance(0.12):
        where = PAINT_PX * (head.rng.uniform(0.1, 0.9, (1, 2)) + head.rng.normal(0, 0.08, (5, 2)))
        head.fill(where, head.rng.uniform(0, 255, 3))
