"""All scores of one finished video. Each column is one measure by one protocol, and never two."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from .. import assembly, casting, pipeline
from ..audio.gate import speech_gate
from ..errors import InputError, UsageError
from ..media import shown_name
from ..options import LipSyncOptions
from ..runtime import Runtime
from ..types import FaceTrack, Float
from ..video.source import Source
from .compare import FaceFrames, face_frames
from .crops import box_crops, tracked_crops, whole_frames
from .learned import Fid, csim_measure, lpips_measure
from .motion import jitter, mouth_motion, mouth_stillness, speaking_frames
from .pictures import Measure, psnr, ssim
from .seam import seam
from .sync import FPS, Sync, SyncNetwork, score_sync
from .syncnets import Sound, listen, scorer

PROTOCOLS = ("tracked", "whole")


@dataclass(frozen=True)
class Wish:
    """What is asked for.

    net: of `syncnets.NETWORKS`, or "none". protocol: of PROTOCOLS, the crops that lips are judged on. options: how
    faces are found and which of them are scored.
    """

    net: str = "syncnet"
    protocol: str = "tracked"
    options: LipSyncOptions = field(default_factory=lambda: LipSyncOptions(which_face="all", detect_every=1))

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise UsageError(f"There is no protocol '{self.protocol}'. Known: {', '.join(PROTOCOLS)}.")


@dataclass(frozen=True)
class Score:
    """One face of one video. values: column -> figure. curve: (31,) mean distance per
    shift, None without a net. notes: what was repaired."""

    file: str
    face: int
    frames: int
    values: dict[str, float]
    curve: Float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """One video with all that its faces are scored with."""

    source: Source
    true: Source | None
    sound: Sound
    wish: Wish
    network: torch.nn.Module | None
    runtime: Runtime
    fid: Fid | None


@dataclass(frozen=True)
class Judges:
    """What scores are measured with: loaded once for many videos. network: None for no sync score."""

    network: torch.nn.Module | None = None
    fid: Fid | None = None


def score_video(path: Path, reference: Path | None, wish: Wish, judges: Judges, runtime: Runtime) -> list[Score]:
    """Score every face that is asked for, at 25 fps, from left to right. reference: the true video of the same frames.

    Raises InputError for what is no video, has no sound, no face, or fewer than six frames.
    """
    options = replace(wish.options, fps=str(FPS))
    source = assembly.open_face(path, options)
    if source.still:
        raise InputError(f"{shown_name(path)}: this is a picture. Scores take a video with sound.")
    true = assembly.open_face(reference, options) if reference else None
    job = Job(source, true, listen(path), wish, judges.network, runtime, judges.fid)
    faces = pipeline.analyse(source, source.frame_count, options, runtime)
    tracks = casting.speaking_tracks(faces, source, faces.frame_count, options)
    return [
        Score(shown_name(path), place, len(track), *_values(job, track), notes=tuple(source.notes))
        for place, track in enumerate(tracks)
    ]


def _values(job: Job, track: FaceTrack) -> tuple[dict[str, float], Float | None]:
    values: dict[str, float] = {}
    curve = None
    if job.network is not None:
        sync = _sync(job, track, scorer(job.network, job.sound, job.runtime))
        values, curve = sync_columns(sync, job.wish), sync.curve
    measures = comparisons(job.runtime) if job.true is not None else {}
    seen = face_frames(job.source, job.true, track, measures, job.runtime, job.fid.watch if job.fid else None)
    return values | _picture_columns(seen) | _motion_columns(seen, job.sound, track), curve


def sync_columns(sync: Sync, wish: Wish) -> dict[str, float]:
    """The names say network and protocol, so that figures of two never come under one heading."""
    if wish.net == "syncnet":
        names = (f"LSE-D {wish.protocol}", f"LSE-C {wish.protocol}", f"offset {wish.protocol}")
    else:
        names = ("expert distance", "expert confidence", "expert offset")
    return dict(zip(names, (sync.distance, sync.confidence, float(sync.offset)), strict=True))


def _sync(job: Job, track: FaceTrack, network: SyncNetwork) -> Sync:
    if job.wish.net == "expert":
        crops = box_crops(job.source, track, network.side)
    elif job.wish.protocol == "whole":
        crops = whole_frames(job.source, network.side)
    else:
        crops = tracked_crops(job.source, track, network.side)
    return score_sync(crops, network, job.runtime, shown_name(job.source.path))


def comparisons(runtime: Runtime) -> dict[str, Measure]:
    """Column -> what compares made faces with true ones; the learned ones where they can be had."""
    found = {
        "PSNR face": psnr,
        "SSIM face": ssim,
        "seam": seam,
        "LPIPS face": lpips_measure(),
        "CSIM face": csim_measure(runtime),
    }
    return {name: measure for name, measure in found.items() if measure is not None}


def _picture_columns(seen: FaceFrames) -> dict[str, float]:
    values = {"CPBD face": _mean(seen.sharpness)}
    return values | {name: _mean(rows) for name, rows in seen.measures.items()}


def _motion_columns(seen: FaceFrames, sound: Sound, track: FaceTrack) -> dict[str, float]:
    speaking = speaking_frames(speech_gate(sound.mel), float(FPS), len(track))
    pixels = mouth_stillness(seen.change, speaking)
    corners = mouth_stillness(mouth_motion(track).astype(np.float32), speaking)
    return {
        "mouth change speaking": pixels.speaking,
        "mouth change silent": pixels.silent,
        "mouth corners silent": corners.silent,
        "jitter": jitter(track),
    }


def _mean(values: Float) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
