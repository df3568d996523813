"""What is read from a portrait before it moves: where its points are, its crop, its 3D coefficients. No state."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ...types import Float, Pixels
from ..base import Portrait
from .align import Placement, align
from .framing import Framing, frame_head
from .parts import Parts

EXPRESSION, ANGLES, POSITION = slice(80, 144), slice(224, 227), slice(254, 257)  # in the 257 of a face


@dataclass(frozen=True)
class Read:
    """One face as the networks see it.

    crop: (1, 3, S, S) float in [0, 1] on their device. landmarks: (5, 2) px of the picture.
    coefficients: (70,) expression 64, angles 3, position 3.
    """

    framing: Framing
    crop: torch.Tensor
    landmarks: Float
    coefficients: Float
    placement: Placement

    def to_crop(self, points: Float) -> Float:
        """(..., 2) px of the picture -> px of the crop."""
        left, top, right, bottom = self.framing.box_xyxy
        side = self.crop.shape[-1]
        return np.asarray((points - [left, top]) * [side / (right - left), side / (bottom - top)], np.float32)

    def from_crop(self, points: Float) -> Float:
        """The way back."""
        left, top, right, bottom = self.framing.box_xyxy
        side = self.crop.shape[-1]
        return np.asarray(points * [(right - left) / side, (bottom - top) / side] + [left, top], np.float32)


def read(portrait: Portrait, mode: str, networks: Parts) -> Read:
    """Frame the head, cut it out, and estimate its coefficients from what was cut out, as the networks were trained."""
    height, width = portrait.pixels.shape[:2]
    landmarks = portrait.landmarks
    framing = frame_head(mode, landmarks, (width, height), networks.size)
    crop = cut(portrait.pixels, framing, networks.size).to(networks.device)
    partial = Read(framing, crop, landmarks, np.zeros(70, np.float32), Placement(1, 0, 0))
    face, placement = align(crop.cpu(), partial.to_crop(landmarks))  # antialiasing is not everywhere
    row = networks.coefficients(face)[0]
    return Read(framing, crop, landmarks, np.concatenate([row[EXPRESSION], row[ANGLES], row[POSITION]]), placement)


def cut(pixels: Pixels, framing: Framing, side: int) -> torch.Tensor:
    """(1, 3, side, side) float32 in [0, 1]: the box of a picture, squeezed; averaged where it is larger."""
    left, top, right, bottom = framing.box_xyxy
    part = pixels[top:bottom, left:right]
    shrinks = min(part.shape[:2]) > side
    squeezed = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return torch.from_numpy(np.asarray(squeezed)).permute(2, 0, 1)[None].float() / 255
