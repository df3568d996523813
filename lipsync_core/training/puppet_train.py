"""Teach the puppet's ear: `python -m lipsync_core.training.puppet_train --out models/puppet.safetensors`.

Synthesises the speech (unless --data has it already), trains, averages the weights over time, writes fp16 safetensors.
One core is enough; see models/puppet.md for how long it takes and what comes out.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from ..networks.mouth_shape import MOUTH_SHAPE, MouthShapeConfig, MouthShapeNet
from ..runtime import cpu_computes_bf16
from .puppet_augment import Augment, Batch
from .puppet_data import Stream, build, load
from .puppet_phonemes import KINDS

_OPENING = MOUTH_SHAPE.index("opening")
_CLOSURE = MOUTH_SHAPE.index("closure")
_WEIGHTS = torch.tensor([1.0, 3.0, 0.4, 0.4, 0.0])  # of the squared errors; the closure has its own loss


Keep = Callable[[MouthShapeNet], None]


@dataclass(frozen=True)
class Lesson:
    """steps: of training. parts: files of speech, `hours` each. strength: of the augmentation, 0 to 1."""

    steps: int = 1800
    parts: int = 4
    hours: float = 1.2
    seed: int = 1
    batch: int = 24
    columns: int = 480
    rate: float = 2e-3
    strength: float = 1.0


class Classroom:
    """Random crops of random streams, longer streams oftener."""

    def __init__(self, streams: list[Stream], lesson: Lesson) -> None:
        self._streams = [s for s in streams if s.mel.shape[1] > lesson.columns]
        lengths = np.array([s.mel.shape[1] for s in self._streams], float)
        self._shares = lengths / lengths.sum()
        self._random = np.random.default_rng(lesson.seed)
        self._lesson = lesson

    def batch(self) -> Batch:
        columns = self._lesson.columns
        mels, targets, kinds = [], [], []
        for place in self._random.choice(len(self._streams), self._lesson.batch, p=self._shares):
            stream = self._streams[place]
            first = int(self._random.integers(0, stream.mel.shape[1] - columns))
            mels.append(stream.mel[:, first : first + columns])
            targets.append(stream.targets[first : first + columns].T)
            kinds.append(stream.kinds[first : first + columns])
        mel, target = (torch.from_numpy(np.stack(rows).astype(np.float32)) for rows in (mels, targets))
        return Batch(mel, target, torch.from_numpy(np.stack(kinds)).long())


def loss_of(shapes: torch.Tensor, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """shapes: (B, 5, M) as the network gives them. logits: (B, len(KINDS), M / 2)."""
    squares = (shapes - batch.targets) ** 2
    # A mouth that is open in a /p/ is what people notice: the opening counts three times where the lips meet.
    care = 1 + 2 * batch.targets[:, _CLOSURE]
    errors = squares.mean((0, 2)) @ _WEIGHTS + 2.0 * (squares[:, _OPENING] * (care - 1)).mean()
    closed = F.binary_cross_entropy(shapes[:, _CLOSURE].clamp(1e-4, 1 - 1e-4), batch.targets[:, _CLOSURE])
    opening, wanted = shapes[:, _OPENING], batch.targets[:, _OPENING]
    speed = ((opening.diff(dim=1) - wanted.diff(dim=1)) ** 2).mean()
    likeness = _correlation(opening, wanted)
    kinds = F.cross_entropy(logits, batch.kinds[:, :: shapes.shape[2] // logits.shape[2]], label_smoothing=0.05)
    return errors + 0.15 * closed + 8 * speed + 0.15 * (1 - likeness) + 0.08 * kinds


def _correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    return ((a * b).mean(1) / ((a**2).mean(1) * (b**2).mean(1) + 1e-5).sqrt()).mean()


def teach(
    streams: list[Stream], lesson: Lesson, config: MouthShapeConfig, keep: Keep = lambda network: None
) -> MouthShapeNet:
    """Train by AdamW with a warm-up and a cosine; returns the running mean of the weights, which `keep` gets now and
    then as well.
    """
    torch.manual_seed(lesson.seed)
    network, judge = MouthShapeNet(config), nn.Conv1d(config.width, len(KINDS), 1)
    parameters = [*network.parameters(), *judge.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=lesson.rate, weight_decay=0.02, betas=(0.9, 0.98))
    average = torch.optim.swa_utils.get_ema_multi_avg_fn(0.995)  # type: ignore[no-untyped-call]
    mean = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=average)
    classroom, augment = Classroom(streams, lesson), Augment(lesson.strength, lesson.seed)
    native = cpu_computes_bf16()
    start, running = time.monotonic(), 0.0
    for step in range(lesson.steps):
        done = step / lesson.steps
        for group in optimiser.param_groups:
            group["lr"] = lesson.rate * min(1.0, (step + 1) / 60) * (0.02 + 0.98 * math.cos(math.pi / 2 * done) ** 2)
        batch = augment(classroom.batch())
        with torch.autocast("cpu", torch.bfloat16, enabled=native):  # twice as fast where the CPU has it
            features = network.features(batch.mel)
        loss = loss_of(network.shape(features.float()), judge(features.float()), batch)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        mean.update_parameters(network)
        running += (0.05 if step else 1.0) * (loss.item() - running)
        if step % 50 == 49:
            print(
                f"step {step + 1} of {lesson.steps}, loss {running:.4f}, {time.monotonic() - start:.0f} s", flush=True
            )
            keep(_network(mean))
    return _network(mean).eval()


def _network(mean: torch.optim.swa_utils.AveragedModel) -> MouthShapeNet:
    assert isinstance(mean.module, MouthShapeNet)
    return mean.module


def save(network: MouthShapeNet, path: Path, lesson: Lesson) -> None:
    """Write fp16 safetensors; the metadata holds the network's configuration and how it was taught."""
    state = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    config = json.dumps(asdict(network.config))
    save_file(state, path, {"format": "pt", "mouth_shape": config, "lesson": json.dumps(asdict(lesson))})


def school(folder: Path, lesson: Lesson) -> list[Path]:
    """The files of speech, synthesised now where they are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for part in range(1, lesson.parts + 1):
        paths.append(folder / f"part{part}.npz")
        if not paths[-1].exists():
            print(f"synthesising {lesson.hours} hours of speech into {paths[-1]}", flush=True)
            build(paths[-1], lesson.hours, 100 * lesson.seed + part)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description="Teach the puppet's ear on synthetic speech.")
    parser.add_argument("--out", type=Path, default=Path("models/puppet.safetensors"))
    parser.add_argument("--school", type=Path, default=Path("out/puppet_school"), help="folder of the speech")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--width", type=int, default=MouthShapeConfig.width)
    for name, value in asdict(Lesson()).items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    given = parser.parse_args()
    lesson = Lesson(**{name: getattr(given, name) for name in asdict(Lesson())})
    torch.set_num_threads(given.threads)
    streams = [stream for path in school(given.school, lesson) for stream in load(path)]
    network = teach(streams, lesson, MouthShapeConfig(width=given.width), lambda n: save(n, given.out, lesson))
    save(network, given.out, lesson)
    print(f"wrote {given.out}, {given.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
