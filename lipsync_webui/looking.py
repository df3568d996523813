"""'Preview one frame' and what else the tab shows of a picture without making a video."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from lipsync_core.errors import LipSyncError, UsageError
from lipsync_core.options import defaults
from lipsync_core.runtime import default_model_dir

from . import asked, host, job_state, report
from .asked import FOLDER, Asked
from .memory import gpu_room

if TYPE_CHECKING:
    from lipsync_core.preview import Preview


NOTHING: list[Any] = [None, ""]  # what the host shows besides its own error
_SIDE = 768  # px, longest side of the picture in which faces are chosen


def preview(task: str, at_seconds: float, *values: Any) -> list[Any]:
    """Run by `wrap_gradio_gpu_call`. at_seconds: 0 looks for an open mouth.

    Gives a gallery of (picture, caption), the faces for the page, and HTML.
    """
    with TemporaryDirectory(prefix="lipsync-") as folder:
        try:
            return _preview(asked.read(values), at_seconds, Path(folder))
        except LipSyncError as error:
            return [*NOTHING, report.error_html(error)]


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
    pictures = [(shown.mask, "Mask"), (shown.result, f"Result at {shown.seconds:.2f} s")]
    text = "".join(f"<p>{line}</p>" for line in (words + note, *(_safe(line) for line in runtime.notes)))
    return [[(Image.fromarray(pixels), caption) for pixels, caption in pictures], faces_json(shown), text]


def faces_json(shown: Preview) -> str:
    """What js/face_picker.mjs shows: the picture as a data URL, boxes in its pixels, which of them speak."""
    height, width = shown.picture.shape[:2]
    small = Image.fromarray(shown.picture)
    small.thumbnail((_SIDE, _SIDE))
    memory = io.BytesIO()
    small.save(memory, "JPEG", quality=85)
    return json.dumps(
        {
            "url": "data:image/jpeg;base64," + base64.b64encode(memory.getvalue()).decode(),
            "width": width,
            "height": height,
            "boxes": shown.boxes_xyxy.tolist(),
            "chosen": [index for index, speaks in enumerate(shown.speaking) if speaks],
        }
    )


def choose_face(text: str) -> list[Any]:
    """The page's choice, {"box": ...}, {"point": ...} or {} -> updates of which face, face point and face box."""
    try:
        choice = json.loads(text)
        box, point = ([round(float(value)) for value in choice.get(name) or ()] for name in ("box", "point"))
    except (ValueError, TypeError, AttributeError):
        return [gr.update(), gr.update(), gr.update()]
    way = "point" if point else defaults()["which_face"]
    return [gr.update(value=value) for value in (way, ",".join(map(str, point)), ",".join(map(str, box)))]


def _safe(text: str) -> str:
    import html

    return html.escape(text)
