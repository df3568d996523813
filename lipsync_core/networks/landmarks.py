"""A small network that finds eyes, nose and mouth corners in a roughly framed head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

INPUT_PX = 64
POINTS = 5
_MAP_PX = 16  # side of the maps whose mean place is a landmark


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + torch.as_tensor(self.norm(self.conv(x))))


def _down(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )


class LandmarkNet(nn.Module):
    """(N, 3, 64, 64) in [0, 1] RGB -> points (N, 5, 2) in [0, 1] of the crop, x then y, and their spread (N, 5).

    The spread is the expected distance from the true point, in the same unit: the network's own doubt.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(_down(3, 16), _down(16, 32), _Residual(32), _Residual(32))
        self.coarse = nn.Sequential(_down(32, 64), _Residual(64), _Residual(64), _Residual(64))
        self.whole = nn.Sequential(_down(64, 64), nn.Flatten(), nn.Linear(64 * 16, 64), nn.ReLU(inplace=True))
        self.context = nn.Linear(64, 64)
        self.doubt = nn.Linear(64, POINTS)
        self.lift = nn.Conv2d(64, 32, 1)
        self.join = nn.Sequential(_Residual(32), _Residual(32))
        self.maps = nn.Conv2d(32, POINTS, 1)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.fine((crops - crops.mean(dim=(2, 3), keepdim=True)) * 4)
        coarse = self.coarse(fine)
        whole = self.whole(coarse)
        wide = self.lift(coarse + self.context(whole)[:, :, None, None])
        joined = self.join(nn.functional.interpolate(wide, scale_factor=2.0) + fine)
        return _centres(self.maps(joined).float()), nn.functional.softplus(self.doubt(whole).float() - 3) + 0.003


def _centres(maps: Tensor) -> Tensor:
    """(N, K, S, S) -> (N, K, 2): the mean place of each map, read as a probability."""
    chance = maps.flatten(2).softmax(dim=2).view_as(maps)
    places = (torch.arange(_MAP_PX, dtype=maps.dtype, device=maps.device) + 0.5) / _MAP_PX
    return torch.stack([(chance.sum(dim=2) * places).sum(dim=2), (chance.sum(dim=3) * places).sum(dim=2)], dim=2)
