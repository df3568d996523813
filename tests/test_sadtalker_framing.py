"""What a head needs around it, and how its face comes to the 3D model's network."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsync_core.engines.sadtalker.align import MEAN_FACE, SIDE, align, pose_of_points
from lipsync_core.engines.sadtalker.framing import MODES, frame_head, quad
from lipsync_core.errors import InputError

# Eyes, nose and mouth corners of a face 100 px between the eyes, upright, in the middle of a picture.
FACE = np.array([[450, 400], [550, 400], [500, 460], [460, 510], [540, 510]], np.float32)
PICTURE = (1000, 900)


def turned(points, degrees, about=(500, 450)):
    angle = np.deg2rad(degrees)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return ((points - about) @ matrix.T + about).astype(np.float32)


def by_hand(landmarks):
    """The published formula, number by number."""
    eye_left, eye_right, mouth = landmarks[0], landmarks[1], landmarks[3:].mean(axis=0)
    eye = (eye_left + eye_right) / 2
    e2e, e2m = eye_right - eye_left, mouth - eye
    x = e2e - np.flipud(e2m) * [-1, 1]
    x = x / np.hypot(*x) * max(np.hypot(*e2e) * 2.0, np.hypot(*e2m) * 1.8)
    y = np.flipud(x) * [-1, 1]
    c = eye + e2m * 0.1
    return np.stack([c - x - y, c - x + y, c + x + y, c + x - y])


@pytest.mark.parametrize("degrees", [0, 12, -35])
def test_the_square_is_the_published_one(degrees):
    face = turned(FACE, degrees)
    assert np.allclose(quad(face), by_hand(face.astype(np.float64)), atol=1e-3)


def test_crop_and_full_see_the_same_and_only_full_is_pasted():
    for narrow, wide in (("crop", "full"), ("extcrop", "extfull")):
        shown, pasted = frame_head(narrow, FACE, PICTURE, 256), frame_head(wide, FACE, PICTURE, 256)
        assert shown.box_xyxy == pasted.box_xyxy
        assert (shown.pasted, pasted.pasted) == (False, True)
        assert pasted.size == PICTURE


def test_the_wide_crop_is_a_tenth_wider_on_every_side():
    inner, outer = (frame_head(mode, FACE, PICTURE, 256).box_xyxy for mode in ("crop", "extcrop"))
    side = inner[2] - inner[0]
    for narrow, wide, sign in zip(inner, outer, (1, 1, -1, -1), strict=True):
        assert sign * (narrow - wide) == pytest.approx(side / 10, abs=2)


def test_resize_sees_the_whole_picture():
    framing = frame_head("resize", FACE, PICTURE, 256)
    assert framing.box_xyxy == (0, 0, *PICTURE)
    assert framing.size == (256, 230)


@pytest.mark.parametrize("mode", MODES)
@given(
    x=st.floats(-300, 1300), y=st.floats(-300, 1200), scale=st.floats(0.05, 12), degrees=st.floats(-180, 180),
    picture=st.tuples(st.integers(32, 1200), st.integers(32, 1200)),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_a_box_lies_in_the_picture_and_its_result_is_even_or_it_is_refused(mode, x, y, scale, degrees, picture):
    face = turned((FACE - 500) * scale, degrees, (0, 0)) + np.array([x, y], np.float32)
    try:
        framing = frame_head(mode, face, picture, 256)
    except InputError:
        return
    left, top, right, bottom = framing.box_xyxy
    assert 0 <= left < right <= picture[0]
    assert 0 <= top < bottom <= picture[1]
    assert framing.pasted or framing.size[1] % 2 == 0


@pytest.mark.parametrize("side", [256, 512])
@pytest.mark.parametrize("mode", ["crop", "extcrop", "resize"])
def test_the_result_has_the_shape_of_what_is_seen_not_multiples_of_16(mode, side):
    face = FACE + np.array([0, 330], np.float32)  # cut off at the lower edge
    framing = frame_head(mode, face, PICTURE, side)
    left, top, right, bottom = framing.box_xyxy
    assert framing.size[0] == side
    assert abs(framing.size[1] - side * (bottom - top) / (right - left)) <= 1
    assert framing.size[1] % 16, "this one would have been rescaled"


def test_a_face_outside_of_the_picture_is_refused_in_words():
    with pytest.raises(InputError, match="lies outside of the picture"):
        frame_head("full", FACE + 5000, PICTURE, 256)


# ------------------------------------------------------------------------------------------------ alignment


@pytest.mark.parametrize("scale", [30.0, 77.0, 240.0])
def test_the_pose_of_the_mean_face_itself_is_found_exactly(scale):
    points = MEAN_FACE[:, :2] * scale + [100, 140]
    assert pose_of_points(points.astype(np.float32)) == pytest.approx((scale, 100, 140), rel=1e-4)


def marked(landmarks, size):
    """A crop with a bright dot on every landmark, (1, 3, H, W)."""
    crop = torch.zeros(1, 3, *size)
    for x, y in landmarks:
        crop[:, :, int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2] = 1
    return crop


def dots(picture):
    """Places of the five brightest spots, x then y, sorted by y then x."""
    found, rest = [], picture[0, 0].clone()
    for _ in range(5):
        row, column = divmod(int(rest.argmax()), rest.shape[1])
        found.append((column, row))
        rest[max(row - 12, 0) : row + 13, max(column - 12, 0) : column + 13] = 0
    return np.array(sorted(found, key=lambda place: (round(place[1] / 25), place[0])))


@pytest.mark.parametrize("side", [128, 256, 512])
def test_a_face_of_any_size_comes_to_the_same_place(side):
    share = np.array([[0.36, 0.42], [0.62, 0.42], [0.49, 0.56], [0.39, 0.70], [0.60, 0.70]], np.float32)
    face, _ = align(marked(share * side, (side, side)), share * side)
    assert face.shape == (1, 3, SIDE, SIDE)
    wanted, _ = align(marked(share * 256, (256, 256)), share * 256)
    assert np.abs(dots(face) - dots(wanted)).max() <= 3, "px, of dots three px wide in a crop of 128"
    eyes = dots(face)[:2, 0]
    assert eyes[1] - eyes[0] == pytest.approx(102 * (MEAN_FACE[1, 0] - MEAN_FACE[0, 0]), rel=0.15)


def test_what_lies_beyond_the_crop_is_black():
    share = np.array([[2, 40], [60, 40], [30, 60], [8, 90], [55, 90]], np.float32)
    face, _ = align(torch.ones(1, 3, 128, 128), share)
    assert face[0, 0, 112, 0] == 0
    assert face[0, 0, 112, 160] == 1


def test_the_placement_is_that_of_a_crop_of_256_whatever_the_size():
    share = np.array([[0.36, 0.42], [0.62, 0.42], [0.49, 0.56], [0.39, 0.70], [0.60, 0.70]], np.float32)
    rows = [align(torch.zeros(1, 3, side, side), share * side)[1].row() for side in (256, 512)]
    assert np.allclose(rows[0], rows[1], rtol=0.01, atol=0.6)


@pytest.mark.parametrize("landmarks", [np.zeros((5, 2)), np.full((5, 2), np.nan), np.full((5, 2), 1e7)])
def test_landmarks_that_are_no_face_give_the_middle(landmarks):
    face, placement = align(torch.full((1, 3, 256, 256), 0.5), landmarks.astype(np.float32))
    assert np.isfinite(placement.row()).all()
    assert face[0, 0, 112, 112] == pytest.approx(0.5, abs=1e-3)
