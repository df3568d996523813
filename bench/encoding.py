"""What x264 holds of 1080p, and what its files are worth: our settings beside its own. CLIPS names other videos."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil

from lipsync_core.video.encoders import Encoding, choose_encoder

from .media import moving_face

SIZE = (1920, 1080)
FRAMES = 75
PRESETS = ("veryfast", "medium")


def run(folder: Path) -> str:
    named = [Path(name) for name in os.environ.get("CLIPS", "").split(os.pathsep) if name]
    rows = ["| clip | preset | settings | MB held | KB | PSNR dB | s of CPU |", "|---|---|---|---|---|---|---|"]
    for clip in named or [moving_face(folder / "moving.mp4", FRAMES / 25, size=SIZE)]:
        for preset in PRESETS:
            for settings in ("x264's", "ours"):
                facts = _run(clip, preset, settings, folder / "out.mp4")
                shown = f"{facts['mb']:.0f} | {facts['kb']:.0f} | {facts['psnr']:.2f} | {facts['cpu']:.2f}"
                rows.append(f"| {clip.stem} | {preset} | {settings} | {shown} |")
    return "\n".join(rows)


def _run(clip: Path, preset: str, settings: str, out: Path) -> dict[str, float]:
    """In a process of its own, because memory that was freed is not given back."""
    words = [sys.executable, "-m", "bench.encoding", str(clip), preset, settings, str(out)]
    facts: dict[str, float] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return facts


def encode(clip: Path, preset: str, settings: str, out: Path) -> dict[str, float]:
    """One encoding of frames that are all decoded before."""
    with av.open(str(clip)) as source:
        frames = [
            frame.reformat(*SIZE, format="yuv420p")
            for frame, _ in zip(source.decode(video=0), range(FRAMES))  # noqa: B905
        ]
    options = choose_encoder(Encoding(preset=preset), ".mp4", SIZE[0] * SIZE[1], Fraction(25)).options
    if settings != "ours":
        options = {name: value for name, value in options.items() if name != "x264-params"}
    process = psutil.Process()
    before, cpu = process.memory_info().rss, sum(process.cpu_times()[:2])
    with av.open(str(out), "w") as target:
        stream = target.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.thread_type = "FRAME"
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            target.mux(stream.encode(frame))
        held = process.memory_info().rss - before
        target.mux(stream.encode(None))
    spent = sum(process.cpu_times()[:2]) - cpu
    return {"mb": held / 2**20, "kb": out.stat().st_size / 1024, "psnr": _psnr(frames, out), "cpu": spent}


def _psnr(frames: list[av.VideoFrame], out: Path) -> float:
    with av.open(str(out)) as made:
        pairs = zip(frames, made.decode(video=0), strict=True)
        errors = [float(np.mean((_luma(one) - _luma(other)) ** 2)) for one, other in pairs]
    return float(10 * np.log10(255**2 / np.mean(errors)))


def _luma(frame: av.VideoFrame) -> np.ndarray:
    return frame.to_ndarray()[: SIZE[1]].astype(np.float32)


if __name__ == "__main__":
    print(json.dumps(encode(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]))))
