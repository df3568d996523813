"""Blend Faces into Images, Blend Faces into Video."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from comfy_api.latest import io

from ..lipsync_core.assembly import Take, has_label
from ..lipsync_core.blend import BlendSettings
from ..lipsync_core.casting import Actor
from ..lipsync_core.modular import CropTrack, replay
from ..lipsync_core.pipeline import perform, render
from ..lipsync_core.runtime import Runtime
from ..lipsync_core.types import FrameBatch
from ..lipsync_core.video.encode import Clip
from ..lipsync_core.video.encoders import Encoding
from ..lipsync_core.video.label import label_batch
from ..lipsync_core.video.provenance import Provenance
from ..lipsync_core.video.soundtrack import AudioSource
from ..lipsync_core.video.source import Source
from . import result, schema
from .aligned import ALIGNED, check_size, crops_of, track_of
from .hero import file_inputs
from .host import batch_size, checked_images, make_runtime, only, opened, sound_file, to_pixels
from .memory import need_memory
from .schema import hidden_option, option, output, socket
from .types import SOURCE_TYPES, Faces, FacesType

_ROWS = 8  # frames of an IMAGE that are blended at once

Values = Mapping[str, Any]


class LipSyncBlendImages(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        s = io.Schema(
            node_id="LipSyncBlendImages",
            display_name="Blend Faces into Images",
            category=schema.STEPS,
            description="Pastes the new faces into pictures in memory, for a few seconds or for more work on them. "
            "For whole videos use Blend Faces into Video.",
            inputs=[
                socket(io.Image, "images", "images", "The frames that the faces were cut out of."),
                *paste_inputs(),
                option("label"),
            ],
            outputs=[
                output(io.Image, "images_out", "images", "The frames with their new faces."),
                output(io.Mask, "mask_out", "mask", "White where a pixel was changed."),
            ],
        )
        return schema.finish(s, "paste", "composite")

    @classmethod
    def execute(cls, images: Any, crops: Any, faces: Faces, mask: Any = None, **values: Any) -> io.NodeOutput:
        frames, track = checked_images(images), track_of(faces)
        check_size((int(frames.shape[2]), int(frames.shape[1])), track, "the connected picture")
        runtime = make_runtime(only("render"))
        actor = _actor(track, crops_of(crops, track), mask, values, runtime)
        return io.NodeOutput(*_into_images(frames, actor, track, has_label(track.spec, values["label"]), runtime))


class LipSyncBlendVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        s = io.Schema(
            node_id="LipSyncBlendVideo",
            display_name="Blend Faces into Video",
            category=schema.STEPS,
            description="Pastes the new faces into the video, file to file, a few frames at a time, with the sound.",
            inputs=[
                socket(SOURCE_TYPES, "source", "source", "The picture or video that the faces were cut out of."),
                socket(io.Audio, "audio", "audio", "The sound of the result."),
                *paste_inputs(),
                *file_inputs(),
                option("label"),
                hidden_option("crf"),
            ],
            outputs=[output(io.Video, "video_out", "video", "The finished video, with its sound.")],
            is_output_node=True,
        )
        return schema.finish(s, "paste", "composite", "save video")

    @classmethod
    def execute(
        cls, source: Any, audio: Any, crops: Any, faces: Faces, mask: Any = None, **values: Any
    ) -> io.NodeOutput:  # fmt: skip
        track, runtime = track_of(faces), make_runtime(only("render"))
        actor = _actor(track, crops_of(crops, track), mask, values, runtime)
        with opened(source, float(track.fps) if track.still else 0.0) as clip, sound_file(audio) as voice:
            place = _into_video(clip, voice, actor, track, {**values, "hidden": cls.hidden}, runtime)
        return io.NodeOutput(place.video, ui=result.video_shown(place, result.replayed_payload(audio, track)))


def paste_inputs() -> list[Any]:
    return [
        socket(io.Image, "crops", "crops", "From Run Lip Sync Model, as they are or worked on; any size."),
        socket(FacesType, "faces", "faces", ALIGNED),
        socket(
            io.Mask,
            "mask",
            "mask",
            "Over the crops: white is replaced. Without one, what suits the engine.",
            optional=True,
        ),
        option("paste"),
        option("colour_match"),
        hidden_option("grain"),
    ]


def _actor(track: CropTrack, crops: torch.Tensor, mask: Any, values: Values, runtime: Runtime) -> Actor:
    how = BlendSettings(values["colour_match"], values["paste"], grain=values.get("grain", 1.0))
    return replay(track, crops, mask, how, _ROWS, runtime)


def _into_images(
    images: torch.Tensor, actor: Actor, track: CropTrack, labelled: bool, runtime: Runtime
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """IMAGE and MASK; a pixel that did not change keeps its exact value. A single picture speaks through all frames."""
    count, still = len(actor.active), len(images) == 1
    height, width = int(images.shape[1]), int(images.shape[2])
    need_memory(count, height, width, "Blend Faces into Images", "Use Blend Faces into Video.")
    out, changed = torch.empty(count, height, width, 3), torch.zeros(count, height, width)
    for first in range(0, count, _ROWS):
        runtime.step("render", first, count)
        rows = slice(first, min(count, first + _ROWS))
        given = images[:1].expand(rows.stop - first, -1, -1, -1) if still else images[rows]
        before = to_pixels(given)
        after = perform(actor, before.copy(), first, runtime)
        if labelled:
            after = label_batch(FrameBatch(first, after), track.fps).pixels
        new = torch.from_numpy((after != before).any(axis=-1))
        out[rows] = torch.where(new[..., None], torch.from_numpy(after).float() / 255, given[..., :3].to("cpu").float())
        changed[rows] = new.float()
    return out, changed


def _into_video(
    source: Source, voice: Path, actor: Actor, track: CropTrack, values: Values, runtime: Runtime
) -> result.Place:  # fmt: skip
    check_size((source.width, source.height), track, "the connected video")
    place = result.place_for(values["filename_prefix"], values["save_output"], track.frame_size)
    marks = Provenance(
        track.engine,
        track.weights,
        has_label(track.spec, values["label"]),
        tags=result.workflow_tags(values["hidden"]),
    )
    take = Take(
        place.path,
        Clip(source.width, source.height, source.fps, len(track)),
        AudioSource(voice),
        marks,
        Encoding(values.get("crf", 18)),
        track.fit,
        batch_size(0, track.frame_size, network=False),
    )
    render(source, [actor], take, runtime)
    return place
