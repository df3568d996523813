"""What a face enhancer is: a network that takes an aligned 512 px face and gives it the detail that it should have.

To add one: write enhancers/<name>.py with a SPEC, then add its line in __init__.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ..runtime import BatchSize, Runtime, run_in_batches

if TYPE_CHECKING:
    import torch

SIDE = 512  # px of the crops that every network here was trained on

Shapes = Mapping[str, tuple[int, ...]]
Tensors = Mapping[str, "torch.Tensor"]

_ROWS = {"cpu": 1}  # faces at once: a CPU is as fast with one and needs a tenth of the memory
_ROWS_ELSEWHERE = 8


class Enhancer(Protocol):
    """A loaded network, on its device."""

    @property
    def name(self) -> str:
        """Of the table."""
        ...

    @property
    def backend(self) -> str:
        """The package whose code it is."""
        ...

    @property
    def precision(self) -> str:
        """ "fp32", "bf16" or "fp16"."""
        ...

    def restore(self, faces: torch.Tensor) -> torch.Tensor:
        """(N, 3, 512, 512) float in [0, 1] RGB, aligned, on the device -> the same, float32, restored."""
        ...


@dataclass(frozen=True)
class EnhancerSpec:
    """One row of the table of enhancers.

    label, licence: words for the user. weights: rows of the catalogue, best first. detect: name of the variant when
    these tensors (name -> shape) are its checkpoint, else None. load: (tensors, runtime, fidelity) -> Enhancer;
    fidelity in [0, 1] is for those that trade likeness for quality. Raises UsageError when a package is missing.
    """

    label: str
    licence: str
    weights: tuple[str, ...]
    detect: Callable[[Shapes], str | None]
    load: Callable[[Tensors, Runtime, float], Enhancer]


@dataclass
class FaceNetwork:
    """A network that works on [-1, 1], as all of these do, with the steps around it: norm, batches, precision.

    forward: (n, 3, 512, 512) in [-1, 1] -> the same, in the network's precision. backend: whose code it is.
    """

    name: str
    backend: str
    device: str
    dtype: torch.dtype
    forward: Callable[[torch.Tensor], torch.Tensor]
    size: BatchSize = field(default_factory=lambda: BatchSize(_ROWS_ELSEWHERE))

    def __post_init__(self) -> None:
        self.size.rows = _ROWS.get(self.device.split(":")[0], self.size.rows)

    @property
    def precision(self) -> str:
        return {"torch.float32": "fp32", "torch.float16": "fp16", "torch.bfloat16": "bf16"}[str(self.dtype)]

    def restore(self, faces: torch.Tensor) -> torch.Tensor:
        """As `Enhancer.restore`. Raises ValueError for another size, OutOfMemoryError when one face is too many."""
        import torch

        if faces.shape[1:] != (3, SIDE, SIDE):
            raise ValueError(f"faces of shape {tuple(faces.shape)} instead of (N, 3, {SIDE}, {SIDE})")
        out = torch.empty(faces.shape, dtype=torch.float32, device=faces.device)

        def work(start: int, end: int) -> None:
            given = faces[start:end].to(device=self.device, dtype=self.dtype).mul(2).sub_(1)
            with torch.inference_mode():
                restored = self.forward(given)
            out[start:end] = restored.float().add(1).div_(2).clamp_(0, 1)

        run_in_batches(self.size, len(faces), work, "The enhancer")
        return out


def precision_for(runtime: Runtime, takes_bf16: bool = True) -> torch.dtype:
    """What a face network computes in. Their activations leave the range of fp16, so there it is bf16, else fp32."""
    import torch

    kind = runtime.device.split(":")[0]
    if runtime.precision == "fp32" or not takes_bf16 or kind == "mps":
        return torch.float32
    if kind == "cuda" and not torch.cuda.is_bf16_supported():
        return torch.float32
    if kind == "cpu" and runtime.precision == "fp16":
        return torch.float32
    return torch.bfloat16
