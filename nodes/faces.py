"""Detect Faces, Select Face, Smooth and Pad Faces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

from ..lipsync_core.errors import InputError
from ..lipsync_core.face.policy import require_face
from ..lipsync_core.face.select import select_faces
from ..lipsync_core.face.track import ClipFaces
from ..lipsync_core.modular import Settling, settle
from ..lipsync_core.options import LipSyncOptions, from_mapping
from ..lipsync_core.persons import find_person
from ..lipsync_core.pipeline import analyse
from ..lipsync_core.types import FaceTrack, Pixels
from ..lipsync_core.video.source import STILL_FPS, Source
from . import checkpoints, result, schema
from .faces_in import same_frames
from .hero import DETECTORS, found_faces, frame_rate_input
from .host import checked_images, make_runtime, only, opened
from .schema import Changed, hidden_option, option, output, socket
from .types import SOURCE_TYPES, BoundingBox, Faces, FacesType

CATEGORY = f"{schema.CATEGORY}/faces"
_REFERENCE = "A picture of the person who speaks: the face that is most like it goes on, whatever is chosen below."
_WITH_REFERENCE = "With a reference: the picture or video that the faces were found in."
_SEARCH = ("detector", "face_threshold", "detect_every", "min_face", "box", "face_point")


class LipSyncDetectFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        s = io.Schema(
            node_id="LipSyncDetectFaces",
            display_name="Detect Faces (Lip Sync)",
            category=CATEGORY,
            description="Finds and follows the faces of a picture or video. In the preview a face can be chosen by a "
            "click, or drawn by hand.",
            inputs=[
                socket(SOURCE_TYPES, "source", "source", "The picture or video to look at."),
                option("detector", Changed(choices=DETECTORS)),
                option("face_threshold"),
                schema.number("max_faces", "Most faces", "The largest so many faces go on; 0 is all.", (1, 0, 32, 1)),
                option("detect_every", Changed(advanced=False)),
                hidden_option("min_face"),
                frame_rate_input(),
                hidden_option("box"),
                hidden_option("face_point", Changed(help="x,y in pixels: only the face at this place goes on.")),
            ],
            outputs=[
                output(FacesType, "faces_out", "faces", "The faces, frame by frame, from left to right."),
                output(BoundingBox, "bboxes", "bboxes", "The same boxes in the form of the host's own nodes."),
                output(io.Int, "count", "count", "How many faces go on."),
            ],
        )
        return schema.finish(s, "face detection", "face boxes", "yunet", "s3fd", keeps_preview=True)

    @classmethod
    def execute(cls, source: Any, **values: Any) -> io.NodeOutput:
        with opened(source, values.get("fps", 0.0)) as clip, checkpoints.missing_first():
            faces, shown = _detect(clip, values)
        return io.NodeOutput(faces, _bounding_boxes(faces.clip), len(faces.clip.tracks), ui=shown)


def _detect(source: Source, values: Mapping[str, Any]) -> tuple[Faces, result.Ui]:
    options = from_mapping({name: values[name] for name in _SEARCH if name in values})
    everybody = analyse(source, max(1, source.frame_count), options, make_runtime(only("faces")))
    faces = found_faces(everybody, source, options)
    require_face(everybody, faces.searched)
    chosen = _chosen(everybody, options, values["max_faces"])
    shown = _picture_of(source, everybody, chosen)
    tracks = tuple(everybody.tracks[number] for number in chosen)
    return replace(faces, clip=replace(everybody, tracks=tracks)), shown


def _chosen(clip: ClipFaces, options: LipSyncOptions, most: int) -> list[int]:
    """Numbers of the tracks that go on, from left to right."""
    size, numbers = (clip.width, clip.height), {id(track): number for number, track in enumerate(clip.tracks)}
    if options.face_point:
        point = options.numbers("face_point", 2)
        picked = select_faces(clip.tracks, "point", size, point=(point[0], point[1]))
        return [numbers[id(track)] for track in picked]
    left = list(clip.tracks)
    while most and len(left) > most:
        areas = [_area(track) for track in left]
        left.pop(int(np.argmin(areas)))
    return [numbers[id(track)] for track in left]


def _area(track: FaceTrack) -> float:
    boxes = track.boxes_xyxy[track.found] if track.found.any() else track.boxes_xyxy
    return float(np.median((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))


def _picture_of(source: Source, clip: ClipFaces, chosen: list[int]) -> result.Ui:
    """The first frame that shows the most faces."""
    seen = np.stack([track.found for track in clip.tracks])
    index = int(np.argmax(seen.sum(axis=0)))
    boxes = np.stack([track.boxes_xyxy[index] for track in clip.tracks])
    return result.faces_payload(_frame(source, index), index, boxes, np.ones(len(boxes), np.float32), chosen)


def _frame(source: Source, index: int) -> Pixels:
    for batch in source.batches(index + 1, "hold", 1 if index == 0 else 8):
        if batch.first + len(batch) > index:
            return np.ascontiguousarray(batch.pixels[index - batch.first])
    raise ValueError(f"there is no frame {index}")


def _bounding_boxes(clip: ClipFaces) -> list[list[dict[str, Any]]]:
    """BOUNDING_BOX: for each frame the faces that were seen on it."""
    frames: list[list[dict[str, Any]]] = [[] for _ in range(clip.frame_count)]
    for track in clip.tracks:
        for number in np.flatnonzero(track.found).tolist():
            left, top, right, bottom = track.boxes_xyxy[number].tolist()
            box = {"x": left, "y": top, "width": right - left, "height": bottom - top, "label": "face", "score": 1.0}
            frames[number].append(box)
    return frames


class LipSyncSelectFace(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        s = io.Schema(
            node_id="LipSyncSelectFace",
            display_name="Select Face (Lip Sync)",
            category=CATEGORY,
            description="Lets one of several faces go on, for a conversation with one voice for each.",
            inputs=[
                socket(FacesType, "faces", "faces", "From Detect Faces, with 'Most faces' above 1."),
                option("which_face"),
                option("face_index", Changed(advanced=False)),
                option("face_point", Changed(advanced=False)),
                socket(io.Image, "reference", "reference", _REFERENCE, optional=True),
                socket(SOURCE_TYPES, "source", "source", _WITH_REFERENCE, optional=True),
            ],
            outputs=[output(FacesType, "faces_out", "faces", "The face that was chosen.")],
        )
        return schema.finish(s, "choose face", "pick face", "speaker", "face recognition", "reference")

    @classmethod
    def execute(cls, faces: Faces, reference: Any = None, source: Any = None, **values: Any) -> io.NodeOutput:
        require_face(faces.clip, faces.searched)
        options = from_mapping(values)
        tracks = _by_place(faces.clip, options) if reference is None else (_by_picture(faces, reference, source),)
        return io.NodeOutput(replace(faces, clip=replace(faces.clip, tracks=tracks)))


def _by_place(clip: ClipFaces, options: LipSyncOptions) -> tuple[FaceTrack, ...]:
    point = options.numbers("face_point", 2) if options.which_face == "point" else (0.0, 0.0)
    size = (clip.width, clip.height)
    return select_faces(clip.tracks, options.which_face, size, options.face_index, (point[0], point[1]))


def _by_picture(faces: Faces, reference: Any, source: Any) -> FaceTrack:
    if source is None:
        raise InputError("A reference is connected, but no source. Connect what the faces were found in as well.")
    rate = float(faces.fps or 0) if isinstance(source, torch.Tensor) else 0.0
    with opened(source, rate) as clip, opened(checked_images(reference)[:1]) as picture, checkpoints.missing_first():
        same_frames(faces, clip, "the source")
        return find_person(faces.clip, clip, picture, from_mapping({}), make_runtime(only("faces")))


class LipSyncAdjustFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        s = io.Schema(
            node_id="LipSyncAdjustFaces",
            display_name="Smooth and Pad Faces",
            category=CATEGORY,
            description="Calms the boxes, decides what happens on frames without the face, and widens what is cut out.",
            inputs=[
                socket(FacesType, "faces", "faces", "From Detect Faces or Select Face."),
                *(option(f"pad_{side}", Changed(advanced=False)) for side in ("top", "bottom", "left", "right")),
                option("smoothing", Changed(advanced=False)),
                option("no_face"),
                schema.number(
                    "max_gap",
                    "Longest gap (frames)",
                    "Longer stretches without the face stay as they are, whatever is chosen above. 0: no limit.",
                    (10, 0, 100_000, 1),
                ),
            ],
            outputs=[output(FacesType, "faces_out", "faces", "The same faces, calmed.")],
        )
        return schema.finish(s, "smooth boxes", "pads", "no face")

    @classmethod
    def execute(cls, faces: Faces, max_gap: int, **values: Any) -> io.NodeOutput:
        options = from_mapping(values)
        require_face(faces.clip, faces.searched)
        how = Settling(options.smoothing, options.no_face, max_gap)
        clip = settle(faces.clip, faces.fps or STILL_FPS, how, faces.searched)
        pads = (options.pad_top, options.pad_bottom, options.pad_left, options.pad_right)
        return io.NodeOutput(replace(faces, clip=clip, pads_tblr=pads, settled=True))
