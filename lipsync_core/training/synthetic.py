"""A world that can be trained on: drawn people who speak, without end, with the true opening of every mouth.

Heads of landmarks_draw.py, voices of espeak-ng (and flite), lips that follow the phonemes through the dominance model
of puppet_targets.py. Nothing here was recorded of anybody, so what is trained on it is free for any use.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from random import Random

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ..audio.mel import mel_spectrogram
from ..face.crop import crop_faces, plan_crops
from ..timing import MEL_COLUMNS_PER_SECOND, SAMPLE_RATE
from ..types import CropStyle, FaceTrack, Float, Pixels
from . import landmarks_draw as draw
from .landmarks_draw import CANVAS_PX, Head, Real
from .puppet_data import loudness_of, spoken_stream
from .puppet_targets import mouth_targets
from .puppet_voices import Utterance
from .shards import ClipData, write_shard

FPS = 25
_PER_SHARD = 16
_WIDEST = 0.42  # eye distances between the lips at an opening of 1
_CHIN_DROP = 0.16  # eye distances that the chin falls with the jaw
_SWAY = (0.10, 0.06, 0.05)  # rad of yaw, pitch, roll


@dataclass(frozen=True)
class TalkingClip:
    """frames: (N, 128, 128, 3) uint8 RGB at 25 fps. boxes_xyxy: (N, 4), landmarks: (N, 5, 2), in their pixels.

    mel: (80, M). waveform: (T,) at 16 kHz. opening: (N,) true distance of the lips in eye distances.
    """

    frames: Pixels
    boxes_xyxy: Float
    landmarks: Float
    mel: Float
    waveform: Float
    opening: Float


@dataclass(frozen=True)
class Lips:
    """One person's mouth at rest, in eye distances, and its colours."""

    half: float
    upper: float
    lower: float
    smile: float
    tone: Real
    dark: Real
    teeth: Real
    tongue: Real


def talking_clips(seed: int, count: int, seconds: float = 4.0, people: int = 0) -> Iterator[TalkingClip]:
    """`count` clips, each of a new person, voice and camera.

    The same for the same seed and installed voices in a fresh process; espeak-ng's noise goes on from call to call.

    people: number of different persons, 0 for as many as clips. Raises OSError where libespeak-ng is not installed.
    """
    random = Random(seed)
    for index in range(count):
        spoken = None
        while spoken is None or len(spoken.waveform) < seconds * SAMPLE_RATE:
            spoken = spoken_stream(random, words=max(8, math.ceil(4 * seconds)))
        person = seed * 1_000_003 + (index % people if people else index)
        yield render(spoken, person, random.getrandbits(32), seconds)


def render(spoken: Utterance, person: int, camera: int, seconds: float) -> TalkingClip:
    """The first `seconds` of what is spoken, by a person (any whole number) before a camera (another one)."""
    waveform = spoken.waveform[: round(seconds * SAMPLE_RATE)]
    mel = mel_spectrogram(waveform)
    shapes = mouth_targets(spoken.phones, mel.shape[1], loudness_of(mel))
    count = len(waveform) * FPS // SAMPLE_RATE
    columns = np.round((np.arange(count) + 0.5) / FPS * MEL_COLUMNS_PER_SECOND).astype(int)
    shapes = shapes[columns.clip(0, len(shapes) - 1)]
    frames, boxes, points = _film(person, camera, shapes)
    return TalkingClip(frames, boxes, points, mel, waveform, opening_of(shapes))


def opening_of(shapes: Float) -> Float:
    """(N, 5) mouth shapes -> (N,) distance of the lips in eye distances."""
    return np.asarray(_WIDEST * shapes[:, 1] * (1 - shapes[:, 4]) * (1 - 0.25 * shapes[:, 3]), np.float32)


def _film(person: int, camera: int, shapes: Float) -> tuple[Pixels, Float, Float]:
    lips, pose = _lips(person), _poses(camera, len(shapes))
    look = _Camera(np.random.default_rng(camera))
    frames = np.empty((len(shapes), CANVAS_PX, CANVAS_PX, 3), np.uint8)
    boxes, points = np.empty((len(shapes), 4), np.float32), np.empty((len(shapes), 5, 2), np.float32)
    for row, shape in enumerate(shapes):
        head = _posed(person, pose[row], float(shape[0]))
        picture, points[row] = draw.paint(head, lambda head, shape=shape: _paint_lips(head, lips, shape))  # type: ignore[misc]
        frames[row] = look(picture)
        boxes[row] = _box(head)
    return frames, boxes, points


