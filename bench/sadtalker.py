"""The moving head with all of its networks: memory against length, and how long a frame takes on this machine.

Random weights: right in every shape. Five frames a second, so that it takes minutes. That ten minutes of a clip need no
more than ten seconds is tested with a stand-in for the networks, in tests/test_sadtalker_memory.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import lipsync
from lipsync_core.runtime import Runtime, choose_device, choose_precision, default_model_dir

from .checkpoints import random_sadtalker
from .media import portrait, voice

LIMIT_MB = 200
LENGTHS = (2, 6)  # s


def run(folder: Path) -> str:
    random_sadtalker(folder)
    rows = ["| clip | frames | peak MB | load s | render s | frames/s |", "|---|---|---|---|---|---|"]
    facts = [_apart(seconds, folder) for seconds in LENGTHS]
    for seconds, fact in zip(LENGTHS, facts, strict=True):
        speed = fact["frames"] / fact["render"]
        rows.append(
            f"| {seconds} s | {fact['frames']} | {fact['peak']:.0f} | {fact['load']:.1f} | {fact['render']:.1f} "
            f"| {speed:.2f} |"
        )
    more = facts[1]["peak"] - facts[0]["peak"]
    verdict = "within" if more <= LIMIT_MB else "OVER"
    return "\n".join([*rows, "", f"Difference {more:.0f} MB, {verdict} the {LIMIT_MB} MB that are allowed."])


def _apart(seconds: int, folder: Path) -> dict[str, float]:
    """In a process of its own, because the peak is that of a whole process."""
    words = [sys.executable, "-m", "bench.sadtalker", str(folder), str(seconds)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    facts: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return facts


def _once(folder: Path, seconds: int) -> None:
    device = choose_device()
    machine = Runtime(device, choose_precision("auto", device), (folder, default_model_dir()), offline=True)
    options = LipSyncOptions(checkpoint="sadtalker_random_256", fps="5", preset="ultrafast", detector="cascade")
    face, speech = portrait(folder / "face.png"), voice(folder / f"{seconds}.wav", seconds)
    report = lipsync(face, speech, folder / "out.mp4", options, machine, overwrite=True)
    stages = report.stage_seconds
    facts = {"frames": report.frames, "peak": report.peak_memory_mb, "load": stages["load"], "render": stages["render"]}
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    _once(Path(sys.argv[1]), int(sys.argv[2]))
