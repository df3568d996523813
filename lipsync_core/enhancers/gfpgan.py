"""GFPGAN v1.2 to v1.4: the network classes of gfpgan and basicsr, or spandrel's where those are missing or broken.

Paper: Wang et al., "Towards Real-World Blind Face Restoration with Generative Facial Prior", 2021. The packages' own
`GFPGANer` is not used: it makes a face helper that downloads two more networks. Both ways take the same checkpoint and
give the same picture (tests/golden/enhancers.json).
"""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import UsageError
from ..runtime import Runtime
from . import spandrel_nets
from .base import Enhancer, EnhancerSpec, FaceNetwork, Shapes, Tensors, precision_for
from .old_torchvision import old_names
from .spandrel_nets import BROKEN, INSTALL, forward_gfpgan

# Of the checkpoints that exist; everything else about them is the same.
_LAYOUT = {
    "out_size": 512,
    "num_style_feat": 512,
    "channel_multiplier": 2,
    "decoder_load_path": None,
    "fix_decoder": False,
    "num_mlp": 8,
    "input_is_latent": True,
    "different_w": True,
    "narrow": 1,
    "sft_half": True,
}


def detect(shapes: Shapes) -> str | None:
    """ "clean" for v1.2, v1.3 and v1.4, which cannot be told apart by their tensors; None for the old v1."""
    decoder = shapes.get("stylegan_decoder.style_convs.0.modulated_conv.weight")
    if decoder is None or "condition_scale.0.0.weight" not in shapes or "toRGB.0.weight" not in shapes:
        return None
    return "clean"


def load(tensors: Tensors, runtime: Runtime, fidelity: float) -> Enhancer:
    """Through gfpgan + basicsr where they work here, else through spandrel.

    Raises UsageError that names what to install when neither works, WeightsError when the tensors do not fit.
    """
    try:
        network_class = _packages_class()
    except BROKEN as first:
        return _by_spandrel(tensors, runtime, fidelity, first)
    dtype = precision_for(runtime)
    network = network_class(**_LAYOUT)
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise spandrel_nets.damaged("gfpgan", error) from None
    network = network.to(dtype=dtype).eval()
    runtime.place(network, runtime.device)
    return FaceNetwork(
        "gfpgan", "gfpgan", runtime.device, dtype, lambda faces: forward_gfpgan(network, faces, fidelity)
    )


def _by_spandrel(tensors: Tensors, runtime: Runtime, fidelity: float, first: Exception) -> Enhancer:
    try:
        return spandrel_nets.load("gfpgan", tensors, runtime, fidelity)
    except UsageError:
        raise UsageError(
            f"Enhancer is 'gfpgan', but neither gfpgan with basicsr ({first}) nor spandrel can be imported. {INSTALL}"
        ) from None


def _packages_class() -> Any:
    with old_names():
        return importlib.import_module("gfpgan.archs.gfpganv1_clean_arch").GFPGANv1Clean


SPEC = EnhancerSpec(
    label="GFPGAN",
    licence="Apache-2.0 with non-commercial parts (StyleGAN2, DFDNet)",
    weights=("gfpgan", "gfpgan_1.3"),
    detect=detect,
    load=load,
)
