"""The three types of our own that travel between nodes. Small, on the CPU, never changed once made.

LIPSYNC_MODEL   `Model`: a loaded engine.
LIPSYNC_FACES   `Faces`: where the faces are, frame by frame; after Run Lip Sync Model also how the crops lie in the
                frames (`crops`), which is what the blend nodes need.
LIPSYNC_MEL     `Mel`: a voice as the engines hear it.

An enhancer is the host's own UPSCALE_MODEL. Faces may also come in as the host's BOUNDING_BOX (per frame a list of
{x, y, width, height, score}) or FACE_LANDMARKS ({frames: [[{bbox_xyxy, landmarks_xy, score}]], image_size}).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from comfy_api.latest import io

from ..lipsync_core.engines.choose import Chosen
from ..lipsync_core.face.policy import Searched
from ..lipsync_core.face.track import ClipFaces
from ..lipsync_core.modular import CropTrack
from ..lipsync_core.types import Speech
from .host import Places

ModelType = io.Custom("LIPSYNC_MODEL")
FacesType = io.Custom("LIPSYNC_FACES")
MelType = io.Custom("LIPSYNC_MEL")
BoundingBox = io.Custom("BOUNDING_BOX")
FaceLandmarks = io.Custom("FACE_LANDMARKS")

FACE_TYPES = [FacesType, BoundingBox, FaceLandmarks]
SOURCE_TYPES = [io.Image, io.Video]


@dataclass(frozen=True)
class Model:
    """chosen: the engine and what is known of it. places: its network in the host's memory management."""

    chosen: Chosen
    places: Places

    @property
    def patcher(self) -> Any:
        """The host's ModelPatcher; None for an engine whose network is too small to be worth one."""
        return self.places.patchers[0] if self.places.patchers else None

    @property
    def name(self) -> str:
        return f"{self.chosen.name} ({self.chosen.engine.variant})" if self.chosen.weights else self.chosen.name


@dataclass(frozen=True)
class Faces:
    """clip: every face, one row a frame. fps: None for a picture. searched: how, for the words of errors.

    pads_tblr: pixels around the box for engines that want a box. settled: smoothing and the rule for frames without a
    face have been applied. crops: how the crops of Run Lip Sync Model lie in the frames, None before it.
    """

    clip: ClipFaces
    fps: Fraction | None
    searched: Searched
    pads_tblr: tuple[int, int, int, int] | None = None
    settled: bool = False
    crops: CropTrack | None = None


@dataclass(frozen=True)
class Mel:
    """speech: mel, gate, rate and length. seconds: exact length of the voice."""

    speech: Speech
    seconds: Fraction
