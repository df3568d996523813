"""`lipsync demo`: the main job on portraits and a voice that are here, to show that it works and what it looks like."""

from __future__ import annotations

from pathlib import Path

from .contact_sheet import Area, write_sheet
from .errors import InputError
from .options import LipSyncOptions
from .runtime import Runtime, default_model_dir
from .types import Report


def demo(folder: Path, runtime: Runtime) -> str:
    """Make demo.mp4 (the rendered portrait) and demo-astronaut.mp4 (a photo with a smile) with a contact sheet each.

    Returns what was made, where and how fast, as text.
    """
    from .pipeline import lipsync

    voice = default_model_dir() / "demo" / "voice.wav"
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, portrait, options, area in _portraits(folder):
        video = folder / f"{name}.mp4"
        report = lipsync(portrait, voice, video, options, runtime, overwrite=True)
        write_sheet(video, folder / f"{name}.png", area)
        lines.append(_line(video, report))
    return "\n".join([*lines, f"Contact sheets: {folder / 'demo.png'}, {folder / 'demo-astronaut.png'}"])


def _portraits(folder: Path) -> list[tuple[str, Path, LipSyncOptions, Area]]:
    drawn = default_model_dir() / "demo" / "portrait.png"
    if not drawn.is_file():
        raise InputError(f"{drawn.name}: the demo's portrait is missing from models/demo. Clone the repository again.")
    # The area is what the contact sheet shows. A real person's picture: whoever sees the result must see that it
    # is synthetic.
    return [
        ("demo", drawn, LipSyncOptions(), (160, 150, 620, 610)),
        ("demo-astronaut", _astronaut(folder), LipSyncOptions(label="on"), (134, 10, 314, 190)),
    ]


def _astronaut(folder: Path) -> Path:
    """scikit-image's picture of Eileen Collins (NASA, public domain), from inside the installed package."""
    from PIL import Image
    from skimage.data import astronaut

    path = folder / "astronaut.png"
    Image.fromarray(astronaut()).save(path)  # type: ignore[no-untyped-call]
    return path


def _line(video: Path, report: Report) -> str:
    return (
        f"{video}: {report.frames} frames, {report.seconds:.1f} s, {report.width}x{report.height}, "
        f"made at {report.frames_per_second:.1f} frames/s on {report.device} ({report.engine}, {report.precision})"
    )
