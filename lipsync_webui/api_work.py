"""What the API does: make a video, look for faces. One at a time with the host's own jobs."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from lipsync_core import weights
from lipsync_core.errors import UsageError
from lipsync_core.infotext import write_infotext
from lipsync_core.look import Look, look
from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import lipsync
from lipsync_core.runtime import Runtime
from lipsync_core.types import Report

from . import api_models as models
from . import host, job_state
from .api_check import check_any, check_face, check_seconds, check_speech
from .api_errors import without_paths
from .api_facts import Limits, folders, limits, places, queue_full
from .api_files import GivenFile, Inbox
from .api_schema import read_options
from .memory import gpu_room


class WaitingRoom:
    """Counts the requests that run or wait: each holds its upload, so there may not be many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0

    @contextmanager
    def place(self, most: int) -> Iterator[None]:
        """Raises `RefusedError` 429 when `most` are there."""
        with self._lock:
            if self.count >= most:
                raise queue_full(most)
            self.count += 1
        try:
            yield
        finally:
            with self._lock:
                self.count -= 1


def generate(request: models.GenerateRequest, waiting: WaitingRoom) -> models.GenerateResponse:
    """Make a video. Raises LipSyncError, RefusedError."""
    if not (request.send_video or request.save_video):
        raise UsageError("Neither send_video nor save_video is true, so nobody would get the video. Set one of them.")
    bounds = limits()
    with waiting.place(bounds.max_waiting), _inbox(bounds) as inbox:
        options = _options(request.options, inbox)
        face, speech = inbox.path("face", _given(request.face)), inbox.path("speech", _given(request.speech))
        check_face(face)
        check_speech(speech, bounds.max_seconds)
        with job_state.locked_job("generate"):
            job_state.begin_items(1)
            output = host.next_output("api") if request.save_video else inbox.folder / "video.mp4"
            runtime = _bounded(host.make_runtime(options), bounds)
            with gpu_room(runtime.device):
                report = lipsync(face, speech, output, options, runtime)
        return models.GenerateResponse(
            video=base64.b64encode(output.read_bytes()).decode() if request.send_video else None,
            file=_name_of(output) if request.save_video else None,
            info=write_infotext(options),
            report=_told(report, output),
        )


def detect(request: models.DetectRequest, waiting: WaitingRoom) -> models.DetectResponse:
    """Look for faces on one frame. Raises LipSyncError, RefusedError."""
    bounds = limits()
    with waiting.place(bounds.max_waiting), _inbox(bounds) as inbox:
        options = _options(request.options, inbox)
        face = inbox.path("face", _given(request.face))
        check_face(face)
        with job_state.locked_job("detect"):
            runtime = host.make_runtime(options)
            with gpu_room(runtime.device):
                seen = look(face, request.frame, options, runtime)
        rows = zip(seen.faces.boxes_xyxy, seen.faces.scores, seen.faces.landmarks, strict=True)
        return models.DetectResponse(
            width=seen.width,
            height=seen.height,
            detector=seen.detector,
            faces=[
                models.Face(box=box.tolist(), score=float(score), landmarks=marks.tolist())
                for box, score, marks in rows
            ],
            warnings=[without_paths(note, places()) for note in runtime.notes],
            preview=_drawn(seen) if request.send_preview else None,
        )


def _given(value: models.FileInput) -> GivenFile:
    return GivenFile(value.data, value.file)


def _inbox(bounds: Limits) -> Inbox:
    return Inbox(folders(), bounds.max_mb << 20)


def _options(given: Any, inbox: Inbox) -> LipSyncOptions:
    def find(name: str) -> Path:
        return weights.require(name, host.make_runtime(LipSyncOptions()))

    def open_file(what: str, file: GivenFile) -> Path:
        path = inbox.path(what, file)
        check_any(path)
        return path

    return read_options(given, open_file, find)


def _bounded(runtime: Runtime, bounds: Limits) -> Runtime:
    """A file may last longer than it says: the limit holds while it is heard, too."""

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "listen":
            check_seconds(done, bounds.max_seconds)
        runtime.progress(stage, done, total)

    return replace(runtime, progress=progress)


def _name_of(output: Path) -> str:
    return f"output/{output.relative_to(host.output_dir()).as_posix()}"


def _told(report: Report, output: Path) -> dict[str, Any]:
    """The report as it may be told: without the folders of the server."""
    rows = {**asdict(report), "output": output.name}
    rows["warnings"] = [without_paths(text, places()) for text in report.warnings]
    return rows


def _drawn(seen: Look) -> str:
    """The small copy of the frame with a box around each face, a PNG in base64."""
    picture = Image.fromarray(seen.picture)
    pen = ImageDraw.Draw(picture)
    for box in seen.faces.boxes_xyxy / seen.scale:
        pen.rectangle([float(edge) for edge in box], outline=(64, 220, 96), width=3)
    out = io.BytesIO()
    picture.save(out, format="PNG")
    return base64.b64encode(out.getvalue()).decode()
