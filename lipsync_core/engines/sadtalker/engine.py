"""SadTalker as an engine: one portrait and a voice become a moving head.

Zhang et al., "SadTalker: Learning Realistic 3D Motion Coefficients for Stylized Audio-Driven Single Image Talking Face
Animation", CVPR 2023. As an `Engine` of mouths it leaves them alone, so that what comes after it (sharper lips, an
enhancer) finds the face as it was drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from ...runtime import Runtime
from ...types import CropStyle, FaceBatch, Float, Rendered, Speech
from ..base import Driving, EngineSettings, Portrait
from .drive import Wishes, coefficients
from .parts import Parts
from .performance import SadTalkerPerformance, perform
from .portrait import read

_CROP_PX, _CROP_MARGIN = 4096, 1.6  # never halved


@dataclass(frozen=True)
class AsItIs:
    """A performance that changes no mouth."""

    def render(self, faces: FaceBatch) -> Rendered:
        return Rendered(faces.crops.clone())


@dataclass
class SadTalker:
    """Loaded networks and the wishes of the user.

    variant: "256" or "512". network: all of them, as a host places them.
    """

    networks: Parts
    settings: EngineSettings
    runtime: Runtime
    variant: str = "256"
    name: str = "sadtalker"
    network: torch.nn.Module | None = None

    def crop_style(self, face_px: float) -> CropStyle:
        """The face at the frame's own scale: nothing is lost where nothing is changed."""
        return CropStyle("native", _CROP_PX, _CROP_MARGIN)

    def listen(self, speech: Speech) -> AsItIs:
        """The mouth has been drawn with the rest of the head by then."""
        return AsItIs()

    def watch(self, portraits: Iterable[Portrait]) -> Float:
        """(n, 70) coefficients of the frames of a video, each framed for itself, as the portrait is in mode `crop`."""
        rows = [read(portrait, "crop", self.networks).coefficients for portrait in portraits]
        return np.stack(rows)

    def perform(self, portrait: Portrait, speech: Speech, driving: Driving) -> SadTalkerPerformance:
        """Read the portrait, hear the voice. Nothing is kept from one portrait, or one file name, to the next."""
        head = self.settings.head
        seen = read(portrait, head.preprocess, self.networks)
        wishes = Wishes(seen.coefficients, speech, self.settings, driving)

        def step(done: int) -> None:
            self.runtime.step("move", min(done, speech.frame_count), speech.frame_count)

        curve = coefficients(wishes, self.networks, step)
        return perform(seen, curve, speech, head, self.networks, step)
