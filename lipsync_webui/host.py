"""What differs between A1111 and Forge, and what the door needs of either: versions, settings, folders, device.

A1111 1.10.1 has gradio 3.41 and pydantic 1, Forge has gradio 4.40 and pydantic 2.
"""

from __future__ import annotations

import datetime
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio
import torch
from modules import devices, images, paths, shared

from lipsync_core.options import LipSyncOptions
from lipsync_core.runtime import Runtime, choose_device, choose_precision, default_model_dir
from lipsync_core.types import Pixels

from . import TITLE as TITLE
from . import job_state

GRADIO = int(gradio.__version__.split(".")[0])
_KNOWN_DEVICES = ("cpu", "cuda", "mps", "xpu")


def is_forge() -> bool:
    return importlib.util.find_spec("modules_forge") is not None


def setting(name: str, default: Any) -> Any:
    """A value of the settings section; `default` before the section exists. A whole number stays one."""
    value = getattr(shared.opts, f"lipsync_{name}", default)
    return int(value) if isinstance(default, int) and isinstance(value, float) else value


def argument(name: str) -> Any:
    """A command line argument of the host or of preload.py, None where it has none of that name."""
    return getattr(shared.cmd_opts, name, None)


def data_dir() -> Path:
    return Path(paths.data_path).absolute()


def model_dirs() -> tuple[Path, ...]:
    """Where weights are looked for, first match wins; downloads go to the first."""
    named = (argument("lipsync_models_dir"), setting("models_dir", ""))
    own = Path(paths.models_path).absolute() / "LipSync"
    folders = [*(Path(name).expanduser().absolute() for name in named if name), own, default_model_dir()]
    return tuple(dict.fromkeys(folders))


def output_dir() -> Path:
    """The folder of the results, with a folder for each day in it; not made here."""
    named = setting("output_dir", "")
    return Path(named).expanduser().absolute() if named else data_dir() / "outputs" / "lipsync"


def next_output(stem: str, extension: str = ".mp4") -> Path:
    """A free path like outputs/lipsync/2026-01-31/00007-anna.mp4; its folder is made."""
    folder = output_dir() / datetime.date.today().isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    safe = "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in stem)[:60].strip("_") or "video"
    return folder / f"{images.get_next_sequence_number(str(folder), ''):05}-{safe}{extension}"


def device_name(wanted: str) -> str:
    """The torch device of a run. "auto": the host's own, which honours --use-cpu, where torch runs on it."""
    if wanted != "auto":
        return choose_device(wanted)
    device = torch.device(devices.get_device_for("lipsync"))
    return str(device) if device.type in _KNOWN_DEVICES else "cpu"


def make_runtime(options: LipSyncOptions) -> Runtime:
    """The Runtime of one run: the host's device and folders, its progress bar, live preview and stop buttons."""
    device = device_name(options.device)
    return Runtime(
        device=device,
        precision=choose_precision(options.precision, device),
        model_dirs=model_dirs(),
        progress=job_state.show_progress,
        cancelled=job_state.stop_wanted,
        offline=bool(setting("offline", False)),
        cache_dir=data_dir() / "cache" / "lipsync",
        preview=job_state.LivePreview(),
    )


def with_preview(runtime: Runtime, preview: Callable[[Pixels], None]) -> Runtime:
    """The same services, with another that is shown the frames."""
    return replace(runtime, preview=preview)
