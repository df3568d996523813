"""Do the lips fit the speech? Measured on finished videos: `python -m bench.lips heldout | real | sheet ...`.

heldout   speech of voices and sentences kept out of training, whose sounds and times are known, at 50 frames/s
real      people talking, ../shared/samples/video: their first frame speaks with their own sound; real against made
sheet     contact sheets of portraits speaking, to be looked at
docs      the two pictures of docs/images, from portraits that anyone may show

The lips are found by MediaPipe, which is no dependency of this project: JUDGE_PYTHON names an interpreter that has it
(pip install mediapipe av numpy), FACE_TASK its face_landmarker_v2_with_blendshapes.task, and the rules of measuring are
../shared/judge/mouth_judge.py. `heldout` also needs espeak-ng. What is absent is said and skipped.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lipsync_core import assembly, casting, pipeline
from lipsync_core.contact_sheet import CELL, GAP, INK, PAPER, Area, Strip, draw_strip, read_strip, write_sheet
from lipsync_core.options import LipSyncOptions
from lipsync_core.runtime import Runtime, choose_device, choose_precision, default_model_dir
from lipsync_core.types import Float, Pixels
from lipsync_core.video.label import draw_label

from .media import PORTRAIT, ROOT, VOICE

SHARED = ROOT.parent / "shared"
JUDGE = SHARED / "judge" / "mouth_judge.py"
FPS = 50.0
CHOSEN = ("espeak_en-us_f4", "espeak_de_klatt3")  # two families of voice; `--all` takes the others too

# What the judge's interpreter runs for a whole curve; `series` on its command line prints statistics alone.
_SERIES = (
    "import sys, numpy; sys.path.insert(0, sys.argv[1]); import mouth_judge;"
    "times, rows = mouth_judge.series(sys.argv[2]); numpy.savez(sys.argv[3], times=times, rows=rows)"
)
_SAID = re.compile(r"r=(\S+) at lag (\S+) \(lag 0: (\S+)\); spread out/real = ([\d.]+)")


class AbsentError(Exception):
    """Something that a measurement needs is not on this machine."""


@dataclass(frozen=True)
class Place:
    """Where things are written, and what runs."""

    folder: Path
    runtime: Runtime

    def speak(self, face: Path, speech: Path, name: str, fps: str = "") -> Path:
        output = self.folder / f"{name}.mp4"
        options = LipSyncOptions(fps=fps)
        pipeline.lipsync(face, speech, output, options, self.runtime, overwrite=True)
        return output


def place(folder: Path, models: Sequence[Path] = ()) -> Place:
    """models: folders with more weights, such as YuNet's; without it the built-in cascade finds the faces."""
    folder.mkdir(parents=True, exist_ok=True)
    device = choose_device()
    folders = (*models, default_model_dir())
    return Place(folder, Runtime(device, choose_precision("auto", device), folders, offline=True))


# ------------------------------------------------------------------------------------------------- the judge


def require_judge() -> str:
    """The interpreter that has MediaPipe. Raises AbsentError."""
    python, task = os.environ.get("JUDGE_PYTHON", ""), os.environ.get("FACE_TASK", "")
    if not JUDGE.is_file():
        raise AbsentError("../shared/judge/mouth_judge.py is not here")
    if not python or not Path(task).is_file():
        raise AbsentError("JUDGE_PYTHON (an interpreter with mediapipe) or FACE_TASK (its landmark file) is not set")
    return python


def ask_judge(*words: object) -> str:
    out = subprocess.run([require_judge(), *map(str, words)], check=True, capture_output=True, text=True)
    return out.stdout


def opening(video: Path) -> tuple[NDArray[np.float64], Float]:
    """(N,) s and (N,) gap between the lips over the distance of the eyes, as the judge sees them."""
    kept = video.with_suffix(".npz")
    ask_judge("-c", _SERIES, JUDGE.parent, video, kept)
    with np.load(kept) as curve:
        times, gap = curve["times"], curve["rows"][:, 0]
    seen = ~np.isnan(gap)
    return times, np.interp(times, times[seen], gap[seen])


# ----------------------------------------------------------------------------------------------- held-out speech


def heldout(at: Place, portraits: Sequence[Path], every: bool) -> str:
    """The marks of each portrait and voice, as a table."""
    require_judge()
    rows = [
        "| portrait, voice | r | p b m shut | open vowels wide | pauses shut | opening at rest, widest tenth |",
        "|---|---|---|---|---|---|",
    ]
    for clip in _clips(at.folder / "voices", every):
        for portrait in portraits:
            rows.append(_heldout_row(at, portrait, clip))
            print(rows[-1], file=sys.stderr, flush=True)
    return "\n".join(rows)


def _clips(folder: Path, every: bool) -> list[Path]:
    try:
        from lipsync_core.training.puppet_eval import heldout_clips

        clips = heldout_clips(folder)
    except OSError as error:
        raise AbsentError(f"espeak-ng's library is not here ({error})") from error
    return [clip for clip in clips if every or clip.stem in CHOSEN]


