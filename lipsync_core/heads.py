"""Engines that move a whole head: from a still picture to a source of moving frames. Beside `casting.py`, for the
pipeline alone.

Such an engine comes before everything that works on mouths: what it makes is a `Source` like any other, whose faces are
known beforehand, so sharper lips and enhancers follow in the same run, on the same frames, encoded once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from . import assembly, casting
from .assembly import Job
from .blend import Blender, BlendSettings
from .blend_colour import GRID, colour_matrices, compare_colours, recolour
from .casting import Actor, cast_tracks, speaking_tracks, user_mask
from .engines.base import Driving, EngineSettings, HeadEngine, HeadPerformance, Portrait
from .engines.choose import Chosen, choose_engine, moves_head
from .enhancers.choose import ChosenEnhancer
from .errors import InputError, UsageError
from .face.mask import MaskSettings, SoftMask, mask_faces
from .face.track import ClipFaces, track_faces
from .face.wflw import WflwFinder, load_finder
from .geometry import map_boxes, map_points
from .media import shown_name
from .options import LipSyncOptions
from .runtime import BatchSize, Runtime, run_in_batches
from .timing import frames_for
from .types import FaceBatch, FaceTrack, Float, FrameBatch, Pixels, Rendered, Speech
from .video.edit import Edit
from .video.source import Source, open_source

WATCHED_FPS = Fraction(25)  # of the videos whose motion is followed
_WATCHED_AT_ONCE = 16  # frames
_FEATHER = 3.0  # times as soft as around a mouth: hair and shoulders move against what stays
_HEAD_MASKS = ("ellipse", "box", "user")  # what a user can choose for a head; the rest is for mouths


def as_portrait(job: Job, options: LipSyncOptions, runtime: Runtime) -> Source:
    """The job's source; for an engine that moves the whole head, its first frame as a still picture."""
    source = job.source
    moves = job.chosen.spec.whole_head if job.chosen else moves_head(options.engine, options.checkpoint, runtime)
    if source.still or not moves:
        return source
    return replace(source, still=True, frame_count=1)


def cast(
    faces: ClipFaces, source: Source, chosen: Chosen, voice: Speech, options: LipSyncOptions, runtime: Runtime
) -> tuple[Source, list[Actor]]:
    """What plays, and who acts in it: of a whole-head engine a source of moving heads, and what comes after them."""
    tracks = speaking_tracks(faces, source, voice.frame_count, options)
    if not isinstance(chosen.engine, HeadEngine):
        return source, cast_tracks(tracks, source, chosen, voice, options)
    stage = set_stage(tracks, source, chosen.engine, voice, options, runtime)
    if not options.sharp_lips:
        return stage, []
    lips = choose_engine("wav2lip", options.sharp_lips, EngineSettings(options.strength), runtime)
    return stage, cast_tracks([head.track for head in stage.heads], stage, lips, voice, options)


def with_enhancer(
    source: Source, cast: list[Actor], enhancer: ChosenEnhancer | None, chosen: Chosen, voice: Speech,
    options: LipSyncOptions,
) -> list[Actor]:  # fmt: skip
    """The same cast, its faces enhanced; moving heads that nobody else works on are enhanced too."""
    if enhancer is not None and not cast and isinstance(source, MovingHeads):
        cast = cast_tracks([head.track for head in source.heads], source, chosen, voice, options)
    return casting.with_enhancer(cast, enhancer, options)


# ---------------------------------------------------------------------------------------------------- moving heads


