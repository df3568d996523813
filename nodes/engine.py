"""Load Lip Sync Model, Convert Audio to Mel Chunks, Run Lip Sync Model."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import torch
from comfy_api.latest import io

from ..lipsync_core import assembly
from ..lipsync_core.casting import Actor, cast
from ..lipsync_core.errors import InputError, UsageError
from ..lipsync_core.modular import CropTrack, crop_track, speak
from ..lipsync_core.options import from_mapping
from ..lipsync_core.runtime import Runtime
from ..lipsync_core.timing import fitted_length, frames_for, parse_fps
from ..lipsync_core.video.source import Source
from . import checkpoints, schema
from .faces_in import faces_of, frame_rate, same_frames
from .hero import AUTO_BATCH, model_input, recalled
from .host import Places, batch_size, make_runtime, only, opened, sound_file
from .memory import need_memory
from .schema import hidden_option, option, output, socket
from .types import FACE_TYPES, SOURCE_TYPES, Faces, FacesType, Mel, MelType, Model, ModelType

_GATE = ("gate", "gate_threshold", "gate_attack_ms", "gate_release_ms", "mel_offset_ms")


class LipSyncLoadModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        s = io.Schema(
            node_id="LipSyncLoadModel",
            display_name="Load Lip Sync Model",
            category=schema.LOADERS,
            description="Loads what moves the mouth, once for many runs. Which network a file holds is read from its "
            "tensors.",
            inputs=[
                model_input("model_name"),
                hidden_option("precision"),
                option("strength"),
                hidden_option("blink"),
                hidden_option("sway"),
                hidden_option("seed"),
            ],
            outputs=[output(ModelType, "model_out", "lipsync model", "For Run Lip Sync Model or Lip Sync Video.")],
        )
        return schema.finish(s, "checkpoint", "load wav2lip", "puppet")

    @classmethod
    def execute(cls, model_name: str, **values: Any) -> io.NodeOutput:
        places = Places()
        runtime = make_runtime(places=places, precision=values.get("precision", "auto"))
        options = from_mapping({**values, **checkpoints.engine_options(model_name, runtime)})
        with checkpoints.missing_first():
            return io.NodeOutput(Model(assembly.choose(options, runtime), places))


class LipSyncMel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        s = io.Schema(
            node_id="LipSyncMel",
            display_name="Convert Audio to Mel Chunks",
            category=schema.STEPS,
            description="Hears a voice as the engines do, one piece for each frame, with the mouth closed where nobody "
            "speaks.",
            inputs=[
                socket(io.Audio, "audio", "audio", "The speech."),
                schema.number(
                    "fps", "Frame rate", "Of the video that will speak it. 25 for pictures.", (25.0, 1.0, 240.0, 0.001)
                ),
                option("mel_offset_ms"),
                option("gate"),
                hidden_option("gate_threshold"),
                hidden_option("gate_attack_ms"),
                hidden_option("gate_release_ms"),
            ],
            outputs=[
                output(MelType, "mel", "mel", "The voice, for Run Lip Sync Model."),
                output(io.Int, "frame_count", "frame count", "Frames that the voice lasts."),
            ],
        )
        return schema.finish(s, "spectrogram", "audio features")

    @classmethod
    def execute(cls, audio: Any, fps: float, **values: Any) -> io.NodeOutput:
        options, runtime = from_mapping(values), make_runtime(only("listen"))
        with sound_file(audio) as voice:
            heard = assembly.hear(voice, options, runtime)
        rate = parse_fps(f"{fps:g}")
        count = frames_for(heard.seconds, rate)
        return io.NodeOutput(Mel(assembly.voice(heard, rate, count, options), heard.seconds), count)


class LipSyncGenerate(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        s = io.Schema(
            node_id="LipSyncGenerate",
            display_name="Run Lip Sync Model",
            category=schema.STEPS,
            description="Cuts the face out of every frame and gives it the mouth of the voice. Only these crops are "
            "held in memory, never the whole frames.",
            inputs=[
                socket(ModelType, "lipsync_model", "lipsync model", "From Load Lip Sync Model."),
                socket(SOURCE_TYPES, "source", "source", "The picture or video that the faces were found in."),
                socket(FACE_TYPES, "faces", "faces", "The face that speaks; of several, the largest."),
                socket(MelType, "mel", "mel", "From Convert Audio to Mel Chunks."),
                option("fit"),
                hidden_option("batch_size", AUTO_BATCH),
            ],
            outputs=[
                output(io.Image, "crops", "crops", "The new faces, one for each frame of the result."),
                output(FacesType, "faces_out", "faces", "How these crops lie in the frames, for the blend nodes."),
            ],
        )
        return schema.finish(s, "generate", "inference")

    @classmethod
    def execute(cls, lipsync_model: Model, source: Any, faces: Any, mel: Mel, **values: Any) -> io.NodeOutput:
        runtime = make_runtime(only("render"))
        with opened(source, float(mel.speech.fps) if isinstance(source, torch.Tensor) else 0.0) as clip:
            given = faces_of(faces, clip)
            crops, track = _generate(lipsync_model, clip, given, mel, values, runtime)
        return io.NodeOutput(crops, replace(given, crops=track))


def _generate(
    model: Model, source: Source, faces: Faces, mel: Mel, values: dict[str, Any], runtime: Runtime
) -> tuple[torch.Tensor, CropTrack]:
    same_frames(faces, source, "the source")
    _same_rate(mel.speech.fps, source)
    total = fitted_length(values["fit"], None if source.still else faces.clip.frame_count, mel.speech.frame_count)
    chosen = recalled(model)
    if chosen is None:
        raise UsageError("No model is connected. Add Load Lip Sync Model.")
    options = from_mapping(_options(faces, values, (source.width, source.height)))
    actor = cast(faces.clip, source, chosen, replace(mel.speech, frame_count=total), options)[0]
    track = crop_track(actor, source, values["fit"], chosen)
    return _collected(actor, track, source, runtime)


def _same_rate(fps: Fraction, source: Source) -> None:
    if not source.still and fps != source.fps:
        raise InputError(
            f"The mel was cut for {frame_rate(fps)} frames a second, but the video has {frame_rate(source.fps)}. "
            f"Set 'Frame rate' of Convert Audio to Mel Chunks to {frame_rate(source.fps)}."
        )


def _options(faces: Faces, values: dict[str, Any], frame: tuple[int, int]) -> dict[str, Any]:
    """What the hero would do, or what Smooth and Pad Faces has done already."""
    top, bottom, left, right = faces.pads_tblr or (None, None, None, None)
    pads = {"pad_top": top, "pad_bottom": bottom, "pad_left": left, "pad_right": right}
    settled = {"smoothing": 0.0, "no_face": "keep"} if faces.settled else {}
    size = {"fit": values["fit"], "batch_size": batch_size(values.get("batch_size", 0), frame)}
    return {**settled, **size, **{name: pad for name, pad in pads.items() if pad is not None}}


def _collected(
    actor: Actor, track: CropTrack, source: Source, runtime: Runtime
) -> tuple[torch.Tensor, CropTrack]:  # fmt: skip
    """All crops in one IMAGE that is made once; the alpha in bytes."""
    count, side = len(track), track.plan.size
    need_memory(count, side, side, "Run Lip Sync Model", "Use Lip Sync Video, which holds a few frames at a time.")
    crops, alpha, first = torch.empty(count, side, side, 3), None, 0
    for rendered in speak(actor, source, track.fit, count, runtime):
        rows = slice(first, first + len(rendered.crops))
        crops[rows] = rendered.crops.permute(0, 2, 3, 1).to("cpu", torch.float32)
        if rendered.alpha is not None:
            alpha = torch.zeros(count, side, side, dtype=torch.uint8) if alpha is None else alpha
            alpha[rows] = rendered.alpha[:, 0].float().mul(255).round().to("cpu", torch.uint8)
        first = rows.stop
        runtime.preview(crops[first - 1].mul(255).to(torch.uint8).numpy())
    return crops, replace(track, alpha=None if alpha is None else alpha.numpy())
