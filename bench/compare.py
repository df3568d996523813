"""The original's inference.py beside ours: same random checkpoint, same box, same files, in one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lipsync_core import assembly, casting, pipeline
from lipsync_core.options import LipSyncOptions
from lipsync_core.runtime import Runtime, choose_device, choose_precision, default_model_dir
from lipsync_core.types import Pixels, Report

from .checkpoints import random_wav2lip
from .media import moving_face, voice

SECONDS = 6
BOX = (150, 640, 400, 880)  # top, bottom, left, right
DETECTED_FRAMES = 2  # the original's detector is timed on so many


def run(folder: Path) -> str:
    checkout = os.environ.get("WAV2LIP_DIR")
    if not checkout:
        return "Skipped: WAV2LIP_DIR names no checkout of the original."
    face, speech = moving_face(folder / "face.mp4", SECONDS), voice(folder / "voice.wav", SECONDS)
    safe, pickle = random_wav2lip(folder)
    theirs = _original(Path(checkout), folder, ["--checkpoint_path", pickle, "--face", face, "--audio", speech])
    ours = _ours(face, speech, folder, str(safe), ",".join(str(BOX[i]) for i in (2, 0, 3, 1)))
    detection = _detector_seconds(Path(checkout), folder, face)
    generate = theirs["frames"] / theirs["seconds"]
    whole = 1 / (1 / generate + detection)
    detected = _speed(_ours(face, speech, folder, str(safe), ""))
    given = _speed(ours)
    rows = [
        "| what | original | ours | ratio |",
        "|---|---|---|---|",
        f"| frames/s, box given | {generate:.2f} | {given:.2f} | {given / generate:.2f} |",
        f"| frames/s with detection | {whole:.3f} | {detected:.2f} | {detected / whole:.0f} |",
        "",
        f"Original detector: {detection:.2f} s a frame (forward pass of S3FD on 720p, random weights).",
        f"Pictures before encoding agree with PSNR {_psnr(folder, str(safe)):.1f} dB inside the box",
        "(theirs fp32, ours as this machine computes; hard box, no colour match).",
    ]
    return "\n".join(rows)


def _original(checkout: Path, folder: Path, words: list[object]) -> dict[str, float]:
    top, bottom, left, right = BOX
    words = [*words, "--outfile", folder / "original.mp4", "--box", top, bottom, left, right]
    out = subprocess.run(
        [sys.executable, "-m", "bench.original", str(checkout), *map(str, words)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "ORIGINAL_FRAMES": str(folder / "original.npy")},
    )
    facts: dict[str, float] = json.loads(out.stdout.strip().splitlines()[-1])
    return facts


def _ours(face: Path, speech: Path, folder: Path, checkpoint: str, box: str) -> Report:
    options = _as_the_original(checkpoint, box)
    for _ in range(2):  # the first one warms up
        report = pipeline.lipsync(face, speech, folder / "ours.mp4", options, _runtime(), overwrite=True)
    return report


def _speed(report: Report) -> float:
    """Frames a second of all but the loading of the network."""
    stages = report.stage_seconds
    return report.frames / (stages["listen"] + stages["analyse"] + stages["render"])


def _runtime() -> Runtime:
    device = choose_device()
    return Runtime(device, choose_precision("auto", device), (default_model_dir(),), offline=True)


def _as_the_original(checkpoint: str, box: str) -> LipSyncOptions:
    """A hard rectangle, no label, no gate, no pads."""
    plain = {"mask": "box", "feather": 0.0, "colour_match": 0.0, "gate": False, "label": "off", "pad_bottom": 0}
    return LipSyncOptions(checkpoint=checkpoint, box=box, preset="superfast", **plain)


def _detector_seconds(checkout: Path, folder: Path, face: Path) -> float:
    """One S3FD forward pass of the original's own network on a 720p frame; weights do not change its cost."""
    code = (
        "import sys,time,torch;sys.path.insert(0,sys.argv[1]);torch.manual_seed(0);"
        "from face_detection.detection.sfd.net_s3fd import s3fd;n=s3fd().eval();x=torch.rand(1,3,720,1280);"
        "c=torch.no_grad();c.__enter__();n(x);t=time.perf_counter();"
        f"[n(x) for _ in range({DETECTED_FRAMES})];print((time.perf_counter()-t)/{DETECTED_FRAMES})"
    )
    out = subprocess.run([sys.executable, "-c", code, str(checkout)], check=True, capture_output=True, text=True)
    return float(out.stdout.strip().splitlines()[-1])


def _psnr(folder: Path, checkpoint: str) -> float:
    """Of the box, between the original's frames and ours, both before encoding."""
    theirs = np.load(folder / "original.npy", mmap_mode="r")
    top, bottom, left, right = BOX
    errors = []
    for first, pixels in _frames_of_ours(folder, checkpoint, len(theirs)):
        wanted = theirs[first : first + len(pixels), top:bottom, left:right].astype(np.float64)
        errors.append(((pixels[: len(wanted), top:bottom, left:right] - wanted) ** 2).mean(axis=(1, 2, 3)))
    return float(10 * np.log10(255**2 / np.concatenate(errors).mean()))


def _frames_of_ours(folder: Path, checkpoint: str, most: int) -> Iterator[tuple[int, Pixels]]:
    options = _as_the_original(checkpoint, ",".join(str(BOX[i]) for i in (2, 0, 3, 1)))
    runtime = _runtime()
    source = assembly.open_face(folder / "face.mp4", options)
    heard = assembly.hear(folder / "voice.wav", options, runtime)
    faces = pipeline.analyse(source, most, options, runtime)
    chosen = assembly.choose(options, runtime)
    total = min(most, faces.frame_count)
    cast = casting.cast(faces, source, chosen, assembly.voice(heard, source.fps, total, options), options)
    for batch in source.batches(total, "cut", 16):
        yield batch.first, pipeline.perform(cast[0], batch.pixels, batch.first, runtime)
