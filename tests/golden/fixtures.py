"""Reads the golden fixtures that lie beside this file.

golden.json: figures of outputs of the published networks (torch 2.13, CPU, fp32), whose weights and inputs are pure
functions of a name and a shape, so that no checkpoint is needed. keys.json.gz: name, shape and type of every tensor of
their checkpoints; `lists` says which of the equal ones is kept in `tensors`.
"""

import gzip
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

Shapes = dict[str, tuple[int, ...]]

HERE = Path(__file__).parent
GOLDEN: dict[str, Any] = json.loads((HERE / "golden.json").read_text(encoding="utf-8"))
_KEYS = json.loads(gzip.decompress((HERE / "keys.json.gz").read_bytes()))
KEY_LISTS: list[str] = sorted(_KEYS["lists"])


def tensors_of(name: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """Tensor name -> (shape, type) of one key list."""
    return {key: (tuple(shape), kind) for key, shape, kind in _KEYS["tensors"][_KEYS["lists"][name]]}


def shapes_of(name: str) -> Shapes:
    return {key: shape for key, (shape, _) in tensors_of(name).items()}


def tensor_for(key: str, shape: tuple[int, ...], dtype: torch.dtype, gain: float) -> torch.Tensor:
    """The value that a tensor of this name and shape has in the fixtures."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=dtype)
    random = np.random.RandomState(zlib.crc32(key.encode()) & 0x7FFFFFFF)
    if key.endswith("running_var"):
        values = random.uniform(0.5, 1.5, shape)
    elif key.endswith("running_mean"):
        values = 0.1 * random.standard_normal(shape)
    elif key.endswith("bias") or "classbias" in key:
        values = 0.05 * random.standard_normal(shape)
    elif len(shape) == 1:
        values = random.uniform(0.5, 1.5, shape)
    else:
        values = random.standard_normal(shape) * np.sqrt(gain / np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(dtype)


def filled(build: Callable[[], Any], gain: float = 2.0, kept: dict[str, torch.Tensor] | None = None) -> Any:
    """A network whose every tensor has its fixture value, in eval mode. kept: tensors that are computed, not filled."""
    with torch.device("meta"):  # no time is lost on weights that are replaced at once
        network = build()
    shapes = {key: (tuple(v.shape), v.dtype) for key, v in network.state_dict().items()}
    network.load_state_dict(filled_state(shapes, gain) | (kept or {}), assign=True)
    return network.eval()


def filled_state(shapes: dict[str, tuple[tuple[int, ...], torch.dtype]], gain: float = 2.0) -> dict[str, torch.Tensor]:
    """Name -> (shape, type) to name -> fixture value."""
    state = {key: tensor_for(key, shape, dtype, gain) for key, (shape, dtype) in shapes.items()}
    for key in [key for key in state if key.endswith("weight_orig")]:
        prefix = key.removesuffix("orig")
        state[prefix + "u"], state[prefix + "v"] = _leading_vectors(state[key])
    return state


def _leading_vectors(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The singular vectors u, v of the largest singular value, as spectral normalisation ends up with."""
    matrix = weight.flatten(1).double()
    u = torch.linalg.eigh(matrix @ matrix.T).eigenvectors[:, -1]
    v = matrix.T @ u
    return u.float(), (v / v.norm()).float()


def uniform(seed: int, *shape: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    """`inp(seed, *shape, low, high)` of the fixtures' names."""
    return torch.from_numpy(np.random.RandomState(seed).uniform(low, high, shape).astype(np.float32))


def figures(output: torch.Tensor) -> dict[str, Any]:
    """What golden.json holds of an output."""
    flat = output.detach().double().flatten()
    weights = np.random.RandomState(7).standard_normal(flat.numel())
    return {
        "shape": list(output.shape),
        "mean": flat.mean().item(),
        "std": flat.std().item(),
        "l2": flat.norm().item(),
        "head": flat[:4].tolist(),
        "tail": flat[-4:].tolist(),
        "proj": float(flat.numpy() @ weights) / flat.numel() ** 0.5,
    }


def differences(output: torch.Tensor, fixture: str | dict[str, Any]) -> list[str]:
    """Every figure that is further than 1e-4 |b| + 1e-4 std from a fixture's, in words; none when it agrees.

    fixture: a name of golden.json, or the figures themselves.
    """
    wanted, found = GOLDEN[fixture] if isinstance(fixture, str) else fixture, figures(output)
    if found.pop("shape") != wanted["shape"]:
        return [f"shape {list(output.shape)}, not {wanted['shape']}"]
    apart = []
    for kind, value in found.items():
        a, b = np.atleast_1d(value), np.atleast_1d(wanted[kind])
        if not (np.abs(a - b) <= 1e-4 * np.abs(b) + 1e-4 * wanted["std"]).all():
            apart.append(f"{kind} {a.tolist()}, not {b.tolist()}")
    return apart


def gain_of(name: str) -> float:
    """The gain in a fixture's name, 2 where there is none."""
    found = re.search(r"\[gain([\d.]+)\]", name)
    return float(found[1]) if found else 2.0
