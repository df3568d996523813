"""Does the edge of what was pasted show? Gradient energy along it, against the true video."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..face.mask import MaskSettings, mask_faces
from ..types import FaceBatch, Float, Pixels
from .pictures import Faces, Places

_BAND = (0.02, 0.98)  # of the mask: its soft edge
_LUMA = np.array([0.299, 0.587, 0.114])
_LEAST = 1e-3  # squared grey levels, so that flat pictures have a ratio too


def seam(made: Faces, true: Faces, where: Places) -> Float:
    """(N,) gradient energy along the edge of the lower face, made over true: 1 shows nothing, more shows a seam."""
    rows = [_ratio(a, b, places) for a, b, places in zip(made, true, where, strict=True)]
    return np.array(rows, np.float32)


def edge_of_lower_face(shape: tuple[int, int], landmarks: Float) -> NDArray[np.bool_]:
    """(H, W) True on the soft edge of the lower face. landmarks: (5, 2) px."""
    height, width = shape
    identity = np.eye(2, 3, dtype=np.float32)[None]
    box = np.array([[0, 0, width, height]], np.float32)
    whole = torch.zeros(1, 1, 1, 1).expand(1, 3, max(height, width), max(height, width))
    face = FaceBatch(0, whole, identity, landmarks[None].astype(np.float32), box)
    mask = mask_faces(face, "lower_face", MaskSettings("lower_face"), (width, height))
    weights = mask.cut(np.array([0]), np.zeros((1, 2), np.int64), (height, width), "cpu")[0, 0].numpy()
    return np.asarray((weights > _BAND[0]) & (weights < _BAND[1]))


def _ratio(made: Pixels, true: Pixels, landmarks: Float) -> float:
    if not np.isfinite(landmarks).all():
        return float("nan")
    edge = edge_of_lower_face((made.shape[0], made.shape[1]), landmarks)
    if not edge.any():
        return float("nan")
    return (_energy(made, edge) + _LEAST) / (_energy(true, edge) + _LEAST)


def _energy(picture: Pixels, edge: NDArray[np.bool_]) -> float:
    luma = picture @ _LUMA
    across, along = np.diff(luma, axis=1, append=luma[:, -1:]), np.diff(luma, axis=0, append=luma[-1:])
    return float((across**2 + along**2)[edge].mean())
