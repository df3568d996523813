"""'Animate after generation': an always-on script that makes every finished image of txt2img and img2img speak."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
from modules import script_callbacks, scripts, shared
from modules.ui_components import InputAccordion
from PIL import Image

from lipsync_core.errors import LipSyncError, UsageError
from lipsync_core.infotext import read_infotext, write_infotext
from lipsync_core.options import LipSyncOptions, from_mapping

from . import TITLE, asked, compat, host, job_state, run

# Tab of the host -> the box with the settings that the Lip Sync tab fills in; emptied before the page is built again.
BOXES: dict[str, Any] = {}


def register() -> None:
    script_callbacks.on_before_ui(BOXES.clear)


class AnimateAfterGeneration(scripts.Script):
    """The host finds this class by its base, makes one for txt2img and one for img2img."""

    def title(self) -> str:
        return "Animate after generation"

    def show(self, is_img2img: bool) -> Any:
        return scripts.AlwaysVisible if host.setting("after", True) else False

    def ui(self, is_img2img: bool) -> list[Any]:
        tab = "img2img" if is_img2img else "txt2img"
        with InputAccordion(False, label=self.title(), elem_id=f"lipsync_after_{tab}") as enabled:
            voice = gr.Audio(
                label=f"What every finished image of {tab} says", type="filepath", interactive=True,
                elem_id=f"lipsync_after_{tab}_voice", **compat.sources("upload", "microphone"),
            )  # fmt: skip
            settings = compat.volatile(
                gr.Textbox(
                    write_infotext(LipSyncOptions()), label=f"Settings of the {TITLE} tab", interactive=False, lines=1,
                    elem_id=f"lipsync_after_{tab}_settings",
                )
            )  # fmt: skip
        BOXES[tab] = settings
        return [enabled, voice, settings]

    def postprocess(self, p: Any, processed: Any, enabled: bool, voice: Any, settings: str) -> None:
        """Called by the host inside its job, when all images are done."""
        if enabled and not shared.state.interrupted:
            processed.comments = f"{processed.comments or ''}{animate(processed, voice, settings)}\n"


def animate(processed: Any, voice: Any, settings: str) -> str:
    """One video for each image that is no grid and no map. Returns what to tell the user."""
    first = processed.index_of_first_image
    pictures = [
        picture for picture in processed.images[first : first + len(processed.all_seeds)]
        if isinstance(picture, Image.Image)
    ]  # fmt: skip
    try:
        speech, options = uploaded(voice), from_mapping(read_infotext(settings))
    except LipSyncError as error:
        return f"{TITLE}: {error}"
    job_state.begin_items(len(pictures))
    lines = []
    for picture, seed in zip(pictures, processed.all_seeds, strict=False):
        if job_state.stop_after_this():
            break
        lines.append(_one(picture, f"seed-{seed}", speech, options))
        job_state.next_item()
    return "\n".join(lines)


def _one(picture: Image.Image, stem: str, speech: Path, options: LipSyncOptions) -> str:
    with tempfile.TemporaryDirectory(prefix="lipsync-") as folder:
        output = host.next_output(stem)
        try:
            run.make((asked.save_picture(picture, Path(folder)), speech, output), options)
        except LipSyncError as error:
            return f"{TITLE}: {stem}: {error}"
    return f"{TITLE}: saved {output}"


def uploaded(voice: Any) -> Path:
    """The voice, where the page uploaded it. The host's API hands values through unseen: it may name any file."""
    path = compat.path_of(voice)
    if path is None:
        raise UsageError("No voice is given under 'Animate after generation'.")
    real = Path(os.path.realpath(path))
    if not any(real.is_relative_to(root) for root in _upload_folders()):
        raise UsageError("The voice must be uploaded on the page. Through the API, use /lipsync/v1/generate.")
    return real


def _upload_folders() -> list[Path]:
    named = (os.environ.get("GRADIO_TEMP_DIR"), Path(tempfile.gettempdir()) / "gradio", shared.opts.temp_dir)
    return [Path(os.path.realpath(name)) for name in named if name]
