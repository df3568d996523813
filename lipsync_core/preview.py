"""One frame of the result, with the faces that were found and the mask, in about a second: to set things up by.

Beside `pipeline.py`, whose two halves it calls for a single frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch

from . import assembly, heads
from .blend import Blender, BlendSettings
from .casting import Actor
from .errors import InputError
from .face.crop import crop_faces
from .face.track import ClipFaces
from .options import LipSyncOptions
from .pipeline import analyse, perform
from .runtime import Runtime
from .timing import frames_for, source_indices
from .types import Float, Pixels, Rendered, Speech
from .video.source import Source

_NEAR = 3.0  # seconds of the speech in which the widest mouth is looked for
_SPEAKS, _OTHER = (64, 220, 96), (235, 170, 40)  # RGB of the boxes


@dataclass(frozen=True)
class Preview:
    """picture (as it is), faces, mask, result: (H, W, 3) uint8 RGB. boxes_xyxy: (K, 4) float32 px, from left to right.

    speaking: (K,) bool. seconds: of the speech.
    """

    picture: Pixels
    faces: Pixels
    mask: Pixels
    result: Pixels
    boxes_xyxy: Float
    speaking: list[bool]
    seconds: float


def preview_frame(
    face: Path, speech: Path, options: LipSyncOptions, runtime: Runtime, seconds: float | None = None
) -> Preview:
    """The frame at `seconds` of the result; None: where the voice is loudest in its first seconds.

    Raises LipSyncError as `lipsync` does. Writes nothing that stays.
    """
    source = heads.as_portrait(assembly.Job(assembly.open_face(face, options), speech, face), options, runtime)
    heard = assembly.hear(speech, options, runtime)
    total = max(1, frames_for(heard.seconds, source.fps))
    voice = assembly.voice(heard, source.fps, total, options)
    frame = _loudest(voice) if seconds is None else min(total - 1, max(0, round(seconds * source.fps)))
    with TemporaryDirectory(prefix="lipsync-preview-") as folder:
        still, inside = _still(source, frame, total, Path(folder), options)
        faces = analyse(still, 1, inside, runtime)
        (picture,) = next(still.batches(1, inside.fit, 1)).pixels
        stage, cast = heads.cast(faces, still, assembly.choose(inside, runtime), voice, inside, runtime)
        seconds = float(frame / source.fps)
        if isinstance(stage, heads.MovingHeads):
            return _draw_heads(picture, faces, stage, cast, (frame, seconds))
    return _draw(picture, faces, cast, frame, seconds, runtime)


def _loudest(voice: Speech) -> int:
    count = max(1, min(voice.frame_count, round(_NEAR * voice.fps)))
    columns = np.minimum((np.arange(count) / float(voice.fps) * 80).astype(int), voice.mel.shape[1] - 1)
    return int(np.argmax(voice.mel[:, columns].mean(axis=0)))


def _still(
    source: Source, frame: int, total: int, folder: Path, options: LipSyncOptions
) -> tuple[Source, LipSyncOptions]:
    """The frame as a picture of its own, and the options without what was already done to it."""
    (row,) = source_indices(options.fit, frame, 1, source.frame_count)
    pixels = _frame(source, row)
    path = folder / "frame.png"
    if not cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1])):
        raise InputError(f"The preview's frame could not be written to {folder}.")
    inside = replace(options, crop="", rotate=0, resize_factor=1, cache=False, fps=str(source.fps))
    return assembly.open_face(path, inside), inside


def _frame(source: Source, row: int) -> Pixels:
    for batch in source.batches(row + 1, "cut", 16):
        if batch.first + len(batch) > row:
            return np.asarray(batch.pixels[row - batch.first])
    raise InputError(f"{source.path.name}: there is no frame {row}. Choose an earlier time.")


def _draw(
    picture: Pixels, faces: ClipFaces, cast: list[Actor], frame: int, seconds: float, runtime: Runtime
) -> Preview:
    mask = np.zeros((1, *picture.shape), np.uint8)
    result = picture[None].copy()
    for actor in cast:
        mask = np.maximum(mask, _mask(actor, picture, frame, runtime))
        result = perform(actor, result, frame, runtime)
    boxes = np.stack([track.boxes_xyxy[0] for track in faces.tracks])
    speaking = _speaking(boxes, cast, frame)
    return Preview(
        picture, _boxed(picture, boxes, speaking), _tinted(picture, mask[0]), result[0], boxes, speaking, seconds
    )


def _draw_heads(
    picture: Pixels, faces: ClipFaces, stage: heads.MovingHeads, cast: list[Actor], at: tuple[int, float]
) -> Preview:
    """The same of heads that move. The mask lies over the portrait; the result may show the head alone."""
    frame, seconds = at
    result = stage.frame(frame)
    for actor in cast:
        result = perform(actor, result, frame, stage.runtime)
    mask = np.maximum.reduce([head.shade(picture) for head in stage.heads])
    boxes = np.stack([track.boxes_xyxy[0] for track in faces.tracks])
    middles = [head.performance.landmarks[0].mean(axis=0) for head in stage.heads]
    nearest = {int(np.argmin(np.linalg.norm(_centres(boxes) - middle, axis=1))) for middle in middles}
    speaking = [index in nearest for index in range(len(boxes))]
    return Preview(
        picture, _boxed(picture, boxes, speaking), _tinted(picture, mask[0]), result[0], boxes, speaking, seconds
    )


def _centres(boxes: Float) -> Float:
    return np.asarray((boxes[:, :2] + boxes[:, 2:]) / 2, np.float32)


def _mask(actor: Actor, picture: Pixels, frame: int, runtime: Runtime) -> Pixels:
    """What is replaced, (1, H, W, 3): a white face pasted onto black."""
    faces = crop_faces(picture[None], actor.plan, frame, runtime.device, actor.dtype)
    rendered = actor.performance.render(faces)
    white = Rendered(torch.ones_like(rendered.crops), rendered.alpha)
    black = np.zeros((1, *picture.shape), np.uint8)
    return Blender(BlendSettings(0.0)).blend(black, faces, white, actor.mask(picture[None], faces, rendered, runtime))


def _speaking(boxes: Float, cast: Iterable[Actor], frame: int) -> list[bool]:
    """Which box is nearest to each face that speaks."""
    centres = _centres(boxes)
    chosen = set()
    for actor in cast:
        matrix, box = actor.plan.matrices[frame].astype(np.float64), actor.plan.boxes_xyxy[frame].astype(np.float64)
        middle = (box[:2] + box[2:]) / 2
        place = np.linalg.solve(matrix[:, :2], middle - matrix[:, 2])
        chosen.add(int(np.argmin(np.linalg.norm(centres - place, axis=1))))
    return [index in chosen for index in range(len(boxes))]


def _boxed(picture: Pixels, boxes: Float, speaking: list[bool]) -> Pixels:
    """The picture with a box and a number on every face, green where it speaks."""
    out = np.array(picture)
    width = max(2, round(max(picture.shape[:2]) / 250))
    for index, (box, speaks) in enumerate(zip(boxes, speaking, strict=True)):
        left, top, right, bottom = (round(float(edge)) for edge in box)
        colour = _SPEAKS if speaks else _OTHER
        cv2.rectangle(out, (left, top), (right, bottom), colour, width)
        place = (left + 2 * width, top + 12 * width)
        cv2.putText(out, str(index), place, cv2.FONT_HERSHEY_SIMPLEX, width * 0.4, colour, width, cv2.LINE_AA)
    return out


def _tinted(picture: Pixels, mask: Pixels) -> Pixels:
    """The picture, darkened, with what is replaced in light red."""
    share = mask.astype(np.float32) / 255
    dark = picture.astype(np.float32) * np.float32(0.45)
    light = picture.astype(np.float32) * np.float32(0.55) + np.array([115, 25, 35], np.float32)
    return np.asarray(np.rint(dark * (1 - share) + light * share), np.uint8)
