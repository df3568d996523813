"""The data that flows between stages, and the conventions they share. Stated here once.

Frames     (N, H, W, 3) uint8 RGB on the CPU.
Crops      (N, 3, S, S) float in [0, 1] RGB on the device.
Boxes      float32 pixels, `xyxy`, right and bottom exclusive.
Landmarks  (N, 5, 2) float32 pixels, x then y: the eye on the left of the picture, the eye on the right,
           nose tip, the mouth corner on the left of the picture, the one on the right. A pixel's centre is at +0.5.
Matrices   (N, 2, 3) float32, frame pixels -> crop pixels, both with pixel centres at +0.5.
Mel        (80, M) float32 in [-4, 4], 80 columns a second; silence is -4.
fps        a Fraction; the time of a frame is index / fps, never a running sum.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class FrameBatch:
    """Neighbouring frames of one clip.

    first: index of the first frame on the clip's constant-rate time line.
    pixels: (N, H, W, 3) uint8 RGB.
    """

    first: int
    pixels: Pixels

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class Detections:
    """The faces of one frame, best first.

    boxes_xyxy: (K, 4) float32 pixels of the frame.
    scores: (K,) float32 in [0, 1].
    landmarks: (K, 5, 2) float32 pixels of the frame; NaN where the detector gives none.
    """

    boxes_xyxy: Float
    scores: Float
    landmarks: Float

    def __len__(self) -> int:
        return len(self.boxes_xyxy)


@dataclass(frozen=True)
class FaceTrack:
    """One face through a whole clip, one row per frame.

    boxes_xyxy: (N, 4) float32 pixels.
    landmarks: (N, 5, 2) float32 pixels.
    found: (N,) bool, False where the face was not seen and the row was filled in.
    active: (N,) bool, False where the frame is to be left as it is (policy `keep`).
    """

    boxes_xyxy: Float
    landmarks: Float
    found: Bool
    active: Bool

    def __len__(self) -> int:
        return len(self.found)


@dataclass(frozen=True)
class Speech:
    """What an engine hears.

    mel: (80, M) float32 in [-4, 4], 80 columns a second, already closed by the silence gate.
    gate: (M,) float32 in [0, 1], 0 where nobody speaks. All ones when the gate is off.
    fps: frames a second of the clip that is being made.
    frame_count: frames of the clip.
    mel_offset_ms: positive lets the lips come earlier.
    """

    mel: Float
    gate: Float
    fps: Fraction
    frame_count: int
    mel_offset_ms: float = 0.0


@dataclass(frozen=True)
class CropStyle:
    """Which crop an engine wants.

    kind "box": the face box squeezed into size x size, as Wav2Lip was trained.
    kind "native": a square around the head, `margin` times the longer side of the box, cut out at whole pixels and
    at the frame's own scale (halved as often as needed to stay within `size`), padded at the frame's border by
    repeating the edge; one size for the whole clip.
    """

    kind: str
    size: int
    margin: float = 1.0


@dataclass(frozen=True)
class FaceBatch:
    """One face, cut out of neighbouring frames.

    first: frame index of row 0.
    crops: (N, 3, S, S) float in [0, 1] on the device.
    matrices: (N, 2, 3) float32, frame pixels -> crop pixels.
    landmarks: (N, 5, 2) float32 pixels of the crop.
    boxes_xyxy: (N, 4) float32 pixels of the crop.
    still: True when every row of the whole clip is the same picture (a portrait), so work on it can be kept.
    """

    first: int
    crops: torch.Tensor
    matrices: Float
    landmarks: Float
    boxes_xyxy: Float
    still: bool = False

    def __len__(self) -> int:
        return len(self.matrices)


@dataclass(frozen=True)
class Rendered:
    """What an engine gives back for a FaceBatch.

    crops: (N, 3, S, S) float in [0, 1]; S may differ from the crop that went in, the area is the same.
    alpha: (N, 1, S, S) float in [0, 1], where the engine changed something; None when it has no opinion.
    """

    crops: torch.Tensor
    alpha: torch.Tensor | None = None


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a picture or video before it is decoded; one frame and fps None for a picture.

    width, height: pixels, upright and square. fps: nominal rate. frame_count: on the constant-rate time line, by
    the header; what decodes can be less. seconds: frame_count / fps.
    """

    width: int
    height: int
    fps: Fraction | None
    frame_count: int
    is_image: bool
    has_audio: bool
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return float(self.frame_count / self.fps) if self.fps else 0.0


@dataclass(frozen=True)
class AudioInfo:
    """sample_rate Hz, channels, seconds of a sound track as its file gives them, and what was repaired in it."""

    sample_rate: int
    channels: int
    seconds: float
    codec: str
    notes: tuple[str, ...] = ()


@dataclass
class Report:
    """What a run did. Written by --report and shown by the hosts. Not frozen: stages of the run fill it in."""

    output: str = ""
    engine: str = ""
    enhancer: str = ""
    device: str = ""
    precision: str = ""
    width: int = 0
    height: int = 0
    fps: str = ""
    frames: int = 0
    seconds: float = 0.0
    faces: int = 0
    detector: str = ""
    frames_without_face: list[tuple[int, int]] = field(default_factory=list)
    frames_left_unchanged: int = 0
    frames_faded: int = 0  # whose head is turned away: wholly or partly as they were
    frames_covered: int = 0  # with something in front of the mouth, as occlusion sees it
    grain_levels: float = 0.0  # grey levels of grain that the mouth got at the end
    gate_closed_share: float = 0.0
    speech: list[tuple[float, float]] = field(default_factory=list)  # (start, end) s in which somebody speaks
    stage_seconds: dict[str, float] = field(default_factory=dict)
    frames_per_second: float = 0.0
    peak_memory_mb: float = 0.0
    batch_size: int = 0
    warnings: list[str] = field(default_factory=list)
