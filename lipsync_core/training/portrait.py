"""Render the demo's portrait: `python -m lipsync_core.training.portrait models/demo/portrait.png`. About 10 minutes.

Sphere tracing (Hart 1996) of portrait_shape.py with the colours of portrait_paint.py, three lights, soft shadows and
ambient occlusion. It is drawn, not trained, and shows nobody: free for any use.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from ..types import Pixels
from .portrait_paint import albedo, fine_strands, lip_amount, ramp
from .portrait_shape import EYEBALL, HAIR, SKIN, distance, surfaces, vector

CAMERA = (0.0, -0.22, 7.2)
FOCAL = 4.55  # half picture heights
KEY, FILL, RIM = (-0.62, 0.62, 0.78), (0.75, 0.05, 0.8), (0.9, 0.35, -0.55)  # directions to the lights
ROWS_AT_ONCE = 64  # of the picture, bounds memory


def render(size: int, oversampling: int = 2) -> Pixels:
    """(size, size, 3) uint8 sRGB."""
    side = size * oversampling
    y, x = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    u, v = (x - side / 2) / (side / 2), -(y - side / 2) / (side / 2)
    rows = [_rows(u[i : i + ROWS_AT_ONCE], v[i : i + ROWS_AT_ONCE]) for i in range(0, side, ROWS_AT_ONCE)]
    picture = avg_pool2d(torch.cat(rows).permute(2, 0, 1)[None], oversampling)[0].permute(1, 2, 0) * 1.05
    filmic = picture * (2.51 * picture + 0.03) / (picture * (2.43 * picture + 0.59) + 0.14)
    return np.asarray((filmic.clamp(0, 1) ** (1 / 2.2) * 255).round().byte().numpy(), dtype=np.uint8)


def _rows(u: Tensor, v: Tensor) -> Tensor:
    rays = normalize(torch.stack([u, v, torch.full_like(u, -FOCAL)], -1), dim=-1).reshape(-1, 3)
    colour = _backdrop(u.reshape(-1), v.reshape(-1))
    hit, depth = _march(rays)
    if len(hit):
        colour[hit] = _shade(vector(*CAMERA) + rays[hit] * depth[:, None], -rays[hit])
    return colour.reshape(*u.shape, 3)


def _backdrop(u: Tensor, v: Tensor) -> Tensor:
    radius = torch.hypot(u + 0.15, v * 0.9 - 0.1).clamp(0, 1.3)[:, None]
    warm = 0.5 * (1 - (u - 0.5).abs().clamp(0, 1))[:, None]
    return vector(0.20, 0.24, 0.27) * (1 - 0.55 * radius) + vector(0.10, 0.06, 0.03) * warm


def _march(rays: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of the rays that meet the figure, and how far they go."""
    origin = vector(*CAMERA)
    depth = torch.full((len(rays),), 5.2)
    alive, hit = torch.ones(len(rays), dtype=torch.bool), torch.zeros(len(rays), dtype=torch.bool)
    for _ in range(90):
        left = alive.nonzero()[:, 0]
        if len(left) == 0:
            break
        step = distance(origin + rays[left] * depth[left, None])
        depth[left] += step * 0.75  # the field overestimates where ellipsoids are flat
        hit[left[step.abs() < 6e-4]] = True
        alive[left[(step.abs() < 6e-4) | (depth[left] > 9.6)]] = False
    met = hit.nonzero()[:, 0]
    return met, depth[met]


def _normals(p: Tensor, width: float = 2e-3) -> Tensor:
    corners = torch.tensor([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], dtype=torch.float32)
    return normalize(sum((c * distance(p + width * c)[:, None] for c in corners), torch.zeros_like(p)), dim=-1)


def _occlusion(p: Tensor, n: Tensor) -> Tensor:
    open_sky = torch.ones(len(p))
    for reach, weight in ((0.03, 0.9), (0.08, 0.7), (0.18, 0.5), (0.35, 0.35)):
        open_sky -= 0.42 * weight * (reach - distance(p + n * reach)).clamp(min=0) / reach
    return open_sky.clamp(0.15, 1)


