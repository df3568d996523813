"""Flicker and cost of enhanced faces: `python -m bench restoration`; CLIPS names videos, separated as in PATH.

The stand-in for an enhancer sharpens and adds other noise to every frame (6 grey levels, seeded): worse than any
network. The engine gives its crops back: what changes from frame to frame is the clip itself, and what was added.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from lipsync_core import assembly, casting
from lipsync_core.blend import Blender, BlendSettings
from lipsync_core.casting import Actor
from lipsync_core.engines.base import Engine, EngineSpec
from lipsync_core.engines.choose import Chosen
from lipsync_core.enhancers.choose import ChosenEnhancer
from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import analyse, perform
from lipsync_core.runtime import Runtime, default_model_dir
from lipsync_core.types import CropStyle, FaceBatch, Rendered, Speech
from lipsync_core.video.source import Source

FRAMES = 60
NOISE = 6.0  # grey levels
BATCH = 8


class GivesBack:
    """An engine that makes nothing of its crops; `mouth` moves something up and down where a mouth is."""

    name, variant = "none", ""

    def __init__(self, mouth: bool = False) -> None:
        self.mouth = mouth

    def crop_style(self, face_px: float) -> CropStyle:
        return CropStyle("native", 2048, 1.6)

    def listen(self, speech: Speech) -> GivesBack:
        return self

    def render(self, faces: FaceBatch) -> Rendered:
        crops = faces.crops.clone()
        if self.mouth:
            left, right = faces.landmarks[:, 3].astype(int), faces.landmarks[:, 4].astype(int)
            for row in range(len(crops)):
                opening = (faces.first + row) * 7 % 5 * 6
                top = int(left[row, 1])
                crops[row, :, top : top + opening, left[row, 0] : right[row, 0]] *= 0.3
        return Rendered(crops)


class NoisySharpener:
    """Stands in for an enhancer."""

    name, backend, precision = "noisy sharpener", "bench", "fp32"

    def __init__(self, noise: float = NOISE) -> None:
        self.random, self.noise = torch.Generator().manual_seed(0), noise

    def restore(self, faces: torch.Tensor) -> torch.Tensor:
        blurred = F.avg_pool2d(F.pad(faces, (2, 2, 2, 2), mode="replicate"), 5, 1)
        noise = torch.randn(faces.shape, generator=self.random) * (self.noise / 255)
        return (2 * faces - blurred + noise).clamp(0, 1)


def actor_for(source: Source, count: int, engine: Any, enhancer: Any, options: LipSyncOptions) -> Actor:
    """One actor whose face is found as always."""
    runtime = Runtime(model_dirs=(default_model_dir(),), offline=True)
    spec = EngineSpec("", "", False, False, "lower_face", lambda _: None, lambda *_: engine)
    made: Engine = engine
    heard = Speech(np.full((80, 400), -4, np.float32), np.ones(400, np.float32), source.fps, count)
    faces = analyse(source, count, options, runtime)
    actor = casting.cast(faces, source, Chosen("none", spec, made), heard, options)[0]
    actor = replace(actor, blender=Blender(BlendSettings(0.0)))
    return casting.with_enhancer([actor], ChosenEnhancer("", enhancer) if enhancer else None, options)[0]


def frames_of(source: Source, count: int, actor: Actor | None) -> Iterator[np.ndarray]:
    for batch in source.batches(count, "hold", BATCH):
        pixels = batch.pixels.copy()
        yield from pixels if actor is None else perform(actor, pixels, batch.first, Runtime())


def flicker(path: Path, stability: float, engine: Any, still: bool) -> tuple[float, float, float]:
    """(before, after, seconds a frame): mean grey levels from frame to frame where the lower face is replaced.

    still: only where the engine moves nothing.
    """
    options = LipSyncOptions(cache=False, enhance_strength=1.0, enhance_stability=stability, grain=0.0)
    source = assembly.open_face(path, options)
    count = min(FRAMES, source.frame_count) if not source.still else 24
    plain = actor_for(source, count, engine, None, options)
    actor = actor_for(source, count, engine, NoisySharpener(), options)
    start = time.perf_counter()
    changes: list[tuple[float, float]] = []
    last: tuple[np.ndarray, np.ndarray] | None = None
    for first, (given, made) in enumerate(
        zip(frames_of(source, count, plain), frames_of(source, count, actor), strict=True)
    ):
        given, made = given.astype(np.int16), made.astype(np.int16)
        if last is not None:
            inside = _inside(plain, given.astype(np.uint8), first)
            moved = np.abs(given - last[0])
            if still:
                reach = F.max_pool2d(torch.from_numpy(moved.max(axis=2)[None].astype(np.float32)), 25, 1, 12)[0]
                inside &= reach.numpy() == 0
            changes.append((float(moved[inside].mean()), float(np.abs(made - last[1])[inside].mean())))
        last = (given, made)
    before, after = np.mean(changes, axis=0)
    return float(before), float(after), (time.perf_counter() - start) / count


class GivesBackToo:
    """An enhancer that does nothing, so that what is left is the steps around it."""

    name, backend, precision = "none", "bench", "fp32"

    def restore(self, faces: torch.Tensor) -> torch.Tensor:
        return faces.clone()


def steps_seconds(path: Path, count: int = 24) -> float:
    """s of CPU a face for reading it upright, steadying and pasting it, on one thread."""
    torch.set_num_threads(1)
    options = LipSyncOptions(cache=False, enhance_strength=1.0)
    source = assembly.open_face(path, options)
    seconds = []
    for enhancer in (None, GivesBackToo()):
        actor = actor_for(source, count, GivesBack(mouth=True), enhancer, options)
        start = time.process_time()
        list(frames_of(source, count, actor))
        seconds.append(time.process_time() - start)
    return (seconds[1] - seconds[0]) / count


def _inside(actor: Actor, frame: np.ndarray, number: int) -> np.ndarray:
    from lipsync_core.face.crop import crop_faces

    faces = crop_faces(frame[None], actor.plan, number, "cpu", torch.float32)
    mask = actor.mask(frame[None], faces, Rendered(faces.crops), Runtime())
    assert mask is not None
    x, y = torch.arange(frame.shape[1])[None, None] + 0.5, torch.arange(frame.shape[0])[None, :, None] + 0.5
    return np.asarray(mask.at(np.zeros(1, np.int64), x, y)[0, 0].numpy() > 0.5)


def run(folder: Path) -> str:
    """The table of bench/RESULTS.md."""
    torch.manual_seed(0)
    portrait = default_model_dir() / "demo" / "portrait.png"
    lines = ["| clip | where | before | enhanced | ratio | without stability |", "|---|---|---|---|---|---|"]
    jobs = [(portrait, GivesBack(mouth=True), True)]
    jobs += [(Path(name), GivesBack(), False) for name in os.environ.get("CLIPS", "").split(os.pathsep) if name]
    for path, engine, still in jobs:
        before, after, _ = flicker(path, 1.0, engine, still)
        _, loose, _ = flicker(path, 0.0, engine, still)
        where = "where nothing moves" if still else "lower face"
        ratio = "-" if still else f"{after / before:.3f}"
        lines.append(f"| {path.stem} | {where} | {before:.2f} | {after:.2f} | {ratio} | {loose:.2f} |")
    lines += ["", f"Steps around the enhancer: {steps_seconds(portrait):.3f} s of CPU a face."]
    return "\n".join(lines)
