"""Teach the landmark finder: draw heads, learn, write models/landmarks.safetensors.

    python -m lipsync_core.training.landmarks_train -o models/landmarks.safetensors

Needs no data: every head is drawn by landmarks_draw. About 15 minutes on one core. One seed decides everything but
the order of sums on several threads.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from ..networks.landmarks import INPUT_PX, LandmarkNet
from .landmarks_draw import CANVAS_PX, CANVAS_UNITS, draw_head

CROP_UNITS = 2.6  # eye distances that a crop shows, as face/landmarks.py cuts it
_HELD_OUT = 1000  # heads that are drawn but never learnt from
_EMPTY_SHARE = 0.08  # crops that show no face: there the network must doubt


@dataclass(frozen=True)
class Plan:
    """heads: drawn pictures. steps: of `batch` crops each. rate: highest learning rate."""

    heads: int = 13500
    steps: int = 2500
    batch: int = 64
    rate: float = 3e-3
    seed: int = 0


def draw_heads(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """(count, 3, S, S) uint8 and (count, 5, 2) landmarks in eye distances from the picture's middle."""
    pixels = torch.empty(count, 3, CANVAS_PX, CANVAS_PX, dtype=torch.uint8)
    points = np.zeros((count, 5, 2), np.float32)
    for index in range(count):
        drawing, points[index] = draw_head(np.random.default_rng((seed, index)))
        pixels[index] = torch.from_numpy(drawing).permute(2, 0, 1)
        if index % 1000 == 999:
            print(f"drawn {index + 1} of {count}", flush=True)
    return pixels, torch.from_numpy(points / CANVAS_PX - 0.5) * CANVAS_UNITS


