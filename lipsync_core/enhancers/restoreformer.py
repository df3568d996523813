"""RestoreFormer through spandrel.

Paper: Wang et al., "RestoreFormer: High-Quality Blind Face Restoration from Undegraded Key-Value Pairs", 2022.
"""

from __future__ import annotations

from ..runtime import Runtime
from .base import Enhancer, EnhancerSpec, Shapes, Tensors
from .spandrel_nets import load as load_by_spandrel

_KEYS = ("quantize.embedding.weight", "encoder.conv_in.weight", "quant_conv.weight", "decoder.conv_out.weight")


def detect(shapes: Shapes) -> str | None:
    """ "restoreformer" when the tensors are its, else None."""
    return "restoreformer" if all(key in shapes for key in _KEYS) else None


def load(tensors: Tensors, runtime: Runtime, fidelity: float) -> Enhancer:
    """As `EnhancerSpec.load`."""
    return load_by_spandrel("restoreformer", tensors, runtime, fidelity)


SPEC = EnhancerSpec(
    label="RestoreFormer",
    licence="Apache-2.0; trained on FFHQ, which is non-commercial",
    weights=(),
    detect=detect,
    load=load,
)
