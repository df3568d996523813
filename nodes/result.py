"""What a node hands to the page beside its outputs: the file that it wrote, faces to click on, the speech to look at.

The form of the payloads is described in server.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import torch
from comfy.cli_args import args
from comfy_api.latest import InputImpl, io, ui
from PIL import Image

from ..lipsync_core.errors import OutputError
from ..lipsync_core.face.policy import missing_ranges
from ..lipsync_core.modular import CropTrack
from ..lipsync_core.types import Float, Pixels, Report
from .host import temporary, to_float, waveform_of

PREFIX = "lipsync/video"
_BARS = 600  # of a drawn waveform
_PICTURE_SIDE = 1024  # px

Ui = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a video goes. shown: how the page asks for it."""

    path: Path
    shown: ui.SavedResult

    @property
    def video(self) -> Any:
        return InputImpl.VideoFromFile(str(self.path))


def place_for(prefix: str, save: bool, size: tuple[int, int]) -> Place:
    """A new file in the output folder, counted up, or in the temporary one, which the host empties."""
    if not save:
        path = temporary(".mp4")
        return Place(path, ui.SavedResult(path.name, "", io.FolderType.temp))
    root = folder_paths.get_output_directory()
    try:
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(prefix or PREFIX, root, *size)
    except OSError as error:
        raise OutputError(
            f"The folder for '{prefix}' cannot be made ({error.strerror}). Change filename_prefix."
        ) from None
    except Exception as error:  # the host raises plain Exception where a name leads out of its output folder
        raise OutputError(f"filename_prefix '{prefix}' cannot be used: {str(error).splitlines()[0]}") from None
    path = Path(folder) / f"{name}_{counter:05}_.mp4"
    while path.exists():  # numbers with more digits than the host counts
        counter += 1
        path = Path(folder) / f"{name}_{counter:05}_.mp4"
    return Place(path, ui.SavedResult(path.name, subfolder, io.FolderType.output))


def workflow_tags(hidden: Any) -> tuple[tuple[str, str], ...]:
    """The prompt and the workflow for the file's tags, so that it can be dropped on the canvas; none when disabled."""
    if args.disable_metadata or hidden is None:
        return ()
    tags = {"prompt": hidden.prompt, **(hidden.extra_pnginfo or {})}
    return tuple((name, json.dumps(value)) for name, value in tags.items() if value is not None)


def video_shown(place: Place, more: Ui) -> Ui:
    """A player on the node."""
    return {"images": [place.shown], "animated": (True,), **more}


# ---------------------------------------------------------------------------------------------------- the speech


def speech_payload(report: Report, audio: Any) -> Ui:
    """`lipsync_report`: the waveform, where somebody speaks, the frames without a face."""
    peaks = _peaks(audio, report.seconds)
    row = {
        "seconds": round(report.seconds, 3),
        "fps": float(Fraction(report.fps)),
        "frames": report.frames,
        "peaks": peaks,
        "gate": _gate(report, len(peaks)),
        "no_face": [list(gap) for gap in report.frames_without_face],
        "engine": report.engine,
        "text": sentence(report),
    }
    return {"lipsync_report": [row], "text": [sentence(report)]}


def replayed_payload(audio: Any, track: CropTrack) -> Ui:
    """`lipsync_report` of crops that were made before: no gate is known, the mouth moved long ago."""
    seconds = float(len(track) / track.fps)
    peaks = _peaks(audio, seconds)
    row = {
        "seconds": round(seconds, 3),
        "fps": float(track.fps),
        "frames": len(track),
        "peaks": peaks,
        "gate": [1] * len(peaks),
        "no_face": [list(gap) for gap in missing_ranges(track.active)],
        "engine": track.engine,
        "text": f"{len(track)} frames, {seconds:.2f} s, {track.engine}",
    }
    return {"lipsync_report": [row], "text": [row["text"]]}


def sentence(report: Report) -> str:
    """What was done, in a line and a line for each note."""
    size = f"{report.width}x{report.height}"
    made = (
        f"{report.frames} frames, {report.seconds:.2f} s, {size}, {report.engine}, {report.frames_per_second:.1f} fps"
    )
    missing = sum(last - first + 1 for first, last in report.frames_without_face)
    lines = [f"{missing} frames without a face"] if missing else []
    return "\n".join([made, *lines, *report.warnings])


def _peaks(audio: Any, seconds: float) -> list[float]:
    """Loudest sample of each bar over the length of the video: 0 where the sound has ended."""
    waveform, rate = waveform_of(audio)
    samples = max(1, round(seconds * rate))
    loud = to_float(waveform[:, :samples]).abs().amax(dim=0).nan_to_num()
    count = min(_BARS, samples)
    step = -(-samples // count)
    padded = torch.nn.functional.pad(loud, (0, count * step - len(loud)))
    return [round(float(value), 3) for value in padded.reshape(count, step).amax(dim=1).clamp(0, 1)]


def _gate(report: Report, count: int) -> list[int]:
    middles = (np.arange(count) + 0.5) * report.seconds / max(1, count)
    open_now = np.zeros(count, bool)
    for start, end in report.speech:
        open_now |= (middles >= start) & (middles < end)
    return open_now.astype(int).tolist()


# ---------------------------------------------------------------------------------------------------- faces


def faces_payload(frame: Pixels, index: int, boxes: Float, scores: Float, chosen: list[int]) -> Ui:
    """`lipsync_faces`: a frame (H, W, 3) with every face on it (K, 4), and which of them go on."""
    height, width = frame.shape[:2]
    rows = [
        [*(round(float(edge), 1) for edge in box), round(float(score), 3)]
        for box, score in zip(boxes, scores, strict=True)
    ]
    row = {
        "image": _saved_picture(frame),
        "width": width,
        "height": height,
        "frame": index,
        "boxes": rows,
        "chosen": chosen,
    }
    return {"lipsync_faces": [row]}


def _saved_picture(frame: Pixels) -> ui.SavedResult:
    path = temporary(".jpg")
    picture = Image.fromarray(frame)
    picture.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
    picture.save(path, quality=88)
    return ui.SavedResult(path.name, "", io.FolderType.temp)
