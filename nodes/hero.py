"""Lip Sync Video: two wires and Run give a file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from comfy_api.latest import io

from ..lipsync_core.assembly import Job
from ..lipsync_core.engines.choose import Chosen
from ..lipsync_core.enhancers.choose import ChosenEnhancer
from ..lipsync_core.face.policy import Searched
from ..lipsync_core.face.track import ClipFaces
from ..lipsync_core.options import LipSyncOptions, from_mapping, knobs
from ..lipsync_core.pipeline import analyse, run
from ..lipsync_core.quality import QUALITIES, USUAL
from ..lipsync_core.runtime import Runtime
from ..lipsync_core.timing import frames_for
from ..lipsync_core.types import Report
from ..lipsync_core.video.source import Source
from . import checkpoints, result, schema
from .face_network import face_network
from .faces_in import faces_of, same_frames
from .host import batch_size, make_runtime, opened, save_mask, seconds_of, sound_file, temporary
from .schema import Changed, hidden_option, option, output, socket
from .types import FACE_TYPES, SOURCE_TYPES, Faces, FacesType, Model, ModelType

WHICH = ("largest", "left", "right", "top", "bottom", "center", "all")
SHAPES = ("auto", "mouth", "lower_face", "face", "parsing", "ellipse", "box")
DETECTORS = ("auto", "yunet", "s3fd", "cascade")
AUTO_BATCH = Changed(default=0, low=0, help="Frames that go through at once; 0 chooses by the device.")
_FRAME_RATE = "Frames a second of the result. 0: the video's own; 25 for pictures."

_SOCKETS = ("enhancer",)  # not the option of that name

Values = Mapping[str, Any]


class LipSyncVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        s = io.Schema(
            node_id="LipSyncVideo",
            display_name="Lip Sync Video",
            category=schema.CATEGORY,
            description="Makes the face in a picture or video speak the sound. Writes an mp4 and shows it; works with "
            "nothing downloaded (engine puppet).",
            inputs=[*_main_inputs(), *_fine_inputs(), *_sockets()],
            outputs=[
                output(io.Video, "video_out", "video", "The finished video, with its sound."),
                output(FacesType, "faces_out", "faces", "The faces that were found, to be used again."),
            ],
            is_output_node=True,
        )
        return schema.finish(s, "talking photo", "talking portrait", "make image talk", "dubbing")

    @classmethod
    def execute(cls, source: Any, audio: Any, **values: Any) -> io.NodeOutput:
        with opened(source, values.get("fps", 0.0)) as opened_source, sound_file(audio) as voice:
            made = make_video(opened_source, voice, audio, values, cls.hidden)
        return io.NodeOutput(made.place.video, made.faces, ui=made.ui)

    @classmethod
    def check_lazy_status(cls, **values: Any) -> list[str]:
        return wanted_enhancer(values)


def _main_inputs() -> list[Any]:
    return [
        socket(SOURCE_TYPES, "source", "source", "The picture or video whose mouth is to move."),
        socket(io.Audio, "audio", "audio", "The speech. It becomes the sound of the result."),
        model_input("model"),
        schema.choice("quality", "Quality", "How much time it may take.", list(QUALITIES), USUAL),
        option("enhance_strength"),
        option("which_face", Changed(choices=WHICH, help="Which face speaks when there are several.")),
        option("fit"),
        *file_inputs(),
    ]


def model_input(name: str) -> Any:
    return schema.choice(
        name,
        "Model",
        "auto: the built-in puppet, which needs no file. Or a Wav2Lip checkpoint in models/lipsync; one that is not "
        "there yet says where to get it.",
        checkpoints.model_names(),
    )


def file_inputs(prefix: str = result.PREFIX) -> list[Any]:
    return [
        schema.text("filename_prefix", "File name", "Folder and name in the output folder; a number is added.", prefix),
        schema.switch("save_output", "Save", "Off: the file goes to the temporary folder, for Save Video.", True),
    ]


def frame_rate_input() -> Any:
    return schema.number("fps", "Frame rate", _FRAME_RATE, (0.0, 0.0, 240.0, 0.001), advanced=True)


def pad_inputs() -> list[Any]:
    return [hidden_option(f"pad_{side}") for side in ("top", "bottom", "left", "right")]


def _fine_inputs() -> list[Any]:
    return [
        frame_rate_input(),
        *pad_inputs(),
        hidden_option("smoothing"),
        hidden_option("mask", Changed(choices=SHAPES, help="Which part of the face is replaced.")),
        hidden_option("feather"),
        hidden_option("batch_size", AUTO_BATCH),
        hidden_option("crf"),
        hidden_option("mel_offset_ms"),
        hidden_option("strength"),
        hidden_option("gate"),
        hidden_option("no_face"),
        hidden_option("detector", Changed(choices=DETECTORS)),
        hidden_option("box"),
        hidden_option("face_point", Changed(help="x,y in pixels: the face at this place speaks. Empty: as chosen.")),
        hidden_option("label"),
        hidden_option("colour_match"),
        hidden_option("blink"),
        hidden_option("sway"),
        hidden_option("seed"),
    ]


def _sockets() -> list[Any]:
    return [
        socket(ModelType, "lipsync_model", "lipsync model", "A loaded model, instead of the list.", optional=True),
        socket(FACE_TYPES, "faces", "faces", "Faces that were found before, instead of looking.", optional=True),
        socket(
            io.UpscaleModel,
            "enhancer",
            "enhancer",
            "GFPGAN or RestoreFormer, for sharper faces.",
            optional=True,
            lazy=True,
        ),
        socket(io.Mask, "user_mask", "mask", "White is replaced; it goes over the mask above.", optional=True),
    ]


# ---------------------------------------------------------------------------------------------------- running


@dataclass(frozen=True)
class Made:
    """What a run gave: where the file is, the faces, what the page shows."""

    place: result.Place
    faces: Faces
    ui: result.Ui


def make_video(source: Source, voice: Path, audio: Any, values: Values, hidden: Any) -> Made:
    """Run the pipeline with a node's values."""
    model, runtime = values.get("lipsync_model"), make_runtime()
    place = result.place_for(values["filename_prefix"], values["save_output"], (source.width, source.height))
    with _user_mask(values.get("user_mask")) as mask, checkpoints.missing_first():
        options = options_of(values, runtime, (source.width, source.height), mask)
        faces = _faces(source, audio, values, options, runtime)
        if faces.settled:
            options = replace(options, which_face="all", smoothing=0.0, no_face="keep")
        job = Job(
            source, voice, place.path, chosen=recalled(model), faces=faces.clip, enhancer=_connected(values),
            tags=result.workflow_tags(hidden),
        )  # fmt: skip
        report = run(job, options, runtime)
    return Made(place, faces, shown(place, report, audio))