@dataclass
class Head:
    """One moving head. track: where its face is on every frame of the result. colour_match: 0 off to 1 fully."""

    performance: HeadPerformance
    blender: Blender
    mask: MaskSettings
    user_mask: torch.Tensor | None
    track: FaceTrack
    colour_match: float
    _colours: Float | None = None
    _compared: bool = False

    def paste(self, pixels: Pixels, first: int) -> None:
        """Put frames `first` on into pixels, (n, H, W, 3) uint8 of the result, in place."""
        drawn = self.performance.draw(first, len(pixels))
        if self.performance.pasted:
            faces, colours = self._faces(first, len(pixels)), self._own_colours()
            drawn = drawn if colours is None else recolour(drawn, np.repeat(colours, len(drawn), axis=0)).clamp_(0, 1)
            self.blender.blend(pixels, faces, Rendered(drawn), self._soft_mask(faces, pixels))
            return
        width, height = self.performance.size
        if drawn.shape[2:] != (height, width):
            drawn = F.interpolate(drawn.cpu(), (height, width), mode="bicubic", antialias=True).clamp_(0, 1)
        pixels[...] = (drawn * 255).round_().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

    def shade(self, picture: Pixels) -> Pixels:
        """(1, H, W, 3): white where the head is drawn into a picture (H, W, 3), black where that stays."""
        black = np.zeros((1, *picture.shape), np.uint8)
        if not self.performance.pasted:
            left, top, right, bottom = self.performance.box_xyxy
            black[:, top:bottom, left:right] = 255
            return black
        faces = self._faces(0, 1)
        white = Rendered(torch.ones_like(self.performance.crop))
        return Blender(BlendSettings(0.0)).blend(black, faces, white, self._soft_mask(faces, black))

    def _own_colours(self) -> Float | None:
        """(1, 3, 4), what takes the renderer's colours back to the portrait's, the same on every frame.

        Compared is what it draws when nothing moves: a head that moves brings other things to the edge of its box, and
        their colours say nothing about its own.
        """
        if not self._compared and self.colour_match:
            evenly = torch.full((1, 1, GRID, GRID), 0.5, device=self.performance.crop.device)
            wanted = compare_colours(self.performance.crop, self.performance.rest(), evenly)
            self._colours, self._compared = colour_matrices(wanted, self.colour_match), True
        return self._colours

    def _faces(self, first: int, count: int) -> FaceBatch:
        """The box as it was cut out of the portrait."""
        crop = self.performance.crop
        matrices = np.repeat(crop_matrix(self.performance.box_xyxy, crop.shape[-1]), count, axis=0)
        landmarks = np.repeat(self.track.landmarks[:1], count, axis=0)
        whole = np.tile(np.array(crop.shape[-1:] * 2, np.float32), (count, 1))
        boxes = np.concatenate([np.zeros_like(whole), whole], axis=1)
        crops = crop.expand(count, -1, -1, -1)
        return FaceBatch(first, crops, matrices, map_points(matrices, landmarks), boxes, still=True)

    def _soft_mask(self, faces: FaceBatch, pixels: Pixels) -> SoftMask:
        size = (pixels.shape[2], pixels.shape[1])
        return mask_faces(faces, self.mask.shape, self.mask, size, self.user_mask)


@dataclass
class MovingHeads(Source):
    """A still picture whose heads move. One batch is in memory, drawn when it is asked for."""

    heads: tuple[Head, ...] = field(default=(), kw_only=True)
    runtime: Runtime = field(default_factory=Runtime, kw_only=True)

    def batches(self, total: int, fit: str, size: int) -> Iterator[FrameBatch]:
        """`total` frames. One at a time on a CPU, where each takes seconds: a run can then be stopped in between."""
        picture = self._first() if self.heads[0].performance.pasted else None
        step = 1 if self.runtime.device == "cpu" else size
        rows = BatchSize(step)
        for first in range(0, total, step):
            yield FrameBatch(first, self._frames(picture, first, min(step, total - first), rows))

    def frame(self, index: int) -> Pixels:
        """(1, H, W, 3), one frame of the result."""
        return self._frames(self._first() if self.heads[0].performance.pasted else None, index, 1, BatchSize(1))

    def _frames(self, picture: Pixels | None, first: int, count: int, rows: BatchSize) -> Pixels:
        shape = (count, self.height, self.width, 3)
        pixels = np.empty(shape, np.uint8) if picture is None else np.broadcast_to(picture, shape).copy()
        for head in self.heads:
            self._draw(head, pixels, first, rows)
        return pixels

    def _draw(self, head: Head, pixels: Pixels, first: int, rows: BatchSize) -> None:
        def work(start: int, end: int) -> None:
            self.runtime.check()
            head.paste(pixels[start:end], first + start)

        run_in_batches(rows, len(pixels), work, "The head's renderer")


def set_stage(
    tracks: list[FaceTrack],
    source: Source,
    engine: HeadEngine,
    voice: Speech,
    options: LipSyncOptions,
    runtime: Runtime,
) -> MovingHeads:
    """A moving head for each of the tracks' faces in a still source."""
    (picture,) = next(source.batches(1, "hold", 1)).pixels
    driving, finder = watch(engine, voice, options, runtime), load_finder(runtime)
    tracks = [_as_published(track, picture, finder) for track in tracks]
    heads = tuple(_head(track, picture, engine, (voice, driving), options) for track in tracks)
    first = heads[0].performance
    if not first.pasted and len(heads) > 1:
        raise UsageError(
            f"Picture mode is '{options.preprocess}', which shows one head, but {len(heads)} faces speak. Choose one "
            "(Which face), or the picture mode 'full'."
        )
    stage = MovingHeads(source.path, source.edit, source.fps, *first.size, still=False, frame_count=voice.frame_count)
    return replace(stage, notes=source.notes, heads=heads, runtime=runtime)


