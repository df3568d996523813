"""Frames a second of the whole job on this machine."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import lipsync
from lipsync_core.runtime import Runtime, choose_device, choose_precision, default_model_dir
from lipsync_core.types import Report

from .checkpoints import random_wav2lip
from .media import moving_face, portrait, voice

SECONDS = 8
REPEATS = 3


@dataclass(frozen=True)
class Job:
    name: str
    face: Path
    options: LipSyncOptions


def runtime(folder: Path) -> Runtime:
    device = choose_device()
    return Runtime(device, choose_precision("auto", device), (default_model_dir(),), offline=True)


def jobs(folder: Path) -> list[Job]:
    checkpoint = str(random_wav2lip(folder)[0])
    still = portrait(folder / "portrait512.png", 512)
    moving = moving_face(folder / "moving720.mp4", SECONDS)
    fast = {"preset": "superfast", "crf": 18}
    return [
        Job("Wav2Lip 96, moving 720p face", moving, LipSyncOptions(checkpoint=checkpoint, **fast)),
        Job("Wav2Lip 96, still 512 px portrait", still, LipSyncOptions(checkpoint=checkpoint, **fast)),
        Job("puppet, still 512 px portrait", still, LipSyncOptions(**fast)),
        Job("puppet, moving 720p face", moving, LipSyncOptions(**fast)),
    ]


def run(folder: Path) -> str:
    """Every job whose name holds BENCH_JOB, all of them without it."""
    speech = voice(folder / "voice.wav", SECONDS)
    wanted = os.environ.get("BENCH_JOB", "")
    rows = ["| job | frames/s, best and median of 3 | analyse s | render s | peak MB |", "|---|---|---|---|---|"]
    for job in (job for job in jobs(folder) if wanted in job.name):
        reports = [_once(job, speech, folder) for _ in range(REPEATS + 1)][1:]  # the first one warms up
        speeds = sorted(report.frames_per_second for report in reports)
        best = max(reports, key=lambda report: report.frames_per_second)
        stages = best.stage_seconds
        rows.append(
            f"| {job.name} | {speeds[-1]:.1f}, {speeds[len(speeds) // 2]:.1f} | {stages['analyse']:.2f} "
            f"| {stages['render']:.2f} | {best.peak_memory_mb:.0f} |"
        )
    return "\n".join([*rows, "", f"{SECONDS} s at 25 fps, crf 18, preset superfast, decode to encode, no cache."])


def _once(job: Job, speech: Path, folder: Path) -> Report:
    time.sleep(0.2)
    return lipsync(job.face, speech, folder / "out.mp4", job.options, runtime(folder), overwrite=True)
