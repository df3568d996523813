"""The landmarks that SadTalker was trained with: RetinaFace's box, and in it the 98 points of FAN.

What is read from the heat maps, and which of the 98 points are the usual 68, is as published (facexlib,
AdaptiveWingLoss); boxes are held inside of the picture, and a peak on the edge of a map is as good as any. The networks
get the colours they were trained with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

from ..media import shown_name
from ..runtime import Runtime
from ..types import Float, Pixels
from .detectors.base import overlap, surroundings

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ..networks.fan import FAN
    from ..networks.retinaface import RetinaFace

Network = TypeVar("Network", bound="nn.Module")

_MEANS = (104.0, 117.0, 123.0)  # of B, G, R
_CENTRE, _SIZE = 0.1, 0.2  # variances that offsets of centre and size are given in
_LEAST_SCORE = 0.5
_AROUND = 0.75  # of a face's longer side that is searched on each side of it
_SEARCHED_PX = 512  # longest side of the copy that is searched
_QUARTER = 0.25  # pixel of a map, towards the higher neighbour
_LEAST_SIDE = 4  # px; less is no face

# The 68 usual points out of the 98; two numbers: half way between them.
_JAW = tuple((2 * i, 2 * i) for i in range(17))
_BROWS = (
    (33, 33), (34, 41), (35, 40), (36, 39), (37, 38), (42, 50), (43, 49), (44, 48), (45, 47), (46, 46),
)  # fmt: skip
_NOSE = tuple((i, i) for i in range(51, 60))
_EYES = tuple((i, i) for i in (60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75))
_MOUTH = tuple((i, i) for i in range(76, 96))
_TO_68 = np.array(_JAW + _BROWS + _NOSE + _EYES + _MOUTH)
# The five of `types`, as pairs of the 68: both corners of each eye, tip of the nose, corners of the mouth.
_TO_FIVE = np.array(((36, 39), (42, 45), (30, 30), (48, 48), (54, 54)))


@dataclass(frozen=True)
class WflwFinder:
    """The published networks; without RetinaFace the caller's own box is where FAN looks."""

    alignment: FAN
    detector: RetinaFace | None
    runtime: Runtime

    def find(self, frame: Pixels, box_xyxy: Float) -> Float | None:
        """(H, W, 3) uint8 RGB and the box (4,) of a face -> its five landmarks (5, 2) in pixels, or None: no face."""
        points = self.find_68(frame, box_xyxy)
        return None if points is None else five_of(points)

    def find_68(self, frame: Pixels, box_xyxy: Float) -> Float | None:
        """The usual 68 points (68, 2) in pixels of the frame, or None where the box holds next to nothing."""
        self.runtime.check()
        box = self._settled(frame, box_xyxy)
        left, top, right, bottom = surroundings(box, 0, frame)
        if min(right - left, bottom - top) < _LEAST_SIDE:
            return None
        points = to_68(peaks(self._heat(frame[top:bottom, left:right])))
        return np.asarray(points * ((right - left), (bottom - top)) + (left, top), np.float32)

    def _heat(self, face: Pixels) -> Float:
        """(h, w, 3) -> (98, 64, 64)."""
        import torch

        from ..networks.fan import INPUT_PX

        square = cv2.resize(face, (INPUT_PX, INPUT_PX))
        with torch.inference_mode():
            picture = torch.from_numpy(square).to(self.runtime.device).permute(2, 0, 1)[None].float() / 255
            return np.asarray(self.alignment(picture)[0, :-1].cpu().numpy())

    def _settled(self, frame: Pixels, box_xyxy: Float) -> Float:
        """RetinaFace's own box of this face, which FAN was trained on; the caller's where it sees none there."""
        if self.detector is None:
            return box_xyxy
        left, top, right, bottom = surroundings(box_xyxy, _AROUND, frame)
        if min(right - left, bottom - top) < _LEAST_SIDE:
            return box_xyxy
        boxes, scores = self._seen(frame[top:bottom, left:right])
        boxes = boxes + np.array((left, top, left, top), np.float32)
        fit = overlap(box_xyxy, boxes) * scores
        return np.asarray(boxes[fit.argmax()]) if fit.any() else box_xyxy

    def _seen(self, part: Pixels) -> tuple[Float, Float]:
        """Boxes (K, 4) in pixels of the part and scores (K,) of everything that may be a face."""
        import torch

        factor = max(1.0, max(part.shape[:2]) / _SEARCHED_PX)
        size = (max(1, round(part.shape[1] / factor)), max(1, round(part.shape[0] / factor)))
        small = cv2.resize(part, size, interpolation=cv2.INTER_AREA) if factor > 1 else part
        with torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(small[..., ::-1])).to(self.runtime.device)
            picture = pixels.permute(2, 0, 1)[None].float() - torch.tensor(_MEANS, device=pixels.device)[:, None, None]
            assert self.detector is not None
            boxes, _, scores = self.detector(picture)
            found, sure = decode(boxes[0], scores[0], small.shape[0], small.shape[1])
        return np.asarray(found.cpu().numpy() * factor, np.float32), np.asarray(sure.cpu().numpy())


