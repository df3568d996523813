"""Draw the colours of a new face to those of the frame, steadily over time.

Compared is the rim of the mask, where the new face and the frame show the same skin. In an opponent space (luma and two
colour differences of the gamma-coded picture, so that equal steps look about equal) mean and spread of each channel are
brought to the frame's: an affine change of RGB, after the colour transfer of Reinhard et al., 2001.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from .types import Float

Corrections = NDArray[np.float64]  # (N, 6): log gain of three opponent channels, then their offsets

GRID = 48  # statistics come from pictures this small: blur must not count as a loss of contrast
LARGEST_GAIN = 1.35
_MEMORY_ROWS = 8  # small changes are followed within about this many frames ...
_JUMP = 0.08  # ... and changes of this size (of the range of a channel) at once: a cut, a lamp
_NOTICEABLE = 1 / 1024
_NOISE = 0.01  # spread below which contrast says nothing: flat, drawn skin
_LEAST_RIM = 4.0  # cells; a smaller rim says nothing either

_TO_OPPONENT = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
_FROM_OPPONENT = np.linalg.inv(_TO_OPPONENT)


def compare_colours(frame: torch.Tensor, new: torch.Tensor, weight: torch.Tensor) -> Corrections:
    """What would make the new faces look like the frame along the rim of their masks.

    frame: (N, 3, S, S), new: (N, 3, S2, S2), both in [0, 1], the same area. weight: (N, 1, GRID, GRID), the mask there.
    Returns (N, 6); zeros, no change, where there is no rim.
    """
    near = F.avg_pool2d(weight, 5, stride=1, padding=2, count_include_pad=False)
    rim = (near * (1 - near)).flatten(2)
    share = rim / rim.sum(2, keepdim=True).clamp(min=1e-6)
    moments = torch.cat([_moments(frame, share), _moments(new, share), rim.sum(2)], dim=1)
    values = moments.double().cpu().numpy()
    mean, spread, new_mean, new_spread, size = np.split(values, [3, 6, 9, 12], axis=1)
    gain = np.clip((spread + _NOISE) / (new_spread + _NOISE), 1 / LARGEST_GAIN, LARGEST_GAIN)
    wanted = np.concatenate([np.log(gain), mean - gain * new_mean], axis=1)
    return np.where(size < _LEAST_RIM, 0.0, wanted)


def steady(last: NDArray[np.float64] | None, wanted: Corrections) -> tuple[Corrections, NDArray[np.float64] | None]:
    """Smooth corrections over time: (N, 6), one row a frame, in their order; `last` is what the frame before had.

    How the frames are split into calls changes nothing. Returns the smooth ones, and the last for the next call.
    """
    smooth = np.empty_like(wanted)
    for index, row in enumerate(wanted):
        step = 0.0 if last is None else row - last
        pace = np.clip(np.abs(step).max() / _JUMP, 1 / _MEMORY_ROWS, 1)
        last = row if last is None else last + pace * step
        smooth[index] = last
    return smooth, last


def colour_matrices(corrections: Corrections, amount: float) -> Float | None:
    """(N, 3, 4) RGB -> RGB, the last column an offset; None when nobody would see them. amount: 0 none, 1 all of it."""
    gain = 1 + amount * (np.exp(corrections[:, :3]) - 1)
    offset = amount * corrections[:, 3:]
    linear = _FROM_OPPONENT @ (gain[:, :, None] * _TO_OPPONENT)
    shift = (offset @ _FROM_OPPONENT.T)[:, :, None]
    matrices = np.concatenate([linear, shift], axis=2)
    slight = np.abs(matrices - np.eye(3, 4)).max(axis=(1, 2)) < _NOTICEABLE
    matrices[slight] = np.eye(3, 4)
    return None if slight.all() else matrices.astype(np.float32)


def recolour(pictures: torch.Tensor, matrices: Float) -> torch.Tensor:
    """Apply (N, 3, 4) matrices to (N, 3, H, W) pictures in [0, 1]."""
    rows = torch.as_tensor(matrices, device=pictures.device)
    flat = torch.baddbmm(rows[:, :, 3:], rows[:, :, :3], pictures.flatten(2))
    return flat.view(pictures.shape)


def shrink(pictures: torch.Tensor) -> torch.Tensor:
    """(N, C, S, S) -> (N, C, GRID, GRID) float32: every pixel the mean of four, spread evenly over its cell."""
    side = pictures.shape[-1]
    at = ((torch.arange(2 * GRID, device=pictures.device) + 0.5) * (side / (2 * GRID))).long()
    points = pictures.index_select(2, at).index_select(3, at).float()
    rows = points[:, :, ::2] + points[:, :, 1::2]
    return (rows[..., ::2] + rows[..., 1::2]) / 4


def _moments(pictures: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """(N, 6): mean and spread of the opponent channels, weighted by (N, 1, GRID^2) shares."""
    pictures = pictures[:1] if not pictures.stride(0) else pictures  # a still portrait: every row is the same
    small = shrink(pictures).flatten(2)
    channels = torch.as_tensor(_TO_OPPONENT, dtype=torch.float32, device=small.device) @ small
    mean = (channels * share).sum(2)
    spread = ((channels - mean[:, :, None]).square() * share).sum(2).sqrt()
    return torch.cat([mean, spread], dim=1)
