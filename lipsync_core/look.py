"""The faces of one frame, for hosts that show what would be found. Beside `pipeline.py`, as `preview.py` is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import assembly
from .errors import InputError
from .face.detectors.base import no_detections
from .face.seek import seek_faces
from .media import shown_name
from .options import LipSyncOptions
from .runtime import Runtime
from .types import Detections, FrameBatch, Pixels
from .video.source import Source


@dataclass(frozen=True)
class Look:
    """What was seen on one frame.

    faces: in pixels of the full frame, complete with landmarks. picture: (h, w, 3) uint8 RGB, a small copy of the
    frame. scale: factor from its pixels to those of the full frame. width, height: of the full frame.
    """

    faces: Detections
    picture: Pixels
    scale: float
    width: int
    height: int
    detector: str


def look(face: Path, frame: int, options: LipSyncOptions, runtime: Runtime) -> Look:
    """Look for faces on the frame of that number. Raises LipSyncError; no face at all is no error."""
    source = assembly.open_face(face, options)
    detector, finder, settings = assembly.searching(source, options, runtime)
    picture = _frame(source, frame, settings.max_side, runtime)
    seen = seek_faces([FrameBatch(0, picture[None])], detector, finder, settings, runtime)
    faces = seen.faces.get(0, no_detections())
    return Look(faces, picture, settings.scale, source.width, source.height, detector.name)


def _frame(source: Source, number: int, max_side: int, runtime: Runtime) -> Pixels:
    for batch in source.small_batches(number + 1, max_side, assembly.SEARCH_BATCH):
        runtime.check()
        if batch.first + len(batch) > number:
            return np.asarray(batch.pixels[number - batch.first])
    raise InputError(
        f"{shown_name(source.path)}: there is no frame {number}. It has {source.frame_count}, counted from 0."
    )
