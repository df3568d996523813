"""SadTalker's networks compute what the published ones compute, and take their checkpoint to the last tensor."""

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
import torch

from lipsync_core.networks.sadtalker.coefficients import CoefficientNetwork
from lipsync_core.networks.sadtalker.expression import ExpressionNetwork
from lipsync_core.networks.sadtalker.generator import Generator
from lipsync_core.networks.sadtalker.geometry import HeadPose, transform_keypoints
from lipsync_core.networks.sadtalker.keypoints import KeypointDetector, gaussian
from lipsync_core.networks.sadtalker.layers import fold
from lipsync_core.networks.sadtalker.mapping import MappingNetwork
from lipsync_core.networks.sadtalker.pose import PoseNetwork
from tests.golden.fixtures import GOLDEN, KEY_LISTS, differences, filled, tensors_of, uniform

STARTS = ("net_recon", "audio2exp", "audio2pose", "mapping", "kp", "keypoint", "generator")
PARTS = ("yaw", "pitch", "roll", "t", "exp")  # of what a mapping network says, in the fixtures' words
FIXTURES = [
    name if "shape" in GOLDEN[name] else f"{name}#{part}"
    for name in GOLDEN
    if name.startswith(STARTS)
    for part in (PARTS if "shape" not in GOLDEN[name] else ("",))
]
KEYS: dict[str, tuple[Callable[[], Any], str]] = {
    "face_3drecon": (CoefficientNetwork, ""),
    "audio2exp": (ExpressionNetwork, ""),
    "audio2pose": (PoseNetwork, ""),
    "audio2pose_audioenc32": (PoseNetwork, "audio_encoder."),
    "audio2pose_netG_dec32": (PoseNetwork, "netG."),
    "mapping_70": (MappingNetwork, ""),
    "mapping_73": (lambda: MappingNetwork(73), ""),
    "kp_extractor_256": (KeypointDetector, ""),
    "kp_extractor_512": (KeypointDetector, ""),
    "generator_256": (Generator, ""),
    "generator_512": (Generator, ""),
}
PUBLISHED = {  # prefix in the published file -> its key list
    "audio2exp.": "audio2exp",
    "audio2pose.": "audio2pose",
    "face_3drecon.": "face_3drecon",
    "generator.": "generator_256",
    "kp_extractor.": "kp_extractor_256",
}


