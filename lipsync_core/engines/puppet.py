"""The engine that needs nothing: a small network hears the mouth shapes, the portrait's own pixels make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from ..networks.mouth_shape import MouthShapeNet
from ..runtime import Runtime, default_model_dir
from ..types import CropStyle, FaceBatch, Float, Rendered, Speech
from . import puppet_ear, puppet_pose
from .base import Engine, EngineSettings, EngineSpec
from .puppet_geometry import Search
from .puppet_render import Motion, Portrait, read_portrait, render, render_into, untouched

WEIGHTS = "puppet.safetensors"
_CROP_PX, _CROP_MARGIN = 1024, 2.2
_AFRESH = 16  # frames of a video after which lips are looked for everywhere, not only where they were
_COLOUR_INERTIA = 0.9  # share of the colours of the frame before
# A fit in the mean stays nearer to it than what it was taught: on the ear's held-out voices jaw and opening spread this
# share as far as their targets (`training.puppet_eval`: 0.84 to 0.94 on six voices of espeak-ng).
_SHRINKAGE = 0.9
_PORTRAITS_KEPT = 8  # faces of a still clip whose analysis is remembered


@dataclass
class PuppetPerformance:
    """The mouth shapes (N, 5), blinks (N,) and sway (N, 3) of every frame of a clip."""

    shapes: Float
    blink: Float
    sway: Float
    settings: EngineSettings
    _known: dict[bytes, Portrait] = field(default_factory=dict)
    _last: Portrait | None = None
    _last_frame: int = -2

    def render(self, faces: FaceBatch) -> Rendered:
        """Give the faces their mouths; alpha is where they differ from what came in."""
        rows = slice(faces.first, faces.first + len(faces))
        device = faces.crops.device
        shapes = torch.from_numpy(self.shapes[rows]).to(device)
        motion = Motion(
            torch.from_numpy(self.blink[rows]).to(device),
            torch.from_numpy(self.sway[rows]).to(device),
            blinks=faces.still and self.settings.blink > 0,
            sways=faces.still and self.settings.sway > 0,
        ).at_rest_where_off()
        crops = faces.crops.float()
        if faces.still:
            return render(self._portrait(faces), crops, shapes, motion, self.settings.strength)
        result = untouched(crops)
        for i in range(len(faces)):
            row, portrait = slice(i, i + 1), self._follow(faces, crops, i)
            into = Rendered(result.crops[row], None if result.alpha is None else result.alpha[row])
            render_into(portrait, crops[row], shapes[row], motion.rows(row), self.settings.strength, into)
        return result

    def _follow(self, faces: FaceBatch, crops: torch.Tensor, i: int) -> Portrait:
        frame = faces.first + i
        last = self._last if self._last_frame == frame - 1 else None
        search = Search(last.followed if last else None, frame % _AFRESH == 0, eyes=False)
        portrait = read_portrait(crops[i], faces.landmarks[i], faces.boxes_xyxy[i], search)
        if last and portrait.continues:
            portrait = replace(portrait, palette=portrait.palette.towards(last.palette, _COLOUR_INERTIA))
        self._last, self._last_frame = portrait, frame
        return portrait

    def _portrait(self, faces: FaceBatch) -> Portrait:
        key = faces.landmarks[0].tobytes() + faces.boxes_xyxy[0].tobytes() + bytes(str(faces.crops.shape[1:]), "ascii")
        if key not in self._known:
            while len(self._known) >= _PORTRAITS_KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[key] = read_portrait(faces.crops[0].float(), faces.landmarks[0], faces.boxes_xyxy[0])
        return self._known[key]


@dataclass
class Puppet:
    """The ear and the wishes of the user."""

    ear: MouthShapeNet
    settings: EngineSettings
    name: str = "puppet"
    variant: str = "puppet"

    def crop_style(self, face_px: float) -> CropStyle:
        """A square around the head, at the frame's own scale."""
        return CropStyle("native", _CROP_PX, _CROP_MARGIN)

    def listen(self, speech: Speech) -> PuppetPerformance:
        """Hear the whole voice: 40 bytes a frame are kept."""
        heard = puppet_ear.hear(self.ear, speech.mel)
        heard = gated(spread(heard), speech.gate)
        times = np.arange(speech.frame_count) / float(speech.fps)
        shapes = puppet_ear.shapes_at(heard, times + speech.mel_offset_ms / 1000)
        blink = puppet_pose.blink_curve(times, self.settings.seed, self.settings.blink)
        sway = puppet_pose.sway_curve(times, heard, self.settings.seed, self.settings.sway)
        return PuppetPerformance(shapes, blink, sway, self.settings)


def spread(shapes: Float) -> Float:
    """Mouth shapes (M, 5) whose jaw and opening go as far as their targets do."""
    wider: Float = shapes.copy()
    wider[:, :2] = np.clip(shapes[:, :2] / _SHRINKAGE, 0.0, [1.0, 1.2])
    return wider


def gated(shapes: Float, gate: Float) -> Float:
    """Mouth shapes (M, 5) with all but the closure drawn to rest where the gate (M,) is shut."""
    share = np.ones_like(shapes)
    share[:, :4] = gate[: len(shapes), None]
    return shapes * share


def _load(weights: Path | None, runtime: Runtime, settings: EngineSettings) -> Engine:
    path = weights or default_model_dir() / WEIGHTS
    return Puppet(puppet_ear.load_ear(path), settings)


def _detect(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """The ear that ships is no checkpoint that a user brings."""
    return None


SPEC = EngineSpec(
    label="Puppet (built in)",
    licence="Apache-2.0",
    needs_weights=False,
    visible_label=False,
    mask="ellipse",  # never needed: the alpha says what changed
    detect=_detect,
    load=_load,
)
