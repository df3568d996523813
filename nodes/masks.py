"""Create Mouth Mask."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..lipsync_core.face.mask import MaskSettings
from ..lipsync_core.modular import crop_masks
from ..lipsync_core.options import from_mapping
from . import schema
from .aligned import ALIGNED, track_of
from .landmarks import mouth_from_mesh
from .memory import need_memory
from .schema import Changed, option, output, socket
from .types import FaceLandmarks, Faces, FacesType

_SHAPES = ("lower_face", "mouth", "face", "ellipse", "box")


class LipSyncMouthMask(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        s = io.Schema(
            node_id="LipSyncMouthMask",
            display_name="Create Mouth Mask",
            category=schema.STEPS,
            description="Draws the part of each crop that is to be replaced, soft at its edge.",
            inputs=[
                socket(FacesType, "faces", "faces", ALIGNED),
                option("mask", Changed(default="lower_face", choices=_SHAPES, help="The shape of the mask.")),
                option("grow", Changed(advanced=False)),
                option("feather"),
                socket(
                    FaceLandmarks,
                    "landmarks",
                    "landmarks",
                    "Of MediaPipe, in the same frames: the mask follows the lips themselves.",
                    optional=True,
                ),
            ],
            outputs=[output(io.Mask, "mask_out", "mask", "One mask for each crop, as large as the crop.")],
        )
        return schema.finish(s, "mask", "feather", "lips")

    @classmethod
    def execute(cls, faces: Faces, landmarks: Any = None, **values: Any) -> io.NodeOutput:
        track, options = track_of(faces), from_mapping(values)
        settings = MaskSettings(options.mask, options.feather, options.grow)
        need_memory(len(track), track.plan.size, track.plan.size, "Create Mouth Mask", "Use Lip Sync Video instead.")
        if landmarks is not None:
            return io.NodeOutput(mouth_from_mesh(track, landmarks, settings))
        return io.NodeOutput(torch.cat(list(crop_masks(track, options.mask, settings))))