def _heldout_row(at: Place, portrait: Path, clip: Path) -> str:
    from lipsync_core.training.puppet_eval import marks_of
    from lipsync_core.training.puppet_voices import Phone

    facts = json.loads(clip.with_suffix(".json").read_text("utf-8"))
    phones = [Phone(**phone) for phone in facts["phones"]]
    target = np.asarray(facts["targets"], np.float32)[:, 1]
    name = f"{portrait.stem}, {clip.stem}"
    times, gap = opening(at.speak(portrait, clip, f"{portrait.stem}_{clip.stem}", fps=str(round(FPS))))
    m = marks_of(name, gap, times, target, phones)
    low, wide = np.percentile(gap, (5, 90))
    shares = " | ".join("none" if np.isnan(x) else f"{x:.0%}" for x in (m.lips_shut, m.vowels_open, m.pauses_shut))
    return f"| {name} | {m.r:.3f} | {shares} | {low:.3f}, {wide:.3f} |"


# --------------------------------------------------------------------------------------------------- real lips


def real(at: Place) -> str:
    """Each real talker against the puppet made of his first frame and his sound, as a table."""
    require_judge()
    videos = sorted((SHARED / "samples" / "video").glob("talk_*.mp4"))
    if not videos:
        raise AbsentError("../shared/samples/video is not here")
    rows = ["| clip | frames/s | r at lag 0 | best r (lag, 40 ms) | spread, made/real |", "|---|---|---|---|---|"]
    scores = []
    for video in videos:
        still, sound, fps = _taken_apart(video, at.folder)
        made = at.speak(still, sound, f"{video.stem}_made", fps=str(fps))
        best, lag, now, spread = judged(ask_judge(JUDGE, "compare", made, video))
        scores.append(now)
        rows.append(f"| {video.stem} | {float(fps):.2f} | {now:.3f} | {best:.3f} ({lag:+.0f}) | {spread:.2f} |")
        print(rows[-1], file=sys.stderr, flush=True)
    return "\n".join([*rows, f"| mean | | {np.mean(scores):.3f} | | |"])


def judged(said: str) -> tuple[float, ...]:
    """(best r, its lag in steps of 40 ms, r at lag 0, spread made/real) from the words of `compare`."""
    found = _SAID.search(said)
    if not found:
        raise ValueError(f"the judge said {said!r}")
    return tuple(map(float, found.groups()))


def _taken_apart(video: Path, folder: Path) -> tuple[Path, Path, Fraction]:
    """(first frame as PNG, whole sound as 16 kHz mono WAV, mean frame rate)."""
    still, sound = folder / f"{video.stem}.png", folder / f"{video.stem}.wav"
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        fps = Fraction(stream.average_rate or 25)
        next(container.decode(stream)).to_image().save(still)
    with av.open(str(video)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=16000)
        decoded = container.decode(container.streams.audio[0])
        parts = [out.to_ndarray()[0] for frame in decoded for out in resampler.resample(frame)]
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.concatenate(parts).astype("<i2").tobytes())
    return still, sound, fps


# --------------------------------------------------------------------------------------------------- to look at


def sheet(at: Place, portraits: Sequence[Path], speech: Path) -> str:
    """NAME.png for each portrait: 24 frames around its face over the sound."""
    lines = []
    for portrait in portraits:
        video = at.speak(portrait, speech, portrait.stem)
        picture = at.folder / f"{portrait.stem}_sheet.png"
        write_sheet(video, picture, _face_area(at, portrait))
        lines.append(str(picture))
    return "\n".join(lines)


def _face_area(at: Place, portrait: Path) -> Area:
    """A square around the face that speaks, inside the finished video."""
    options = LipSyncOptions()
    source = assembly.open_face(portrait, options)
    box = casting.speaking_tracks(pipeline.analyse(source, 1, options, at.runtime), source, 1, options)[0].boxes_xyxy[0]
    half = float(max(box[2] - box[0], box[3] - box[1])) * 0.75
    half = min(half, source.width / 2, source.height / 2)
    x = float(np.clip((box[0] + box[2]) / 2, half, source.width - half))
    y = float(np.clip((box[1] + box[3]) / 2, half, source.height - half))
    return (int(x - half), int(y - half), int(x + half), int(y + half))


# Columns as MOUTH_SHAPE names them: jaw, opening, width, rounding, closure.
SHAPES = {
    "rest": (0.0, 0.0, 0.0, 0.0, 0.3),
    "m, b, p": (0.05, 0.0, 0.0, 0.0, 1.0),
    "f, v": (0.12, 0.12, 0.1, 0.0, 0.35),
    "ee": (0.2, 0.3, 0.8, 0.0, 0.0),
    "eh": (0.45, 0.55, 0.4, 0.0, 0.0),
    "ah": (1.0, 1.0, 0.05, 0.0, 0.0),
    "oh": (0.5, 0.55, -0.4, 0.7, 0.0),
    "oo": (0.15, 0.25, -0.8, 1.0, 0.0),
}


