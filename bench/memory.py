"""Memory against length: ten minutes of 720p must not need much more than thirty seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from .checkpoints import quarter_wav2lip
from .media import moving_face, repeated, voice

LIMIT_MB = 200
CLIP_SECONDS = 10


def run(folder: Path) -> str:
    rows = ["| clip | frames | peak MB | frames/s |", "|---|---|---|---|"]
    peaks = []
    clip = moving_face(folder / "clip.mp4", CLIP_SECONDS)
    checkpoint = quarter_wav2lip(folder)
    for name, seconds in (("30 s of 720p", 30), ("10 min of 720p", 600)):
        face = repeated(clip, folder / f"{seconds}.mp4", seconds // CLIP_SECONDS)
        facts = _run(face, voice(folder / f"{seconds}.wav", seconds), checkpoint, folder)
        peaks.append(facts["peak_memory_mb"])
        rows.append(
            f"| {name} | {facts['frames']} | {facts['peak_memory_mb']:.0f} | {facts['frames_per_second']:.1f} |"
        )
    more = peaks[1] - peaks[0]
    verdict = "within" if more <= LIMIT_MB else "OVER"
    return "\n".join([*rows, "", f"Difference {more:.0f} MB, {verdict} the {LIMIT_MB} MB that are allowed."])


def _run(face: Path, speech: Path, checkpoint: Path, folder: Path) -> dict[str, float]:
    """In a process of its own, because the peak is that of a whole process."""
    report = folder / "report.json"
    words = [
        "sync",
        face,
        speech,
        "-o",
        folder / "out.mp4",
        "--overwrite",
        "--offline",
        "--report",
        report,
        "--no-cache",
    ]
    words += ["--preset", "ultrafast", "--checkpoint", checkpoint]
    subprocess.run([sys.executable, "-m", "lipsync_core", *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    facts: dict[str, float] = json.loads(report.read_text(encoding="utf-8"))
    return facts
