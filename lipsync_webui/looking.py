"""'Preview one frame' and what else the tab shows of a picture without making a video."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from lipsync_core.errors import LipSyncError, UsageError
from lipsync_core.runtime import default_model_dir

from . import asked, host, job_state, report
from .asked import FOLDER, Asked
from .memory import gpu_room


def preview(task: str, at_seconds: float, *values: Any) -> list[Any]:
    """[gallery of (picture, caption), HTML]. Run by `wrap_gradio_gpu_call`. at_seconds: 0 looks for an open mouth."""
    with TemporaryDirectory(prefix="lipsync-") as folder:
        try:
            return _preview(asked.read(values), at_seconds, Path(folder))
        except LipSyncError as error:
            return [None, report.error_html(error)]


def _preview(wanted: Asked, at_seconds: float, folder: Path) -> list[Any]:
    from lipsync_core.preview import preview_frame

    if int(wanted["source_tab"]) == FOLDER:
        raise UsageError("A folder has no preview. Choose one of its pictures under Source, Image.")
    job_state.begin_items(1)
    face, _ = asked.face_file(wanted, folder)
    note = ""
    try:
        voice = asked.voice_file(wanted, face)
    except UsageError:  # without speech yet: the voice that comes with the project opens the mouth
        voice, note = default_model_dir() / "demo" / "voice.wav", " No speech is given yet: this is the demo's voice."
    runtime = host.make_runtime(wanted.options)
    with gpu_room(runtime.device):
        shown = preview_frame(face, voice, wanted.options, runtime, at_seconds or None)
    count = len(shown.boxes_xyxy)
    words = f"{count} {'face' if count == 1 else 'faces'} found, counted from the left; green speaks."
    pictures = [(shown.faces, "Faces"), (shown.mask, "Mask"), (shown.result, f"Result at {shown.seconds:.2f} s")]
    text = "".join(f"<p>{line}</p>" for line in (words + note, *(_safe(line) for line in runtime.notes)))
    return [[(Image.fromarray(pixels), caption) for pixels, caption in pictures], text]


def _safe(text: str) -> str:
    import html

    return html.escape(text)
