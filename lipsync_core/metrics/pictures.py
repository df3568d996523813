"""How pictures compare with the true ones, and how sharp they are on their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..types import Float, Pixels

Faces = Sequence[Pixels]  # pictures (H, W, 3) uint8 RGB, each of its own size
Places = Sequence[Float]  # (5, 2) landmarks in their pixels
Measure = Callable[[Faces, Faces, Places], Float]  # made, true, where -> (N,)

_BLOCK = 64  # px; edges are judged block by block
_SEEN = 0.002  # share of edge pixels from which a block counts
_CONTRAST, _WIDTH_LOW, _WIDTH_HIGH = 50, 5.0, 3.0  # levels; px of just noticeable blur below and above that contrast
_BETA = 3.6  # steepness of what people notice
_NOTICED = 0.63  # probability of detection at just noticeable blur


def psnr(made: Faces, true: Faces, where: Places = ()) -> Float:
    """N pictures twice -> (N,) dB, higher is better; infinite where both are the same."""
    from skimage import metrics

    ratio: Any = metrics.peak_signal_noise_ratio
    with np.errstate(divide="ignore"):
        rows = [ratio(b, a, data_range=255) for a, b in zip(made, true, strict=True)]
    return np.array(rows, np.float32)


def ssim(made: Faces, true: Faces, where: Places = ()) -> Float:
    """N pictures twice -> (N,) in [-1, 1], with the Gaussian window of Wang et al. 2004."""
    from skimage import metrics

    similarity: Any = metrics.structural_similarity
    settings = {"channel_axis": 2, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    rows = [similarity(a, b, data_range=255, **settings) for a, b in zip(made, true, strict=True)]
    return np.array(rows, np.float32)


def cpbd(pictures: Faces) -> Float:
    """N pictures -> (N,) in [0, 1], the share of edges that look sharp; NaN where there is no edge.

    Narvekar and Karam, "A no-reference image blur metric based on the cumulative probability of blur detection", 2011.
    """
    return np.array(
        [_cpbd(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)) for picture in pictures], np.float32
    )


def _cpbd(grey: NDArray[np.uint8]) -> float:
    from skimage import feature

    canny: Any = feature.canny
    picture = grey.astype(np.float64)
    vertical = np.abs(cv2.Sobel(picture, cv2.CV_64F, 1, 0))
    threshold = 2 * np.sqrt(np.mean(vertical**2)) or 1.0
    upright = (vertical > threshold) & (vertical >= np.roll(vertical, 1, 1)) & (vertical >= np.roll(vertical, -1, 1))
    upright[:, [0, -1]] = False
    edges = canny(picture / 255)
    probabilities = []
    for top in range(0, grey.shape[0] - _BLOCK + 1, _BLOCK):
        for left in range(0, grey.shape[1] - _BLOCK + 1, _BLOCK):
            block = (slice(top, top + _BLOCK), slice(left, left + _BLOCK))
            if np.count_nonzero(edges[block]) > _SEEN * _BLOCK**2:
                probabilities += _blur_noticed(picture, upright, block)
    if not probabilities:
        return float("nan")
    return float(np.mean(np.array(probabilities) < _NOTICED))


def _blur_noticed(picture: NDArray[np.float64], upright: NDArray[np.bool_], block: tuple[slice, slice]) -> list[float]:
    """For each upright edge of a block, how probably somebody notices that it is blurred."""
    part = picture[block]
    just = _WIDTH_LOW if part.max() - part.min() <= _CONTRAST else _WIDTH_HIGH
    places = np.argwhere(upright[block]) + np.array([block[0].start, block[1].start])
    widths = (edge_width(picture[row], int(column)) for row, column in places)
    return [1 - float(np.exp(-((width / just) ** _BETA))) for width in widths]


def edge_width(row: NDArray[np.float64], column: int) -> int:
    """Pixels from the local minimum to the local maximum of a row of grey levels around an edge (Marziliano 2002)."""
    rising = row[column + 1] >= row[column - 1]
    line = row if rising else -row
    left = column
    while left > 0 and line[left - 1] < line[left]:
        left -= 1
    right = column
    while right < len(line) - 1 and line[right + 1] > line[right]:
        right += 1
    return right - left


def frechet_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Distance of two clouds of features (N, D) and (M, D) seen as Gaussians: Heusel et al. 2017, equation 6.

    |mean difference|^2 + trace(A + B - 2 sqrt(A B)), from singular values, so that no matrix root is needed: with
    A = R'R and B = S'S the last trace is the sum of the singular values of R S'.
    """
    centred = (x - x.mean(axis=0) for x in (a, b))
    roots = [np.asarray(np.linalg.qr(x / np.sqrt(max(1, len(x) - 1)), mode="r")) for x in centred]
    shared = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    spread = sum(float((root**2).sum()) for root in roots)
    return float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + spread - 2 * shared)
