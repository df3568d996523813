"""From videos to training data: find, follow, cut and hear every face with the code that inference uses.

`prepare` is the loop; `make_shard` is the unit of work, the same function in one process, in many, and under Ray.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch

from .. import assembly, casting, pipeline
from ..errors import InputError, LipSyncError
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
from .shards import ClipData, write_shard

FPS = Fraction(25)
_STEP = 5  # frames; 0.2 s is a whole number of mel columns (16), so clips begin on such frames
_AT_ONCE = 16

Span = tuple[int, int]  # first frame, and the one behind the last


@dataclass(frozen=True)
class PrepareSettings:
    """What becomes a clip.

    size: px of the crops. min_face: px, narrower faces are left out. min_seconds, max_seconds: of a clip; longer runs
    are cut. least_sharpness: variance of the Laplacian of grey crops; 0 keeps everything. pads: px top, bottom, left,
    right around the box; the published training has none. net: "", or what offsets are measured with (see
    `metrics.syncnets.NETWORKS`), checkpoint: its weights. least_confidence: faces below it are left out, because
    they do not speak what is heard. per_shard: videos.
    """

    size: int = 96
    min_face: int = 48
    min_seconds: float = 1.0
    max_seconds: float = 20.0
    least_sharpness: float = 20.0
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    detector: str = "auto"
    net: str = ""
    checkpoint: str = ""
    least_confidence: float = 1.0
    per_shard: int = 16


@dataclass(frozen=True)
class Task:
    """One shard. root: folder that `videos` (relative, with /) lie in. out: path without ending."""

    root: Path
    videos: tuple[str, ...]
    out: Path
    settings: PrepareSettings

    @property
    def key(self) -> str:
        """Changes with everything that the shard is made from."""
        facts = [asdict(self.settings), [[name, (self.root / name).stat().st_size] for name in self.videos]]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Made:
    """What came of a task. skipped: what was left out and why, one sentence each. fresh: False when it was there."""

    shard: str
    clips: int
    skipped: tuple[str, ...]
    fresh: bool


def plan_tasks(data: Path, out: Path, settings: PrepareSettings, names: tuple[str, ...] = ()) -> list[Task]:
    """The shards of a folder of videos, in the order of their names. names: only these (relative, ending may lack).

    Raises InputError when there is nothing to prepare.
    """
    from ..batch import VIDEOS

    videos = sorted(
        path.relative_to(data).as_posix()
        for path in data.rglob("*")
        if path.suffix.lower() in VIDEOS and path.is_file()
    )
    if names:
        wanted = set(names)
        videos = [name for name in videos if name in wanted or name.rsplit(".", 1)[0] in wanted]
    if not videos:
        raise InputError(f"{shown_name(data)}: there is no video in this folder that could be prepared.")
    step = settings.per_shard
    parts = (tuple(videos[start : start + step]) for start in range(0, len(videos), step))
    return [Task(data, part, out / f"shard-{number:06d}", settings) for number, part in enumerate(parts)]


def make_shard(task: Task, runtime: Runtime) -> Made:
    """Do a task, unless an earlier run did it: its index vouches for it. What cannot be used is noted, no error."""
    known = finished(task)
    if known is not None:
        return known
    skipped: list[str] = []
    count = write_shard(task.out, _all_clips(task, runtime, skipped), {"key": task.key, "skipped": skipped})
    return Made(task.out.name, count, tuple(skipped), True)


def finished(task: Task) -> Made | None:
    """What an earlier run of the very same task made, None when it has to be done."""
    try:
        index = json.loads(task.out.with_suffix(".json").read_text(encoding="utf-8"))
        if index["notes"]["key"] != task.key or not task.out.with_suffix(".tar").is_file():
            return None
        return Made(task.out.name, len(index["clips"]), tuple(index["notes"]["skipped"]), False)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _all_clips(task: Task, runtime: Runtime, skipped: list[str]) -> Iterator[ClipData]:
    network = load_network(task.settings.net, task.settings.checkpoint, runtime) if task.settings.net else None
    for name in task.videos:
        runtime.check()
        before = len(skipped)
        count = 0
        try:
            for clip in clips_of((task.root / name, name), task.settings, network, runtime, skipped):
                count += 1
                yield clip
        except LipSyncError as error:
            skipped.append(f"{name}: {error}")
        if not count and len(skipped) == before:
            skipped.append(f"{name}: no face is there for {task.settings.min_seconds:g} s without a break.")


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
    for place, track in enumerate(casting.speaking_tracks(faces, source, faces.frame_count, options)):
        offset = 0
        if network is not None:
            sync = _sync(source, track, settings, network, runtime)
            if sync.confidence < settings.least_confidence or abs(sync.offset) >= SHIFT:
                skipped.append(f"{name}: face {place} does not speak what is heard (confidence {sync.confidence:.2f}).")
                continue
            offset = sync.offset
        yield from _cut_clips(Speaker(name, place, source, track, heard.mel, offset), settings, skipped)


def _sync(
    source: Source, track: FaceTrack, settings: PrepareSettings, network: torch.nn.Module, runtime: Runtime
) -> Sync:
    ear = scorer(network, hear_for_score(source.path), runtime)
    cut = tracked_crops if settings.net == "syncnet" else box_crops
    return score_sync(cut(source, track, ear.side), ear, runtime, shown_name(source.path))


def _cut_clips(speaker: Speaker, settings: PrepareSettings, skipped: list[str]) -> Iterator[ClipData]:
    source, track, offset = speaker.source, speaker.track, speaker.offset
    size = (source.width, source.height)
    padded = replace(track, boxes_xyxy=pad_boxes(track.boxes_xyxy, settings.pads, size))
    plan = plan_crops(padded, CropStyle("box", settings.size), size)
    spans = runs(track.active & track.found, offset, settings)
    for (first, end), crops in _filmed(source, plan, spans):
        sharpness = float(np.median([_sharpness(crop) for crop in crops]))
        if sharpness < settings.least_sharpness:
            skipped.append(f"{speaker.name}: frames {first} to {end - 1} are blurred (sharpness {sharpness:.0f}).")
            continue
        facts = {"source": speaker.name, "first": first, "offset": offset, "sharpness": round(sharpness, 2)}
        name = f"{_plain(speaker.name)}-{speaker.place}-{first:06d}"
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


def _filmed(source: Source, plan: CropPlan, spans: Sequence[Span]) -> Iterator[tuple[Span, list[Pixels]]]:
    """The crops of each span [first, end), in one pass over the video, holding one span."""
    waiting = list(spans)
    crops: list[Pixels] = []
    for batch in source.batches(spans[-1][1] if spans else 0, "cut", _AT_ONCE):
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


def _plain(name: str) -> str:
    """A name without points and slashes: in a shard the first point ends the name of a clip."""
    return name.rsplit(".", 1)[0].replace("/", "-").replace(".", "_").replace(" ", "_")
