"""The moving head: memory against length, with the renderer and without it, and where the time goes.

Random weights: right in every shape. Without the renderer (the crop itself instead of a drawn frame) ten minutes take
minutes, not days, and everything else of the run is as it is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from lipsync_core.engines.sadtalker.performance import SadTalkerPerformance
from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import lipsync
from lipsync_core.runtime import Runtime, choose_device, choose_precision, default_model_dir

from .checkpoints import random_sadtalker
from .media import portrait, voice

LIMIT_MB = 200
JOBS = {"without the renderer": (10, 600), "with the renderer": (2, 6)}


def run(folder: Path) -> str:
    """Every job whose name begins with BENCH_JOB, all of them without it."""
    random_sadtalker(folder)
    rows = ["| run | frames | peak MB | move s | render s | frames/s |", "|---|---|---|---|---|---|"]
    verdicts = []
    for name, lengths in JOBS.items():
        if not name.startswith(os.environ.get("BENCH_JOB", "")):
            continue
        facts = [_apart(name, seconds, folder) for seconds in lengths]
        for seconds, fact in zip(lengths, facts, strict=True):
            rows.append(
                f"| {name}, {seconds} s | {fact['frames']} | {fact['peak']:.0f} | {fact['load']:.1f} "
                f"| {fact['render']:.1f} | {fact['frames'] / fact['render']:.2f} |"
            )
        more = facts[1]["peak"] - facts[0]["peak"]
        verdicts.append(f"{name}: {more:.0f} MB more, {'within' if more <= LIMIT_MB else 'OVER'} {LIMIT_MB} MB.")
    return "\n".join([*rows, "", *verdicts])


def _apart(name: str, seconds: int, folder: Path) -> dict[str, float]:
    """In a process of its own, because the peak is that of a whole process."""
    words = [sys.executable, "-m", "bench.sadtalker", str(folder), str(seconds), name]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    facts: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return facts


def _once(folder: Path, seconds: int, name: str) -> None:
    if name == "without the renderer":
        SadTalkerPerformance._draw = _no_renderer  # type: ignore[method-assign]
    device = choose_device()
    machine = Runtime(device, choose_precision("auto", device), (folder, default_model_dir()), offline=True)
    options = LipSyncOptions(
        checkpoint="sadtalker_random_256", preprocess="crop", preset="ultrafast", detector="cascade"
    )
    face, speech = portrait(folder / "face.png"), voice(folder / f"{seconds}.wav", seconds)
    report = lipsync(face, speech, folder / "out.mp4", options, machine, overwrite=True)
    stages = report.stage_seconds
    facts = {"frames": report.frames, "peak": report.peak_memory_mb, "load": stages["load"], "render": stages["render"]}
    sys.stdout.write(json.dumps(facts) + "\n")


def _no_renderer(self: SadTalkerPerformance, keypoints: np.ndarray) -> torch.Tensor:
    return self.crop.expand(len(keypoints), -1, -1, -1).contiguous()


if __name__ == "__main__":
    _once(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
