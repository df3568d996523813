"""Fit Video to Audio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from comfy_api.latest import io

from ..lipsync_core.assembly import Take
from ..lipsync_core.pipeline import render
from ..lipsync_core.timing import fitted_length, frames_for
from ..lipsync_core.video.encode import Clip
from ..lipsync_core.video.encoders import Encoding
from ..lipsync_core.video.soundtrack import AudioSource
from ..lipsync_core.video.source import Source
from . import result, schema
from .hero import frame_rate_input
from .host import batch_size, make_runtime, only, opened, seconds_of, sound_file
from .schema import hidden_option, option, output, socket
from .types import SOURCE_TYPES


class LipSyncFit(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        s = io.Schema(
            node_id="LipSyncFit",
            display_name="Fit Video to Audio",
            category=schema.STEPS,
            description="Makes a video exactly as long as a sound, by looping, playing to and fro, holding or cutting, "
            "and gives it that sound.",
            inputs=[
                socket(SOURCE_TYPES, "source", "source", "The video, or a picture to be held."),
                socket(io.Audio, "audio", "audio", "The sound that it is to be as long as."),
                option("fit"),
                frame_rate_input(),
                hidden_option("crf"),
            ],
            outputs=[output(io.Video, "video_out", "video", "The fitted video, in the temporary folder.")],
        )
        return schema.finish(s, "loop video", "extend video", "match length")

    @classmethod
    def execute(cls, source: Any, audio: Any, fit: str, fps: float = 0.0, crf: int = 18) -> io.NodeOutput:
        with opened(source, fps) as clip, sound_file(audio) as voice:
            place = result.place_for("", False, (clip.width, clip.height))
            total = _length(clip, fit, audio)
            render(clip, [], _take(clip, voice, (fit, total, crf), place.path), make_runtime(only("render")))
        return io.NodeOutput(place.video)


def _length(source: Source, fit: str, audio: Any) -> int:
    wanted = frames_for(seconds_of(audio), source.fps)
    return fitted_length(fit, None if source.still else source.frame_count, wanted)


def _take(source: Source, voice: Path, how: tuple[str, int, int], output_path: Path) -> Take:
    """No marks: nothing in it is made by AI."""
    fit, total, crf = how
    clip = Clip(source.width, source.height, source.fps, total)
    return Take(
        output_path,
        clip,
        AudioSource(voice),
        None,
        Encoding(crf),
        fit,
        batch_size(0, (source.width, source.height), network=False),
    )
