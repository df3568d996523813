"""CodeFormer through spandrel_extra_arches, which the user installs by hand because of its licence.

Paper: Zhou et al., "Towards Robust Blind Face Restoration with Codebook Lookup Transformer", 2022.
"""

from __future__ import annotations

from ..runtime import Runtime
from .base import Enhancer, EnhancerSpec, Shapes, Tensors
from .spandrel_nets import load as load_by_spandrel

_KEYS = ("position_emb", "idx_pred_layer.1.weight", "quantize.embedding.weight", "encoder.blocks.0.weight")


def detect(shapes: Shapes) -> str | None:
    """ "codeformer" when the tensors are its, else None."""
    return "codeformer" if all(key in shapes for key in _KEYS) else None


def load(tensors: Tensors, runtime: Runtime, fidelity: float) -> Enhancer:
    """As `EnhancerSpec.load`; fidelity 0 looks best, 1 looks most like the input."""
    return load_by_spandrel("codeformer", tensors, runtime, fidelity, extra=True)


SPEC = EnhancerSpec(
    label="CodeFormer",
    licence="S-Lab License 1.0: non-commercial use only",
    weights=("codeformer",),
    detect=detect,
    load=load,
)
