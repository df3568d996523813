"""The host's job: one at a time, its progress bar, its live preview, its Interrupt and Skip buttons."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from modules import call_queue, progress, shared
from PIL import Image

from lipsync_core.types import Pixels

_STEPS = 1000  # of the progress bar, for each video
# Which part of the bar a stage fills. A stage that is not named here leaves the bar where it is.
_SPANS = {
    "listen": (0.0, 0.02),
    "faces": (0.02, 0.15),
    "watch": (0.15, 0.18),
    "move": (0.18, 0.2),
    "render": (0.2, 1.0),
}
_WORDS = {
    "listen": "Listening",
    "faces": "Looking for faces",
    "watch": "Watching the video",
    "move": "Moving the head",
    "render": "Rendering",
}
_PREVIEW_SECONDS = 0.5  # between two live previews
_PREVIEW_SIDE = 768  # px, longest side of a live preview


@contextmanager
def locked_job(name: str) -> Iterator[str]:
    """Run an API request as a job of the host: wait for the job before, show in its progress. Gives the task's id."""
    task = progress.create_task_id(f"lipsync-{name}")
    progress.add_task_to_queue(task)
    with call_queue.queue_lock:
        shared.state.begin(job=task)
        progress.start_task(task)
        try:
            yield task
        finally:
            progress.finish_task(task)
            shared.state.end()


def begin_items(count: int) -> None:
    """Tell the progress bar how many videos there will be. `begin` of the host leaves the last job's steps behind."""
    shared.state.job_count = count
    shared.state.job_no = 0
    shared.state.sampling_steps, shared.state.sampling_step = _STEPS, 0


def next_item() -> None:
    """One video is done or was skipped."""
    shared.state.skipped = False
    shared.state.nextjob()


def stop_wanted() -> bool:
    """Interrupt, or Skip: end the video that is being made."""
    return bool(shared.state.interrupted or shared.state.skipped)


def stop_after_this() -> bool:
    """Interrupt, or the host's 'interrupt after current': begin no further video."""
    return bool(shared.state.interrupted or shared.state.stopping_generation)


def show_progress(stage: str, done: int, total: int) -> None:
    start, end = _SPANS.get(stage, (None, None))
    words = _WORDS.get(stage, stage.capitalize())
    if start is not None and end is not None:
        share = min(1.0, done / total) if total else 0.0
        shared.state.sampling_step = max(shared.state.sampling_step, round(_STEPS * (start + share * (end - start))))
    shared.state.textinfo = f"{words}: {done} of {total}" if total else f"{words}: {done} s"


class LivePreview:
    """Shows frames of the result while it is made, as often as a page asks for them."""

    def __init__(self) -> None:
        self._shown = 0.0

    def __call__(self, frame: Pixels) -> None:
        """frame: (H, W, 3) uint8 RGB."""
        now = time.monotonic()
        if now - self._shown < _PREVIEW_SECONDS or not shared.opts.live_previews_enable:
            return
        self._shown = now
        picture = Image.fromarray(np.array(frame))  # a copy: the frame is not ours
        picture.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
        shared.state.assign_current_image(picture)
