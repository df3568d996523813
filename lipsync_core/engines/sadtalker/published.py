"""The published networks behind what the engine asks for: arrays in, arrays out, pictures on the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from ...errors import WeightsError
from ...media import shown_name
from ...networks.sadtalker.generator import Source
from ...networks.sadtalker.geometry import HeadPose
from ...networks.sadtalker.mapping import MappingNetwork
from ...runtime import Runtime
from ...types import Float
from ..base import Engine, EngineSettings
from .engine import SadTalker
from .networks import Networks, is_networks, load_mapping, load_networks, mapping_width

SIZES = (256, 512)
_WIDTHS = {"crop": 70, "extcrop": 70, "resize": 70, "full": 73, "extfull": 73}
_MAPPINGS = {70: "sadtalker_mapping", 73: "sadtalker_mapping_full"}
_PUBLISHED = ("sadtalker_256", "sadtalker_512", *_MAPPINGS.values())
Shapes = Mapping[str, tuple[int, ...]]


@dataclass
class Loaded:
    """`parts.Parts` of one checkpoint and one mapping network."""

    networks: Networks
    mapping: MappingNetwork
    size: int
    full: bool
    device: str

    def coefficients(self, faces: torch.Tensor) -> Float:
        return self._array(lambda: self.networks.coefficients(self._up(faces)))

    def express(self, mel: Float, reference: Float, blink: Float) -> Float:
        rows = self._up(np.repeat(reference[None], len(mel), axis=0))
        return self._array(lambda: self.networks.expression(self._up(mel), rows, self._up(blink)[:, None]))

    def hear_pose(self, mel: Float) -> Float:
        return self._array(lambda: self.networks.pose.hear(self._up(mel)))

    def pose(self, heard: Float, reference: Float, latent: Float, style: int) -> Float:
        count = len(heard)
        styles = torch.full((count,), style, dtype=torch.int64, device=self.device)
        own, chance = (self._up(np.repeat(row[None], count, axis=0)) for row in (reference, latent))
        return self._array(lambda: self.networks.pose.decode(chance, styles, own, self._up(heard)))

    def head(self, windows: Float) -> HeadPose:
        pose: HeadPose = self.mapping(self._up(windows))
        return pose

    def keypoints(self, crop: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.networks.keypoints(self._up(crop))
        return found

    def look(self, crop: torch.Tensor) -> Source:
        return self.networks.generator.look(self._up(crop))

    def draw(self, source: Source, neutral: torch.Tensor, driving: torch.Tensor) -> torch.Tensor:
        drawn: torch.Tensor = self.networks.generator(source, neutral, driving)
        return drawn

    def _up(self, rows: Float | torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(rows, dtype=torch.float32, device=self.device)

    def _array(self, work: Callable[[], torch.Tensor]) -> Float:
        with torch.inference_mode():
            return np.asarray(work().float().cpu().numpy(), np.float32)


def load(path: Path | None, runtime: Runtime, settings: EngineSettings) -> Engine:
    """The networks, and the mapping network that the way of framing needs. Errors name the file that is missing."""
    from ... import weights

    if path is None:
        raise WeightsError("Engine 'sadtalker' needs a checkpoint. Get one with: lipsync weights get sadtalker_256.")
    if not is_networks(weights.shapes_of(path, runtime)):
        raise WeightsError(
            f"{shown_name(path)}: is not a whole SadTalker checkpoint. Use SadTalker_V0.0.2_256.safetensors: "
            "lipsync weights get sadtalker_256."
        )
    width = _WIDTHS[settings.head.preprocess]
    mapping_path = _find_mapping(width, runtime)
    size = settings.head.size or _size_of(path, runtime)
    mapping, networks = load_mapping(mapping_path, runtime), load_networks(path, runtime, settings.compile)
    parts = Loaded(networks, mapping, size, width == 73, runtime.device)
    every = torch.nn.ModuleList([*(getattr(networks, row.name) for row in fields(networks)), mapping])
    runtime.place(every, runtime.device)
    return SadTalker(parts, settings, runtime, str(size), network=every)


def find(settings: EngineSettings, runtime: Runtime) -> Path:
    """The published checkpoint for the size, else one that the user pinned, else words for the user."""
    return _published_or_pinned(f"sadtalker_{settings.head.size or 256}", is_networks, runtime)


def _find_mapping(width: int, runtime: Runtime) -> Path:
    return _published_or_pinned(_MAPPINGS[width], lambda shapes: mapping_width(shapes) == width, runtime)


def _published_or_pinned(name: str, fits: Callable[[Shapes], bool], runtime: Runtime) -> Path:
    from ... import weights

    found = weights.locate(name, runtime)
    if found is None:
        own = (path for other, path in weights.present("sadtalker", runtime) if other not in _PUBLISHED)
        found = next((path for path in own if fits(weights.shapes_of(path, runtime))), None)
    return found or weights.require(name, runtime)


def _size_of(path: Path, runtime: Runtime) -> int:
    """What the file was trained for: by its hash where the catalogue knows it, else by its name; 256 otherwise."""
    from ... import weights
    from ...weights.hashes import sha256_of

    sha256 = sha256_of(path, runtime)
    for entry in weights.entries(runtime).values():
        if entry.engine == "sadtalker" and entry.variant in map(str, SIZES) and sha256 in entry.hashes:
            return int(entry.variant)
    return 512 if "512" in path.stem else 256


def detect(shapes: Shapes) -> str | None:
    """A whole checkpoint is known by its five networks. Its tensors do not say for which size it was trained."""
    return "networks" if is_networks(shapes) else "mapping" if mapping_width(shapes) else None