def _posed(person: int, pose: NDArray[np.float64], jaw: float) -> Head:
    """The same person again, turned and with the jaw fallen; nothing painted yet."""
    head = draw.new_head(np.random.default_rng(person))
    yaw, pitch, roll = (float(angle) for angle in pose)
    return replace(
        head, turn=draw.turn_by(yaw, pitch, roll), drawn=min(head.drawn, 0.5), chin_y=head.chin_y + _CHIN_DROP * jaw
    )


def _poses(camera: int, count: int) -> NDArray[np.float64]:
    """(count, 3) yaw, pitch, roll: a few slow waves around where the head looks."""
    rng = np.random.default_rng((camera, 1))
    time = np.arange(count) / FPS
    pose = np.zeros((count, 3))
    for column, reach in enumerate(_SWAY):
        pose[:, column] = rng.normal(0, reach)
        for _ in range(3):
            wave = np.sin(2 * math.pi * (rng.uniform(0.1, 0.9) * time + rng.uniform()))
            pose[:, column] += rng.normal(0, 0.5 * reach) * wave
    return pose


def _lips(person: int) -> Lips:
    rng = np.random.default_rng((person, 2))
    skin = draw.new_head(np.random.default_rng(person)).skin
    tone = skin * np.array([rng.uniform(0.75, 1.05), rng.uniform(0.4, 0.8), rng.uniform(0.4, 0.85)])
    return Lips(
        half=rng.uniform(0.32, 0.46),
        upper=rng.uniform(0.05, 0.11),
        lower=rng.uniform(0.07, 0.14),
        smile=rng.normal(0.02, 0.03),
        tone=tone,
        dark=skin * np.array([rng.uniform(0.1, 0.3), rng.uniform(0.03, 0.15), rng.uniform(0.03, 0.15)]),
        teeth=np.full(3, rng.uniform(190, 245)),
        tongue=np.array([190.0, 90.0, 90.0]) * rng.uniform(0.6, 1.0),
    )


def _paint_lips(head: Head, lips: Lips, shape: Float) -> list[Real]:
    """Lips, what is seen between them, in front of jaw and skin. shape: (5,) as networks.mouth_shape.MOUTH_SHAPE."""
    jaw, _, width, rounding, closure = (float(value) for value in shape)
    gap = float(opening_of(shape[None])[0])
    half = lips.half * (1 + 0.16 * width) * (1 - 0.38 * rounding) * (1 - 0.08 * jaw)
    pressed = 1 - 0.45 * closure
    t = np.linspace(-1, 1, 17)
    arch = np.clip(1 - t**2, 0, None)
    upper_edge = head.mouth_y - lips.smile * t**2 - 0.35 * gap * arch**0.6
    lower_edge = head.mouth_y - lips.smile * t**2 + 0.65 * gap * arch**0.6
    bow = arch**0.8 * (1 - 0.2 * np.exp(-((t / 0.18) ** 2)))
    over = upper_edge - lips.upper * pressed * (1 + 0.25 * rounding) * bow
    under = lower_edge + lips.lower * pressed * (1 + 0.25 * rounding) * np.sqrt(arch)
    x = t * half
    both = np.concatenate([x, x[::-1]])
    lift = 0.08 * rounding
    if gap > 0.008:
        _paint_inside(head, lips, (x, upper_edge, lower_edge), gap)
    head.glaze(head.place(both, np.concatenate([over, upper_edge[::-1]]), lift), lips.tone * 0.85, 0.95, 0.01)
    head.glaze(head.place(both, np.concatenate([lower_edge, under[::-1]]), lift), lips.tone, 0.95, 0.01)
    if gap <= 0.03:
        head.line(head.place(x, upper_edge, lift), lips.dark, 0.012)
    ends = head.place(np.array([-half, half]), upper_edge[[0, -1]])
    return [ends[0], ends[1]]


