"""Enhance Faces (GFPGAN)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.model_management as mm
import comfy.model_patcher
import torch
import torch.nn.functional as F
from comfy_api.latest import io

from ..lipsync_core.errors import UsageError
from ..lipsync_core.runtime import BatchSize, Runtime, run_in_batches
from . import schema
from .host import Places, checked_images, make_runtime, only
from .memory import need_memory
from .schema import Changed, hidden_option, output, socket

SIDE = 512  # px, what these networks were trained on


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
                schema.number(
                    "enhance_strength", "Strength", "0 leaves the crop, 1 is all enhancer.", (0.8, 0.0, 1.0, 0.05)
                ),
                hidden_option("batch_size", Changed(default=0, low=0, help="Faces at once; 0 chooses.")),
            ],
            outputs=[output(io.Image, "crops_out", "crops", "The enhanced crops, 512 pixels.")],
        )
        return schema.finish(s, "gfpgan", "restoreformer", "face restoration", "restore face")

    @classmethod
    def execute(cls, crops: Any, enhancer: Any, enhance_strength: float, batch_size: int = 0) -> io.NodeOutput:
        pictures = checked_images(crops)
        need_memory(len(pictures), SIDE, SIDE, "Enhance Faces", "Use Lip Sync Video, which enhances frame by frame.")
        runtime, places = make_runtime(only("render")), places_of(enhancer)
        restore, out = restorer_of(enhancer), torch.empty(len(pictures), SIDE, SIDE, 3)
        places.recall()
        _restore_all(pictures, out, Step(restore, enhance_strength, batch_size or 1), runtime)
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


def restorer_of(descriptor: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """What an UPSCALE_MODEL does with faces. Raises UsageError for one that is no face restorer.

    GFPGAN's network works on -1 to 1 and has no normalisation of its own; RestoreFormer's has.
    """
    kind = str(getattr(getattr(descriptor, "architecture", None), "id", ""))
    if kind == "GFPGAN":
        network = descriptor.model
        return lambda faces: (network(faces * 2 - 1, return_rgb=False, randomize_noise=False)[0] + 1) / 2
    if kind == "RestoreFormer":
        return descriptor
    raise UsageError(
        f"The connected upscale model is {kind or 'unknown'}, which restores no faces. Choose a GFPGAN or "
        "RestoreFormer file in Load Upscale Model (it goes into models/upscale_models)."
    )


def places_of(descriptor: Any) -> Places:
    """The host's own ModelPatcher of an UPSCALE_MODEL where it brings one (0.33), else a new one (0.3.64)."""
    known = getattr(descriptor, "patcher", None)
    if known is not None:
        return Places([known])
    network = getattr(descriptor, "model", None)
    if network is None:
        return Places()
    return Places([comfy.model_patcher.ModelPatcher(network, mm.get_torch_device(), mm.unet_offload_device())])
