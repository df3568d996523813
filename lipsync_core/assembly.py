"""The parts that the pipeline is put together from: options in, plain values for each stage out."""

from __future__ import annotations

import hashlib
import json
import math
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from . import __version__
from .audio.gate import close_mel, speech_gate
from .audio.mel import MEL_BANDS, SILENCE
from .audio.read import Heard, listen
from .casting import Actor
from .engines.base import EngineSettings, EngineSpec, HeadEngine, HeadSettings
from .engines.choose import Chosen, choose_engine
from .enhancers.choose import ChosenEnhancer, choose_enhancer
from .errors import InputError, OutputError, UsageError
from .face.cache import load_tracks, save_tracks
from .face.detectors import Detector, DetectorSettings, choose_detector
from .face.landmarks import LandmarkFinder
from .face.policy import missing_ranges
from .face.seek import TrackSettings
from .face.track import ClipFaces
from .infotext import write_infotext
from .measure import Stopwatch, peak_memory_mb
from .media import shown_name
from .options import LipSyncOptions
from .runtime import Runtime
from .timing import MEL_COLUMNS_PER_SECOND, parse_fps
from .types import AudioInfo, Float, FrameBatch, Pixels, Report, Speech
from .video.edit import Edit
from .video.encode import Clip
from .video.encoders import Encoding
from .video.image import read_image
from .video.label import label_batch
from .video.provenance import Provenance
from .video.soundtrack import AudioSource
from .video.source import Source, open_source

SEARCH_BATCH = 16  # small frames that are decoded at once while faces are looked for
SEARCH_SIDE = 640  # px, longest side of the copy in which faces are looked for
_USUAL_FACE_PX = 256.0


def inputs(face: Path, speech: Path, options: LipSyncOptions) -> list[Path]:
    """Every file that may be read, none of which may be the output."""
    named = (options.output_audio, options.mask_file, options.blink_video, options.pose_video, options.drive_video)
    return [face, speech, *(Path(name) for name in named if name)]


def open_face(face: Path, options: LipSyncOptions) -> Source:
    crop = options.numbers("crop", 4) if options.crop else None
    fps = parse_fps(options.fps) if options.fps else None
    return open_source(face, fps, options.static, Edit(options.resize_factor, options.rotate, crop))


def hear(speech: Path, options: LipSyncOptions, runtime: Runtime) -> Heard:
    """The voice; where the portrait is to idle, so many seconds of silence, and the file is not opened."""
    if options.idle:
        seconds = Fraction(options.idle).limit_denominator(1000)
        columns = math.ceil(seconds * MEL_COLUMNS_PER_SECOND) + 1
        return Heard(np.full((MEL_BANDS, columns), SILENCE, np.float32), seconds, AudioInfo(0, 0, 0.0, "none"))

    def step(seconds: float) -> None:
        runtime.step("listen", round(seconds), 0)

    return listen(speech, _track(options), options.speech_start, options.speech_end, step)


def _track(options: LipSyncOptions) -> int | None:
    return None if options.speech_track < 0 else options.speech_track


def voice(heard: Heard, fps: Fraction, total: int, options: LipSyncOptions) -> Speech:
    """What the engine hears: the mel, closed where nobody speaks."""
    mel, gate = heard.mel, np.ones(heard.mel.shape[1], np.float32)
    if options.gate:
        gate = speech_gate(mel, options.gate_threshold, options.gate_attack_ms, options.gate_release_ms)
        mel = close_mel(mel, gate)
    return Speech(mel, gate, fps, total, options.mel_offset_ms)


def choose(options: LipSyncOptions, runtime: Runtime) -> Chosen:
    return choose_engine(options.engine, options.checkpoint, engine_settings(options), runtime)


def engine_settings(options: LipSyncOptions) -> EngineSettings:
    head = HeadSettings(
        options.preprocess,
        0 if options.head_size == "auto" else int(options.head_size),
        options.still,
        options.pose_style,
        options.expression_scale,
        *(options.angles(name) for name in ("yaw", "pitch", "roll")),
    )
    return EngineSettings(options.strength, options.blink, options.sway, options.seed, options.compile, head)