@pytest.fixture(scope="module", autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def both_ways(seed: int, *shape: int, end: float = 1.0) -> torch.Tensor:
    return uniform(seed, *shape, low=-end, high=end)


@cache
def keypoint_detector() -> Any:
    return fold(filled(KeypointDetector, kept={"down.weight": gaussian().expand(3, 1, 13, 13)}))


@cache
def pose_network() -> Any:
    return filled(PoseNetwork)


@cache
def heard() -> torch.Tensor:
    return pose_network().hear(both_ways(17, 32, 1, 80, 16, end=4))[None]


@cache
def head_pose(width: int) -> HeadPose:
    return filled(lambda: MappingNetwork(width))(both_ways(18, 2, width, 27))


@cache
def generator() -> Any:
    return fold(filled(Generator))


@cache
def rendered() -> dict[str, torch.Tensor]:
    """What the folded generator says and draws, as it is used."""
    network = generator()
    neutral, driving = both_ways(22, 1, 15, 3, end=0.5), both_ways(23, 1, 15, 3, end=0.5)
    source = network.look(uniform(21, 1, 3, 256, 256))
    motion = network.move(source, neutral, driving)
    return {"mask": motion.mask, "occlusion_map": motion.occlusion, "prediction": network.paint(source, motion)}


def output(name: str) -> torch.Tensor:
    """What our network gives for the input in a fixture's name."""
    if name.startswith("mapping"):
        pose = head_pose(int(name[7:9]))
        return dict(zip(PARTS, (pose.yaw, pose.pitch, pose.roll, pose.shift, pose.expression), strict=True))[
            name.split("#")[1]
        ]
    small = {
        "net_recon": lambda: filled(CoefficientNetwork)(uniform(11, 1, 3, 224, 224)),
        "audio2exp": lambda: filled(ExpressionNetwork)(
            both_ways(12, 6, 1, 80, 16, end=4), both_ways(13, 6, 64), uniform(14, 6, 1)
        )[None],
        "audio2pose.audio_encoder": heard,
        "audio2pose.netG.decoder": lambda: pose_network().decode(
            both_ways(15, 1, 64), torch.tensor([3]), both_ways(16, 1, 6), heard()
        ),
        "kp.down.weight": lambda: gaussian().expand(3, 1, 13, 13),
        "kp_extractor(inp(19,1,3,256,256))": lambda: keypoint_detector()(uniform(19, 1, 3, 256, 256)),
        "kp_extractor(inp(19,1,3,512,512))": lambda: keypoint_detector()(uniform(19, 1, 3, 512, 512)),
        "keypoint_transformation": lambda: transform_keypoints(both_ways(20, 2, 15, 3, end=0.5), head_pose(73)),
        "generator256.mask": lambda: rendered()["mask"],
        "generator256.occlusion_map": lambda: rendered()["occlusion_map"],
        "generator256.prediction": lambda: rendered()["prediction"],
    }
    return next(make for start, make in small.items() if name.startswith(start))()


def wanted(name: str) -> dict[str, Any]:
    fixture, _, part = name.partition("#")
    return GOLDEN[fixture][part] if part else GOLDEN[fixture]


def test_every_fixture_of_sadtalker_is_tested():
    assert len(FIXTURES) == 21
    others = ("wav2lip", "syncnet", "s3fd", "fan98", "mel(", "lm3d_std")
    assert {name.partition("#")[0] for name in FIXTURES} == {n for n in GOLDEN if not n.startswith(others)}


@pytest.mark.parametrize("name", FIXTURES)
def test_gives_what_the_published_network_gives(name: str):
    assert differences(output(name), wanted(name)) == []


@pytest.mark.parametrize("name", KEYS)
def test_takes_the_published_tensors_as_they_are(name: str):
    build, prefix = KEYS[name]
    with torch.device("meta"):
        state = build().state_dict()
    own = {key: (tuple(v.shape), str(v.dtype).removeprefix("torch.")) for key, v in state.items()}
    assert {k.removeprefix(prefix): v for k, v in own.items() if k.startswith(prefix)} == tensors_of(name)
    assert name in KEY_LISTS


def test_the_tensors_are_those_of_the_published_file_and_as_large():
    rows = {prefix + key: row for prefix, name in PUBLISHED.items() for key, row in tensors_of(name).items()}
    assert len(rows) == 1305
    assert file_size(rows) == 725_066_984


def file_size(rows: dict[str, tuple[tuple[int, ...], str]]) -> int:
    """Bytes of a safetensors file with these tensors: its header is text, so nothing need be written."""
    kinds = {"float32": ("F32", 4), "int64": ("I64", 8)}
    header, place = {}, 0
    for key, (shape, kind) in sorted(rows.items(), key=lambda row: (-kinds[row[1][1]][1], row[0])):
        end = place + torch.Size(shape).numel() * kinds[kind][1]
        header[key] = {"dtype": kinds[kind][0], "shape": list(shape), "data_offsets": [place, end]}
        place = end
    text = len(json.dumps(header, separators=(",", ":")))
    return 8 + (text + 7) // 8 * 8 + place


def test_half_precision_draws_nearly_the_same():
    # Random weights forgive nothing: what is 27 dB here is far more with trained ones.
    network = generator()
    neutral, driving = both_ways(22, 1, 15, 3, end=0.5), both_ways(23, 1, 15, 3, end=0.5)
    source = network.look(uniform(21, 1, 3, 128, 128))
    exact = network(source, neutral, driving)
    half = copy.deepcopy(network)
    half.compute_in(torch.bfloat16)
    drawn = half(source, neutral, driving)
    assert drawn.dtype == exact.dtype == torch.float32
    assert -10 * torch.log10((drawn - exact).square().mean()) > 24
