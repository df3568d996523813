"""From a clean drawing to many kinds of picture: light, grain, paint, ink, blur, compression."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..types import Float, Pixels

Picture = NDArray[Any]  # float in [0, 1], sides of any length


def soft_noise(rng: np.random.Generator, side: int, cells: int) -> Float:
    """(side, side) smooth noise in about [-1, 1], with `cells` blobs from edge to edge."""
    coarse = rng.uniform(-1, 1, (cells + 1, cells + 1)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def restyle(pixels: Pixels, drawn: float, rng: np.random.Generator) -> Pixels:
    """(S, S, 3) uint8 RGB -> the same scene in another light and technique. drawn: 0 photograph, 1 cartoon."""
    image: Picture = pixels.astype(np.float32) / 255
    image = _relight(image, rng)
    if rng.random() < 0.25:
        image = _painted(image, rng)
    if rng.random() < 0.1 + 0.3 * drawn:
        image = _inked(image, rng)
    image = _developed(image, rng)
    return _degraded(image, rng)


def _relight(image: Picture, rng: np.random.Generator) -> Picture:
    side = image.shape[0]
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    light = rng.normal(0, 0.25) * ramp[None, :] + rng.normal(0, 0.2) * ramp[:, None]
    light += rng.uniform(0, 0.3) * soft_noise(rng, side, int(rng.integers(2, 6)))
    grain = rng.uniform(0, 0.2) ** 2 * soft_noise(rng, side, int(rng.integers(24, 100)))
    return np.asarray(image * np.exp(light + grain)[..., None], dtype=np.float32)


def _painted(image: Picture, rng: np.random.Generator) -> Picture:
    flat: Picture = (image.clip(0, 1) * 255).astype(np.uint8)
    flat = cv2.medianBlur(flat, int(rng.choice([3, 5])))
    levels = float(rng.uniform(6, 40))
    return np.asarray(np.round(flat / 255 * levels) / levels, dtype=np.float32)


def _inked(image: Picture, rng: np.random.Generator) -> Picture:
    grey = cv2.cvtColor(image.clip(0, 1), cv2.COLOR_RGB2GRAY)
    edge = cv2.GaussianBlur(grey, (0, 0), 0.6) - cv2.GaussianBlur(grey, (0, 0), 1.6)
    ink = (edge * rng.uniform(2, 12)).clip(-1, 0)[..., None]
    return np.asarray((image + ink).clip(0, 1), dtype=np.float32)


def _developed(image: Picture, rng: np.random.Generator) -> Picture:
    """Colour, contrast and exposure."""
    grey = image.mean(axis=2, keepdims=True)
    image = grey + (image - grey) * (0.0 if rng.random() < 0.12 else rng.uniform(0.4, 1.5))
    image = image * rng.uniform(0.85, 1.18, 3)
    image = (image - 0.5) * rng.uniform(0.6, 1.4) + 0.5 + rng.normal(0, 0.08)
    return np.asarray(image.clip(0, 1) ** np.exp(rng.normal(0, 0.3)), dtype=np.float32)


def _degraded(image: Picture, rng: np.random.Generator) -> Pixels:
    """Blur, low resolution, noise, JPEG."""
    side = image.shape[0]
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.8)))
    if rng.random() < 0.25:
        small = int(rng.integers(side // 4, side))
        image = cv2.resize(cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA), (side, side))
    if rng.random() < 0.4:
        image = image + rng.normal(0, rng.uniform(0, 0.05), image.shape)
    pixels = (np.asarray(image).clip(0, 1) * 255).astype(np.uint8)
    if rng.random() < 0.3:
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))])
        pixels = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    return pixels