def _shadow(p: Tensor, n: Tensor, light: Tensor) -> Tensor:
    lit, along = torch.ones(len(p)), torch.full((len(p),), 0.03)
    for _ in range(26):
        step = distance(p + n * 0.012 + light * along[:, None])
        lit = torch.minimum(lit, (7 * step / along).clamp(0, 1))
        along += step.clamp(0.015, 0.18)
    return ramp(0, 1, lit)


def _shade(p: Tensor, view: Tensor) -> Tensor:
    n, material = _normals(p), surfaces(p).argmin(-1)
    key, fill, rim = (normalize(vector(*light), dim=0) for light in (KEY, FILL, RIM))
    base, sky, lit = albedo(p, material), _occlusion(p, n), _shadow(p, n, key)
    to_key, flesh = n @ key, (material == SKIN)[:, None]
    soft = torch.where(flesh, vector(0.42, 0.26, 0.20), vector(0.05, 0.05, 0.05))
    diffuse = ((to_key[:, None] + soft) / (1 + soft)).clamp(min=0) ** 1.15
    diffuse = diffuse * (lit * 0.8 + 0.2 * ramp(-0.2, 0.4, to_key))[:, None]
    up = (n[:, 1] * 0.5 + 0.5)[:, None]
    ambient = vector(0.20, 0.235, 0.30) * (0.5 + 0.5 * up) + vector(0.16, 0.10, 0.07) * (1 - up)
    filling = vector(0.16, 0.14, 0.135) * ((n @ fill) * 0.5 + 0.5)[:, None] * 0.8
    sunlight = vector(1.50, 1.33, 1.14) * diffuse * (0.55 + 0.45 * sky)[:, None]
    colour = base * (sunlight + (ambient + filling) * sky[:, None])
    blood = (ramp(-0.35, 0.1, to_key) * (1 - ramp(0.1, 0.55, to_key)) * lit)[:, None]
    colour = colour + torch.where(flesh, base * vector(0.16, 0.035, 0.015) * blood * 3, torch.zeros(()))
    return colour + _gloss(p, n, view, material, (key, fill, rim), lit)


def _gloss(
    p: Tensor, n: Tensor, view: Tensor, material: Tensor, lights: tuple[Tensor, Tensor, Tensor], lit: Tensor
) -> Tensor:
    key, fill, rim = lights
    half = normalize(view + key, dim=-1)
    facing = (n * half).sum(-1).clamp(min=0)
    lip = lip_amount(p)
    shine = facing ** (26 + 30 * lip) * (0.10 + 0.30 * lip) * lit + facing**8 * 0.05 * lit * (material == SKIN)
    out = vector(1, 0.93, 0.85) * shine[:, None] * 0.9
    edge = (n @ rim).clamp(min=0) ** 1.5 * (1 - (n * view).sum(-1).clamp(0, 1)) ** 1.2
    out = out + vector(1.0, 0.72, 0.5) * (edge * torch.where(material == HAIR, 0.9, 0.35))[:, None] * 0.55
    sideways = torch.cross(vector(0, 1, 0).expand_as(n), n, dim=-1)
    along = normalize(torch.cross(n, sideways, dim=-1), dim=-1)
    strand = (1 - (along * half).sum(-1) ** 2).clamp(min=0).sqrt() ** 50 * (0.4 + 0.6 * fine_strands(p)) * lit
    out = out + torch.where((material == HAIR)[:, None], strand[:, None] * vector(0.16, 0.10, 0.06), torch.zeros(()))
    glint = _mirror(n, key, view) ** 260 * 1.5 + _mirror(n, fill, view) ** 120 * 0.12
    return out + torch.where(material == EYEBALL, glint, torch.zeros(()))[:, None]


def _mirror(n: Tensor, light: Tensor, view: Tensor) -> Tensor:
    bounced = normalize(2 * (n @ light)[:, None] * n - light, dim=-1)
    return (bounced * view).sum(-1).clamp(min=0)


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the demo's portrait.")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--size", type=int, default=768)
    arguments = parser.parse_args()
    Image.fromarray(render(arguments.size)).save(arguments.picture, optimize=True)


if __name__ == "__main__":
    main()
