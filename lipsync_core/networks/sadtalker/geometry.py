"""Grids, Gaussians and turned keypoints: the renderer's arithmetic in space. All of it in fp32.

Coordinates run from -1 to 1, both ends included, in the order x, y, z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

BINS = 66  # classes of an angle, 3 degrees each
_DEGREES_PER_BIN, _FIRST_DEGREE = 3, -99
_PI = 3.14  # what the published networks were trained with
_VARIANCE = 0.01  # of a keypoint's Gaussian


@dataclass(frozen=True)
class HeadPose:
    """What a mapping network says of N frames.

    yaw, pitch, roll: (N, 66) scores of classes three degrees wide. shift: (N, 3). expression: (N, 45), how each of 15
    keypoints moves, x, y, z.
    """

    yaw: torch.Tensor
    pitch: torch.Tensor
    roll: torch.Tensor
    shift: torch.Tensor
    expression: torch.Tensor


def degrees(scores: torch.Tensor) -> torch.Tensor:
    """(N, 66) scores -> (N,) degrees in [-99, 96]: the mean of the classes."""
    classes = torch.arange(BINS, device=scores.device, dtype=torch.float32)
    return (scores.float().softmax(dim=1) * classes).sum(dim=1) * _DEGREES_PER_BIN + _FIRST_DEGREE


def rotation(yaw: torch.Tensor, pitch: torch.Tensor, roll: torch.Tensor) -> torch.Tensor:
    """(N,) degrees each -> (N, 3, 3): about z by roll, then y by yaw, then x by pitch."""
    yaw, pitch, roll = (angle / 180 * _PI for angle in (yaw, pitch, roll))
    none, one = torch.zeros_like(yaw), torch.ones_like(yaw)

    def matrix(*rows: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)

    about_x = matrix((one, none, none), (none, pitch.cos(), -pitch.sin()), (none, pitch.sin(), pitch.cos()))
    about_y = matrix((yaw.cos(), none, yaw.sin()), (none, one, none), (-yaw.sin(), none, yaw.cos()))
    about_z = matrix((roll.cos(), -roll.sin(), none), (roll.sin(), roll.cos(), none), (none, none, one))
    return about_x @ about_y @ about_z


@dataclass(frozen=True)
class Angles:
    """(N,) degrees each, or None: as the mapping network has it."""

    yaw: torch.Tensor | None = None
    pitch: torch.Tensor | None = None
    roll: torch.Tensor | None = None


def transform_keypoints(canonical: torch.Tensor, pose: HeadPose, instead: Angles = Angles()) -> torch.Tensor:
    """Keypoints of a neutral head (1 or N, 15, 3) -> (N, 15, 3): turned, shifted up or down, with an expression.

    instead: degrees that count in place of the pose's own.
    """
    yaw, pitch, roll = (
        degrees(scores) if given is None else given.to(scores.device, torch.float32)
        for scores, given in ((pose.yaw, instead.yaw), (pose.pitch, instead.pitch), (pose.roll, instead.roll))
    )
    turned = canonical.float() @ rotation(yaw, pitch, roll).transpose(1, 2)
    up = pose.shift.float() * pose.shift.new_tensor([0.0, 1.0, 0.0], dtype=torch.float32)
    return turned + up[:, None] + pose.expression.float().view(len(turned), -1, 3)


def grid(size: Sequence[int], device: torch.device) -> torch.Tensor:
    """size D, H, W -> (D, H, W, 3), x, y, z of every point."""
    z, y, x = (torch.linspace(-1, 1, steps, device=device) for steps in size)
    return torch.stack(torch.meshgrid(z, y, x, indexing="ij")[::-1], dim=-1)


def gaussians(keypoints: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """(N, K, 3), size D, H, W -> (N, K, D, H, W), 1 at each keypoint, falling off around it."""
    parts = []
    for axis, steps in enumerate(reversed(size)):
        places = torch.linspace(-1, 1, steps, device=keypoints.device)
        parts.append(torch.exp(-0.5 / _VARIANCE * (keypoints[..., axis, None].float() - places).square()))
    x, y, z = parts  # a Gaussian of a distance is the product of those along the axes
    return z[..., :, None, None] * y[..., None, :, None] * x[..., None, None, :]