def decode(boxes: torch.Tensor, scores: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Offsets (A, 4) and scores (A, 2) of `networks.retinaface` -> boxes (K, 4) xyxy in pixels and scores (K,)."""
    import torch

    sure = scores.softmax(dim=1)[:, 1]
    kept = sure > _LEAST_SCORE
    places = anchors(height, width).to(boxes.device)[kept]
    centres = places[:, :2] + boxes[kept, :2] * _CENTRE * places[:, 2:]
    # No face is thousands of anchors large; without a limit, a wrong file gives sizes that overflow.
    halves = places[:, 2:] * torch.exp((boxes[kept, 2:] * _SIZE).clamp(max=8.0)) / 2
    return torch.cat((centres - halves, centres + halves), dim=1), sure[kept]


def anchors(height: int, width: int) -> torch.Tensor:
    """(A, 4) centre x, y, width, height in pixels of the anchors of a picture, in the network's order."""
    import torch

    from ..networks.retinaface import ANCHORS, STRIDES

    rows = []
    for stride, sides in zip(STRIDES, ANCHORS, strict=True):
        y, x = (torch.arange(-(-length // stride)) * stride + stride / 2 for length in (height, width))
        centres = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1).reshape(-1, 1, 2)
        sizes = torch.tensor(sides, dtype=torch.float32)[None, :, None].expand(len(centres), -1, 2)
        rows.append(torch.cat((centres.expand_as(sizes), sizes), dim=2).reshape(-1, 4))
    return torch.cat(rows)


def peaks(heat: Float) -> Float:
    """(K, h, w) heat maps -> (K, 2) x, y in [0, 1] of the maps: the highest pixel, a quarter towards its neighbours."""
    count, height, width = heat.shape
    rows, columns = np.divmod(heat.reshape(count, -1).argmax(axis=1), width)
    padded = np.pad(heat, ((0, 0), (1, 1), (1, 1)), mode="reflect")  # no pull outwards
    every = np.arange(count)
    right = padded[every, rows + 1, columns + 2] - padded[every, rows + 1, columns]
    below = padded[every, rows + 2, columns + 1] - padded[every, rows, columns + 1]
    points = np.stack([columns, rows], axis=1) + _QUARTER * np.sign(np.stack([right, below], axis=1)) + 0.5
    return np.asarray(points / (width, height), np.float32)


def to_68(points: Float) -> Float:
    """The 98 points (98, 2) of WFLW -> the usual 68 (68, 2): jaw 17, brows 10, nose 9, eyes 12, mouth 20."""
    return np.asarray(points[_TO_68].mean(axis=1), np.float32)


def five_of(points: Float) -> Float:
    """The usual 68 (68, 2) -> middle of each eye's corners, tip of the nose, corners of the mouth (5, 2)."""
    return np.asarray(points[_TO_FIVE].mean(axis=1), np.float32)


def load_finder(runtime: Runtime) -> WflwFinder | None:
    """The finder where FAN's weights (`fan` in the catalogue) are on this machine, else None; nothing is downloaded.

    RetinaFace (`retinaface`) takes part where its weights are here too.
    """
    from ..networks.fan import FAN
    from ..networks.retinaface import RetinaFace
    from ..weights import locate

    path = locate("fan", runtime)
    if path is None:
        return None
    boxes = locate("retinaface", runtime)
    detector = None if boxes is None else _read(RetinaFace, boxes, runtime)
    return WflwFinder(_read(FAN, path, runtime), detector, runtime)


def _read(build: Callable[[], Network], path: Path, runtime: Runtime) -> Network:
    import torch

    from ..weights import load_state_dict
    from ..weights.build import build_network

    network = build_network(build, load_state_dict(path, runtime), shown_name(path))
    return network.to(torch.device(runtime.device))
