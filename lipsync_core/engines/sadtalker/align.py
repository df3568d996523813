"""From five points of a face to the picture that the 3D face model is estimated from. Pure.

The pose from orthography and scaling (POS) of five points of a mean face, as in Deep3DFaceRecon (Deng et al., 2019): a
least squares fit whose scale and shift bring every face to the same place. The five points of the mean face are all
that is needed of it; no file of a face model is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ...types import Float

SIDE = 224  # px of the picture that the network reads
_FACE = 102.0  # px per unit of the mean face in it
_TRAINED = 256.0  # px of the crops that the mapping network was trained on
_SCALES = (0.05, 40.0)  # of the resize; beyond it, the landmarks are none

# Eye on the left of the picture, eye on the right, nose, mouth corner on the left, on the right; y upwards.
MEAN_FACE = np.array(
    [
        [-0.311487, 0.290361, 0.133780],
        [0.309799, 0.289720, 0.131795],
        [0.003253, -0.046179, 0.552442],
        [-0.252169, -0.381339, 0.224057],
        [0.248466, -0.381282, 0.222358],
    ]
)


@dataclass(frozen=True)
class Placement:
    """Where a face lies in its crop: the three numbers that the mapping network of the `full` modes takes.

    scale: 224 px picture to crop of 256 px. x, y: px of such a crop, y upwards. Crops of 512 px give the same numbers
    as crops of 256, the only ones that network was trained on; plain floats, never an array within an array.
    """

    scale: float
    x: float
    y: float

    def row(self) -> Float:
        return np.array([self.scale, self.x, self.y], np.float32)


def pose_of_points(points: Float) -> tuple[float, float, float]:
    """Scale (px per unit of the mean face) and shift x, y (px, y upwards) of (5, 2) points, y upwards."""
    rows = np.zeros((10, 8))
    rows[0::2, :3], rows[0::2, 3] = MEAN_FACE, 1
    rows[1::2, 4:7], rows[1::2, 7] = MEAN_FACE, 1
    answer = np.linalg.lstsq(rows, points.astype(np.float64).reshape(-1), rcond=None)[0]
    scale = (np.linalg.norm(answer[:3]) + np.linalg.norm(answer[4:7])) / 2
    return float(scale), float(answer[3]), float(answer[7])


def align(crop: torch.Tensor, landmarks: Float) -> tuple[torch.Tensor, Placement]:
    """The face of a crop at the place and size that the 3D model's network expects.

    crop: (1, 3, H, W) float in [0, 1]. landmarks: (5, 2) px of it; where they are no face at all, the middle is taken.
    Returns (1, 3, 224, 224), black where the crop ends, and where the face lies.
    """
    height, width = crop.shape[2:]
    points = np.stack([landmarks[:, 0] - 0.5, height - 0.5 - landmarks[:, 1]], axis=1)
    scale, x, y = _sound_pose(points, width, height)
    size = max(1, int(height * scale)), max(1, int(width * scale))
    resized = F.interpolate(crop.float(), size, mode="bicubic", antialias=True, align_corners=False).clamp_(0, 1)
    left = int(size[1] / 2 - SIDE / 2 + (x - width / 2) * scale)
    top = int(size[0] / 2 - SIDE / 2 + (height / 2 - y) * scale)
    per_trained = width / _TRAINED
    placement = Placement(scale * per_trained, x / per_trained, y / (height / _TRAINED))
    return F.pad(resized, (-left, left + SIDE - size[1], -top, top + SIDE - size[0])), placement


def _sound_pose(points: Float, width: int, height: int) -> tuple[float, float, float]:
    """Scale of the resize and shift; of the mean face in the middle where the points have no size."""
    for candidate in (points, (MEAN_FACE[:, :2] + 1) / 2 * [width, height]):
        if np.isfinite(candidate).all():
            size, x, y = pose_of_points(np.asarray(candidate, np.float32))
            scale = _FACE / max(size, 1e-6)
            inside = abs(x - width / 2) < 2 * width and abs(y - height / 2) < 2 * height
            if _SCALES[0] < scale < _SCALES[1] and inside:
                return scale, x, y
    raise ValueError(f"no pose in a crop of {width}x{height} px")
