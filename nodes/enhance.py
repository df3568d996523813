"""Enhance Faces (GFPGAN)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from comfy_api.latest import io

from ..lipsync_core.enhancers.base import SIDE
from ..lipsync_core.runtime import BatchSize, Runtime, run_in_batches
from . import schema
from .face_network import face_network
from .host import checked_images, make_runtime, only
from .memory import need_memory
from .schema import Changed, hidden_option, option, output, socket


class LipSyncEnhance(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        s = io.Schema(
            node_id="LipSyncEnhance",
            display_name="Enhance Faces (GFPGAN)",
            category=schema.STEPS,
            description="Gives face crops the detail of a face restoration model, at 512 pixels.",
            inputs=[
                socket(io.Image, "crops", "crops", "From Run Lip Sync Model."),
                socket(io.UpscaleModel, "enhancer", "enhancer", "GFPGAN or RestoreFormer, from Load Upscale Model."),
                option("enhance_strength"),
                hidden_option("batch_size", Changed(default=0, low=0, help="Faces at once; 0 chooses.")),
            ],
            outputs=[output(io.Image, "crops_out", "crops", "The enhanced crops, 512 pixels.")],
        )
        return schema.finish(s, "gfpgan", "restoreformer", "face restoration", "restore face")

    @classmethod
    def execute(cls, crops: Any, enhancer: Any, enhance_strength: float, batch_size: int = 0) -> io.NodeOutput:
        pictures = checked_images(crops)
        need_memory(len(pictures), SIDE, SIDE, "Enhance Faces", "Use Lip Sync Video, which enhances frame by frame.")
        network, out = face_network(enhancer), torch.empty(len(pictures), SIDE, SIDE, 3)
        step = Step(network.restore, enhance_strength, batch_size or 1)
        _restore_all(pictures, out, step, make_runtime(only("render")))
        return io.NodeOutput(out)


@dataclass(frozen=True)
class Step:
    """restore: (N, 3, 512, 512) in [0, 1] -> the same. rows: faces at once."""

    restore: Callable[[torch.Tensor], torch.Tensor]
    strength: float
    rows: int


def _restore_all(pictures: torch.Tensor, out: torch.Tensor, step: Step, runtime: Runtime) -> None:
    def work(start: int, end: int) -> None:
        runtime.step("render", start, len(pictures))
        given = pictures[start:end, ..., :3].to(runtime.device).float().clamp(0, 1).permute(0, 3, 1, 2)
        large = F.interpolate(given, (SIDE, SIDE), mode="bicubic", align_corners=False).clamp(0, 1)
        better = step.restore(large).float().clamp(0, 1) if step.strength else large
        out[start:end] = large.lerp(better, step.strength).permute(0, 2, 3, 1).to("cpu")

    run_in_batches(BatchSize(step.rows), len(pictures), work, "The enhancer")
    runtime.step("render", len(pictures), len(pictures))
