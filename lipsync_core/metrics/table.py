"""Scores as a table, as JSON and as a plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UsageError
from ..media import atomic_output
from .score import Score
from .sync import SHIFT

# Digits behind the point; every other column gets two.
_DIGITS = {"LSE-D": 3, "LSE-C": 3, "offset": 0, "SSIM": 4, "CPBD": 3, "CSIM": 3, "LPIPS": 4, "jitter": 4, "expert": 3}
_MEAN = "mean"


def columns(scores: Sequence[Score]) -> list[str]:
    """Every column that a score has, in the order of the first that has it."""
    return list(dict.fromkeys(name for score in scores for name in score.values))


def means(scores: Sequence[Score]) -> dict[str, float]:
    """Column -> mean over all faces that have a figure in it: the mean of means per video, as published."""
    result = {}
    for name in columns(scores):
        figures = [score.values[name] for score in scores if math.isfinite(score.values.get(name, math.nan))]
        result[name] = float(np.mean(figures)) if figures else math.nan
    return result


def as_text(scores: Sequence[Score], overall: dict[str, float] | None = None) -> str:
    """One row a face, then the means; - where there is no figure. overall: columns of the whole set, such as FID."""
    names = columns(scores)
    rows = [["video", "face", "frames", *names]]
    rows += [[s.file, str(s.face), str(s.frames), *(_shown(n, s.values.get(n)) for n in names)] for s in scores]
    if len(scores) > 1:
        mean = means(scores)
        rows.append([_MEAN, "", str(sum(s.frames for s in scores)), *(_shown(n, mean[n]) for n in names)])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = ["  ".join(map(_aligned, row, widths, range(len(row)))) for row in rows]
    lines += [f"{name}: {_shown(name, value)}" for name, value in (overall or {}).items()]
    return "\n".join(line.rstrip() for line in lines)


def as_data(scores: Sequence[Score], overall: dict[str, float] | None = None) -> dict[str, Any]:
    """For JSON: what has no figure is null."""
    rows = [
        {
            "video": score.file,
            "face": score.face,
            "frames": score.frames,
            "scores": {name: _finite(value) for name, value in score.values.items()},
            "curve": None if score.curve is None else [round(float(value), 5) for value in score.curve],
            "notes": list(score.notes),
        }
        for score in scores
    ]
    mean = {name: _finite(value) for name, value in means(scores).items()}
    return {"rows": rows, "mean": mean, "overall": {name: _finite(value) for name, value in (overall or {}).items()}}


def plot(scores: Sequence[Score], path: Path) -> None:
    """The mean distance per shift of each face, as PNG. Raises UsageError without matplotlib, or without a curve."""
    curves = {f"{score.file} ({score.face})": score.curve for score in scores if score.curve is not None}
    if not curves:
        raise UsageError("There is nothing to plot: no sync score was asked for (--net none).")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("A plot needs matplotlib. Install it: pip install matplotlib") from None
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    shifts = np.arange(-SHIFT, SHIFT + 1)
    for name, curve in curves.items():
        axes.plot(shifts, curve, linewidth=1.2, label=name)
    axes.axvline(0, color="0.7", linewidth=0.8, zorder=0)
    axes.set_xlabel("shift of the sound (frames at 25 fps)")
    axes.set_ylabel("mean distance of lips and sound")
    axes.set_title("A deep valley at 0 is a good sync")
    if len(curves) <= 12:
        axes.legend(fontsize=7, frameon=False)
    with atomic_output(path) as part:
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(str(part))


def _shown(name: str, value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.{next((digits for word, digits in _DIGITS.items() if name.startswith(word)), 2)}f}"


def _aligned(cell: str, width: int, place: int) -> str:
    return cell.ljust(width) if place == 0 else cell.rjust(width)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
