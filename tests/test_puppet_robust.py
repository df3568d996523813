"""Whatever a detector hands over, the puppet draws a small mouth or changes nothing: it never raises."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as some

from lipsync_core.engines import puppet, puppet_fit, puppet_geometry
from lipsync_core.engines.base import EngineSettings
from lipsync_core.engines.puppet_render import read_portrait
from lipsync_core.types import FaceBatch

FACE = np.array([[0.3, 0.38], [0.7, 0.38], [0.5, 0.58], [0.35, 0.78], [0.65, 0.78]], np.float32)
PICTURES = {
    "noise": lambda shape: np.random.default_rng(1).random(shape),
    "flat": lambda shape: np.full(shape, 0.5),
    "black": np.zeros,
    "half": lambda shape: np.indices(shape)[2] > shape[2] // 2,
}
few = settings(max_examples=20, deadline=None, derandomize=True, database=None)
place = some.floats(-500, 500, width=32)
anything = some.one_of(place, some.sampled_from([float("nan"), float("inf"), -1e30, 0.0]))


@pytest.fixture(autouse=True, scope="module")
def a_short_search():
    """Where the lips end up does not matter here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(puppet_fit, "_ROUNDS", 3)
        patch.setattr(puppet_fit, "_CANDIDATES", 40)
        yield


def performed(picture, side, landmarks, boxes, still):
    """Every frame with a wide mouth, a shut eye and a head that sways."""
    count = len(landmarks)
    crop = torch.from_numpy(np.ascontiguousarray(PICTURES[picture]((3, side, side)), np.float32))
    matrices = np.tile(np.eye(2, 3, dtype=np.float32), (count, 1, 1))
    faces = FaceBatch(0, crop.expand(count, -1, -1, -1), matrices, landmarks, boxes, still)
    shapes = np.tile(np.array([0.9, 0.9, 0.5, 0.2, 0], np.float32), (count, 1))
    motion = np.ones(count, np.float32), np.full((count, 3), 0.02, np.float32)
    result = puppet.PuppetPerformance(shapes, *motion, EngineSettings()).render(faces)
    assert result.crops.shape == faces.crops.shape
    assert result.crops.isfinite().all()
    assert result.alpha.shape == (count, 1, side, side)
    assert 0 <= result.alpha.min() <= result.alpha.max() <= 1
    return faces.crops, result


@few
@given(
    picture=some.sampled_from(sorted(PICTURES)),
    side=some.integers(2, 70),
    numbers=some.lists(anything, min_size=28, max_size=28),
    still=some.booleans(),
)
@example(picture="noise", side=1, numbers=[0.0] * 28, still=True)
@example(picture="flat", side=40, numbers=[float("nan")] * 28, still=True)
@example(picture="noise", side=40, numbers=[500.0] * 28, still=False)
def test_no_landmarks_and_no_box_are_too_strange(picture, side, numbers, still):
    rows = np.array(numbers, np.float32).reshape(2, 14)
    performed(picture, side, rows[:, :10].reshape(2, 5, 2), rows[:, 10:], still)


@few
@given(
    picture=some.sampled_from(sorted(PICTURES)),
    face=some.floats(4, 60),
    corners=some.lists(some.floats(-40, 60), min_size=4, max_size=4),
    still=some.booleans(),
)
def test_small_faces_at_the_border_that_jump_are_no_fault(picture, face, corners, still):
    origin = np.array(corners, np.float32).reshape(2, 1, 2)
    boxes = np.concatenate([origin[:, 0], origin[:, 0] + face], 1).astype(np.float32)
    performed(picture, 64, (origin + FACE * face).astype(np.float32), boxes, still)


def test_a_face_outside_the_crop_changes_nothing():
    landmarks = (FACE * 20 + 300)[None]
    for still in (True, False):
        crops, result = performed("noise", 64, landmarks, np.array([[300, 300, 320, 320]], np.float32), still)
        if not still:  # a head that sways takes its surroundings with it
            assert torch.equal(result.crops, crops)
            assert not result.alpha.any()


def test_a_small_face_gets_a_small_mouth():
    landmarks = (FACE * 24 + 20)[None]
    crops, result = performed("noise", 64, landmarks, np.array([[20, 20, 44, 44]], np.float32), False)
    changed = ((result.crops - crops).abs().amax((0, 1)) > 0.02).nonzero()
    assert len(changed) > 10
    assert changed.min() >= 10
    assert changed.max() <= 60


def test_eyes_in_one_place_leave_the_head_upright():
    landmarks = np.full((5, 2), 30, np.float32)
    matrix = puppet_geometry.face_frame(landmarks)
    assert np.isfinite(puppet_geometry.inverse(matrix)).all()
    assert matrix[0, 1] == 0


def test_a_face_whose_points_are_unknown_is_read_where_its_box_is():
    box = np.array([10, 10, 50, 50], np.float32)
    landmarks, kept = puppet_geometry.settled(np.full((5, 2), np.nan, np.float32), box, 64)
    assert np.allclose(landmarks, 10 + 40 * FACE)
    assert np.array_equal(kept, box)
    portrait = read_portrait(torch.zeros(3, 64, 64), np.full((5, 2), np.nan, np.float32), box)
    assert portrait.unit_px == pytest.approx(16, rel=0.2)