def posed(at: Place, portrait: Path) -> Pixels:
    """(8, H, W, 3): the portrait in each of SHAPES, eyes open and head still, as the puppet draws it."""
    options = LipSyncOptions(blink=0, sway=0)
    source = assembly.open_face(portrait, options)
    faces = pipeline.analyse(source, len(SHAPES), options, at.runtime)
    heard = assembly.hear(VOICE, options, at.runtime)
    voice = assembly.voice(heard, source.fps, len(SHAPES), options)
    actor = casting.cast(faces, source, assembly.choose(options, at.runtime), voice, options)[0]
    actor.performance.shapes[:] = np.array(list(SHAPES.values()), np.float32)  # type: ignore[attr-defined]
    batch = next(iter(source.batches(len(SHAPES), "loop", len(SHAPES))))
    return pipeline.perform(actor, batch.pixels.copy(), 0, at.runtime)


def docs(at: Place) -> str:
    """speaking.png and mouth-shapes.png of the portraits of `lipsync demo`, which belong to nobody."""
    from lipsync_core.demo import demo

    demo(at.folder, at.runtime)
    faces = {"demo": (160, 150, 620, 610), "demo-astronaut": (134, 10, 314, 190)}
    strips = [_middle(draw_strip(_strip(at.folder / f"{name}.mp4", area), 8)) for name, area in faces.items()]
    _stacked(strips).save(at.folder / "speaking.png", optimize=True)
    portraits = zip((PORTRAIT, at.folder / "astronaut.png"), faces.values(), strict=True)
    rows = [_row(posed(at, portrait), _lower(area)) for portrait, area in portraits]
    _stacked(rows).save(at.folder / "mouth-shapes.png", optimize=True)
    return f"{at.folder / 'speaking.png'}\n{at.folder / 'mouth-shapes.png'}"


def _strip(video: Path, area: Area) -> Strip:
    """24 frames, each with the visible label: the picture of a real person must not pass for a photograph."""
    strip = read_strip(video, 24, area)
    return replace(strip, frames=[_labelled(frame) for frame in strip.frames])


def _labelled(picture: Pixels) -> Pixels:
    cell = np.asarray(Image.fromarray(picture).resize((CELL, CELL), Image.Resampling.LANCZOS), np.uint8).copy()
    draw_label(cell[None])
    return cell


def _middle(rows: Image.Image) -> Image.Image:
    """The second of a contact sheet's three rows: four seconds in which much is said."""
    third = (rows.height - GAP) // 3
    return rows.crop((0, third + 1, rows.width, 2 * third + GAP))  # + 1: the marks of the row above end here


def _lower(face: Area) -> Area:
    """Eyes to chin of a square around a head."""
    side = face[2] - face[0]
    return (face[0] + side // 6, face[1] + side // 4, face[2] - side // 6, face[1] + side // 4 + side - 2 * (side // 6))


def _row(pictures: Pixels, area: Area) -> Image.Image:
    row = Image.new("RGB", (len(pictures) * (CELL + GAP) + GAP, CELL + 2 * GAP), PAPER)
    draw = ImageDraw.Draw(row)
    for i, (name, pixels) in enumerate(zip(SHAPES, pictures, strict=True)):
        left = GAP + i * (CELL + GAP)
        row.paste(Image.fromarray(_labelled(np.asarray(Image.fromarray(pixels).crop(area)))), (left, GAP))
        draw.text((left + 4, GAP + 3), name, fill=(255, 255, 255), stroke_width=1, stroke_fill=INK)
    return row


def _stacked(pictures: Sequence[Image.Image]) -> Image.Image:
    whole = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), PAPER)
    top = 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height
    return whole


def _portraits(folder: Path, named: Sequence[Path]) -> Iterator[Path]:
    """What the user named, else our own portrait and scikit-image's astronaut."""
    yield from named
    if named:
        return
    yield PORTRAIT
    if importlib.util.find_spec("skimage"):
        from skimage.data import astronaut

        Image.fromarray(astronaut()).save(folder / "astronaut.png")
        yield folder / "astronaut.png"


def main() -> None:
    parser = argparse.ArgumentParser(description="Do the lips fit the speech?")
    parser.add_argument("what", choices=("heldout", "real", "sheet", "docs"))
    parser.add_argument("portraits", nargs="*", type=Path, help="pictures; default: the demo's two portraits")
    parser.add_argument("-o", "--out", type=Path, help="keep videos and curves in this folder")
    parser.add_argument("--models", type=Path, action="append", default=[], help="folder with more weights")
    parser.add_argument("--speech", type=Path, default=VOICE, help="of `sheet`")
    parser.add_argument("--all", action="store_true", help="of `heldout`: every voice kept out of training")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        at = place(given.out or Path(scratch), given.models)
        portraits = list(_portraits(at.folder, given.portraits))
        jobs = {
            "heldout": lambda: heldout(at, portraits, given.all),
            "real": lambda: real(at),
            "sheet": lambda: sheet(at, portraits, given.speech),
            "docs": lambda: docs(at),
        }
        try:
            print(jobs[given.what]())
        except AbsentError as reason:
            print(f"Skipped: {reason}.")


if __name__ == "__main__":
    main()
