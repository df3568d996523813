"""SadTalker's published files load to the last tensor, and what is not them is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from weights_world import bare_machine, vouch

from lipsync_core.engines.sadtalker.networks import (
    MAPPING,
    PREFIXES,
    is_networks,
    load_mapping,
    load_networks,
    mapping_width,
)
from lipsync_core.errors import WeightsError
from lipsync_core.networks.sadtalker.mapping import MappingNetwork
from lipsync_core.runtime import Runtime
from lipsync_core.weights.build import build_network
from lipsync_core.weights.catalogue import official_entries
from tests.golden.fixtures import GOLDEN, differences, filled, filled_state, tensors_of, uniform

PUBLISHED_SIZE = 725_066_984
_NAMES = ("audio2exp", "audio2pose", "face_3drecon", "generator_256", "kp_extractor_256")
LISTS = dict(zip(sorted(PREFIXES), _NAMES, strict=True))
DTYPES = {"float32": torch.float32, "int64": torch.int64}
Tensors = dict[str, torch.Tensor]


def published_rows() -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Every tensor of SadTalker_V0.0.2_{256,512}.safetensors."""
    return {
        prefix + key: (shape, DTYPES[kind])
        for prefix, name in LISTS.items()
        for key, (shape, kind) in tensors_of(name).items()
    }


def hollow() -> Tensors:
    """All of them, every one a single number shown many times, so that they take no memory."""
    return {key: torch.ones((), dtype=dtype).expand(shape) for key, (shape, dtype) in published_rows().items()}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[[Tensors], Path]:
    """Whatever file is read holds these tensors."""

    def serve(tensors: Tensors) -> Path:
        monkeypatch.setattr("lipsync_core.weights.load_state_dict", lambda path, runtime: dict(tensors))
        return Path("SadTalker.safetensors")

    return serve


def test_every_tensor_of_the_published_file_finds_its_place(served):
    assert len(hollow()) == 1305
    networks = load_networks(served(hollow()), Runtime())
    for network in (networks.coefficients, networks.expression, networks.pose, networks.keypoints, networks.generator):
        assert not network.training
        assert all(p.dtype == torch.float32 for p in network.parameters())
    assert not any("encoder.classbias" in name or "netD" in name for name in networks.pose.state_dict())


def test_only_what_runs_for_every_frame_computes_in_half_precision(served):
    networks = load_networks(served(hollow()), Runtime(precision="bf16"))
    generator = networks.generator
    motion = generator.dense_motion_network
    for part in (generator.decoder, generator.third, generator.fourth, motion.hourglass, motion.mask):
        assert {p.dtype for p in part.parameters()} == {torch.bfloat16}
    for part in (generator.first, generator.resblocks_3d, motion.compress, networks.keypoints, networks.coefficients):
        assert {p.dtype for p in part.parameters()} == {torch.float32}


def test_weights_of_convolutions_lie_channels_last(served):
    networks = load_networks(served(hollow()), Runtime())
    by_rank = {parameter.dim(): parameter for parameter in networks.generator.parameters() if min(parameter.shape) > 1}
    assert by_rank[4].is_contiguous(memory_format=torch.channels_last)
    assert by_rank[5].is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_missing_tensor_is_named(served, prefix: str):
    tensors = hollow()
    key = next(key for key in tensors if key.startswith(prefix) and key.endswith("weight"))
    del tensors[key]
    with pytest.raises(WeightsError, match=f"'{key.removeprefix(prefix)}' is missing"):
        load_networks(served(tensors), Runtime())


def test_a_tensor_of_another_shape_is_named(served):
    tensors = hollow() | {"generator.first.conv.bias": torch.ones(65)}
    with pytest.raises(WeightsError, match="'first.conv.bias' is missing or has another shape"):
        load_networks(served(tensors), Runtime())


@pytest.mark.parametrize("key", ["he_estimator.conv1.weight", "my_generator.first.conv.bias", "generator.last.bias"])
def test_a_tensor_too_many_is_named(served, key: str):
    # The original takes whatever has the word in its name, anywhere.
    with pytest.raises(WeightsError, match=key.removeprefix("generator.")):
        load_networks(served(hollow() | {key: torch.ones(1)}), Runtime())


def test_counters_of_training_may_be_missing(served):
    tensors = {key: value for key, value in hollow().items() if not key.endswith("num_batches_tracked")}
    assert load_networks(served(tensors), Runtime()).expression is not None


