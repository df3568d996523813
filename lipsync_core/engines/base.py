"""What a mouth generator is. To add one: write engines/<name>.py with a SPEC, then add its line in __init__.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..types import CropStyle, FaceBatch, Rendered, Speech

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from ..runtime import Runtime


class Performance(Protocol):
    """One engine that has heard one voice."""

    def render(self, faces: FaceBatch) -> Rendered:
        """Give the faces the mouths of their frames, `faces.first` being the frame of row 0."""
        ...


class Engine(Protocol):
    """A loaded generator, on its device."""

    name: str
    variant: str

    def crop_style(self, face_px: float) -> CropStyle:
        """The crop it wants for a face `face_px` pixels wide."""
        ...

    def listen(self, speech: Speech) -> Performance:
        """Hear the whole voice once; what it keeps is small."""
        ...


@runtime_checkable
class Placed(Protocol):
    """An engine whose network went through `Runtime.place`, so that a host can bring it back before the next run."""

    network: torch.nn.Module | None


@dataclass(frozen=True)
class EngineSettings:
    """What a user can ask of an engine; each takes what concerns it. Ranges and words are in options.py.

    strength: 0 closed, 1 as heard, 2 twice as far. blink, sway: 0 off, 1 as designed. seed: any whole number.
    variant: name of the network where the checkpoint cannot tell, else "auto".
    """

    strength: float = 1.0
    blink: float = 1.0
    sway: float = 1.0
    seed: int = 0
    compile: bool = False


@dataclass(frozen=True)
class EngineSpec:
    """One row of the engine table.

    label, licence: words for the user. needs_weights: a checkpoint has to be there. visible_label: its licence asks
    that the result be shown as synthetic. mask: which mask suits it when the user did not choose.
    detect: name of the variant when these tensors (name -> shape) are its checkpoint, else None.
    load: (checkpoint or None, runtime, settings) -> Engine.
    """

    label: str
    licence: str
    needs_weights: bool
    visible_label: bool
    mask: str
    detect: Callable[[Mapping[str, tuple[int, ...]]], str | None]
    load: Callable[[Path | None, Runtime, EngineSettings], Engine]


def to_device(tensor: torch.Tensor, runtime: Runtime) -> torch.Tensor:
    """Move to the runtime's device, in its precision, channels last: what convolutions like best everywhere."""
    import torch

    return tensor.to(device=runtime.device, dtype=runtime.dtype, memory_format=torch.channels_last)
