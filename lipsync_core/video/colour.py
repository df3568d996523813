"""HDR -> what ordinary screens show. Simple and the same for every frame: no metadata, no analysis of the scene.

Transfer functions: SMPTE ST 2084 (PQ), ARIB STD-B67 (HLG), with the reference white of ITU-R BT.2408, 203 cd/m2.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ..types import Float, Pixels

REFERENCE_WHITE = 203.0  # cd/m2, what SDR white becomes
HLG_PEAK = 1000.0  # cd/m2 of the nominal display
_HLG_GAMMA = 1.2  # of that display
_KNEE = 0.7  # below, light is kept as it is; above, it is rolled off towards 1
_SCREEN_GAMMA = 2.4  # ITU-R BT.1886

# Linear light, BT.2020 -> BT.709 primaries (ITU-R BT.2087).
_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], dtype=np.float32
)


def _pq_light(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = signal ** (1 / m2)
    light: NDArray[np.float64] = 10000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return light


def _hlg_light(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    light: NDArray[np.float64] = HLG_PEAK * scene**_HLG_GAMMA
    return light


@cache
def _light_table(transfer: str) -> Float:
    """(65536,) light of each 16 bit value, 1 = SDR white."""
    curve = {"PQ": _pq_light, "HLG": _hlg_light}[transfer]
    return (curve(np.arange(65536) / 65535) / REFERENCE_WHITE).astype(np.float32)


@cache
def _screen_table() -> Pixels:
    """(4096,) 8 bit value of light in [0, 1]; the fourth power spaces the steps as the eye does."""
    light = (np.arange(4096) / 4095) ** 4
    return np.rint(255 * light ** (1 / _SCREEN_GAMMA)).astype(np.uint8)


def tone_map(pixels: NDArray[np.uint16], transfer: str) -> Pixels:
    """(H, W, 3) uint16 RGB of a BT.2020 HDR picture -> (H, W, 3) uint8 RGB. transfer: "PQ" or "HLG"."""
    light = cv2.transform(_light_table(transfer)[pixels], _TO_709)
    np.maximum(light, 0, out=light)
    red, green, blue = cv2.split(light)
    brightest = np.maximum(np.maximum(red, green), blue)
    over = np.maximum(brightest - _KNEE, 0) / (1 - _KNEE)
    rolled = np.minimum(brightest, _KNEE) + (1 - _KNEE) * (1 - np.exp(-over))
    factor = rolled / np.maximum(brightest, 1e-6)  # one for all three, so that no hue moves
    steps = [(np.sqrt(np.sqrt(channel * factor)) * 4095 + 0.5).astype(np.uint16) for channel in (red, green, blue)]
    return np.asarray(_screen_table()[cv2.merge(steps)])
