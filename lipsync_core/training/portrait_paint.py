"""Colours of the demo's portrait: what each point of its surface looks like in white light, as linear RGB."""

from __future__ import annotations

import torch
from torch import Tensor

from .portrait_shape import CLOTH, EYE, EYE_RADIUS, EYEBALL, HAIR, lid_edges, mirrored, seam_height, vector


def ramp(low: float, high: float, x: Tensor) -> Tensor:
    """0 at `low`, 1 at `high`, smooth in between; falls where low > high."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def bump(x: Tensor, width: float) -> Tensor:
    """1 at 0, falling like a bell."""
    return torch.exp(-((x / width) ** 2))


def tint(base: Tensor, colour: tuple[float, float, float], amount: Tensor) -> Tensor:
    """Mix a colour into (P, 3) by (P,)."""
    return base + (vector(*colour) - base) * amount[:, None]


def albedo(p: Tensor, material: Tensor) -> Tensor:
    """(P, 3) points and (P,) materials -> (P, 3)."""
    colour = skin_colour(p)
    colour = torch.where((material == EYEBALL)[:, None], eye_colour(p), colour)
    colour = torch.where((material == HAIR)[:, None], hair_colour(p), colour)
    return torch.where((material == CLOTH)[:, None], vector(0.16, 0.035, 0.06).expand_as(colour), colour)


def skin_colour(p: Tensor) -> Tensor:
    x, y, z = p.unbind(-1)
    side = x.abs()
    base = vector(0.64, 0.37, 0.265).expand_as(p)
    base = tint(base, (0.72, 0.30, 0.22), 0.75 * bump(side - 0.36, 0.17) * bump(y + 0.20, 0.13) * ramp(0.2, 0.5, z))
    base = tint(base, (0.66, 0.30, 0.23), 0.35 * bump(x, 0.10) * bump(y + 0.18, 0.09) * ramp(0.6, 0.8, z))
    base = tint(base, (0.72, 0.47, 0.34), 0.12 * ramp(0.35, 0.6, y))
    base = tint(base, (0.52, 0.28, 0.22), 0.35 * bump(side - 0.27, 0.13) * bump(y + 0.03, 0.04))
    base = tint(base, (0.42, 0.20, 0.17), 0.45 * bump(side - 0.27, 0.15) * bump(y - 0.20, 0.045) * ramp(0.5, 0.6, z))
    return lashes(brows(lip_colour(base, p), p), p)


def lip_amount(p: Tensor) -> Tensor:
    """(P,) in [0, 1], 1 on the red of the lips."""
    x, y, z = p.unbind(-1)
    side, seam = x.abs(), seam_height(x)
    top = seam + 0.066 * (1 - (side / 0.235) ** 1.6).clamp(min=0) + 0.010 * bump(side - 0.065, 0.05)
    top = top - 0.010 * bump(x, 0.03)
    bottom = seam - 0.108 * (1 - (side / 0.225) ** 2.0).clamp(min=0)
    inside = ramp(-0.010, 0.010, top - y) * ramp(-0.012, 0.012, y - bottom)
    return inside * ramp(0.240, 0.205, side) * ramp(0.42, 0.52, z)


def lip_colour(base: Tensor, p: Tensor) -> Tensor:
    x, y, z = p.unbind(-1)
    seam = seam_height(x)
    red = tint(vector(0.50, 0.115, 0.115).expand_as(p), (0.38, 0.075, 0.085), ramp(-0.02, 0.03, y - seam))
    amount = lip_amount(p)[:, None] * 0.86
    base = base * (1 - amount) + red * amount
    line = bump(y - seam, 0.0085) * ramp(0.205, 0.15, x.abs()) * ramp(0.45, 0.55, z)
    return tint(base, (0.13, 0.025, 0.03), line * 0.8)


def brows(base: Tensor, p: Tensor) -> Tensor:
    x, y, z = p.unbind(-1)
    side = x.abs()
    height = 0.315 + 0.085 * torch.sin((side - 0.10) / 0.34 * 2.0)
    thick = 0.036 * (1 - ((side - 0.24) / 0.24).clamp(0, 1) ** 1.5 * 0.75)
    hairs = 0.5 + 0.5 * torch.sin(260 * side - 170 * (y - height) + 3 * torch.sin(60 * y))
    brow = torch.exp(-(((y - height) / thick) ** 2)) * ramp(0.085, 0.13, side) * ramp(0.46, 0.36, side)
    brow = brow * ramp(0.3, 0.45, z)
    return tint(base, (0.045, 0.022, 0.014), (brow * (0.80 + 0.20 * hairs) * 1.15).clamp(0, 0.93))


def lashes(base: Tensor, p: Tensor) -> Tensor:
    q = mirrored(p) - vector(*EYE)
    x, y, z = q.unbind(-1)
    up, low = lid_edges(x)
    upper = bump(y - up - 0.004, 0.016) * ramp(0.21, 0.15, x.abs()) * ramp(0.08, 0.12, z)
    base = tint(base, (0.012, 0.006, 0.006), (upper * 1.3).clamp(0, 1))
    base = tint(base, (0.30, 0.12, 0.09), 0.55 * bump(y - up - 0.052, 0.010) * ramp(0.20, 0.13, x.abs()))
    lower = bump(y - low, 0.008) * ramp(0.18, 0.12, x.abs()) * ramp(0.08, 0.12, z)
    return tint(base, (0.25, 0.09, 0.08), lower * 0.6)


def eye_colour(p: Tensor) -> Tensor:
    sign = torch.stack([torch.sign(p[:, 0]), torch.ones(len(p)), torch.ones(len(p))], -1)
    q = (p - vector(*EYE) * sign) / EYE_RADIUS
    x, y = q[:, 0] + 0.06 * sign[:, 0], q[:, 1] - 0.02  # both look at the viewer
    radius, angle = torch.hypot(x, y), torch.atan2(y, x)
    fibres = 0.5 + 0.25 * torch.sin(38 * angle + 3 * torch.sin(7 * angle))
    iris = tint(vector(0.10, 0.17, 0.09).expand_as(p), (0.30, 0.24, 0.08), fibres * ramp(0.50, 0.2, radius))
    iris = tint(iris, (0.03, 0.045, 0.03), ramp(0.40, 0.50, radius))
    white = vector(0.72, 0.68, 0.66).expand_as(p)
    colour = white + (iris - white) * ramp(0.53, 0.48, radius)[:, None]
    colour = tint(colour, (0.006, 0.006, 0.008), ramp(0.235, 0.20, radius))
    local = mirrored(p) - vector(*EYE)
    shade = ramp(-0.1, 0.40, (lid_edges(local[:, 0])[0] - local[:, 1]) / 0.12).clamp(0.35, 1) * 1.12
    return colour * shade[:, None]


def fine_strands(p: Tensor) -> Tensor:
    """(P,) in [0, 1]: the thinnest strands, for colour and gloss."""
    return 0.5 + 0.5 * torch.sin(170 * torch.atan2(p[:, 0], p[:, 2] + 1.1) + 4 * p[:, 1])


def hair_colour(p: Tensor) -> Tensor:
    x, y, z = p.unbind(-1)
    coarse = 0.5 + 0.5 * torch.sin(75 * torch.atan2(x, z + 0.9) + 6 * y + 2 * torch.sin(4 * y + x * 3))
    dark = vector(0.032, 0.014, 0.008).expand_as(p)
    return tint(dark, (0.095, 0.042, 0.020), coarse * 0.5 + fine_strands(p) * 0.4)
