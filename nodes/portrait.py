"""Animate Portrait."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..lipsync_core.engines import ENGINES
from ..lipsync_core.quality import QUALITIES, USUAL
from . import schema
from .hero import AUTO_BATCH, file_inputs, make_video, wanted_enhancer
from .host import checked_images, input_file, opened, sound_file
from .schema import hidden_option, option, output, socket

# What moves the whole head listens to these (engine sadtalker).
_HEAD = (
    "preprocess", "head_size", "still", "pose_style", "expression_scale", "yaw", "pitch", "roll",
    "blink_video", "pose_video", "drive_video", "sharp_lips",
)  # fmt: skip
_VIDEOS = ("blink_video", "pose_video", "drive_video")  # by name, in the input folder
_LEFT_TO_THE_CORE = {"which_face": "largest", "fit": "loop"}


class LipSyncPortrait(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        s = io.Schema(
            node_id="LipSyncPortrait",
            display_name="Animate Portrait",
            category=schema.CATEGORY,
            description="One portrait and a voice become a talking video: mouth, blinks and a little head motion.",
            inputs=[
                socket(io.Image, "image", "image", "The portrait; of several pictures the first."),
                socket(io.Audio, "audio", "audio", "The speech. It becomes the sound of the result."),
                schema.choice("engine", "Engine", _engines(), list(ENGINES), "puppet"),
                schema.choice("quality", "Quality", "How much time it may take.", list(QUALITIES), USUAL),
                option("blink"),
                option("sway"),
                option("strength"),
                option("enhance_strength"),
                option("seed"),
                schema.number("fps", "Frame rate", "Frames a second of the result.", (25.0, 1.0, 240.0, 0.001)),
                *file_inputs("lipsync/portrait"),
                hidden_option("label"),
                hidden_option("gate"),
                hidden_option("mel_offset_ms"),
                hidden_option("crf"),
                hidden_option("batch_size", AUTO_BATCH),
                hidden_option("box"),
                hidden_option("face_point"),
                *(hidden_option(name) for name in _HEAD),
                socket(
                    io.UpscaleModel,
                    "enhancer",
                    "enhancer",
                    "GFPGAN or RestoreFormer, for sharper faces.",
                    optional=True,
                    lazy=True,
                ),
            ],
            outputs=[output(io.Video, "video_out", "video", "The finished video, with its sound.")],
            is_output_node=True,
        )
        return schema.finish(s, "talking photo", "talking portrait", "sadtalker", "animate face")

    @classmethod
    def execute(cls, image: Any, audio: Any, engine: str, **values: Any) -> io.NodeOutput:
        values |= {name: input_file(values.get(name, "")) for name in _VIDEOS}
        with opened(checked_images(image)[:1], values["fps"]) as portrait, sound_file(audio) as voice:
            made = make_video(portrait, voice, audio, {**_LEFT_TO_THE_CORE, **values, "model": engine}, cls.hidden)
        return io.NodeOutput(made.place.video, ui=made.ui)

    @classmethod
    def check_lazy_status(cls, **values: Any) -> list[str]:
        return wanted_enhancer(values)


def _engines() -> str:
    return " ".join(f"{name}: {spec.label}, {spec.licence}." for name, spec in ENGINES.items())
