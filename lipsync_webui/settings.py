"""The settings section "Lip Sync"."""

from __future__ import annotations

import gradio as gr
from modules import script_callbacks, shared

from . import TITLE
from .memory import WHEN

SECTION = ("lipsync", TITLE)


def register() -> None:
    script_callbacks.on_ui_settings(add)


def add() -> None:
    """Add every option. Those that say where files are read or written cannot be set through the host's API."""
    rows = {
        "output_dir": shared.OptionInfo("", "Folder for lip-sync videos", restrict_api=True)
        .info("empty: outputs/lipsync in the data folder; each day gets a folder of its own"),
        "models_dir": shared.OptionInfo("", "Folder with lip-sync weights", restrict_api=True)
        .info("looked at before models/LipSync; downloads go there"),
        "offline": shared.OptionInfo(False, "Lip Sync never opens a connection")
        .info("no download, not even of the small face detector"),
        "free_sd_model": shared.OptionInfo(
            WHEN[0], "Move the Stable Diffusion model off the GPU for a lip-sync run", gr.Radio, {"choices": list(WHEN)}
        ).info("it comes back afterwards; nothing is moved for a run on the CPU"),
        "send_to": shared.OptionInfo(True, "Show 'Send to Lip Sync' buttons under txt2img, img2img and Extras")
        .needs_reload_ui(),
        "after": shared.OptionInfo(True, "Show 'Animate after generation' under txt2img and img2img")
        .needs_reload_ui(),
        "api_max_mb": shared.OptionInfo(
            128, "Largest request of the lip-sync API, in MB", gr.Slider,
            {"minimum": 1, "maximum": 2048, "step": 1}, restrict_api=True,
        ).info("larger files are put into inputs/lipsync and named"),
        "api_max_seconds": shared.OptionInfo(
            600, "Longest speech of the lip-sync API, in seconds", gr.Slider,
            {"minimum": 1, "maximum": 86400, "step": 1}, restrict_api=True,
        ).info("nobody else can be served while one video is made"),
    }  # fmt: skip
    for name, row in rows.items():
        row.section = SECTION
        shared.opts.add_option(f"lipsync_{name}", row)