def choose_an_enhancer(options: LipSyncOptions, chosen: Chosen, runtime: Runtime) -> ChosenEnhancer | None:
    """What sharpens the faces. Not on its own where the engine moves the frame's own pixels: those are sharp."""
    engine = chosen.engine
    own_pixels = not isinstance(engine, HeadEngine) and engine.crop_style(_USUAL_FACE_PX).kind == "native"
    if not options.enhance_strength or (options.enhancer == "auto" and own_pixels and not options.enhancer_checkpoint):
        return None
    return choose_enhancer(options.enhancer, options.enhancer_checkpoint, runtime, options.enhance_fidelity)


# ---------------------------------------------------------------------------------------------------- faces


@dataclass(frozen=True)
class FaceMemory:
    """What is remembered of a file's faces. path: None when nothing is to be remembered."""

    path: Path | None

    def recall(self) -> ClipFaces | None:
        return load_tracks(self.path) if self.path else None

    def keep(self, faces: ClipFaces, detector: str) -> None:
        """Remember, where there is something to; a cache that cannot be written is no reason to stop."""
        if self.path is None or not faces.tracks:
            return
        with suppress(OSError, OutputError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            save_tracks(self.path, faces)


def face_memory(source: Source, wanted: int, options: LipSyncOptions, runtime: Runtime) -> FaceMemory:
    """Keyed by the file's content, never its name, and by every option that changes what is found."""
    if not options.cache or runtime.cache_dir is None or options.box or options.detector == "box":
        return FaceMemory(None)
    identity = source.identity()
    if identity is None:
        return FaceMemory(None)
    names = ("detector", "face_threshold", "min_face", "detect_every", "static", "resize_factor", "crop", "rotate")
    key = {name: getattr(options, name) for name in names}
    frames = 1 if source.still else min(wanted, source.frame_count)
    key |= {"file": identity, "fps": str(source.fps), "frames": frames, "version": __version__}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return FaceMemory(runtime.cache_dir / "faces" / f"{digest}.npz")


def searching(
    source: Source, options: LipSyncOptions, runtime: Runtime
) -> tuple[Detector, LandmarkFinder, TrackSettings]:
    box = _given_box(options)
    settings = DetectorSettings(
        min_score=options.face_threshold,
        min_size_px=options.min_face,
        max_side=SEARCH_SIDE,
        frame_size=(source.width, source.height),
        box=box,
    )
    detector = choose_detector("box" if box else options.detector, runtime, settings)
    scale = source.scale(SEARCH_SIDE)
    track = TrackSettings(source.fps, options.detect_every, SEARCH_SIDE, scale)
    finder = LandmarkFinder()  # better than YuNet's own points too
    return detector, finder, track


def _given_box(options: LipSyncOptions) -> tuple[float, float, float, float] | None:
    """The user's own face box, or with detector `box` the extent of what is white in their mask."""
    if options.box:
        left, top, right, bottom = options.numbers("box", 4)
        return left, top, right, bottom
    if options.detector != "box":
        return None
    white = read_image(options.mask_file).max(axis=2) > 0
    if not white.any():
        raise UsageError(f"{shown_name(options.mask_file)}: the mask is black everywhere. White marks the face.")
    rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


# ---------------------------------------------------------------------------------------------------- writing


def has_label(spec: EngineSpec, label: str) -> bool:
    """label: auto, on or off."""
    return label == "on" or (label == "auto" and spec.visible_label)


@dataclass(frozen=True)
class Job:
    """What is to be made. chosen, faces, enhancer: what the host has loaded or found before; None: as the options say.

    tags: (name, text) that the host adds to the file's own tags.
    """

    source: Source
    speech: Path
    output: Path
    overwrite: bool = False
    chosen: Chosen | None = None
    faces: ClipFaces | None = None
    enhancer: ChosenEnhancer | None = None
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Take:
    """One result to be written. sound: None leaves it silent. fit, batch_size: how the source is read.

    label_seconds: how long the visible label is shown where `marks` asks for one; 0 throughout.
    """

    output: Path
    clip: Clip
    sound: AudioSource | None
    marks: Provenance | None
    encoding: Encoding
    fit: str = "loop"
    batch_size: int = 16
    label_seconds: float = 0.0
    overwrite: bool = False

    @property
    def frame_count(self) -> int:
        return self.clip.frame_count or 0

    def label(self, first: int, pixels: Pixels) -> FrameBatch:
        """(first, pixels) -> the batch as it is written: labelled where it has to be."""
        batch = FrameBatch(first, pixels)
        wanted = self.marks is not None and self.marks.label
        return label_batch(batch, self.clip.fps, self.label_seconds) if wanted else batch


def take(job: Job, total: int, chosen: Chosen, options: LipSyncOptions) -> Take:
    source = job.source
    voice = AudioSource(job.speech, _track(options), Fraction(options.speech_start).limit_denominator(1000))
    sound = None if options.idle else voice
    if options.output_audio:
        sound = AudioSource(options.output_audio)
    return Take(
        job.output,
        Clip(source.width, source.height, source.fps, total),
        sound,
        Provenance(
            chosen.name,
            chosen.weights,
            has_label(chosen.spec, options.label),
            parameters=write_infotext(options),
            tags=job.tags,
        ),
        Encoding(options.crf, options.preset),
        options.fit,
        options.batch_size,
        options.label_seconds,
        job.overwrite,
    )


# ---------------------------------------------------------------------------------------------------- afterwards


def refuse_repairs(source: Source, heard: Heard, options: LipSyncOptions) -> None:
    notes = [*source.notes, *heard.notes]
    if options.strict and notes:
        raise InputError(f"{notes[0]} Repair the file, or run without --strict.")


@dataclass(frozen=True)
class Done:
    """What `report` is made of."""

    output: Path
    source: Source
    faces: ClipFaces
    cast: list[Actor]
    voice: Speech
    heard: Heard
    chosen: Chosen
    watch: Stopwatch
    enhancer: ChosenEnhancer | None = None


def spoken(gate: Float) -> list[tuple[float, float]]:
    """(start, end) s of what the gate (M,) lets through."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], gate >= 0.5, [0]]).astype(np.int8)))
    seconds = (edges / MEL_COLUMNS_PER_SECOND).tolist()
    return list(zip(seconds[::2], seconds[1::2], strict=True))


def report(done: Done, writer_notes: tuple[str, ...], runtime: Runtime) -> Report:
    source, frames = done.source, done.voice.frame_count
    warnings = dict.fromkeys([*source.notes, *done.heard.notes, *writer_notes, *runtime.notes])
    seconds = dict(done.watch.seconds)
    found = np.logical_or.reduce([track.found for track in done.faces.tracks])
    nobody = [np.zeros(1, bool)]  # where the whole head was drawn and nothing comes after
    silent = np.logical_and.reduce([actor.share <= 0 for actor in done.cast] or nobody)
    faded = np.logical_or.reduce([actor.active & (actor.fade < 1) for actor in done.cast] or nobody)
    return Report(
        output=str(done.output),
        engine=done.chosen.name if not done.chosen.weights else f"{done.chosen.name} ({done.chosen.engine.variant})",
        enhancer=done.enhancer.shown if done.enhancer else "",
        device=runtime.device,
        precision=runtime.precision,
        width=source.width,
        height=source.height,
        fps=str(source.fps),
        frames=frames,
        seconds=float(frames / source.fps),
        faces=len(done.faces.tracks),
        frames_without_face=missing_ranges(found),
        frames_left_unchanged=int(silent.sum()),
        frames_faded=int(faded.sum()),
        frames_covered=sum(actor.parts.frames_covered for actor in done.cast if actor.parts),
        grain_levels=round(max((actor.grain_levels for actor in done.cast), default=0.0), 2),
        gate_closed_share=float((done.voice.gate < 0.5).mean()),
        speech=spoken(done.voice.gate),
        stage_seconds={name: round(value, 3) for name, value in seconds.items()},
        frames_per_second=frames / max(1e-9, seconds.get("analyse", 0) + seconds.get("render", 0)),
        peak_memory_mb=peak_memory_mb(),
        batch_size=min((actor.size.rows for actor in done.cast), default=1),
        warnings=list(warnings),
    )
