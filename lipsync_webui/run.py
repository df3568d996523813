"""Generate: one press of the button, as a job of the host."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from lipsync_core.batch import Job
from lipsync_core.errors import Cancelled, LipSyncError
from lipsync_core.infotext import read_infotext_of
from lipsync_core.options import LipSyncOptions
from lipsync_core.types import Pixels, Report

from . import asked, host, job_state, report
from .memory import gpu_room

Outputs = list[Any]  # video, last frame, infotext, infotext as HTML, log as HTML (to which the host adds the time)
NOTHING: Outputs = [None, None, "", ""]  # what the host shows besides its own error


def generate(task: str, *values: Any) -> Outputs:
    """Run by `wrap_gradio_gpu_call`, which holds the host's lock. task: the id that the page follows."""
    with TemporaryDirectory(prefix="lipsync-") as folder:
        try:
            wanted = asked.read(values)
            todo = asked.jobs(wanted, Path(folder))
        except LipSyncError as error:
            return [*NOTHING, report.error_html(error)]
        job_state.begin_items(len(todo))
        return _one(todo[0], wanted.options) if len(todo) == 1 else _many(todo, wanted.options)


def _one(job: Job, options: LipSyncOptions) -> Outputs:
    try:
        done, frame = make(job, options)
    except LipSyncError as error:
        return [*NOTHING, report.error_html(error)]
    return _outputs(job[2], frame, report.log_html(done))


def _many(todo: list[Job], options: LipSyncOptions) -> Outputs:
    """A folder: one that fails or is skipped is a line, the rest goes on."""
    rows: list[tuple[str, str]] = []
    last: tuple[Path, Image.Image | None] | None = None
    for job in todo:
        if job_state.stop_after_this():
            break
        try:
            done, frame = make(job, options)
        except LipSyncError as error:
            rows.append((job[0].name, "skipped" if isinstance(error, Cancelled) else f"failed: {error}"))
        else:
            rows.append((job[0].name, f"{done.seconds:.1f} s in {job[2].name}"))
            last = job[2], frame
        job_state.next_item()
    log = f"<p>{sum('failed' not in words and words != 'skipped' for _, words in rows)} of {len(todo)} videos made.</p>"
    log += report.list_html(rows)
    return _outputs(*last, log) if last else [*NOTHING, log]


def make(job: Job, options: LipSyncOptions) -> tuple[Report, Image.Image | None]:
    """One video. Returns what was done, and its last frame. Raises LipSyncError."""
    from lipsync_core.pipeline import lipsync

    face, voice, output = job
    runtime = host.make_runtime(options)
    keeper = _LastFrame(runtime.preview)
    runtime = host.with_preview(runtime, keeper)
    with gpu_room(runtime.device):
        done = lipsync(face, voice, output, options, runtime)
    return done, keeper.picture()


class _LastFrame:
    """Keeps the frame that the pipeline showed last, beside the live preview."""

    def __init__(self, then: Any) -> None:
        self._then = then
        self._frame: Pixels | None = None

    def __call__(self, frame: Pixels) -> None:
        self._frame = np.array(frame)
        self._then(frame)

    def picture(self) -> Image.Image | None:
        return None if self._frame is None else Image.fromarray(self._frame)


def _outputs(output: Path, frame: Image.Image | None, log: str) -> Outputs:
    text = read_infotext_of(output)
    return [str(output), frame, text, report.infotext_html(text), log + report.saved_html(output)]
