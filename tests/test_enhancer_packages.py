"""GFPGAN, RestoreFormer and CodeFormer through the packages that bring them, with weights that are a function of names.

tests/golden/enhancers.json holds figures of the packages' own networks (torch 2.12.1, CPU, fp32; gfpgan 1.3.8 with
basicsr 1.4.2, spandrel 0.4.2, spandrel_extra_arches 0.2.0). Skipped where a package is not installed.
"""

import json
import time
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from lipsync_core.enhancers import ENHANCERS, gfpgan, recognise, spandrel_nets
from lipsync_core.enhancers.old_torchvision import OLD_NAME
from lipsync_core.runtime import Runtime
from tests.golden.fixtures import figures, tensor_for, uniform

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
GOLDEN = json.loads((Path(__file__).parent / "golden" / "enhancers.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def need(package: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return spandrel_nets._import(package)
    except spandrel_nets.BROKEN as error:
        pytest.skip(f"{package} is not here ({error})")


def need_gfpgan() -> Any:
    try:
        return gfpgan._packages_class()
    except spandrel_nets.BROKEN as error:
        pytest.skip(f"gfpgan with basicsr is not here ({error})")


@cache
def checkpoint(name: str) -> dict[str, torch.Tensor]:
    """A state dict of the published shapes."""
    shapes = {key: tuple(shape) for key, shape in GOLDEN[name]["keys"]}
    return {key: tensor_for(key, shape, torch.float32, GOLDEN[name]["gain"]) for key, shape in shapes.items()}


def picture() -> torch.Tensor:
    return uniform(3, 1, 3, 512, 512)


@cache
def restored(name: str, backend: str) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if backend == "spandrel":
            network: Any = spandrel_nets.load(name, checkpoint(name), Runtime(), 0.7, extra=name == "codeformer")
        else:
            network = ENHANCERS[name].load(checkpoint(name), Runtime(), 0.7)
        assert network.backend == backend
        return network.restore(picture())


def agrees(output: torch.Tensor, name: str) -> None:
    wanted, found = GOLDEN[name]["figures"], figures(output)
    for kind in ("mean", "std", "proj", "head", "tail"):
        assert found[kind] == pytest.approx(wanted[kind], abs=1e-4), kind


def test_gfpgans_own_classes_give_the_golden_picture() -> None:
    need_gfpgan()
    agrees(restored("gfpgan", "gfpgan"), "gfpgan")


def test_spandrels_gfpgan_gives_the_golden_picture() -> None:
    need("spandrel")
    agrees(restored("gfpgan", "spandrel"), "gfpgan")


def test_both_ways_give_the_same_picture() -> None:
    need_gfpgan()
    need("spandrel")
    apart = (restored("gfpgan", "gfpgan") - restored("gfpgan", "spandrel")).abs().max()
    assert float(apart) <= 1e-4


def test_restoreformer_gives_the_golden_picture() -> None:
    need("spandrel")
    agrees(restored("restoreformer", "spandrel"), "restoreformer")


def test_codeformer_gives_the_golden_picture() -> None:
    need("spandrel_extra_arches")
    agrees(restored("codeformer", "spandrel"), "codeformer")


def test_the_old_name_is_lent_to_basicsr_and_taken_back() -> None:
    import sys

    need_gfpgan()
    assert OLD_NAME not in sys.modules


def test_a_descriptor_of_the_host_is_an_enhancer_too() -> None:
    spandrel = need("spandrel")
    descriptor = spandrel.ModelLoader().load_from_state_dict(dict(checkpoint("gfpgan")))
    assert torch.equal(
        spandrel_nets.from_descriptor(descriptor, Runtime()).restore(picture()), restored("gfpgan", "spandrel")
    )


def test_a_face_costs_hardly_more_than_the_bare_network() -> None:
    spandrel = need("spandrel")
    bare = spandrel.ModelLoader().load_from_state_dict(dict(checkpoint("gfpgan"))).model.eval()
    whole = spandrel_nets.load("gfpgan", checkpoint("gfpgan"), Runtime(), 0.7)
    given = picture() * 2 - 1

    def seconds(work: Any) -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    ratios = []
    for _ in range(4):
        plain = seconds(lambda: bare(given, return_rgb=False, randomize_noise=False))
        ratios.append(seconds(lambda: whole.restore(picture())) / plain)
    assert min(ratios) <= 1.05


@pytest.mark.parametrize("name", ["gfpgan", "restoreformer", "codeformer"])
def test_published_checkpoints_are_recognised(name: str) -> None:
    assert recognise({key: tuple(shape) for key, shape in GOLDEN[name]["keys"]}) == name
