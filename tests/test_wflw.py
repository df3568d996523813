"""The published landmarks: the networks, what is read from them, and when they take part."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from weights_world import bare_machine

from lipsync_core.errors import WeightsError
from lipsync_core.face.wflw import WflwFinder, anchors, decode, five_of, load_finder, peaks, to_68
from lipsync_core.networks.fan import FAN
from lipsync_core.networks.retinaface import RetinaFace
from lipsync_core.runtime import Runtime
from tests.golden.fixtures import GOLDEN, differences, filled, tensors_of, uniform

# Figures of facexlib's RetinaFace (torch 2.13, CPU, fp32) with the fixtures' weights (gain 1) for this input.
RETINAFACE = {
    "boxes": {
        "shape": [1, 1188, 4], "mean": 42.100323, "std": 154.256332, "l2": 11021.467341,
        "head": [26.340815, 44.760765, -48.194775, -38.826618],
        "tail": [51.994865, -124.546463, 8.875896, -24.871883], "proj": -60.746661,
    },
    "landmarks": {
        "shape": [1, 1188, 10], "mean": -18.482316, "std": 121.121076, "l2": 13353.907072,
        "head": [-13.33202, -91.033745, -8.099067, 60.253780],
        "tail": [125.650864, -81.562103, -108.328148, 159.331528], "proj": -29.094234,
    },
    "scores": {
        "shape": [1, 1188, 2], "mean": 46.730877, "std": 118.988004, "l2": 6230.107857,
        "head": [40.061180, 51.765701, 30.595392, 99.119751],
        "tail": [193.267273, -40.134026, -51.473885, -133.754608], "proj": -119.995051,
    },
}  # fmt: skip
FAN_FIXTURE = next(name for name in GOLDEN if name.startswith("fan98"))
CPU = Runtime()


def heat_at(*places: tuple[int, int], size: int = 64) -> np.ndarray:
    """One map for each (x, y), with a peak there that is higher towards right and below."""
    maps = np.zeros((len(places), size, size), np.float32)
    for index, (x, y) in enumerate(places):
        maps[index, y, x] = 1
        maps[index, y, min(x + 1, size - 1)] = max(maps[index, y, min(x + 1, size - 1)], 0.5)
        maps[index, min(y + 1, size - 1), x] = max(maps[index, min(y + 1, size - 1), x], 0.5)
    return maps


class FakeAlignment(torch.nn.Module):
    """Point i of every face lies at (i % 8) / 8, (i // 8) / 13 of it; remembers what it was shown."""

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        self.seen = faces
        places = [(8 * (i % 8), 4 * (i // 8)) for i in range(98)]
        return torch.from_numpy(np.concatenate([heat_at(*places), np.zeros((1, 64, 64), np.float32)]))[None]


class FakeDetector(torch.nn.Module):
    """A face on each anchor of 64 px whose middle is bright."""

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        places = anchors(*pictures.shape[2:])
        x, y = (
            places[:, 0].long().clamp_max(pictures.shape[3] - 1),
            places[:, 1].long().clamp_max(pictures.shape[2] - 1),
        )
        bright = (pictures[0, 0, y, x] > 0) & (places[:, 2] == 64)
        scores = torch.stack([torch.zeros(len(places)), torch.where(bright, 5.0, -5.0)], dim=1)
        return torch.zeros(1, len(places), 4), torch.zeros(1, len(places), 10), scores[None]


def test_fan_gives_what_the_published_network_gives():
    with torch.inference_mode():
        assert differences(filled(FAN, 0.4)(uniform(24, 1, 3, 256, 256)), FAN_FIXTURE) == []


def test_fan_takes_the_published_tensors_as_they_are():
    with torch.device("meta"):
        state = FAN().state_dict()
    own = {key: (tuple(v.shape), str(v.dtype).removeprefix("torch.")) for key, v in state.items()}
    assert own == tensors_of("fan_wflw")


@pytest.mark.parametrize("part", ["boxes", "landmarks", "scores"])
def test_retinaface_gives_what_the_published_network_gives(part: str):
    with torch.inference_mode():
        outputs = filled(RetinaFace, 1.0)(uniform(25, 1, 3, 130, 202, low=-120, high=130))
    assert differences(dict(zip(("boxes", "landmarks", "scores"), outputs, strict=True))[part], RETINAFACE[part]) == []


def test_a_peak_lies_a_quarter_towards_its_higher_neighbour():
    points = peaks(heat_at((10, 20), (31, 7))) * 64
    assert np.allclose(points, [[10.75, 20.75], [31.75, 7.75]])


def test_a_peak_on_the_edge_of_a_map_is_as_good_as_any():
    # The original reads beyond the map there: IndexError, or a neighbour on the other side.
    points = peaks(heat_at((63, 63), (0, 0), (63, 0), (0, 63))) * 64
    assert np.abs(points - [[63.5, 63.5], [0.5, 0.5], [63.5, 0.5], [0.5, 63.5]]).max() <= 0.25


def test_the_98_points_become_the_usual_68():
    points = np.stack([np.arange(98), np.zeros(98)], axis=1).astype(np.float32)
    usual = to_68(points)[:, 0]
    assert usual[:17].tolist() == list(range(0, 33, 2))
    assert usual[17:27].tolist() == [33, 37.5, 37.5, 37.5, 37.5, 46, 46, 46, 46, 46]
    assert usual[27:36].tolist() == list(range(51, 60))
    assert usual[36:48].tolist() == [60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75]
    assert usual[48:].tolist() == list(range(76, 96))


def test_the_five_points_are_those_the_coefficients_are_aligned_with():
    points = np.stack([np.arange(68), 2 * np.arange(68)], axis=1).astype(np.float32)
    assert five_of(points)[:, 0].tolist() == [37.5, 43.5, 30, 48, 54]


def test_anchors_are_the_published_ones():
    found = anchors(130, 202)
    assert found.shape == (1188, 4)
    assert found[:3].tolist() == [[4, 4, 16, 16], [4, 4, 32, 32], [12, 4, 16, 16]]
    assert found[-1].tolist() == [208, 144, 512, 512]


def test_a_box_that_the_network_does_not_move_is_its_anchor():
    scores = torch.tensor([[0.0, 5.0]]).repeat(len(anchors(16, 16)), 1)
    boxes, sure = decode(torch.zeros(len(scores), 4), scores, 16, 16)
    assert boxes[0].tolist() == [-4, -4, 12, 12]
    assert sure.min() > 0.99


def test_points_are_found_in_the_box_at_any_place_and_size():
    frame = np.zeros((400, 600, 3), np.uint8)
    points = WflwFinder(FakeAlignment(), None, CPU).find_68(frame, np.array([100, 50, 228, 178], np.float32))
    assert points.shape == (68, 2)
    assert np.allclose(points[5], [100 + 16.75 * 2, 50 + 4.75 * 2])


@pytest.mark.parametrize("box", [(-40, -30, 60, 70), (560, 350, 700, 500), (10.4, 20.6, 90.2, 99.9)])
def test_a_box_beyond_the_picture_is_held_inside(box: tuple[float, ...]):
    finder = WflwFinder(FakeAlignment(), None, CPU)
    points = finder.find(np.zeros((400, 600, 3), np.uint8), np.array(box, np.float32))
    assert ((points >= 0) & (points <= (600, 400))).all()


def test_a_box_outside_of_the_picture_holds_no_face():
    finder = WflwFinder(FakeAlignment(), None, CPU)
    assert finder.find(np.zeros((40, 60, 3), np.uint8), np.array([80, 80, 90, 90], np.float32)) is None


def test_the_network_sees_red_as_red():
    alignment = FakeAlignment()
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[..., 0] = 255
    WflwFinder(alignment, None, CPU).find(frame, np.array([0, 0, 64, 64], np.float32))
    assert alignment.seen[0].mean(dim=(1, 2)).tolist() == [1, 0, 0]


def test_of_several_faces_the_one_in_the_box_is_read():
    frame = np.zeros((400, 800, 3), np.uint8)
    frame[184:200, 184:200] = 255
    frame[184:200, 568:584] = 255
    alignment = FakeAlignment()
    finder = WflwFinder(alignment, FakeDetector(), CPU)
    points = finder.find_68(frame, np.array([530, 140, 620, 250], np.float32))
    middle = points.mean(axis=0)
    assert 520 < middle[0] < 640
    assert alignment.seen.max() > 0  # it looked where the face is


def test_where_the_detector_sees_no_face_the_box_that_came_counts():
    frame = np.zeros((200, 200, 3), np.uint8)
    box = np.array([20, 20, 84, 84], np.float32)
    with_one, without = (WflwFinder(FakeAlignment(), net, CPU).find_68(frame, box) for net in (FakeDetector(), None))
    assert np.array_equal(with_one, without)


def test_without_the_weights_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    runtime = bare_machine(tmp_path, monkeypatch)
    catalogue(tmp_path, {})
    assert load_finder(runtime) is None


def test_with_the_weights_the_networks_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    runtime = bare_machine(tmp_path, monkeypatch)
    catalogue(tmp_path, {"fan": filled(FAN, 0.4).state_dict()})
    finder = load_finder(runtime)
    assert finder.detector is None
    points = finder.find(
        np.random.default_rng(1).integers(0, 255, (300, 300, 3), np.uint8), np.array([50, 50, 250, 250.0])
    )
    assert points.shape == (5, 2)
    assert np.isfinite(points).all()


def test_a_damaged_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    runtime = bare_machine(tmp_path, monkeypatch)
    catalogue(tmp_path, {"fan": {"conv1.conv.weight": torch.zeros(64, 6, 7, 7)}})
    with pytest.raises(WeightsError, match=r"fan\.safetensors: the tensor '.*' is missing"):
        load_finder(runtime)


def catalogue(tmp_path: Path, states: dict[str, dict[str, torch.Tensor]]) -> None:
    """Rows `fan` and `retinaface`, and the files of those given."""
    folder = tmp_path / "models"
    folder.mkdir()
    rows: list[dict[str, Any]] = []
    for name in ("fan", "retinaface"):
        path = folder / f"{name}.safetensors"
        if name in states:
            save_file(states[name], path)
        content = path.read_bytes() if path.is_file() else b"?"
        rows.append({
            "name": name, "engine": "face", "file": path.name, "urls": [], "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(), "hash_source": "official", "format": "safetensors",
            "licence": "MIT", "licence_url": "", "needs_ack": False,
        })  # fmt: skip
    (tmp_path / "shipped" / "catalogue.json").write_text(json.dumps({"entries": rows}))
