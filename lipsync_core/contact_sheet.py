"""A finished video at a glance: frames at even times over the waveform of its sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw

from .media import atomic_output
from .types import Float, Pixels

CELL = 192  # px, width of one frame on the sheet
WAVE_HEIGHT = 72  # px
GAP = 6  # px
Area = tuple[int, int, int, int]
PAPER, INK, WAVE, MARK = (250, 250, 248), (40, 40, 44), (92, 124, 178), (214, 92, 64)


@dataclass(frozen=True)
class Strip:
    """frames: what is shown. times: seconds of each. wave: (n,) peak per column in [0, 1]. seconds: of the clip."""

    frames: Sequence[Pixels]
    times: Sequence[float]
    wave: Float
    seconds: float


def read_strip(video: Path, count: int, area_xyxy: Area | None = None) -> Strip:
    """Decode `count` frames spread evenly over a video that this project wrote, and the outline of its sound.

    area_xyxy: the part of the picture to show, in pixels; None: all of it.
    """
    left, top, right, bottom = area_xyxy or (0, 0, None, None)
    frames, times = [], []
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        total = max(1, stream.frames)
        wanted = {int(i) for i in np.linspace(0, total - 1, count).round()}
        for index, frame in enumerate(container.decode(stream)):
            if index in wanted:
                frames.append(np.asarray(frame.to_ndarray(format="rgb24")[top:bottom, left:right], np.uint8))
                times.append(float(frame.time or 0))
        seconds = float(total / (stream.average_rate or 25))
    return Strip(frames, times, _outline(video, seconds), seconds)


def _outline(video: Path, seconds: float, columns: int = 4800) -> Float:
    """(columns,) peak of the sound in each part of the clip, in [0, 1]."""
    wave = np.zeros(columns, np.float32)
    with av.open(str(video)) as container:
        if not container.streams.audio:
            return wave
        for frame in container.decode(container.streams.audio[0]):
            samples = np.abs(frame.to_ndarray().astype(np.float32)).reshape(-1, frame.samples).max(axis=0)
            times = float(frame.time or 0) + np.arange(frame.samples) / frame.sample_rate
            place = (times / max(seconds, 1e-6) * columns).astype(int)
            inside = (place >= 0) & (place < columns)
            np.maximum.at(wave, place[inside], samples[inside])
    return wave / wave.max() if wave.max() > 0 else wave


def draw_strip(strip: Strip, per_row: int) -> Image.Image:
    """Rows of frames, each row over its part of the waveform; a mark shows where each frame stands in the sound."""
    height = round(CELL * strip.frames[0].shape[0] / strip.frames[0].shape[1])
    rows = -(-len(strip.frames) // per_row)
    width = per_row * (CELL + GAP) + GAP
    sheet = Image.new("RGB", (width, rows * (height + WAVE_HEIGHT + 2 * GAP) + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for row in range(rows):
        top = GAP + row * (height + WAVE_HEIGHT + 2 * GAP)
        chosen = range(row * per_row, min(len(strip.frames), (row + 1) * per_row))
        span = (row / rows * strip.seconds, (row + 1) / rows * strip.seconds)
        _draw_wave(draw, strip, span, (GAP, top + height + GAP, width - 2 * GAP))
        for cell, i in enumerate(chosen):
            left = GAP + cell * (CELL + GAP)
            picture = Image.fromarray(strip.frames[i]).resize((CELL, height), Image.Resampling.LANCZOS)
            sheet.paste(picture, (left, top))
            _draw_mark(draw, strip.times[i], span, (GAP, top + height + GAP, width - 2 * GAP))
            draw.text(
                (left + 4, top + 3), f"{strip.times[i]:.2f} s", fill=(255, 255, 255), stroke_width=1, stroke_fill=INK
            )
    return sheet


def _draw_wave(draw: ImageDraw.ImageDraw, strip: Strip, span: tuple[float, float], place: tuple[int, int, int]) -> None:
    left, top, width = place
    middle = top + WAVE_HEIGHT // 2
    for x in range(width):
        time = span[0] + x / width * (span[1] - span[0])
        level = strip.wave[min(len(strip.wave) - 1, int(time / max(strip.seconds, 1e-6) * len(strip.wave)))]
        reach = max(1, round(float(level) * (WAVE_HEIGHT // 2 - 2)))
        draw.line([(left + x, middle - reach), (left + x, middle + reach)], fill=WAVE)


def _draw_mark(draw: ImageDraw.ImageDraw, time: float, span: tuple[float, float], place: tuple[int, int, int]) -> None:
    left, top, width = place
    x = left + (time - span[0]) / max(span[1] - span[0], 1e-6) * width
    draw.line([(x, top), (x, top + WAVE_HEIGHT)], fill=MARK, width=2)


def write_sheet(video: Path, picture: Path, area_xyxy: Area | None = None, count: int = 24, per_row: int = 8) -> None:
    """Draw `video`'s contact sheet into the PNG `picture`, whole or not at all."""
    sheet = draw_strip(read_strip(video, count, area_xyxy), per_row)
    with atomic_output(picture) as part:
        sheet.save(part, format="PNG", optimize=True)
