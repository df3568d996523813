"""What the user filled in: values of the tab's widgets -> files, options, jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from lipsync_core.batch import Job, pairs
from lipsync_core.errors import UsageError
from lipsync_core.options import LipSyncOptions, from_mapping, knobs

from . import host
from .compat import path_of
from .widgets import option_values

# The widgets beside the options, in the order in which `run.generate` gets their values.
FIELDS = (
    "source_tab", "image", "video", "faces_folder", "voices_folder", "results_folder",
    "speech_tab", "sound", "microphone", "file", "own_sound", "container",
)  # fmt: skip
IMAGE, VIDEO, FOLDER = 0, 1, 2  # source_tab
SOUND, MICROPHONE, FILE = 0, 1, 2  # speech_tab


@dataclass(frozen=True)
class Asked:
    """One press of Generate. image: PIL.Image or None; other files as gradio hands them over."""

    values: dict[str, Any]
    options: LipSyncOptions

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def read(values: Sequence[Any]) -> Asked:
    """values: those of FIELDS, then one for each option in its order. Raises UsageError for a value out of range."""
    own, rest = values[: len(FIELDS)], values[len(FIELDS) :]
    return Asked(dict(zip(FIELDS, own, strict=True)), from_mapping(option_values(knobs(), rest)))


def jobs(asked: Asked, folder: Path) -> list[Job]:
    """Every video that is to be made: (face, voice, output). folder: for files that only live as long as the run."""
    if int(asked["source_tab"]) == FOLDER:
        return _batch(asked, folder)
    face, stem = face_file(asked, folder)
    return [(face, voice_file(asked, face), host.next_output(stem, asked["container"]))]


def face_file(asked: Asked, folder: Path) -> tuple[Path, str]:
    """The picture or video, and what the result may be called after."""
    if int(asked["source_tab"]) == VIDEO:
        video = path_of(asked["video"])
        if video is None:
            raise UsageError("No video is given. Drop one under Source, Video.")
        return video, video.stem
    if asked["image"] is None:
        raise UsageError("No picture is given. Drop one under Source, Image, or send one from txt2img.")
    return save_picture(asked["image"], folder), "portrait"


def save_picture(picture: Image.Image, folder: Path) -> Path:
    """As a file, without what it may carry about its making."""
    path = folder / "portrait.png"
    picture.save(path, compress_level=1)
    return path


def voice_file(asked: Asked, face: Path) -> Path:
    if asked.options.idle or (asked["own_sound"] and int(asked["source_tab"]) != IMAGE):
        return face  # idle: no speech is read
    name = {SOUND: "sound", MICROPHONE: "microphone", FILE: "file"}[int(asked["speech_tab"])]
    voice = path_of(asked[name])
    if voice is None:
        raise UsageError("No speech is given. Drop a sound file under Speech, or record one.")
    return voice


def _batch(asked: Asked, folder: Path) -> list[Job]:
    if host.argument("hide_ui_dir_config"):
        raise UsageError("Folders of the server are switched off here (--hide-ui-dir-config).")
    faces = str(asked["faces_folder"] or "").strip()
    if not faces or not Path(faces).expanduser().is_dir():
        raise UsageError(f"Folder with faces is '{faces}'. It must be a folder of the machine that runs the WebUI.")
    named = str(asked["voices_folder"] or "").strip()
    results = str(asked["results_folder"] or "").strip()
    output = Path(results).expanduser() if results else host.next_output("batch", "")
    if asked["own_sound"]:
        ends = asked["container"]
        found, _ = pairs(Path(faces).expanduser(), folder / "any.wav", output)
        return [(face, face, out.with_suffix(ends)) for face, _, out in found]
    voices = Path(named).expanduser() if named else voice_file(asked, folder)
    found, _ = pairs(Path(faces).expanduser(), voices, output)
    return [(face, voice, out.with_suffix(asked["container"])) for face, voice, out in found]
