"""`lipsync score --net expert` on videos of new drawn people, whose sound was moved by whole frames."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from lipsync_core.__main__ import main
from lipsync_core.timing import SAMPLE_RATE
from lipsync_core.training.synthetic import TalkingClip, talking_clips
from lipsync_core.types import Pixels

PEOPLE, SEED, SECONDS = 6, 991, 4.0
SHIFTS = range(-5, 6)
_SCALE = 2
_MARGIN = 5  # frames
_PER_FRAME = SAMPLE_RATE // 25


def found_by_the_command(work: Path) -> str:
    """How many of the videos get the shift they were made with, within one frame, and exactly."""
    near = exact = count = 0
    for number, clip in enumerate(talking_clips(SEED, PEOPLE, SECONDS)):
        for shift in SHIFTS:
            video = _video(work / "videos" / f"{number}_{shift}.mkv", clip, shift)
            offset = _offset(video, clip, work)
            near, exact, count = near + (abs(offset - shift) <= 1), exact + (offset == shift), count + 1
    return f"`lipsync score --net expert`: {near} of {count} videos within one frame, {exact} exactly."


def _offset(video: Path, clip: TalkingClip, work: Path) -> float:
    box = ",".join(str(round(float(edge) * _SCALE)) for edge in np.median(clip.boxes_xyxy, axis=0))
    facts = video.with_suffix(".json")
    weights = str(work / "expert" / "model.safetensors")
    words = ["score", str(video), "--net", "expert", "--score-checkpoint", weights, "--box", box, "--json", str(facts)]
    with redirect_stdout(io.StringIO()):
        if main([*words, "-q", "--offline"]):
            raise RuntimeError(f"{video} could not be scored")
    rows = json.loads(facts.read_text(encoding="utf-8"))["rows"]
    return float(rows[0]["scores"]["expert offset"])


def _video(path: Path, clip: TalkingClip, shift: int) -> Path:
    """shift: frames that the sound comes too early."""
    path.parent.mkdir(exist_ok=True)
    frames = clip.frames[_MARGIN - shift : len(clip.frames) - _MARGIN - shift]
    start = _MARGIN * _PER_FRAME
    sound = clip.waveform[start : start + len(frames) * _PER_FRAME]
    with av.open(str(path), "w") as out:
        picture = out.add_stream("libx264", rate=Fraction(25), options={"crf": "12", "preset": "veryfast"})
        side = clip.frames.shape[1] * _SCALE
        picture.width, picture.height, picture.pix_fmt = side, side, "yuv420p"
        voice = out.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")  # no priming, which would move it
        for frame in frames:
            out.mux(picture.encode(av.VideoFrame.from_ndarray(_larger(frame, side), format="rgb24")))
        out.mux(picture.encode())
        samples = av.AudioFrame.from_ndarray((sound[None] * 32000).astype(np.int16), "s16", "mono")
        samples.sample_rate = SAMPLE_RATE
        out.mux(voice.encode(samples))
        out.mux(voice.encode())
    return path


def _larger(frame: Pixels, side: int) -> Pixels:
    return np.asarray(cv2.resize(frame, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)
