"""The face detectors. To add one: write detectors/<name>.py with a `load`, then add its line here."""

from __future__ import annotations

from pathlib import Path

from ...errors import WeightsError
from ...registry import Registry
from ...runtime import Runtime
from . import box, cascade, yunet
from .base import Detector, DetectorSettings, DetectorSpec, NearDetector

__all__ = ["DETECTORS", "Detector", "DetectorSettings", "DetectorSpec", "NearDetector", "choose_detector"]


def _load_s3fd(path: Path | None, runtime: Runtime, settings: DetectorSettings) -> Detector:
    from . import s3fd  # brings torch

    return s3fd.load(path, runtime, settings)


DETECTORS: Registry[DetectorSpec] = Registry("face detector")
DETECTORS.add("yunet", DetectorSpec("YuNet (OpenCV)", "MIT", True, yunet.load))
DETECTORS.add("s3fd", DetectorSpec("S3FD (torch, slow)", "BSD-3-Clause", True, _load_s3fd))
DETECTORS.add("cascade", DetectorSpec("LBP cascade (scikit-image, no download)", "BSD-3-Clause", False, cascade.load))
DETECTORS.add("box", DetectorSpec("The box given by the user", "none", False, box.load))


def choose_detector(name: str, runtime: Runtime, settings: DetectorSettings, path: Path | None = None) -> Detector:
    """Load a detector; "auto" is `yunet` when its file is there or can be downloaded, else `cascade`.

    path: the detector's file, when the caller names it; else it is looked for, and downloaded where allowed.
    """
    if name == "auto":
        return _best_available(runtime, settings, path)
    spec = DETECTORS[name]
    if spec.needs_weights and path is None:
        path = _locate(name, runtime)
    return spec.load(path, runtime, settings)


def _best_available(runtime: Runtime, settings: DetectorSettings, path: Path | None) -> Detector:
    try:
        return DETECTORS["yunet"].load(path or _locate("yunet", runtime), runtime, settings)
    except WeightsError as error:
        runtime.warn(f"The face detector 'cascade' is used, which needs no download: {error}")
        return DETECTORS["cascade"].load(None, runtime, settings)


def _locate(name: str, runtime: Runtime) -> Path | None:
    from ...weights import locate  # brings torch

    return locate(name, runtime, download=not runtime.offline)