def _paint_inside(head: Head, lips: Lips, edges: tuple[Real, Real, Real], gap: float) -> None:
    x, top, bottom = edges
    both = np.concatenate([x, x[::-1]])
    head.fill(head.place(both, np.concatenate([top, bottom[::-1]])), lips.dark)
    inner = slice(2, -2)
    across = np.concatenate([x[inner], x[inner][::-1]])
    # Upper teeth hang from the skull: they are seen as far as the upper lip leaves them.
    rim = np.minimum(top + 0.09, bottom)
    head.fill(head.place(across, np.concatenate([top[inner], rim[inner][::-1]])), lips.teeth)
    if gap > 0.12:
        back = np.maximum(bottom - 0.4 * (gap - 0.1), top)
        head.fill(head.place(across, np.concatenate([back[inner], bottom[inner][::-1]])), lips.tongue)


def _box(head: Head) -> Float:
    """The face from brow to chin, as a detector would give it, in px of the finished picture."""
    wide = head.half_width
    corners = head.place(np.array([-wide, wide, 0.0, 0.0]), np.array([0.0, 0.0, -1.15, head.chin_y]), flat=0.3)
    corners = corners * (CANVAS_PX / draw.PAINT_PX)
    low, high = corners.min(axis=0), corners.max(axis=0)
    return np.array([*low, *high], np.float32)


class _Camera:
    """One take: light, colour and sharpness that stay, noise that does not."""

    def __init__(self, rng: np.random.Generator) -> None:
        ramp = np.linspace(-1, 1, CANVAS_PX, dtype=np.float32)
        light = rng.normal(0, 0.2) * ramp[None, :] + rng.normal(0, 0.15) * ramp[:, None]
        self._gain = np.exp(light)[..., None] * rng.uniform(0.85, 1.15) * rng.uniform(0.92, 1.08, 3)
        self._blur = float(rng.uniform(0.0, 0.9))
        self._noise = float(rng.uniform(0.5, 4.0))
        self._rng = rng

    def __call__(self, picture: Pixels) -> Pixels:
        image: Real = picture * self._gain
        if self._blur > 0.25:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), self._blur), np.float64)
        noisy = image + self._noise * self._rng.standard_normal(image.shape, dtype=np.float32)
        return np.asarray(noisy.clip(0, 255), np.uint8)


def synthetic_shards(
    out: Path, clips: int, seed: int = 0, size: int = 96, seconds: float = 4.0, workers: int = 1
) -> int:
    """Write `clips` clips of this world as training data, sixteen people to a shard. Returns how many clips there are.

    What is there already is kept; the same settings give the same people and words however many processes work.
    """
    tasks = [
        _Drawn(out / f"shard-{number:06d}", number, seed, min(_PER_SHARD, clips - first), size, seconds)
        for number, first in enumerate(range(0, clips, _PER_SHARD))
    ]
    waiting = [task for task in tasks if not task.path.with_suffix(".json").is_file()]
    if workers > 1:
        with ProcessPoolExecutor(
            workers, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            list(pool.map(_draw_shard, waiting))
    else:
        for task in waiting:
            _draw_shard(task)
    return clips


@dataclass(frozen=True)
class _Drawn:
    """One shard of drawn people."""

    path: Path
    number: int
    seed: int
    count: int
    size: int
    seconds: float


def _draw_shard(task: _Drawn) -> None:
    clips = talking_clips(task.seed * 100_003 + task.number, task.count, task.seconds)
    write_shard(task.path, _as_data(clips, task.number, task.size))


def _as_data(clips: Iterator[TalkingClip], number: int, size: int) -> Iterator[ClipData]:
    for place, clip in enumerate(clips):
        track = FaceTrack(clip.boxes_xyxy, clip.landmarks, *np.ones((2, len(clip.frames)), bool))
        plan = plan_crops(track, CropStyle("box", size), (CANVAS_PX, CANVAS_PX))
        faces = crop_faces(clip.frames, plan, 0, "cpu", torch.float32).crops
        crops = (faces.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
        facts = {"source": f"{number}-{place}", "opening": [round(float(value), 4) for value in clip.opening]}
        yield ClipData(f"{number:06d}-{place:02d}", list(crops), clip.mel, facts)
