"""The demo's portrait as a signed distance field: a head of blended ellipsoids and capsules, after I. Quilez' formulas.

Units: the face is about 1.2 wide and 2 high around the origin; x to the right of the picture, y up, z to the viewer.
Every function takes points (..., 3) and gives distances (...,), negative inside.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

Triple = tuple[float, float, float]

EYE: Triple = (0.268, 0.095, 0.545)  # centre of the eyeball on the right of the picture; the other is its mirror
EYE_RADIUS = 0.185
SKIN, EYEBALL, HAIR, CLOTH = range(4)  # materials, in the order of `surfaces`


def vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def ellipsoid(points: Tensor, centre: Triple, radii: Triple) -> Tensor:
    r = vector(*radii)
    q = points - vector(*centre)
    near: Tensor = torch.linalg.vector_norm(q / r, dim=-1)
    steep: Tensor = torch.linalg.vector_norm(q / (r * r), dim=-1)
    return near * (near - 1) / (steep + 1e-6)


def capsule(points: Tensor, start: Triple, end: Triple, radii: tuple[float, float]) -> Tensor:
    """A rod with round ends whose radius goes from the first to the second."""
    a, b = vector(*start), vector(*end)
    along = ((points - a) @ (b - a) / (b - a).square().sum()).clamp(0, 1)
    away: Tensor = torch.linalg.vector_norm(points - a - (b - a) * along[..., None], dim=-1)
    return away - (radii[0] + (radii[1] - radii[0]) * along)


def join(a: Tensor, b: Tensor, softness: float) -> Tensor:
    """Union with a rounded seam."""
    h = (softness - (a - b).abs()).clamp(min=0) / softness
    return torch.minimum(a, b) - h * h * softness * 0.25


def meet(a: Tensor, b: Tensor, softness: float) -> Tensor:
    """Intersection with a rounded edge; `meet(a, -b, s)` cuts b out of a."""
    return -join(-a, -b, softness)


def mirrored(points: Tensor) -> Tensor:
    """Both halves of the face as its right half."""
    return torch.cat([points[..., :1].abs(), points[..., 1:]], -1)


def lid_edges(x: Tensor) -> tuple[Tensor, Tensor]:
    """Heights of the upper and lower lid's edge over the eye's centre, at x from that centre."""
    return 0.070 - 1.65 * x * x + 0.10 * x, -0.064 + 1.35 * x * x + 0.06 * x


def seam_height(x: Tensor) -> Tensor:
    """Where the lips meet, a slight smile."""
    return -0.5535 + 0.30 * x * x - 0.010 * torch.exp(-((x / 0.06) ** 2))


def skull(p: Tensor) -> Tensor:
    m = mirrored(p)
    d = join(
        ellipsoid(p, (0, 0.28, -0.12), (0.72, 0.80, 0.86)), ellipsoid(p, (0, -0.27, 0.10), (0.575, 0.68, 0.66)), 0.25
    )
    d = join(d, ellipsoid(m, (0.30, -0.16, 0.42), (0.26, 0.24, 0.26)), 0.22)  # cheeks
    d = join(d, ellipsoid(p, (0, -0.80, 0.50), (0.16, 0.14, 0.18)), 0.25)  # chin
    d = join(d, ellipsoid(p, (0, -0.58, 0.50), (0.26, 0.22, 0.22)), 0.22)  # round the mouth
    d = join(d, capsule(m, (0.10, 0.335, 0.66), (0.36, 0.33, 0.55), (0.09, 0.07)), 0.16)  # brow
    return meet(d, -ellipsoid(m, (0.275, 0.10, 0.78), (0.17, 0.125, 0.20)), 0.18)  # eye sockets


def nose(p: Tensor, d: Tensor) -> Tensor:
    m = mirrored(p)
    d = join(d, capsule(p, (0, 0.26, 0.66), (0, -0.10, 0.80), (0.055, 0.075)), 0.13)
    d = join(d, ellipsoid(p, (0, -0.175, 0.845), (0.088, 0.075, 0.095)), 0.075)
    d = join(d, ellipsoid(m, (0.088, -0.20, 0.765), (0.058, 0.052, 0.075)), 0.06)
    return meet(d, -ellipsoid(m, (0.045, -0.255, 0.80), (0.026, 0.020, 0.05)), 0.025)


def lids(p: Tensor, d: Tensor) -> Tensor:
    q = mirrored(p) - vector(*EYE)
    up, low = lid_edges(q[..., 0])
    opening = meet(q[..., 1] - up, low - q[..., 1], 0.015)
    shell = torch.linalg.vector_norm(q, dim=-1) - (EYE_RADIUS + 0.016)
    return join(d, meet(shell, -meet(opening, 0.04 - q[..., 2], 0.01), 0.012), 0.05)


def lips(p: Tensor, d: Tensor) -> Tensor:
    x, y, z = p.unbind(-1)
    bow = 0.012 * torch.exp(-(((x.abs() - 0.07) / 0.06) ** 2)) - 0.008 * torch.exp(-((x / 0.03) ** 2))
    upper = torch.stack([x, y - (-0.505 + bow + 0.22 * x * x), z - (0.695 - 0.75 * x * x)], -1)
    lower = torch.stack([x, y - (-0.607 + 0.42 * x * x), z - (0.690 - 0.80 * x * x)], -1)
    groove = torch.stack([x, y - seam_height(x), z - (0.760 - 0.8 * x * x)], -1)
    d = join(d, ellipsoid(upper, (0, 0, 0), (0.215, 0.044, 0.060)), 0.035)
    d = join(d, ellipsoid(lower, (0, 0, 0), (0.190, 0.056, 0.068)), 0.035)
    d = meet(d, -ellipsoid(groove, (0, 0, 0), (0.170, 0.0055, 0.05)), 0.016)
    return meet(d, -ellipsoid(p, (0, -0.40, 0.785), (0.030, 0.06, 0.03)), 0.05)  # philtrum


def skin(p: Tensor) -> Tensor:
    m = mirrored(p)
    d = lips(p, lids(p, nose(p, skull(p))))
    d = join(d, ellipsoid(m, (0.70, 0.02, -0.08), (0.06, 0.17, 0.12)), 0.06)  # ears
    d = join(d, capsule(p, (0, -0.75, -0.15), (0, -1.6, -0.22), (0.34, 0.38)), 0.18)  # neck
    return join(d, capsule(m, (0.18, -1.62, -0.15), (0.95, -1.80, -0.25), (0.28, 0.26)), 0.25)  # shoulders


def eyeballs(p: Tensor) -> Tensor:
    away: Tensor = torch.linalg.vector_norm(mirrored(p) - vector(*EYE), dim=-1)
    return away - EYE_RADIUS


def lock(p: Tensor, path: list[tuple[Triple, float]], softness: float = 0.12) -> Tensor:
    """A lock of hair along points with radii."""
    pieces = [capsule(p, a, b, (ra, rb)) for (a, ra), (b, rb) in itertools.pairwise(path)]
    d = pieces[0]
    for piece in pieces[1:]:
        d = join(d, piece, softness)
    return d


def hair(p: Tensor) -> Tensor:
    x, y, z = p.unbind(-1)
    around = torch.atan2(x, z + 0.9)
    strands = 0.008 * torch.sin(52 * around + 5 * y + 1.5 * torch.sin(3 * y + x * 4))
    strands = strands + 0.005 * torch.sin(103 * around + 3 * y) + 0.02 * torch.sin(9 * around + 2.2 * y)
    d = join(
        ellipsoid(p, (0, 0.36, -0.16), (0.82, 0.87, 0.93)), ellipsoid(p, (0, -0.55, -0.40), (0.86, 1.15, 0.58)), 0.25
    )
    d = join(d, ellipsoid(p, (0, -0.45, -0.25), (0.76, 0.95, 0.32)), 0.2)
    d = meet(d, -ellipsoid(p, (0.10, -0.24, 0.75), (0.60, 0.90, 0.95)), 0.08)  # room for the face
    left = [
        ((0.24, 0.93, 0.34), 0.17),
        ((-0.48, 0.56, 0.50), 0.12),
        ((-0.70, -0.10, 0.26), 0.13),
        ((-0.74, -1.15, 0.05), 0.15),
    ]
    right = [
        ((0.30, 0.93, 0.34), 0.15),
        ((0.62, 0.44, 0.38), 0.12),
        ((0.74, -0.20, 0.16), 0.13),
        ((0.72, -1.15, 0.02), 0.15),
    ]
    d = join(join(d, lock(p, left), 0.10), lock(p, right), 0.10)
    d = join(d, ellipsoid(mirrored(p), (0.60, -1.0, -0.15), (0.24, 0.42, 0.30)), 0.15)
    return d + strands * 0.8


def cloth(p: Tensor) -> Tensor:
    d = capsule(mirrored(p), (0.18, -1.62, -0.15), (0.95, -1.80, -0.25), (0.30, 0.28))
    d = join(d, ellipsoid(p, (0, -2.15, -0.1), (1.15, 0.7, 0.6)), 0.2)
    return meet(d, -ellipsoid(p, (0, -1.30, 0.30), (0.34, 0.36, 0.62)), 0.04)


def surfaces(p: Tensor) -> Tensor:
    """(..., 4) distances to skin, eyeballs, hair and cloth."""
    return torch.stack([skin(p), eyeballs(p), hair(p), cloth(p)], -1)


def distance(p: Tensor) -> Tensor:
    """To the nearest of them."""
    return surfaces(p).amin(-1)