def crops(pixels: Tensor, points: Tensor, wide: Tensor, dice: torch.Generator) -> tuple[Tensor, Tensor]:
    """Frame each head by chance, as boxes and first guesses do.

    wide: (N,) bool, True for a box of unknown quality, False for the second look of the finder.
    Returns (N, 3, 64, 64) in [0, 1] and the landmarks in [0, 1] of the crop.
    """
    count = len(pixels)

    def normal(loose: float, tight: float) -> Tensor:
        return torch.randn(count, generator=dice) * torch.where(wide, loose, tight)

    angle = normal(0.38, 0.1).clamp(-0.9, 0.9)
    side = CROP_UNITS * torch.exp(normal(0.2, 0.06).clamp(-0.5, 0.5))
    shift = torch.stack([normal(0.22, 0.06), normal(0.22, 0.06)], dim=1)
    mirrored = torch.where(torch.rand(count, generator=dice) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    # crop in [-1, 1] -> world in eye distances: turn, scale, mirror, shift
    turn = torch.stack([torch.stack([cos * mirrored, -sin * mirrored], 1), torch.stack([sin, cos], 1)], 1)
    to_world = turn * (side / 2)[:, None, None]
    grid = torch.cat([to_world, shift[:, :, None]], dim=2) / (CANVAS_UNITS / 2)
    where = torch.nn.functional.affine_grid(grid, [count, 3, INPUT_PX, INPUT_PX], align_corners=False)
    seen = torch.nn.functional.grid_sample(pixels.float() / 255, where, padding_mode="border", align_corners=False)
    local = torch.linalg.solve(to_world[:, None], (points - shift[:, None])[..., None])[..., 0]
    swapped = torch.where((mirrored < 0)[:, None, None], local[:, [1, 0, 2, 4, 3]], local)
    return seen, swapped / 2 + 0.5


def recoloured(seen: Tensor, dice: torch.Generator) -> Tensor:
    """Light and colour by chance, so that each head looks new every time."""
    count = len(seen)
    gain = torch.exp(
        torch.randn(count, 3, 1, 1, generator=dice) * 0.12 + torch.randn(count, 1, 1, 1, generator=dice) * 0.2
    )
    shift = torch.randn(count, 1, 1, 1, generator=dice) * 0.06
    noise = torch.randn(seen.shape, generator=dice) * torch.rand(count, 1, 1, 1, generator=dice) * 0.03
    return (seen * gain + shift + noise).clamp(0, 1)


def without_faces(seen: Tensor, dice: torch.Generator) -> Tensor:
    """Crops cut into strips and put together in another order: the textures of a face, but none there."""
    order = torch.randperm(4, generator=dice).tolist()
    if order == [0, 1, 2, 3]:
        order = [2, 0, 3, 1]
    strips = seen.flip(2).chunk(4, dim=2)
    return torch.cat([strips[index] for index in order], dim=2)


def loss_of(points: Tensor, spread: Tensor, target: Tensor, empty: Tensor) -> Tensor:
    """Distance, and how well the doubt foretold it. On empty crops only the doubt counts: it should be 0.3."""
    distance = torch.linalg.vector_norm(points - target, dim=2)
    seen = ~empty
    honest = torch.log(spread) + distance.detach() / spread
    doubt = torch.log(spread[empty] / 0.3).abs().sum() if bool(empty.any()) else spread.new_zeros(())
    return torch.as_tensor((12 * distance[seen].sum() + honest[seen].sum() * 0.5 + doubt * 0.5) / len(points))


def batches(pixels: Tensor, points: Tensor, plan: Plan) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    dice = torch.Generator().manual_seed(plan.seed)
    while True:
        pick = torch.randint(len(pixels), (plan.batch,), generator=dice)
        wide = torch.rand(plan.batch, generator=dice) < 0.6
        seen, target = crops(pixels[pick], points[pick], wide, dice)
        empty = torch.rand(plan.batch, generator=dice) < _EMPTY_SHARE
        seen[empty] = without_faces(seen[empty], dice)
        yield recoloured(seen, dice), target, empty


def train(pixels: Tensor, points: Tensor, plan: Plan) -> LandmarkNet:
    torch.manual_seed(plan.seed)
    network: LandmarkNet = LandmarkNet().to(device="cpu", memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.rate, total_steps=plan.steps, pct_start=0.08)
    source, start = batches(pixels[:-_HELD_OUT], points[:-_HELD_OUT], plan), time.monotonic()
    for step in range(1, plan.steps + 1):
        seen, target, empty = next(source)
        with torch.autocast("cpu", torch.bfloat16):
            found, spread = network(seen.contiguous(memory_format=torch.channels_last))
        loss = loss_of(found, spread, target, empty)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if step % 250 == 0:
            loose, tight = (errors(network, pixels[-_HELD_OUT:], points[-_HELD_OUT:], wide) for wide in (True, False))
            print(f"{step}: {loose:.4f} {tight:.4f} of the crop, {time.monotonic() - start:.0f} s", flush=True)
    return network.eval()


@torch.no_grad()
def errors(network: LandmarkNet, pixels: Tensor, points: Tensor, wide: bool) -> float:
    """Median distance over held-out heads, as a share of the crop's side."""
    network.eval()
    seen, target = crops(pixels, points, torch.full((len(pixels),), wide), torch.Generator().manual_seed(1))
    found, _ = network(seen)
    network.train()
    return float(torch.linalg.vector_norm(found - target, dim=2).median())


def save(network: LandmarkNet, path: Path, plan: Plan) -> None:
    """Half precision: 16 bits are plenty for points in 64 pixels."""
    tensors = {
        name: value.half().contiguous() for name, value in network.state_dict().items() if value.is_floating_point()
    }
    save_file(
        tensors,
        str(path),
        metadata={"format": "pt", "made_by": "lipsync_core.training.landmarks_train", "seed": str(plan.seed)},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", type=int, default=Plan.heads)
    parser.add_argument("--steps", type=int, default=Plan.steps)
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    plan = Plan(heads=given.heads, steps=given.steps, seed=given.seed)
    pixels, points = draw_heads(plan.heads, plan.seed)
    save(train(pixels, points, plan), given.output, plan)


if __name__ == "__main__":
    main()
