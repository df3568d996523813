"""S3FD, the detector of the original Wav2Lip: slow (195 GFLOP for 640x480) and thorough. No landmarks.

Paper: Zhang et al., "S3FD: Single Shot Scale-invariant Face Detector", ICCV 2017. Anchors, thresholds and the means are
those of the published detector, so the boxes are its boxes on the same copy of a frame.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ...errors import WeightsError
from ...media import shown_name
from ...networks.s3fd import S3FD, STRIDES
from ...runtime import BatchSize, Runtime, run_in_batches
from ...types import Detections, Float, Pixels
from .base import DetectorSettings, accepted, scale_down, scaled

# Taken off R, G and B in this order: the means of B, G, R. So the published detector runs, and so it finds most.
_MEANS = (104.0, 117.0, 123.0)
_ANCHOR = 4  # side of an anchor, in strides
_CENTRE, _SIZE = 0.1, 0.2  # variances that offsets of centre and size are given in
_LEAST = 0.05  # score below which nothing is a candidate
_OVERLAP = 0.3  # above which the weaker of two boxes goes
_SIDE = 32  # px, the smallest picture that survives five halvings
_AT_ONCE = 1 << 20  # pixels; the first layers keep 64 maps of them


class S3FDDetector:
    """Looks at copies of at most `max_side` pixels, several at once."""

    name = "s3fd"

    def __init__(self, network: S3FD, runtime: Runtime, settings: DetectorSettings) -> None:
        # Half precision has too small a range for features of pictures that reach 255.
        self.dtype = torch.float32 if runtime.precision == "fp16" else runtime.dtype
        # mypy has no overload of Module.to with a memory format
        self.network = network.to(dtype=self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        runtime.place(self.network, runtime.device)
        self.runtime = runtime
        self.settings = settings

    def detect(self, frames: Pixels) -> list[Detections]:
        """(N, H, W, 3) uint8 RGB -> the faces of each frame, best first; landmarks are NaN."""
        if len(frames) == 0:
            return []
        small, factors = zip(*(scale_down(frame, self.settings.max_side) for frame in frames), strict=True)
        pictures = np.stack(small)
        found: list[Detections] = []

        def work(start: int, end: int) -> None:
            self.runtime.check()
            found.extend(self._look(pictures[start:end]))

        rows = max(1, _AT_ONCE // (pictures.shape[1] * pictures.shape[2]))
        run_in_batches(BatchSize(rows), len(pictures), work, "The face detector")
        full = (_inside(scaled(each, factor), frames) for each, factor in zip(found, factors, strict=True))
        return [accepted(each, frame, self.settings) for each, frame in zip(full, frames, strict=True)]

    def _look(self, pictures: Pixels) -> list[Detections]:
        x = torch.from_numpy(pictures).to(self.runtime.device).permute(0, 3, 1, 2).float()
        x = x - torch.tensor(_MEANS, device=x.device)[:, None, None]
        x = F.pad(x, (0, max(0, _SIDE - x.shape[3]), 0, max(0, _SIDE - x.shape[2])))
        with torch.inference_mode():
            maps = [each.float() for each in self.network(x.to(self.dtype, memory_format=torch.channels_last))]
            least = max(_LEAST, self.settings.min_score)
            pictures_of, boxes, scores = (part.cpu().numpy() for part in decode(maps, least))
        return [_strongest(boxes[pictures_of == row], scores[pictures_of == row]) for row in range(len(pictures))]


def decode(maps: list[torch.Tensor], least: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The maps of `networks.s3fd` -> every box whose score is above `least`, of all pictures together.

    Returns picture (K,) int64, boxes (K, 4) xyxy in pixels of the pictures, scores (K,) in [0, 1].
    """
    parts = [_decode_map(maps[2 * i], maps[2 * i + 1], stride, least) for i, stride in enumerate(STRIDES)]
    pictures, boxes, scores = zip(*parts, strict=True)
    return torch.cat(pictures), torch.cat(boxes), torch.cat(scores)


def _decode_map(
    conf: torch.Tensor, loc: torch.Tensor, stride: int, least: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    scores = conf.softmax(dim=1)[:, 1]
    pictures, rows, columns = torch.nonzero(scores > least, as_tuple=True)
    offsets = loc[pictures, :, rows, columns]
    anchor = float(_ANCHOR * stride)
    centres = (torch.stack((columns, rows), dim=1) + 0.5) * stride + offsets[:, :2] * _CENTRE * anchor
    # No face is thousands of anchors large; without a limit, a wrong file gives sizes that overflow.
    halves = torch.exp((offsets[:, 2:] * _SIZE).clamp(max=8.0)) * anchor / 2
    return pictures, torch.cat((centres - halves, centres + halves), dim=1), scores[pictures, rows, columns]


def suppress(boxes: Float, scores: Float, most: float = _OVERLAP) -> list[int]:
    """Indices of (K, 4) boxes, best first, without those that overlap a better one by more than `most`.

    A box counts its last pixel, as the published detector has it: its width is x2 - x1 + 1.
    """
    areas = (boxes[:, 2:] - boxes[:, :2] + 1).prod(axis=1)
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(left):
        best, left = int(left[0]), left[1:]
        kept.append(best)
        sides = np.minimum(boxes[best, 2:], boxes[left, 2:]) - np.maximum(boxes[best, :2], boxes[left, :2]) + 1
        shared = sides.clip(0).prod(axis=1)
        left = left[shared / (areas[best] + areas[left] - shared) <= most]
    return kept


def load(path: Path | None, runtime: Runtime, settings: DetectorSettings) -> S3FDDetector:
    """Read `s3fd.pth` or what was converted from it."""
    from ...weights import load_state_dict

    if path is None:
        raise WeightsError("Face detector 's3fd' needs its file. Get it with: lipsync weights get s3fd.")
    tensors = load_state_dict(path, runtime)
    with torch.device("meta"):  # no time is lost on weights that are replaced at once
        network = S3FD()
    wanted = {key: value.shape for key, value in network.state_dict().items()}
    if {key: value.shape for key, value in tensors.items()} != wanted:
        raise WeightsError(
            f"{shown_name(path)}: is not the face detector S3FD, or a part of it is missing. "
            "Get it with: lipsync weights get s3fd."
        )
    network.load_state_dict({key: value.float() for key, value in tensors.items()}, assign=True)
    return S3FDDetector(network.eval(), runtime, settings)


def _strongest(boxes: Float, scores: Float) -> Detections:
    kept = suppress(boxes, scores)
    landmarks = np.full((len(kept), 5, 2), np.nan, np.float32)
    return Detections(boxes[kept].astype(np.float32), scores[kept].astype(np.float32), landmarks)


def _inside(found: Detections, frames: Pixels) -> Detections:
    height, width = frames.shape[1:3]
    limits = np.array((width, height, width, height), np.float32)
    return Detections(found.boxes_xyxy.clip(0, limits), found.scores, found.landmarks)
