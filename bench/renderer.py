"""SadTalker's renderer beside the original's, from a checkout named by SADTALKER_DIR: same weights, same keypoints.

Both draw a frame in turn, each in a process of its own, so that other work on the machine hits both alike. The original
computes as it does when it is used: fp32, spectral norm at every call, the source encoded for every frame. Ours is what
`lipsync_core.engines.sadtalker` uses, in the precision named by SADTALKER_PRECISION (bf16).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

SIDE = 256
ROUNDS = 5
# src/config/facerender.yaml of the original.
_ORIGINAL = {
    "image_channel": 3, "feature_channel": 32, "num_kp": 15, "block_expansion": 64, "max_features": 512,
    "num_down_blocks": 2, "reshape_channel": 32, "reshape_depth": 16, "num_resblocks": 6,
    "estimate_occlusion_map": True, "estimate_jacobian": False,
    "dense_motion_params": {
        "block_expansion": 32, "max_features": 1024, "num_blocks": 5, "reshape_depth": 16, "compress": 4,
    },
}  # fmt: skip

Draw = Callable[[torch.Tensor], torch.Tensor]


def run(folder: Path) -> str:
    checkout = os.environ.get("SADTALKER_DIR")
    if not checkout:
        return "Skipped: SADTALKER_DIR names no checkout of the original."
    precision = os.environ.get("SADTALKER_PRECISION", "bf16")
    workers = {name: _worker(name, checkout, folder) for name in ("original", precision)}
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
    for _ in range(ROUNDS):
        for name, worker in workers.items():
            rounds[name].append(_ask(worker))
    for worker in workers.values():
        worker.communicate(timeout=60)
    return _table(rounds, precision, _psnr(folder, precision))


def _table(rounds: dict[str, list[dict[str, float]]], precision: str, psnr: float) -> str:
    rows = ["| renderer, 256 px | s a frame, median (best) | s of CPU a frame |", "|---|---|---|"]
    seconds = {}
    for name, found in rounds.items():
        walls = [row["wall"] for row in found]
        seconds[name] = statistics.median(walls), min(walls), statistics.median(row["cpu"] for row in found)
        rows.append("| {} | {:.2f} ({:.2f}) | {:.2f} |".format(name, *seconds[name]))
    ratios = [theirs / own for theirs, own in zip(seconds["original"], seconds[precision], strict=True)]
    rows.append("| ratio | {:.2f} ({:.2f}) | {:.2f} |".format(*ratios))
    agree = f"The pictures agree with PSNR {psnr:.1f} dB. The weights are random, and forgive less than trained ones."
    return "\n".join([*rows, "", agree])


def _worker(name: str, checkout: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.renderer", name, checkout, str(folder)]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    worker.stdout.readline()  # it is warm
    return worker


def _ask(worker: subprocess.Popen[str]) -> dict[str, float]:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("draw\n")
    worker.stdin.flush()
    answer: dict[str, float] = json.loads(worker.stdout.readline())
    return answer


def _psnr(folder: Path, precision: str) -> float:
    theirs, ours = (np.load(folder / f"{name}.npy") for name in ("original", precision))
    return float(10 * np.log10(1 / np.mean((theirs - ours) ** 2)))


def main() -> None:
    from tests.golden.fixtures import uniform

    torch.set_grad_enabled(False)
    name, checkout, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    picture = uniform(21, 1, 3, SIDE, SIDE)
    neutral, driving = (uniform(seed, 1, 15, 3, low=-0.5, high=0.5) for seed in (22, 23))
    draw = _original(checkout, picture, neutral) if name == "original" else ours(name, picture, neutral)
    np.save(folder / f"{name}.npy", draw(driving).float().cpu().numpy())
    print("warm", flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        draw(driving)
        print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}), flush=True)


def ours(precision: str, picture: torch.Tensor, neutral: torch.Tensor, device: str = "cpu") -> Draw:
    """Our renderer with the fixtures' weights, the source looked at."""
    from lipsync_core.engines.sadtalker.networks import ready
    from lipsync_core.networks.sadtalker.generator import Generator
    from lipsync_core.runtime import Runtime
    from tests.golden.fixtures import filled

    runtime = Runtime(device=device, precision=precision)
    network = ready(filled(Generator), runtime)
    network.compute_in(runtime.dtype)
    source = network.look(picture.to(device))
    return lambda driving: network(source, neutral.to(device), driving.to(device))


def _original(checkout: str, picture: torch.Tensor, neutral: torch.Tensor) -> Draw:
    from tests.golden.fixtures import filled_state

    sys.path.insert(0, checkout)
    from src.facerender.modules.generator import OcclusionAwareSPADEGenerator

    network: Any = OcclusionAwareSPADEGenerator(**_ORIGINAL)
    shapes = {key: (tuple(value.shape), value.dtype) for key, value in network.state_dict().items()}
    network.load_state_dict(filled_state(shapes))
    network.eval()
    return lambda driving: network(picture, {"value": driving}, {"value": neutral})["prediction"]


if __name__ == "__main__":
    main()
