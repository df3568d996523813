"""An engine's alpha as a mask over the frame, so that what comes after the engine can use it too."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .blend_regions import Mask, Rows, find_areas
from .geometry import Corners, move_grid, sample
from .types import FaceBatch, Rendered


@dataclass(frozen=True)
class AlphaMask:
    """Where an engine says that it changed something, and a mask lets it. areas: see `Mask`."""

    faces: FaceBatch
    alpha: torch.Tensor
    mask: Mask | None
    areas: Corners

    def at(self, rows: Rows, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """As `Mask.at`."""
        side = self.faces.crops.shape[-1]
        u, v = move_grid(self.faces.matrices[rows], x, y)
        scale = self.alpha.shape[-1] / side
        weight = sample(self.alpha[rows.tolist()].float(), u * scale, v * scale).clamp(0, 1)
        weight = weight * ((u > 0) & (u < side) & (v > 0) & (v < side))[:, None]
        return weight if self.mask is None else weight * self.mask.at(rows, x, y)


def reach_of(faces: FaceBatch, rendered: Rendered, mask: Mask | None, frame_size: tuple[int, int]) -> Mask:
    """The one mask that a result is pasted by: the mask, the alpha, or both multiplied.

    frame_size: width, height. Raises ValueError when there is neither.
    """
    if rendered.alpha is None and mask is not None:
        return mask
    areas = find_areas(faces, rendered, mask, frame_size)
    if rendered.alpha is None:
        raise ValueError("neither a mask nor an alpha says where to paste")
    return AlphaMask(faces, rendered.alpha, mask, areas)