def _as_published(track: FaceTrack, picture: Pixels, finder: WflwFinder | None) -> FaceTrack:
    """The track with the landmarks that such networks were trained with, where theirs are on the machine."""
    found = None if finder is None else finder.find(picture, track.boxes_xyxy[0])
    return track if found is None else replace(track, landmarks=np.repeat(found[None], len(track), axis=0))


def _head(
    track: FaceTrack, picture: Pixels, engine: HeadEngine, drive: tuple[Speech, Driving], options: LipSyncOptions
) -> Head:
    portrait = Portrait(picture, track.landmarks[0], track.boxes_xyxy[0])
    performance = engine.perform(portrait, *drive)
    followed = follow(track, performance)
    shape = options.mask if options.mask in _HEAD_MASKS and not options.sharp_lips else "box"
    mask = MaskSettings(shape, _FEATHER * options.feather, options.grow)
    size = (picture.shape[1], picture.shape[0])
    user = user_mask(options, size, followed.landmarks[:1], mask) if shape == "user" else None
    blender = Blender(BlendSettings(0.0, options.paste))
    return Head(performance, blender, mask, user, followed, options.colour_match)


def follow(track: FaceTrack, performance: HeadPerformance) -> FaceTrack:
    """Where the face is on every frame of the result: it moves with its landmarks, and the box grows with them."""
    points = performance.landmarks
    (start, size), (middle, sizes) = _place(track.landmarks[:1]), _place(points)
    corners = (track.boxes_xyxy[0].reshape(2, 2) - start) * (sizes / max(float(size[0]), 1e-3))[:, None, None]
    boxes = (corners + middle[:, None]).reshape(-1, 4).astype(np.float32)
    if not performance.pasted:
        matrix = result_matrix(performance)
        points, boxes = map_points(matrix, points), map_boxes(matrix, boxes)
    always = np.ones(len(points), bool)
    return FaceTrack(boxes, points, always, always)


def _place(points: Float) -> tuple[Float, Float]:
    """Middle (N, 2) and mean distance from it (N,) of (N, 5, 2) points."""
    middle = points.mean(axis=1)
    return middle, np.linalg.norm(points - middle[:, None], axis=2).mean(axis=1)


def crop_matrix(box: tuple[int, int, int, int], side: int) -> Float:
    """(1, 2, 3): px of the picture -> px of the square that its box is squeezed into."""
    return _matrix(box, (side, side))


def result_matrix(performance: HeadPerformance) -> Float:
    """(1, 2, 3): px of the picture -> px of a result that shows the box alone."""
    return _matrix(performance.box_xyxy, performance.size)


def _matrix(box: tuple[int, int, int, int], size: tuple[int, int]) -> Float:
    left, top, right, bottom = box
    across, down = size[0] / (right - left), size[1] / (bottom - top)
    return np.array([[[across, 0, -left * across], [0, down, -top * down]]], np.float32)


# ---------------------------------------------------------------------------------------------------- driving videos


def watch(engine: HeadEngine, voice: Speech, options: LipSyncOptions, runtime: Runtime) -> Driving:
    """What the videos that the user named say of the motion, as long as the voice; one named twice is watched once."""
    most = frames_for(voice.frame_count / voice.fps, WATCHED_FPS)
    named = {"blink": options.blink_video, "pose": options.pose_video, "all": options.drive_video}
    seen = {path: _watch_one(Path(path), most, engine, options, runtime) for path in set(named.values()) if path}
    return Driving(**{role: seen.get(path) for role, path in named.items()})


def _watch_one(path: Path, most: int, engine: HeadEngine, options: LipSyncOptions, runtime: Runtime) -> Float:
    """(n, 70) of the first `most` frames of one video, at 25 frames a second."""
    source = open_source(path, WATCHED_FPS, False, Edit())
    plain = replace(options, box="", mask="auto", crop="", which_face="largest", no_face="interpolate")
    plain = replace(plain, detector="auto" if plain.detector == "box" else plain.detector)
    detector, finder, settings = assembly.searching(source, plain, runtime)
    batches = source.small_batches(most, settings.max_side, assembly.SEARCH_BATCH)
    faces = track_faces(batches, detector, finder, settings, runtime, min(most, source.frame_count))
    if source.still:
        raise InputError(f"{shown_name(path)}: is a picture. A video is needed to follow its motion.")
    (track,) = speaking_tracks(faces, source, faces.frame_count, plain)
    return engine.watch(_portraits(source, track, runtime))


def _portraits(source: Source, track: FaceTrack, runtime: Runtime) -> Iterator[Portrait]:
    for batch in source.batches(len(track), "cut", _WATCHED_AT_ONCE):
        runtime.step("watch", batch.first, len(track))
        for row, pixels in enumerate(batch.pixels, batch.first):
            yield Portrait(pixels, track.landmarks[row], track.boxes_xyxy[row])
