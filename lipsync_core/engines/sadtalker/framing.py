"""Which part of the picture a head needs around it, and how large the result is. Pure.

The crop of the paper's program: a square around eyes and mouth after Karras et al. (FFHQ, 2019), kept upright. Its
faults are gone: the lower edge was held against the width of the picture, the wide crop took the size of the narrow
one, and a picture that was shrunk first was pasted back in the wrong place. Here every number is a pixel of the whole
picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import InputError
from ...types import Float

MODES = ("crop", "extcrop", "resize", "full", "extfull")
_LEAST_SIDE = 16  # px; less of a face is none
_BORDER = 0.1  # of the square's side, around it in the wide modes

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Framing:
    """box_xyxy: whole pixels of the picture that the network sees, right and bottom exclusive, inside the picture.

    pasted: the head goes back into the whole picture; else the box is all that is shown.
    size: width and height of the result, both even.
    """

    box_xyxy: Box
    pasted: bool
    size: tuple[int, int]


def frame_head(mode: str, landmarks: Float, picture: tuple[int, int], side: int) -> Framing:
    """landmarks: (5, 2) px of the picture, as in `types`. picture: its width and height. side: of the network's square.

    Raises InputError when next to nothing of the head is inside the picture, ValueError for an unknown mode.
    """
    if mode not in MODES:
        raise ValueError(f"mode '{mode}' is none of {', '.join(MODES)}")
    if mode == "resize":
        box: Box = (0, 0, *picture)
    else:
        box = _inner_box(landmarks, picture) if mode in ("crop", "full") else _outer_box(landmarks, picture)
    width, height = box[2] - box[0], box[3] - box[1]
    if min(width, height) < _LEAST_SIDE:
        raise InputError(
            f"The face lies outside of the picture: {max(width, 0)}x{max(height, 0)} px around it are left. Use a "
            "picture that shows the whole head, or the picture mode 'resize'."
        )
    pasted = mode in ("full", "extfull")
    return Framing(box, pasted, picture if pasted else (side, even(side * height / width)))


def even(length: float) -> int:
    """The nearest even number of pixels, two at least: what video encoders take."""
    return max(2, 2 * round(length / 2))


def quad(landmarks: Float) -> Float:
    """(4, 2) corners of the FFHQ square, upper left, lower left, lower right, upper right, in px of the picture.

    Its sides run along the line between the eyes; half a side is twice that line, or 1.8 times the way to the mouth.
    """
    points = landmarks.astype(np.float64)
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    across, down = points[1] - points[0], mouth - eyes
    x = across + np.array([down[1], -down[0]])
    reach = max(2.0 * np.hypot(*across), 1.8 * np.hypot(*down))
    x = x / max(float(np.hypot(*x)), 1e-6) * reach
    y = np.array([-x[1], x[0]])
    centre = eyes + 0.1 * down
    return np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y]).astype(np.float32)


def _inner_box(landmarks: Float, picture: tuple[int, int]) -> Box:
    """The upright box around the square."""
    corners = quad(landmarks)
    left, right = min(corners[0, 0], corners[1, 0]), max(corners[2, 0], corners[3, 0])
    top, bottom = min(corners[0, 1], corners[3, 1]), max(corners[1, 1], corners[2, 1])
    return _inside((left, top, right, bottom), picture)


def _outer_box(landmarks: Float, picture: tuple[int, int]) -> Box:
    """The box around every corner of the square, and a border."""
    corners = quad(landmarks)
    border = max(round(_BORDER * float(np.hypot(*(corners[3] - corners[0])))), 3)
    low, high = corners.min(axis=0) - border, corners.max(axis=0) + border
    return _inside((low[0], low[1], high[0], high[1]), picture)


def _inside(box: tuple[float, float, float, float], picture: tuple[int, int]) -> Box:
    """To whole pixels, cut off at each of the four edges of the picture."""
    width, height = picture
    left, top = max(int(np.floor(box[0])), 0), max(int(np.floor(box[1])), 0)
    return left, top, min(int(np.ceil(box[2])), width), min(int(np.ceil(box[3])), height)