def test_checkpoints_are_known_by_their_tensors():
    shapes = {key: shape for key, (shape, _) in published_rows().items()}
    assert is_networks(shapes)
    assert not is_networks({key: shape for key, shape in shapes.items() if not key.startswith("kp_extractor.")})
    assert mapping_width(shapes) is None
    for width in (70, 73):
        plain = {key: shape for key, (shape, _) in tensors_of(f"mapping_{width}").items()}
        assert mapping_width(plain) == mapping_width({MAPPING + key: s for key, s in plain.items()}) == width
        assert not is_networks(plain)


def test_the_catalogue_knows_the_published_files():
    entries = official_entries()
    sizes = {"sadtalker_256": PUBLISHED_SIZE, "sadtalker_512": PUBLISHED_SIZE, "sadtalker_mapping": 155_521_183,
             "sadtalker_mapping_full": 155_779_231, "fan": 193_670_248, "retinaface": 109_497_761}  # fmt: skip
    assert {name: entries[name].main.size for name in sizes} == sizes
    assert all(entries[name].needs_ack for name in sizes if name.startswith("sadtalker"))
    assert len({entries[name].main.sha256 for name in sizes}) == len(sizes)


def test_a_mapping_network_is_read_out_of_its_training_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    runtime = bare_machine(tmp_path, monkeypatch)
    network = filled(lambda: MappingNetwork(73))
    own = network.state_dict()
    moments = {index: {"exp_avg": torch.ones(3), "step": 5} for index in range(2)}
    checkpoint = {
        "mapping": own,
        "discriminator": {"block0.weight": torch.ones(2, 2)},
        "optimizer_mapping": {"state": moments, "param_groups": [{"lr": 1e-4, "params": [0, 1]}]},
        "optimizer_discriminator": {"state": moments, "param_groups": []},
        "epoch": 109,
    }
    path = tmp_path / "mapping_00109-model.pth.tar"
    torch.save(checkpoint, path)
    vouch(tmp_path, path)
    first = load_mapping(path, runtime)
    assert path.with_name("mapping_00109-model.safetensors").is_file()
    second = load_mapping(path, runtime)  # from the conversion
    x = uniform(1, 2, 73, 27)
    with torch.inference_mode():
        wanted = network(x).yaw
        assert torch.equal(first(x).yaw, wanted)
        assert torch.equal(second(x).yaw, wanted)


@pytest.mark.parametrize("width", [70, 73])
def test_a_bare_mapping_network_is_read_too(served, width: int):
    state = {key: torch.ones(1).expand(shape) for key, (shape, _) in tensors_of(f"mapping_{width}").items()}
    assert load_mapping(served(state), Runtime()).first[0].in_channels == width


def test_what_is_no_mapping_network_is_refused(served):
    with pytest.raises(WeightsError, match="is not a mapping network of SadTalker"):
        load_mapping(served({"first.0.weight": torch.ones(1024, 71, 7)}), Runtime())


def test_a_network_is_built_of_exactly_its_tensors():
    network = build_network(
        lambda: torch.nn.Linear(2, 3), {"weight": torch.ones(3, 2).half(), "bias": torch.zeros(3)}, "f"
    )
    assert network.weight.dtype == torch.float32
    with pytest.raises(WeightsError, match="f: the tensor 'other' does not belong there"):
        build_network(lambda: torch.nn.Linear(2, 3), {"other": torch.ones(1)}, "f")


def test_a_compiler_that_fails_leaves_the_network_as_it_was(served, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "compile", lambda module: Broken())
    runtime = Runtime()
    networks = load_networks(served(hollow()), runtime, compiled=True)
    assert runtime.notes == ["torch.compile does not work here, SadTalker runs without it: no compiler"]
    assert type(networks.generator.decoder).__name__ == "SpadeDecoder"


class Broken(torch.nn.Module):
    def forward(self, *_: Any) -> Any:
        raise RuntimeError("no compiler\nlong story")


@pytest.mark.slow
def test_a_file_with_the_published_tensors_has_the_published_size_and_renders(tmp_path: Path):
    path = tmp_path / "SadTalker_V0.0.2_256.safetensors"
    rows = published_rows()
    state: Tensors = {}
    for prefix in PREFIXES:  # values go by the names within each network, as in the fixtures
        part = {key.removeprefix(prefix): row for key, row in rows.items() if key.startswith(prefix)}
        state |= {prefix + key: value for key, value in filled_state(part).items()}
    save_file(state, path)
    assert path.stat().st_size == PUBLISHED_SIZE
    del state
    networks = load_networks(path, Runtime(cache_dir=tmp_path))
    with torch.inference_mode():
        source = networks.generator.look(uniform(21, 1, 3, 256, 256))
        neutral, driving = (uniform(seed, 1, 15, 3, low=-0.5, high=0.5) for seed in (22, 23))
        picture = networks.generator(source, neutral, driving)
    assert differences(picture, next(name for name in GOLDEN if name.startswith("generator256.prediction"))) == []
