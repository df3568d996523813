"""Progress bars on a terminal."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

_WORDS = {"analyse": "finding the face", "render": "rendering", "download": "downloading", "listen": "listening"}


class Bars:
    """One bar a stage: `Runtime.progress` of the command."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._stage = ""
        self._bar: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        if not self._shown:
            return
        if stage != self._stage:
            self._start(stage, total)
        self._bar.total = total or None
        self._bar.update(done - self._bar.n)
        if total and done >= total:
            self._finish()

    def _start(self, stage: str, total: int) -> None:
        self._finish()
        self._stage = stage
        bytes_ = stage == "download"
        unit = "B" if bytes_ else " frames"
        self._bar = tqdm(total=total or None, desc=_WORDS.get(stage, stage), unit=unit, unit_scale=bytes_, leave=False)

    def _finish(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None
        self._stage = ""