def recalled(model: Model | None) -> Chosen | None:
    """The engine of a loaded model, its network on the device again."""
    if model is None:
        return None
    model.places.recall()
    return model.chosen


def _faces(source: Source, audio: Any, values: Values, options: LipSyncOptions, runtime: Runtime) -> Faces:
    given = values.get("faces")
    if given is not None:
        faces = faces_of(given, source)
        same_frames(faces, source, "the source")
        return faces
    wanted = frames_for(seconds_of(audio), source.fps) + 1  # what is heard may be rounded up
    return found_faces(analyse(source, wanted, options, runtime), source, options)


def found_faces(clip: ClipFaces, source: Source, options: LipSyncOptions) -> Faces:
    """Faces that were looked for with these options."""
    fps = None if source.still else source.fps
    return Faces(clip, fps, Searched(source.path.name, fps, options.detector, options.face_threshold))


def _connected(values: Values) -> ChosenEnhancer | None:
    """The connected UPSCALE_MODEL, where it is to be seen."""
    descriptor = values.get("enhancer")
    if descriptor is None or not values.get("enhance_strength"):
        return None
    network = face_network(descriptor)
    return ChosenEnhancer(network.name, network)


def wanted_enhancer(values: Values) -> list[str]:
    """The lazy socket that has to be evaluated: a connected enhancer, where it is to be seen."""
    waiting = "enhancer" in values and values["enhancer"] is None
    return ["enhancer"] if waiting and values.get("enhance_strength") else []


def shown(place: result.Place, report: Report, audio: Any) -> result.Ui:
    return result.video_shown(place, result.speech_payload(report, audio))


@contextlib.contextmanager
def _user_mask(mask: torch.Tensor | None) -> Iterator[str]:
    """A MASK as the file that the option `mask_file` names; "" without one."""
    if mask is None:
        yield ""
        return
    path = temporary(".png")
    try:
        yield str(save_mask(mask, path))
    finally:
        path.unlink(missing_ok=True)


def options_of(values: Values, runtime: Runtime, size: tuple[int, int], mask_file: str = "") -> LipSyncOptions:
    """A node's values as the core's options; what no widget sets comes from the chosen quality. size: of the frames."""
    named = {name: value for name, value in values.items() if name in knobs() and name not in _SOCKETS}
    named |= checkpoints.engine_options(values.get("model", ""), runtime)
    network = checkpoints.needs_network(named) or values.get("lipsync_model") is not None
    named["batch_size"] = batch_size(values.get("batch_size", 0), size, network)
    named["fps"] = ""  # the source knows it already
    if mask_file:
        named |= {"mask": "user", "mask_file": mask_file}
    if values.get("face_point"):
        named["which_face"] = "point"
    return from_mapping({**QUALITIES[values.get("quality", USUAL)], **named})
