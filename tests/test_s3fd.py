"""The S3FD detector: boxes out of maps, the weaker of two on one face gone, frames of any size, and its file."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lipsync_core.errors import Cancelled, WeightsError
from lipsync_core.face.detectors import DETECTORS, DetectorSettings, choose_detector
from lipsync_core.face.detectors.s3fd import S3FDDetector, decode, load, suppress
from lipsync_core.networks.s3fd import S3FD, STRIDES
from lipsync_core.runtime import Runtime
from tests.golden.fixtures import filled, shapes_of, tensor_for

SIZES = ((64, 80), (32, 40), (16, 20), (12, 14), (6, 7), (3, 4))  # of the maps of a picture of 256x320


def empty_maps(pictures: int = 1) -> list[torch.Tensor]:
    """Maps in which no face is: the score of "nothing" is far above."""
    maps = []
    for height, width in SIZES:
        conf = torch.zeros(pictures, 2, height, width)
        conf[:, 0] = 20
        maps += [conf, torch.zeros(pictures, 4, height, width)]
    return maps


def put(maps: list[torch.Tensor], level: int, place: tuple[int, int, int], logit: float, offsets: list[float]) -> None:
    picture, row, column = place
    maps[2 * level][picture, :, row, column] = torch.tensor([0.0, logit])
    maps[2 * level + 1][picture, :, row, column] = torch.tensor(offsets)


def test_an_anchor_is_four_strides_wide_around_the_middle_of_its_cell():
    for level, stride in enumerate(STRIDES):
        maps = empty_maps()
        put(maps, level, (0, 1, 2), 2.0, [0, 0, 0, 0])
        picture, boxes, scores = decode(maps, 0.05)
        assert picture.tolist() == [0]
        middle_x, middle_y, half = 2.5 * stride, 1.5 * stride, 2 * stride
        assert boxes[0].tolist() == [middle_x - half, middle_y - half, middle_x + half, middle_y + half]
        assert float(scores[0]) == pytest.approx(1 / (1 + math.exp(-2.0)))


def test_offsets_move_by_tenths_and_grow_by_fifths_of_the_anchor():
    maps = empty_maps(2)
    put(maps, 2, (1, 4, 3), 1.0, [1.0, -0.5, 5 * math.log(2), 0.0])  # stride 16: anchor 64 around (56, 72)
    picture, boxes, _ = decode(maps, 0.05)
    assert picture.tolist() == [1]
    # centre (56 + 6.4, 72 - 3.2), width 64 * 2, height 64
    assert boxes[0].tolist() == pytest.approx([62.4 - 64, 68.8 - 32, 62.4 + 64, 68.8 + 32])


def test_candidates_below_the_least_score_are_gone():
    maps = empty_maps()
    put(maps, 1, (0, 0, 0), -1.0, [0, 0, 0, 0])  # score 0.27
    assert len(decode(maps, 0.3)[0]) == 0
    assert len(decode(maps, 0.05)[0]) == 1


def test_of_boxes_on_one_face_the_best_stays():
    boxes = np.array([[0, 0, 9, 9], [1, 0, 10, 9], [0, 0, 9, 4], [50, 50, 59, 59]], np.float32)
    scores = np.array([0.6, 0.9, 0.7, 0.5], np.float32)
    # 1 is best; 0 shares 90 of 110 pixels with it, 2 shares 45 of 105 (0.43): both go. 3 is elsewhere.
    assert suppress(boxes, scores) == [1, 3]
    assert suppress(boxes, scores, most=0.45) == [1, 2, 3]
    assert suppress(boxes[:0], scores[:0]) == []


class Painted(torch.nn.Module):
    """Stands for the network: sees one face where the picture is bright, on the map of stride 16."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []
        self.darkest: list[list[float]] = []

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        self.sizes.append(tuple(pictures.shape))
        self.darkest.append(pictures.amin(dim=(0, 2, 3)).tolist())
        maps = []
        for stride in STRIDES:
            small = torch.nn.functional.adaptive_max_pool2d(
                pictures[:, :1], (pictures.shape[2] // stride or 1, pictures.shape[3] // stride or 1)
            )
            bright = (small > 100) & (stride == 16)
            maps.append(torch.cat((torch.zeros_like(small), bright * 16.0 - 8.0), dim=1))
            maps.append(torch.zeros(len(pictures), 4, *small.shape[2:]))
        return maps


def detector(max_side: int = 640, **settings: Any) -> tuple[S3FDDetector, Painted]:
    seen = Painted()
    return S3FDDetector(seen, Runtime(), DetectorSettings(max_side=max_side, **settings)), seen  # type: ignore[arg-type]


def spot(count: int, height: int, width: int, x: int, y: int) -> np.ndarray:
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[:, y, x] = 255
    return frames


def test_faces_are_found_in_pixels_of_the_frame_that_came_in():
    finder, seen = detector(max_side=160)
    frames = spot(2, 480, 640, 320, 240)
    frames[:, 236:244, 316:324] = 255
    found = finder.detect(frames)
    assert seen.sizes == [(2, 3, 120, 160)]
    for each in found:
        left, top, right, bottom = each.boxes_xyxy[0]
        assert (right - left, bottom - top) == pytest.approx((64 * 4, 64 * 4))
        assert left < 320 < right
        assert top < 240 < bottom
        assert np.isnan(each.landmarks).all()
        assert each.landmarks.shape == (len(each), 5, 2)


def test_the_means_are_taken_off_in_the_published_order():
    finder, seen = detector()
    finder.detect(np.zeros((1, 64, 64, 3), np.uint8))
    assert seen.darkest == [[-104.0, -117.0, -123.0]]


def test_boxes_end_where_the_frame_ends():
    finder, _ = detector()
    (found,) = finder.detect(spot(1, 64, 64, 1, 1))
    assert found.boxes_xyxy[0].tolist() == [0, 0, 40, 40]  # anchor of 64 around (8, 8)


def test_what_is_too_small_or_too_unsure_is_left_out():
    frames = spot(1, 128, 128, 60, 60)
    assert [len(found) for found in detector(min_size_px=80)[0].detect(frames)] == [0]
    assert [len(found) for found in detector(min_score=0.99999)[0].detect(frames)] == [0]
    assert [len(found) for found in detector()[0].detect(frames)] == [1]


def test_many_large_frames_go_through_in_pieces_and_keep_their_order():
    finder, seen = detector()
    frames = spot(5, 600, 640, 320, 300)
    frames[3] = 0
    assert [len(found) > 0 for found in finder.detect(frames)] == [True, True, True, False, True]
    assert [size[0] for size in seen.sizes] == [2, 2, 1]
    assert finder.detect(frames[:0]) == []


def test_tiny_frames_do_not_break_the_network():
    network = filled(S3FD)
    finder = S3FDDetector(network, Runtime(), DetectorSettings(min_score=0.5, min_size_px=0))
    found = finder.detect(np.zeros((1, 5, 7, 3), np.uint8))
    assert len(found) == 1
    assert (found[0].boxes_xyxy[:, 2] <= 7).all()


def test_the_stop_button_works_between_pieces():
    finder = S3FDDetector(Painted(), Runtime(cancelled=lambda: True), DetectorSettings())  # type: ignore[arg-type]
    with pytest.raises(Cancelled):
        finder.detect(spot(1, 64, 64, 1, 1))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "s3fd.safetensors"
    tensors = {key: tensor_for(key, shape, torch.float32, 2.0) for key, shape in shapes_of("s3fd_720p").items()}
    save_file(tensors, str(path))
    return path


def test_its_file_is_read_and_the_picture_goes_through(checkpoint: Path):
    finder = choose_detector("s3fd", Runtime(), DetectorSettings(min_size_px=1), checkpoint)
    frames = np.random.RandomState(3).randint(0, 255, (1, 96, 128, 3)).astype(np.uint8)
    (found,) = finder.detect(frames)
    assert finder.name == "s3fd"
    assert len(found) > 0
    assert (np.diff(found.scores) <= 0).all()
    (again,) = load(checkpoint, Runtime(precision="bf16"), DetectorSettings(min_size_px=1)).detect(frames)
    assert np.abs(again.boxes_xyxy[0] - found.boxes_xyxy[0]).max() < 8  # quick arithmetic finds the same face


def test_half_precision_is_not_used_for_features_that_do_not_fit():
    finder = S3FDDetector(Painted(), Runtime(precision="fp16"), DetectorSettings())  # type: ignore[arg-type]
    assert finder.dtype == torch.float32


def test_another_file_is_refused(tmp_path: Path):
    save_file({"conv1_1.weight": torch.zeros(64, 3, 3, 3)}, str(tmp_path / "odd.safetensors"))
    with pytest.raises(WeightsError, match=r"^odd\.safetensors: is not the face detector S3FD.*weights get s3fd"):
        load(tmp_path / "odd.safetensors", Runtime(), DetectorSettings())


def test_without_a_file_it_says_how_to_get_it():
    with pytest.raises(WeightsError, match="lipsync weights get s3fd"):
        load(None, Runtime(), DetectorSettings())
    assert DETECTORS["s3fd"].needs_weights
