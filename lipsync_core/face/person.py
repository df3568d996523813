"""Who somebody is: a face as a direction that is alike for all pictures of one person.

SFace (Zhong et al., "SFace: Sigmoid-constrained hypersphere loss for robust face recognition", 2021) through OpenCV.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ..types import FaceTrack, Float, Pixels

WEIGHTS = "sface"  # in the catalogue
SAME_PERSON = 0.363  # cosine from which its authors take two faces for one person's

# Picture (H, W, 3) uint8 RGB and landmarks (5, 2) px -> (D,) float32 of length 1.
Describe = Callable[[Pixels, Float], Float]

_LOOKS = 3  # at each face
_WITHIN = 250  # frames that show it, from its first on: nobody has to decode a whole film


def face_describer(path: Path) -> Describe:
    """path: the network's file."""
    network = cv2.FaceRecognizerSF.create(str(path), "")

    def describe(picture: Pixels, landmarks: Float) -> Float:
        # A row as YuNet gives it: box, then the five points, the eye on the left of the picture first, then the score.
        row = np.concatenate([[0, 0, picture.shape[1], picture.shape[0]], landmarks.reshape(-1), [1]])
        aligned = network.alignCrop(np.ascontiguousarray(picture[..., ::-1]), row[None].astype(np.float32))
        feature = np.asarray(network.feature(aligned), np.float32).reshape(-1)
        return np.asarray(feature / max(float(np.linalg.norm(feature)), 1e-9), np.float32)

    return describe


def good_looks(track: FaceTrack) -> list[int]:
    """Frames on which a face is looked at, in order: where it is largest in each part of its first seconds."""
    seen = (np.flatnonzero(track.found) if track.found.any() else np.arange(len(track)))[:_WITHIN]
    boxes = track.boxes_xyxy
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    parts = [part for part in np.array_split(seen, _LOOKS) if len(part)]
    return [int(part[np.argmax(area[part])]) for part in parts]
