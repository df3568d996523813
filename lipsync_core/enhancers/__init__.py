"""The face enhancers. To add one: write enhancers/<name>.py with a SPEC, then add its line here."""

from __future__ import annotations

from ..registry import Registry
from . import codeformer, gfpgan, restoreformer
from .base import EnhancerSpec, Shapes

ENHANCERS: Registry[EnhancerSpec] = Registry("enhancer")
ENHANCERS.add("gfpgan", gfpgan.SPEC)
ENHANCERS.add("restoreformer", restoreformer.SPEC)
ENHANCERS.add("codeformer", codeformer.SPEC)


def recognise(shapes: Shapes) -> str | None:
    """Name of the enhancer that these tensors (name -> shape) belong to, or None when nobody knows them."""
    return next((name for name, spec in ENHANCERS.items() if spec.detect(shapes) is not None), None)
