"""Progress bars on a terminal."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

_WORDS = {
    "listen": "listening",
    "faces": "finding the face",
    "watch": "watching the video",
    "move": "moving the head",
    "render": "rendering",
}
_UNITS = {"listen": " s"} | dict.fromkeys(("faces", "watch", "move", "render"), " frames")  # else downloads, in bytes


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
        unit = _UNITS.get(stage, "B")
        words = _WORDS.get(stage, stage)
        self._bar = tqdm(total=total or None, desc=words, unit=unit, unit_scale=unit == "B", leave=False)

    def _finish(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None
        self._stage = ""
