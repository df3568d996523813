"""What a mouth generator is. To add one: write engines/<name>.py with a SPEC, then add its line in __init__.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..types import CropStyle, FaceBatch, Float, Pixels, Rendered, Speech

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
class Portrait:
    """One face of a picture. pixels: (H, W, 3) uint8 RGB. landmarks: (5, 2), box_xyxy: (4,), px of it."""

    pixels: Pixels
    landmarks: Float
    box_xyxy: Float


@dataclass(frozen=True)
class Driving:
    """What videos say of the motion, 25 rows a second, as `HeadEngine.watch` gives it: (n, 70), or None for no video.

    blink: whose eyes are followed. pose: whose head is followed. all: whose whole face is followed.
    """

    blink: Float | None = None
    pose: Float | None = None
    all: Float | None = None


class HeadPerformance(Protocol):
    """One head that has heard one voice.

    box_xyxy: whole pixels of the picture that are drawn anew. size: width, height of the result.
    pasted: the head goes back into the picture; else the box is the result, at `size`.
    crop: (1, 3, S, S) float in [0, 1], that part of the picture as the network sees it.
    landmarks: (N, 5, 2) px of the picture, where the face will be on every frame.
    """

    box_xyxy: tuple[int, int, int, int]
    size: tuple[int, int]
    pasted: bool
    crop: torch.Tensor
    landmarks: Float

    def draw(self, first: int, count: int) -> torch.Tensor:
        """(count, 3, S, S) float32 in [0, 1]: frames `first` on, what is in the box."""
        ...

    def rest(self) -> torch.Tensor:
        """(1, 3, S, S): what it draws when nothing moves. What differs from `crop` then is its own hand."""
        ...


@runtime_checkable
class HeadEngine(Engine, Protocol):
    """An engine that moves the whole head of a still picture. As an `Engine` it leaves mouths as they are."""

    def watch(self, portraits: Iterable[Portrait]) -> Float:
        """What the frames of a video say of its face: (n, 70), n the number of portraits."""
        ...

    def perform(self, portrait: Portrait, speech: Speech, driving: Driving) -> HeadPerformance:
        """Look at the portrait, hear the whole voice once; what is kept is small."""
        ...


@dataclass(frozen=True)
class HeadSettings:
    """What a user can ask of an engine that moves the whole head.

    preprocess: crop, extcrop, resize, full or extfull. size: side of the network's square, 256 or 512; 0: as the
    checkpoint has it. still: the head keeps the portrait's pose. pose_style: 0 to 45. expression_scale: of all that
    the face does. yaw, pitch, roll: degrees that the head turns through, instead of its own motion; () for none.
    """

    preprocess: str = "full"
    size: int = 0
    still: bool = False
    pose_style: int = 0
    expression_scale: float = 1.0
    yaw: tuple[float, ...] = ()
    pitch: tuple[float, ...] = ()
    roll: tuple[float, ...] = ()


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
    head: HeadSettings = field(default_factory=HeadSettings)


@dataclass(frozen=True)
class EngineSpec:
    """One row of the engine table.

    label, licence: words for the user. needs_weights: a checkpoint has to be there. visible_label: its licence asks
    that the result be shown as synthetic. mask: which mask suits it when the user did not choose.
    whole_head: it moves the head of a still picture (`HeadEngine`). find: (settings, runtime) -> the checkpoint when
    none was named, for engines whose settings decide which; raises WeightsError. None: the first that is here.
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
    whole_head: bool = False
    find: Callable[[EngineSettings, Runtime], Path] | None = None


def to_device(tensor: torch.Tensor, runtime: Runtime) -> torch.Tensor:
    """Move to the runtime's device, in its precision, channels last: what convolutions like best everywhere."""
    import torch

    return tensor.to(device=runtime.device, dtype=runtime.dtype, memory_format=torch.channels_last)
