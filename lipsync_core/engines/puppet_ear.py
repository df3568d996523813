"""The puppet's ear in use: load the network that ships, hear a whole voice, read the mouth at any moment."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from ..errors import WeightsError
from ..networks.mouth_shape import MOUTH_SHAPE, MouthShapeConfig, MouthShapeNet
from ..timing import MEL_COLUMNS_PER_SECOND
from ..types import Float

_COLUMNS_AT_ONCE = 4096  # even; 51 s, some 20 MB while it runs
_EXPOSURE = 1 / 40  # s around a moment in which a closure must not be missed; below two frames at 50 fps
_OPENING, _CLOSURE = MOUTH_SHAPE.index("opening"), MOUTH_SHAPE.index("closure")


def load_ear(path: Path) -> MouthShapeNet:
    """Read puppet.safetensors. Returns the network in float32 on the CPU, ready to `hear`.

    Raises WeightsError when the file is missing, damaged or of another network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            config = json.loads((file.metadata() or {})["mouth_shape"])
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - not a mapping
        network = MouthShapeNet(MouthShapeConfig(**{**config, "dilations": tuple(config["dilations"])}))
        network.load_state_dict(state)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        what = "is missing" if not path.is_file() else f"is not the puppet's ear or is damaged ({type(error).__name__})"
        raise WeightsError(f"{path.name}: {what}. Take it from the repository's models folder again.") from error
    return network.eval()


def hear(network: MouthShapeNet, mel: Float) -> Float:
    """(80, M) mel in [-4, 4] -> (M, 5) float32 mouth shapes, columns as MOUTH_SHAPE names them.

    Runs in pieces that overlap by all that the network can see, so that an hour needs no more memory than a minute and
    the result does not depend on where it is cut.
    """
    if mel.ndim != 2 or mel.shape[0] != 80 or mel.shape[1] == 0:
        raise ValueError(f"mel must be (80, M) with M > 0, not {mel.shape}")
    columns, halo = mel.shape[1], network.config.halo
    device = next(network.parameters()).device
    shapes = np.empty((columns, len(MOUTH_SHAPE)), np.float32)
    for first in range(0, columns, _COLUMNS_AT_ONCE):
        last = min(columns, first + _COLUMNS_AT_ONCE)
        low, high = max(0, first - halo), min(columns, last + halo)
        piece = torch.from_numpy(np.ascontiguousarray(mel[:, low:high], np.float32))[None].to(device)
        with torch.inference_mode():
            heard = network(piece)[0].T.cpu().numpy()
        shapes[first:last] = heard[first - low : last - low]
    return shapes


def shapes_at(shapes: Float, times_s: NDArray[np.floating]) -> Float:
    """(M, 5) mouth shapes at 80 Hz and (N,) moments in s -> (N, 5) float32 shapes of those frames.

    Linear between columns, and past either end the edge repeats. The lips of a frame are as closed as they get within
    12 ms of it: a /p/ can be shorter than a frame, and the eye wants to see it shut.
    """
    place = np.asarray(times_s, np.float64) * MEL_COLUMNS_PER_SECOND
    reach = _EXPOSURE / 2 * MEL_COLUMNS_PER_SECOND
    columns = np.arange(len(shapes))
    moments = np.stack([place - reach, place, place + reach])
    out = np.stack([np.interp(place, columns, shapes[:, row]) for row in range(shapes.shape[1])], 1)
    shut = np.interp(moments, columns, shapes[:, _CLOSURE]).max(0)
    narrowest = np.interp(moments, columns, shapes[:, _OPENING]).min(0)
    out[:, _CLOSURE] = shut
    out[:, _OPENING] += (narrowest - out[:, _OPENING]) * np.clip(2 * shut - 0.6, 0, 1)
    return out.astype(np.float32)
