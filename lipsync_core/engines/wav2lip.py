"""The published Wav2Lip generators as an engine: 96, 256, 288, 384 px with attention, and the compressed one.

Paper: Prajwal et al., "A Lip Sync Expert Is All You Need for Speech to Lip Generation In The Wild", 2020. The networks
were trained on pictures as OpenCV reads them, so BGR lives in this file, and nowhere outside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import WeightsError
from ..media import shown_name
from ..networks.blocks import fold_batch_norm
from ..networks.wav2lip import Features, Generator, Layout
from ..runtime import Runtime
from ..timing import MEL_WINDOW_COLUMNS, mel_windows
from ..types import CropStyle, FaceBatch, Float, Rendered, Speech
from .base import Engine, EngineSettings, EngineSpec, to_device
from .variants import detect, layout_of, refusal

_SILENCE = -4.0  # what the mel is where there is no sound
_SWAP = (2, 1, 0)  # RGB <-> BGR


@dataclass(frozen=True)
class Parts:
    """The three steps of a generator, compiled or not; `closed` is what silence sounds like to it, (1, C, 1, 1)."""

    hear: Callable[[torch.Tensor], torch.Tensor]
    look: Callable[[torch.Tensor], Features]
    speak: Callable[[torch.Tensor, Features], torch.Tensor]
    closed: torch.Tensor


@dataclass
class Wav2LipPerformance:
    """A generator that has heard one voice. A still picture is looked at once."""

    parts: Parts
    layout: Layout
    speech: Speech
    runtime: Runtime
    strength: float
    _seen: tuple[torch.Tensor, Features] | None = field(default=None, repr=False)

    def render(self, faces: FaceBatch) -> Rendered:
        """Give the faces their mouths; every pixel of a crop is the generator's own."""
        speech = self.speech
        windows = mel_windows(speech.mel, faces.first, len(faces), speech.fps, speech.mel_offset_ms)
        with torch.inference_mode():
            pictures = self._still(faces, windows) if faces.still else self._moving(faces, windows)
        # Out here the copies are ordinary tensors again, which the blend may change in place.
        return Rendered(pictures.float()[:, _SWAP])

    def _moving(self, faces: FaceBatch, windows: Float) -> torch.Tensor:
        return self.parts.speak(self._hear(windows), self.parts.look(self._input(faces.crops)))

    def _still(self, faces: FaceBatch, windows: Float) -> torch.Tensor:
        """Only sounds that differ are rendered: in a pause, one frame serves for all."""
        _, some, where = np.unique(windows.reshape(len(windows), -1), axis=0, return_index=True, return_inverse=True)
        heard = self._hear(windows[some])
        # Copied, not expanded: rows that share memory have no memory format, and all that follows would lose it.
        rows = len(some)
        features = [
            seen.expand(rows, -1, -1, -1).contiguous(memory_format=torch.channels_last)
            for seen in self._look_once(faces.crops[:1])
        ]
        return self.parts.speak(heard, features)[torch.from_numpy(where.reshape(-1)).to(heard.device)]

    def _look_once(self, crop: torch.Tensor) -> Features:
        if self._seen is None or not torch.equal(self._seen[0], crop):
            self._seen = (crop.clone(), self.parts.look(self._input(crop)))
        return self._seen[1]

    def _input(self, crops: torch.Tensor) -> torch.Tensor:
        """(N, 3, S, S) RGB -> (N, 6, S, S) BGR: the face without its lower half, then the whole face."""
        whole = crops[:, _SWAP]
        upper = whole.clone()
        upper[:, :, upper.shape[2] // 2 :] = 0
        return to_device(torch.cat((upper, whole), dim=1), self.runtime)

    def _hear(self, windows: Float) -> torch.Tensor:
        """(N, 1, 80, 16) -> (N, C, 1, 1), moved away from silence by `strength`."""
        heard = self.parts.hear(to_device(torch.from_numpy(windows), self.runtime))
        return heard if self.strength == 1 else stressed(heard, self.parts.closed, self.strength, self.layout)


@dataclass
class Wav2Lip:
    """A loaded generator, folded and in the runtime's precision.

    strength: 0 speaks like silence, 1 as heard, 2 goes twice as far from silence, in what the decoder is told.
    mel_offset_ms: which sound it was taught for a frame; what the user asks for comes on top.
    """

    parts: Parts
    layout: Layout
    variant: str
    runtime: Runtime
    strength: float = 1.0
    mel_offset_ms: float = 0.0
    name: str = "wav2lip"
    network: torch.nn.Module | None = field(default=None, repr=False)

    def crop_style(self, face_px: float) -> CropStyle:
        """The face box squeezed into the square that the network was trained on."""
        return CropStyle("box", self.layout.size)

    def listen(self, speech: Speech) -> Wav2LipPerformance:
        """Keeps the mel alone; windows are heard batch by batch, as they are needed."""
        speech = replace(speech, mel_offset_ms=speech.mel_offset_ms + self.mel_offset_ms)
        return Wav2LipPerformance(self.parts, self.layout, speech, self.runtime, self.strength)


def stressed(heard: torch.Tensor, closed: torch.Tensor, strength: float, layout: Layout) -> torch.Tensor:
    """What was heard, `strength` times as far from silence, kept in the range that the decoder knows."""
    moved = closed + strength * (heard - closed)
    moved = torch.maximum(moved, torch.minimum(heard, closed).clamp_max(0))  # a ReLU gives nothing below 0
    return F.normalize(moved) if layout.attention else moved


def load(path: Path | None, runtime: Runtime, settings: EngineSettings) -> Engine:
    """Read a checkpoint, see which generator it is, and make it ready: folded, channels last, in its precision."""
    from ..weights import load_state_dict

    if path is None:
        raise WeightsError("Engine 'wav2lip' needs a checkpoint. Get one with: lipsync weights get wav2lip_gan.")
    tensors = {key.removeprefix("module."): value for key, value in load_state_dict(path, runtime).items()}
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    layout, variant = layout_of(shapes), detect(shapes)
    if layout is None or variant is None:
        raise WeightsError(f"{shown_name(path)}: {refusal(shapes)}")
    network = build(layout, tensors, shown_name(path))
    network = network.to(dtype=runtime.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    runtime.place(network, runtime.device)
    parts = _parts(network, runtime, settings.compile)
    return Wav2Lip(parts, layout, variant, runtime, settings.strength, trained_offset(path), network=network)


def trained_offset(path: Path) -> float:
    """ms, the rule of mel timing that a checkpoint was trained by; 0, the published rule, where it does not say."""
    from ..weights import metadata_of

    try:
        return float(metadata_of(path).get("mel_offset_ms", 0.0))
    except ValueError:
        return 0.0


def build(layout: Layout, tensors: dict[str, torch.Tensor], name: str) -> Generator:
    """A generator with these weights, in eval mode, its normalisation folded. name: of the file, for errors."""
    from ..weights.build import build_network

    return fold_batch_norm(build_network(lambda: Generator(layout), tensors, name, exact=False))


def _parts(network: Generator, runtime: Runtime, compiled: bool) -> Parts:
    silence = torch.full((1, 1, 80, MEL_WINDOW_COLUMNS), _SILENCE)
    with torch.inference_mode():
        plain = Parts(network.hear, network.look, network.speak, network.hear(to_device(silence, runtime)))
    return _compiled(plain, network.layout.size, runtime) if compiled else plain


def _compiled(plain: Parts, size: int, runtime: Runtime) -> Parts:
    """The same, through torch.compile; as it was, with a warning, where this machine cannot compile."""
    parts = Parts(torch.compile(plain.hear), torch.compile(plain.look), torch.compile(plain.speak), plain.closed)
    try:
        with torch.inference_mode():
            parts.speak(plain.closed, parts.look(to_device(torch.zeros(1, 6, size, size), runtime)))
    except RuntimeError as error:
        runtime.warn(f"torch.compile does not work here, the generator runs without it: {str(error).splitlines()[0]}")
        return plain
    return parts


SPEC = EngineSpec(
    label="Wav2Lip (needs a checkpoint)",
    licence="personal, research and non-commercial use only: the weights were trained on LRS2",
    needs_weights=True,
    visible_label=True,
    mask="lower_face",
    detect=detect,
    load=load,
)
