"""The inside of the mouth: dark, with upper teeth that stay with the skull, lower teeth and a tongue that go with the
jaw, all in the light and the colours of the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..types import Float
from .puppet_geometry import FaceShape, Image, level_patch
from .puppet_warp import Face, Lines, Pose, smooth

# Where one upper tooth ends and the next begins, from the middle, in eye distances (8.5, 6.6, 7.3, 6.5 mm of 63).
_TEETH = (0.0, 0.132, 0.232, 0.322, 0.392)
_LOWER_TEETH = (0.0, 0.085, 0.178, 0.275, 0.36)
_BITE = 0.05  # how far the upper teeth reach below the line where the lips meet


@dataclass(frozen=True)
class Palette:
    """Colours (B, 3, 1, 1) RGB in [0, 1]."""

    cavity: torch.Tensor
    teeth: torch.Tensor
    tongue: torch.Tensor

    def towards(self, other: Palette, share: float) -> Palette:
        """This palette with a share of another."""
        return Palette(
            torch.lerp(self.cavity, other.cavity, share),
            torch.lerp(self.teeth, other.teeth, share),
            torch.lerp(self.tongue, other.tongue, share),
        )


def read_palette(image: Image, shape: FaceShape) -> Float:
    """(3, 3) RGB in [0, 1]: cavity, teeth, tongue, from the lips, the lit skin and the whites of the eyes."""
    lips = _lip_colour(image, shape)
    cheeks = np.concatenate([_cut(image, shape, x, shape.nose - 0.05, 0.18) for x in (-0.42, 0.42)])
    skin = np.percentile(cheeks, 75, axis=0)
    bright = max(float(skin.mean()), 0.8 * _eye_white(image, shape))
    tint = skin / max(float(skin.mean()), 1e-3)
    teeth = np.clip(bright, 0.25, 0.86) * (0.6 + 0.4 * tint) * np.array([1.03, 1.0, 0.94])
    flesh = _flesh(lips, skin)
    tongue, cavity = 0.62 * flesh, 0.15 * flesh
    return np.stack([cavity, np.clip(teeth, 0, 0.92), tongue]).astype(np.float32)


def _cut(image: Image, shape: FaceShape, x: float, y: float, size: float) -> Float:
    """(64, 3) RGB in [0, 1] of a square around a place in face units."""
    patch = level_patch(image, shape.to_face, (x - size / 2, y - size / 2), (8, 8), 8 / size)
    return np.asarray(patch.reshape(-1, 3) / 255, dtype=np.float32)


def _lip_colour(image: Image, shape: FaceShape) -> Float:
    middle = float(shape.lower[len(shape.lower) // 2]) + 0.5 * shape.lower_lip
    width = max(0.8 * shape.lower_lip, 0.03)
    pixels = _cut(image, shape, 0.0, middle, width)
    reddest = np.argsort(pixels[:, 1] - pixels[:, 0])[: len(pixels) // 3]  # painted lips can end in skin
    return np.asarray(pixels[reddest].mean(0), dtype=np.float32)


def _flesh(lips: Float, skin: Float) -> Float:
    """Colour of the inside in the light of the lips: redder than they are, but grey in a grey picture."""
    colourful = min(float(skin.max() - skin.min()) / max(float(skin.max()), 1e-3) / 0.2, 1.0)
    red = float(lips.mean()) * np.array([1.6, 0.72, 0.68])
    return np.asarray(lips + 0.5 * colourful * (red - lips), dtype=np.float32)


def _eye_white(image: Image, shape: FaceShape) -> float:
    """Brightness in [0, 1] of the palest bright pixels beside the irises."""
    eyes = np.concatenate([_cut(image, shape, x, y, 0.3) for x, y in shape.eyes[:, :2]])
    light, spread = eyes.mean(1), eyes.max(1) - eyes.min(1)
    pale = light[spread < 0.25 * light.clip(0.2)]
    return float(np.percentile(pale, 85)) if len(pale) > 5 else 0.0


def palette_tensors(rows: list[Float], device: torch.device | str) -> Palette:
    """Stack the palettes of frames for the device."""
    stack = torch.from_numpy(np.stack(rows)).to(device)[..., None, None]
    return Palette(stack[:, 0], stack[:, 1], stack[:, 2])


def _row_of_teeth(x: torch.Tensor, borders: tuple[float, ...]) -> torch.Tensor:
    """0 on a border between two teeth, 1 in the middle of one."""
    distance = torch.full_like(x, 1.0)
    for border in borders:
        distance = torch.minimum(distance, (x.abs() - border).abs())
    return (distance / 0.04).clamp(0, 1)


@dataclass(frozen=True)
class Inside:
    """What is drawn: colour (N, 3, H, W), how much it covers (N, H, W), and `shade` (N, H, W) that dims the rest."""

    colour: torch.Tensor
    cover: torch.Tensor
    shade: torch.Tensor


def paint(face: Face, pose: Pose, palette: Palette, at: Lines, y: torch.Tensor, pixel: float) -> Inside:
    """Draw the inside at places (x of `at.x`, y), all (N, H, W); `pixel` is the size of one in face units."""
    x = at.s * pose.half
    soft = max(0.012, 1.2 * pixel)
    content = (at.lower - at.upper).clamp(min=0)
    open_ = at.bottom - at.top
    start = at.top + torch.where(content > 0, (content - soft).clamp(min=0), content)
    cover = ((y - start) / soft).clamp(0, 1) * ((at.bottom - y) / soft).clamp(0, 1)
    colour = _cavity(palette, at, y, open_)
    colour = _lay(colour, palette.tongue, *_tongue(at, y, open_))
    dim = torch.lerp(palette.teeth, 0.6 * palette.tongue, 0.4)
    colour = _lay(colour, dim, *_lower_teeth(x, at, y, open_, soft))
    bite = face.upper[:, face.upper.shape[1] // 2, None, None] + _BITE
    upper, light = _upper_teeth(x, at, y, bite, soft)
    colour = _lay(colour, palette.teeth, upper * (1 - (content / 0.04).clamp(0, 1)), light)
    meet = ((content - open_) / 0.05).clamp(0, 1)
    seam = torch.exp(-(((y - at.bottom) / (0.009 + 0.6 * pixel)) ** 2)) * meet * (1 - at.s * at.s).clamp(min=0) ** 0.5
    return Inside(colour, cover, 1 - 0.45 * seam)


def _lay(under: torch.Tensor, colour: torch.Tensor, cover: torch.Tensor, light: torch.Tensor) -> torch.Tensor:
    return torch.lerp(under, colour * light[:, None], cover[:, None])


def _cavity(palette: Palette, at: Lines, y: torch.Tensor, open_: torch.Tensor) -> torch.Tensor:
    """Darkest in the middle; near the lips some light comes in."""
    edge = torch.minimum(y - at.top, at.bottom - y)
    near = torch.exp(-(edge.clamp(min=0) / 0.03))
    return palette.cavity * (0.75 + 1.4 * near * (1 - 0.5 * at.s * at.s))[:, None]


def _upper_teeth(
    x: torch.Tensor, at: Lines, y: torch.Tensor, bite: torch.Tensor, soft: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cover and light of the upper row: its edge hangs from the skull, higher and darker to the sides."""
    tooth = _row_of_teeth(x, _TEETH)
    edge = bite - 0.35 * x * x - 0.008 * (1 - tooth) ** 2
    cover = ((edge - y) / (1.3 * soft) + 0.5).clamp(0, 1) * (1 - smooth((x.abs() - 0.30) / 0.12))
    deep = 0.55 + 0.45 * smooth((at.bottom - at.top) / 0.16)
    shadow = deep * (0.5 + 0.5 * smooth((y - at.top) / 0.07))
    round_ = (1 - 2.6 * x * x).clamp(min=0.25)
    return cover, shadow * round_ * (0.86 + 0.14 * (tooth * 3).clamp(max=1))


def _lower_teeth(
    x: torch.Tensor, at: Lines, y: torch.Tensor, open_: torch.Tensor, soft: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cover and light of the lower row: a little of it shows behind the lower lip when the mouth is wide open."""
    tooth = _row_of_teeth(x, _LOWER_TEETH)
    height = 0.036 * smooth((open_ - 0.14) / 0.2) - 0.006 * (1 - tooth) ** 2
    cover = ((y - at.bottom + height) / (1.5 * soft) + 0.5).clamp(0, 1) * (1 - smooth((x.abs() - 0.2) / 0.13))
    return 0.75 * cover * smooth((open_ - 0.12) / 0.12), (0.58 - 1.6 * x * x).clamp(min=0.12) * (
        0.88 + 0.12 * (tooth * 3).clamp(max=1)
    )


def _tongue(at: Lines, y: torch.Tensor, open_: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cover and light of the tongue: a soft mound in the lower half."""
    rise = (at.bottom - y) / open_.clamp(min=0.02)
    mound = 1 - smooth((rise + 0.35 * at.s * at.s - 0.25) / 0.35)
    return mound * smooth((open_ - 0.06) / 0.15) * 0.85, 0.55 + 0.45 * smooth(rise / 0.4)
