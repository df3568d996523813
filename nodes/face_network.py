"""The host's UPSCALE_MODEL as a face enhancer, in the host's memory management."""

from __future__ import annotations

from typing import Any

import comfy.model_management as mm
import comfy.model_patcher

from ..lipsync_core.enhancers.base import FaceNetwork
from ..lipsync_core.enhancers.spandrel_nets import from_descriptor
from .host import Places, make_runtime


def face_network(descriptor: Any) -> FaceNetwork:
    """Raises UsageError for a model that restores no faces.

    In full precision: the model is the host's, other nodes use it too, and would find it changed.
    """
    places_of(descriptor).recall()
    return from_descriptor(descriptor, make_runtime(precision="fp32"))


def places_of(descriptor: Any) -> Places:
    """The host's own ModelPatcher of an UPSCALE_MODEL where it brings one (0.33), else a new one (0.3.64)."""
    known = getattr(descriptor, "patcher", None)
    if known is not None:
        return Places([known])
    return Places([comfy.model_patcher.ModelPatcher(descriptor.model, mm.get_torch_device(), mm.unet_offload_device())])
