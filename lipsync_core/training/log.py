"""What a training says while it runs: log.csv always, TensorBoard where it is installed, pictures to look at."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from PIL import Image

_COLUMNS = ("step", "seconds", "name", "value")


class Log:
    """Use it with `with`. first: step that the run goes on with; rows of later steps, of a run that was killed, go.

    shown False writes nothing: only one process of many logs.
    """

    def __init__(self, folder: Path, first: int, shown: bool = True) -> None:
        self._folder, self._first, self._shown = folder, first, shown
        self._sums: dict[str, list[float]] = {}
        self._start = time.monotonic()
        self._board: Any = None

    def __enter__(self) -> Log:
        if not self._shown:
            return self
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / "log.csv"
        kept = [row for row in _rows(path) if int(row["step"]) <= self._first]
        self._start -= float(kept[-1]["seconds"]) if kept else 0.0
        self._file = path.open("w", newline="", encoding="utf-8")
        self._csv = csv.DictWriter(self._file, _COLUMNS)
        self._csv.writeheader()
        self._csv.writerows(kept)
        self._board = _tensorboard(self._folder, self._first)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._file.close()
            if self._board is not None:
                self._board.close()

    def step(self, step: int, figures: dict[str, float], every: int) -> None:
        """Take in the figures of a step (from 0); the mean over `every` steps is written."""
        for name, value in figures.items():
            self._sums.setdefault(name, []).append(value)
        if (step + 1) % every == 0:
            self._write(step + 1, {name: float(np.mean(values)) for name, values in self._sums.items()})
            self._sums.clear()

    def evaluation(self, step: int, figures: dict[str, float], picture: torch.Tensor | None) -> None:
        """picture: (3, H, W) RGB in [0, 1]."""
        self._write(step, figures)
        if picture is None or not self._shown:
            return
        folder = self._folder / "samples"
        folder.mkdir(exist_ok=True)
        pixels = (picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{step:08d}.png")
        if self._board is not None:
            self._board.add_image("samples", picture, step)

    def _write(self, step: int, figures: dict[str, float]) -> None:
        if not self._shown:
            return
        seconds = f"{time.monotonic() - self._start:.1f}"
        for name, value in figures.items():
            self._csv.writerow({"step": step, "seconds": seconds, "name": name, "value": repr(value)})
            if self._board is not None:
                self._board.add_scalar(name, value, step)
        self._file.flush()


def read_log(path: Path) -> dict[str, list[tuple[int, float]]]:
    """log.csv -> name -> (step, value), in order."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for row in _rows(path):
        curves.setdefault(row["name"], []).append((int(row["step"]), float(row["value"])))
    return curves


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if None not in row.values()]


def _tensorboard(folder: Path, first: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    build: Any = SummaryWriter
    return build(str(folder), purge_step=first or None)
