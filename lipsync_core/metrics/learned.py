"""Comparisons by networks of others: each is there where its package and its weights are."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch

from .. import weights
from ..face.person import WEIGHTS, face_describer
from ..runtime import Runtime
from ..types import Float, Pixels
from .pictures import Faces, Measure, Places, frechet_distance

_LEARNED_PX = 256  # side at which LPIPS compares
_FEATURES = "2048"  # of Inception, what every published FID uses
_AT_ONCE = 16


def lpips_measure() -> Measure | None:
    """Learned perceptual distance (Zhang et al. 2018), lower is better, where the package `lpips` is installed.

    Returns None where it is not, or where its weights are not at hand.
    """
    try:
        import lpips
        import torch
    except ImportError:
        return None
    try:
        network = lpips.LPIPS(net="alex", verbose=False).eval()
    except (OSError, RuntimeError):
        return None

    def distance(made: Pixels, true: Pixels) -> float:
        a, b = (torch.from_numpy(cv2.resize(x, (_LEARNED_PX,) * 2)).permute(2, 0, 1)[None] for x in (made, true))
        with torch.inference_mode():
            return float(network(a.float() / 127.5 - 1, b.float() / 127.5 - 1))

    def measure(made: Faces, true: Faces, where: Places) -> Float:
        return np.array([distance(a, b) for a, b in zip(made, true, strict=True)], np.float32)

    return measure


def csim_measure(runtime: Runtime) -> Measure | None:
    """Likeness of the person, cosine in [-1, 1], higher is better: `face.person`.

    Returns None where its weights (`lipsync weights get sface`) are not here.
    """
    path = weights.locate(WEIGHTS, runtime)
    if path is None:
        return None
    describe = face_describer(path)

    def measure(made: Faces, true: Faces, where: Places) -> Float:
        pairs = zip(made, true, where, strict=True)
        return np.array([float(describe(a, at) @ describe(b, at)) for a, b, at in pairs], np.float32)

    return measure


class Fid:
    """Frechet Inception distance of all faces that were made to all true ones (Heusel et al. 2017).

    Of face crops: never compare it with one of whole frames, which is several times smaller.
    """

    def __init__(self, network: Any) -> None:
        self._network = network
        self._features: tuple[list[Float], list[Float]] = ([], [])

    def watch(self, made: Faces, true: Faces) -> None:
        """Take in pairs of pictures of any size."""
        for bank, faces in zip(self._features, (made, true), strict=True):
            small = np.stack([cv2.resize(face, (299, 299), interpolation=cv2.INTER_AREA) for face in faces])
            with torch.inference_mode():
                (rows,) = self._network(torch.from_numpy(small).permute(0, 3, 1, 2))
            bank.append(np.asarray(rows.float().cpu().numpy(), np.float32))

    def value(self) -> float:
        """NaN before two pictures of each kind were seen."""
        if sum(map(len, self._features[0])) < 2:
            return float("nan")
        made, true = (np.concatenate(bank).astype(np.float64) for bank in self._features)
        return frechet_distance(made, true)


def fid(runtime: Runtime) -> Fid | None:
    """None where the package `torch-fidelity` or its weights (`lipsync weights get fid_inception`) are not here."""
    path = weights.locate("fid_inception", runtime)
    if path is None:
        return None
    try:
        from torch_fidelity import feature_extractor_inceptionv3 as inception
    except ImportError:
        return None
    build: Any = inception.FeatureExtractorInceptionV3
    return Fid(build("inception-v3-compat", [_FEATURES], feature_extractor_weights_path=str(path)).eval())


def unavailable(runtime: Runtime) -> list[str]:
    """What a user can install or download to see further columns."""
    rows = []
    if lpips_measure() is None:
        rows.append("LPIPS: pip install lpips")
    if csim_measure(runtime) is None:
        rows.append("CSIM: lipsync weights get sface")
    if fid(runtime) is None:
        rows.append("FID: pip install torch-fidelity, then lipsync weights get fid_inception")
    return rows
