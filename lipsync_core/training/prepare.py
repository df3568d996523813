"""From videos to training data: find, follow, cut and hear every face with the code that inference uses.

`prepare` is the loop; `make_shard` is the unit of work, the same function in one process, in many, and under Ray.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av.error
import cv2
import numpy as np
import torch

from .. import assembly, casting, pipeline
from ..errors import InputError, LipSyncError, OutOfMemoryError
from ..face.crop import CropPlan, crop_faces, plan_crops
from ..face.smooth import pad_boxes
from ..media import shown_name
from ..metrics.crops import box_crops, tracked_crops
from ..metrics.sync import SHIFT, Sync, score_sync
from ..metrics.syncnets import listen as hear_for_score
from ..metrics.syncnets import load_network, scorer
from ..options import LipSyncOptions
from ..runtime import Runtime
from ..timing import MEL_COLUMNS_PER_SECOND, MEL_WINDOW_COLUMNS
from ..types import Bool, CropStyle, FaceTrack, Float, Pixels
from ..video.source import Source
from .prepare_plan import PrepareSettings, Task, clip_stem, shown_path
from .shards import ClipData, write_shard

FPS = Fraction(25)
_STEP = 5  # frames; 0.2 s is a whole number of mel columns (16), so clips begin on such frames
_AT_ONCE = 16
# What one video may cause. All else, such as a stop or missing weights, is not its fault and ends the run.
_OF_THE_FILE = (InputError, OutOfMemoryError, av.error.FFmpegError, cv2.error, MemoryError, OSError)

Span = tuple[int, int]  # first frame, and the one behind the last
At = Callable[[int], None]  # told which video of the task is begun


@dataclass(frozen=True)
class Made:
    """What came of a task. skipped: what was left out and why, one sentence each. fresh: False when it was there."""

    shard: str
    clips: int
    skipped: tuple[str, ...]
    fresh: bool


def _nobody(place: int) -> None:
    """Nobody has to know which video it is."""


def make_shard(task: Task, runtime: Runtime, deadly: Mapping[int, str] | None = None, at: At = _nobody) -> Made:
    """Do a task, unless an earlier run did it: its index vouches for it. What cannot be used is noted, no error.

    deadly: videos (by their place) that must not be touched, and why. at: see `At`.
    """
    known = finished(task)
    if known is not None:
        return known
    skipped: list[str] = []
    key = task.key  # of what is there now: a video that still grows is done again
    clips = _all_clips(task, runtime, skipped, deadly or {}, at)
    count = write_shard(task.out, clips, {"key": key, "skipped": skipped})
    return Made(task.out.name, count, tuple(skipped), True)


def finished(task: Task) -> Made | None:
    """What an earlier run of the very same task made, None when it has to be done."""
    path = task.out.with_suffix(".json")
    index = _read_index(path)
    if index is None or index["notes"]["key"] != task.key or not path.with_suffix(".tar").is_file():
        return None
    return Made(task.out.name, len(index["clips"]), tuple(index["notes"]["skipped"]), False)


def is_prepared(path: Path) -> bool:
    """Whether this is the index of a shard that `make_shard` made."""
    return _read_index(path) is not None


def _read_index(path: Path) -> dict[str, Any] | None:
    """An index whose shape is that of `make_shard`, None for anything else."""
    try:
        index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        whole = isinstance(index["notes"]["key"], str) and isinstance(index["notes"]["skipped"], list)
        return index if whole and isinstance(index["clips"], list) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _all_clips(
    task: Task, runtime: Runtime, skipped: list[str], deadly: Mapping[int, str], at: At
) -> Iterator[ClipData]:
    network = load_network(task.settings.net, task.settings.checkpoint, runtime) if task.settings.net else None
    for place, name in enumerate(task.videos):
        runtime.check()
        shown = shown_path(name)
        if place in deadly:
            skipped.append(f"{shown}: {deadly[place]}")
            continue
        at(place)
        before, count = len(skipped), 0
        try:
            for clip in clips_of((task.root / name, name), task.settings, network, runtime, skipped):
                count += 1
                yield clip
        except _OF_THE_FILE as error:
            skipped.append(f"{shown}: {_reason(error, task.root / name)}")
        if not count and len(skipped) == before:
            skipped.append(f"{shown}: no face is there for {task.settings.min_seconds:g} s without a break.")


def _reason(error: Exception, path: Path) -> str:
    """What is wrong with a file, without its name."""
    if isinstance(error, LipSyncError):
        return str(error).removeprefix(f"{shown_name(path)}: ")
    return f"it cannot be read ({' '.join(str(error).split()) or type(error).__name__})."


@dataclass(frozen=True)
class Speaker:
    """One face of a video. name: of the video. place: from the left. offset: frames that the sound comes too early."""

    name: str
    place: int
    source: Source
    track: FaceTrack
    mel: Float
    offset: int


def clips_of(
    video: tuple[Path, str],
    settings: PrepareSettings,
    network: torch.nn.Module | None,
    runtime: Runtime,
    skipped: list[str],
) -> Iterator[ClipData]:
    """The clips of one video (path, name), face by face. skipped: gets a sentence for all that is left out."""
    path, name = video
    options = LipSyncOptions(
        fps=str(FPS),
        detector=settings.detector,
        which_face="all",
        no_face="keep",
        min_face=settings.min_face,
        gate=False,
    )
    source = assembly.open_face(path, options)
    if source.still:
        raise InputError(f"{shown_name(path)}: this is a picture. Training takes videos with sound.")
    heard = assembly.hear(path, options, runtime)
    faces = pipeline.analyse(source, source.frame_count, options, runtime)
    if not faces.tracks:
        raise InputError(f"{shown_name(path)}: no face was found in any of its {faces.frame_count} frames.")
    for place, track in enumerate(casting.speaking_tracks(faces, source, faces.frame_count, options)):
        offset = 0
        if network is not None:
            sync = _sync(source, track, settings, network, runtime)
            if sync.confidence < settings.least_confidence or abs(sync.offset) >= SHIFT:
                skipped.append(
                    f"{shown_path(name)}: face {place} does not speak what is heard (confidence {sync.confidence:.2f})."
                )
                continue
            offset = sync.offset
        yield from _cut_clips(Speaker(name, place, source, track, heard.mel, offset), settings, runtime, skipped)


def _sync(
    source: Source, track: FaceTrack, settings: PrepareSettings, network: torch.nn.Module, runtime: Runtime
) -> Sync:
    ear = scorer(network, hear_for_score(source.path), runtime)
    cut = tracked_crops if settings.net == "syncnet" else box_crops
    return score_sync(cut(source, track, ear.side), ear, runtime, shown_name(source.path))


def _cut_clips(speaker: Speaker, settings: PrepareSettings, runtime: Runtime, skipped: list[str]) -> Iterator[ClipData]:
    source, track, offset = speaker.source, speaker.track, speaker.offset
    size = (source.width, source.height)
    padded = replace(track, boxes_xyxy=pad_boxes(track.boxes_xyxy, settings.pads, size))
    plan = plan_crops(padded, CropStyle("box", settings.size), size)
    heard = np.arange(len(track.found)) < float(speaker.mel.shape[1] * FPS / MEL_COLUMNS_PER_SECOND) + offset
    spans = runs(track.active & track.found & heard, offset, settings)
    for (first, end), crops in _filmed(source, plan, spans, runtime):
        sharpness = float(np.median([_sharpness(crop) for crop in crops]))
        if sharpness < settings.least_sharpness:
            blurred = f"frames {first} to {end - 1} are blurred (sharpness {sharpness:.0f})."
            skipped.append(f"{shown_path(speaker.name)}: {blurred}")
            continue
        facts = {"source": shown_path(speaker.name), "first": first, "offset": offset, "sharpness": round(sharpness, 2)}
        name = f"{clip_stem(speaker.name)}-{speaker.place}-{first:06d}"
        yield ClipData(name, crops, mel_slice(speaker.mel, first - offset, end - offset), facts)


def runs(usable: Bool, offset: int, settings: PrepareSettings) -> list[Span]:
    """[first, end) of each clip: usable without a break, not too short, cut where too long, beginning where a mel
    column begins after the offset (frames that the sound comes too early) is taken out.
    """
    least, most = (max(_STEP, round(seconds * FPS)) for seconds in (settings.min_seconds, settings.max_seconds))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], usable, [False]]).astype(np.int8)))
    result = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        first = max(int(start), offset)  # before that there is no sound
        first += -(first - offset) % _STEP
        while int(stop) - first >= least:
            end = min(int(stop), first + most // _STEP * _STEP)
            result.append((first, end))
            first = end + -(end - offset) % _STEP
    return result


def mel_slice(mel: Float, first: int, end: int) -> Float:
    """The columns of frames [first, end) and 0.2 s behind; first divides by 5. Past its end the last one repeats."""
    start = first * MEL_COLUMNS_PER_SECOND // int(FPS)
    stop = -(-end * MEL_COLUMNS_PER_SECOND // int(FPS)) + MEL_WINDOW_COLUMNS
    return np.ascontiguousarray(mel[:, np.arange(start, stop).clip(0, mel.shape[1] - 1)])


def _filmed(
    source: Source, plan: CropPlan, spans: Sequence[Span], runtime: Runtime
) -> Iterator[tuple[Span, list[Pixels]]]:
    """The crops of each span [first, end), in one pass over the video, holding one span."""
    waiting = list(spans)
    crops: list[Pixels] = []
    for batch in source.batches(spans[-1][1] if spans else 0, "cut", _AT_ONCE):
        runtime.check()
        while waiting:
            first, end = waiting[0]
            start, stop = max(first, batch.first), min(end, batch.first + len(batch))
            if start < stop:
                pixels = batch.pixels[start - batch.first : stop - batch.first]
                faces = crop_faces(pixels, plan, start, "cpu", torch.float32).crops
                crops += list((faces.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy())
            if end > batch.first + len(batch):
                break
            yield waiting.pop(0), crops
            crops = []


def _sharpness(crop: Pixels) -> float:
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())
