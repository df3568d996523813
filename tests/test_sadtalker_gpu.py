"""SadTalker's renderer on a GPU: `pytest -m gpu tests/test_sadtalker_gpu.py`. Random weights, so no download."""

import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch

from lipsync_core.engines.sadtalker.networks import ready
from lipsync_core.networks.sadtalker.generator import Generator
from lipsync_core.runtime import Runtime
from tests.golden.fixtures import GOLDEN, differences, filled, uniform

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here"),
]
BATCH, BATCHES = 8, 20
ENOUGH = 60  # frames/s at 256 px on an H200


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@cache
def network(precision: str) -> Any:
    runtime = Runtime(device="cuda", precision=precision)
    generator = ready(filled(Generator), runtime)
    generator.compute_in(runtime.dtype)
    return generator


def inputs(frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    shapes = ((21, 1, 3, 256, 256, 0.0, 1.0), (22, 1, 15, 3, -0.5, 0.5), (23, frames, 15, 3, -0.5, 0.5))
    picture, neutral, driving = (uniform(*shape, low=low, high=high).cuda() for *shape, low, high in shapes)
    return picture, neutral, driving


def test_the_gpu_gives_what_the_published_network_gives(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    picture, neutral, driving = inputs(1)
    drawn = network("fp32")(network("fp32").look(picture), neutral, driving)
    assert differences(drawn.cpu(), next(name for name in GOLDEN if name.startswith("generator256.prediction"))) == []


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_draws_nearly_the_same(precision: str):
    picture, neutral, driving = inputs(2)
    exact, half = (network(each)(network(each).look(picture), neutral, driving) for each in ("fp32", precision))
    assert -10 * torch.log10((exact - half).square().mean()) > 24


def test_an_h200_draws_sixty_frames_a_second(record_property: Any):
    name = torch.cuda.get_device_name()
    draw = network("fp16")
    picture, neutral, driving = inputs(BATCH)
    source = draw.look(picture)
    for _ in range(3):
        draw(source, neutral, driving)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(BATCHES):
        draw(source, neutral, driving)
    torch.cuda.synchronize()
    speed = BATCH * BATCHES / (time.perf_counter() - start)
    record_property("frames/s at 256 px, fp16", round(speed, 1))
    if "H200" not in name:
        pytest.skip(f"the bar is for an H200; {name} draws {speed:.1f} frames/s")
    assert speed >= ENOUGH
