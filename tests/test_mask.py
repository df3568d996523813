"""Masks: what they cover, what they spare, and that they end before anything is unknown."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsync_core.errors import UsageError
from lipsync_core.face.mask import (
    SHAPES,
    MaskSettings,
    choose_shape,
    face_widths,
    mask_faces,
    soften_user_mask,
)
from lipsync_core.geometry import map_points, pixel_centres
from lipsync_core.types import FaceBatch

FRAME = (640, 480)
WIDTH = 150.0  # px, of the faces below
# Of a face WIDTH px wide around the middle of its eyes: eyes, nose, corners of the mouth.
FACE = np.array([[-32.5, 0], [32.5, 0], [0, 45], [-25, 72], [25, 72]], np.float32)
BOX = np.array([-80, -75, 80, 125], np.float32)


def turned(points, degrees, centre=(320.0, 200.0), size=1.0):
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (np.asarray(points) * size @ turn.T + centre).astype(np.float32)


def face(degrees=0.0, centre=(320.0, 200.0), size=1.0, side=256, window=None):
    """One face in a crop that covers `window` (frame px, default its box)."""
    landmarks = turned(FACE, degrees, centre, size)
    left, top, right, bottom = window or (*(BOX[:2] * size + centre), *(BOX[2:] * size + centre))
    matrix = np.array([[side / (right - left), 0, 0], [0, side / (bottom - top), 0]])
    matrix[:, 2] = -matrix[[0, 1], [0, 1]] * (left, top)
    matrices = matrix[None].astype(np.float32)
    box = map_points(matrices, np.array([[BOX[:2] * size + centre, BOX[2:] * size + centre]])).reshape(1, 4)
    crops = torch.zeros(1, 3, side, side)
    return FaceBatch(0, crops, matrices, map_points(matrices, landmarks[None]), box), landmarks


def wide(degrees=0.0, **options):
    """The same in a crop as large as the frame, so that only the shape counts."""
    return face(degrees, window=(-80.0, -160.0, 720.0, 640.0), **options)


def picture(mask, frame=FRAME):
    return mask.cut(np.zeros(1, np.int64), np.zeros((1, 2), np.int64), (frame[1], frame[0]), "cpu")[0, 0].numpy()


def at(mask, points):
    points = torch.as_tensor(np.asarray(points, np.float32)).reshape(-1, 2)
    return np.array([float(mask.at(np.zeros(1, np.int64), x.view(1, 1, 1), y.view(1, 1, 1))) for x, y in points])


def shape_of(name, faces, user=None, **options):
    return mask_faces(faces, name, MaskSettings(**options), FRAME, user)


@pytest.mark.parametrize("degrees", [-30, 0, 15, 30])
@pytest.mark.parametrize("feather", [0.0, 0.08, 0.5])
@pytest.mark.parametrize("name", ["mouth", "lower_face", "parsing"])
def test_mouth_and_lower_face_never_touch_the_eyes(name, feather, degrees):
    faces, _ = wide(degrees)
    lids = turned([[x, y] for x in (-45, -32, -20, 20, 32, 45) for y in (-8, 0, 8)], degrees)
    assert at(shape_of(name, faces, feather=feather, grow=0.3), lids).max() == 0


@pytest.mark.parametrize("degrees", [-30, 0, 30])
@pytest.mark.parametrize("name", ["mouth", "lower_face", "face", "parsing", "ellipse", "box"])
def test_every_shape_covers_the_lips(name, degrees):
    faces, landmarks = wide(degrees)
    lips = [*landmarks[3:], *turned([[0, 60], [0, 88]], degrees)]
    assert at(shape_of(name, faces), lips).min() > 0.95


@pytest.mark.parametrize("degrees", [-30, 0, 30])
def test_the_whole_face_is_covered_from_the_hair_line_to_the_chin(degrees):
    faces, _ = wide(degrees)
    mask = shape_of("face", faces)
    assert at(mask, turned([[0, -45], [0, 112], [-60, 10], [60, 10], [-32, 0], [32, 0]], degrees)).min() > 0.9
    assert at(mask, turned([[0, -95], [-95, 10], [95, 10], [0, 145]], degrees)).max() == 0


def test_the_lower_face_covers_chin_and_cheeks_and_leaves_the_ears():
    faces, _ = wide()
    mask = shape_of("lower_face", faces)
    assert at(mask, turned([[0, 112], [-40, 60], [40, 60]], 0)).min() > 0.9
    assert at(mask, turned([[-80, 30], [80, 30], [0, 145]], 0)).max() == 0


def test_the_lower_face_of_a_turned_head_leans_to_the_middle_of_its_box():
    faces, _ = wide()
    right = FaceBatch(0, faces.crops, faces.matrices, faces.landmarks, faces.boxes_xyxy + np.float32([5, 0, 5, 0]))
    mask = shape_of("lower_face", right)
    left_side, right_side = at(mask, turned([[-62, 70], [62, 70]], 0))
    assert right_side > left_side


@pytest.mark.parametrize("name", ["mouth", "lower_face"])
@given(degrees=st.floats(-60, 60), u=st.floats(-70, 70), v=st.floats(-10, 130))
@settings(deadline=None, max_examples=30)
def test_a_mask_tilts_with_the_head(name, degrees, u, v):
    upright, _ = wide()
    tilted, _ = wide(degrees)
    centre = upright.boxes_xyxy  # a square box, the same for both: only the landmarks turn
    tilted = FaceBatch(0, tilted.crops, tilted.matrices, tilted.landmarks, centre)
    if name == "lower_face":
        middle = turned([[0, 25]], degrees)[0] - turned([[0, 25]], 0)[0]
        shift = (middle * np.linalg.norm(tilted.matrices[0, :, :2], axis=1)).astype(np.float32)
        tilted = FaceBatch(0, tilted.crops, tilted.matrices, tilted.landmarks, centre + np.tile(shift, 2))
    expected = at(shape_of(name, upright), turned([[u, v]], 0))
    assert at(shape_of(name, tilted), turned([[u, v]], degrees)) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("name", ["mouth", "lower_face", "ellipse", "box"])
def test_growing_adds_and_shrinking_takes_away_everywhere(name):
    faces, _ = wide()
    small, middle, large = (picture(shape_of(name, faces, grow=grow)) for grow in (-0.1, 0.0, 0.1))
    assert (small <= middle + 1e-6).all()
    assert (middle <= large + 1e-6).all()
    assert small.sum() < 0.95 * middle.sum() < 0.95 * 0.95 * large.sum()


@pytest.mark.parametrize("name", ["mouth", "ellipse", "box"])
def test_the_soft_edge_is_as_wide_as_asked(name):
    faces, _ = wide()
    row = int(turned([[0, 76]], 0)[0, 1])
    for feather in (0.0, 0.1, 0.2):
        line = picture(shape_of(name, faces, feather=feather))[row, 320:]
        soft = ((line > 0) & (line < 1)).sum()
        assert soft == pytest.approx(feather * WIDTH, rel=0.3, abs=1.5)


def test_a_box_without_feather_is_the_box():
    faces, _ = face(window=(200.0, 100.0, 400.0, 350.0))
    faces = FaceBatch(0, faces.crops, faces.matrices, faces.landmarks, np.float32([[0, 0, 256, 256]]))
    expected = np.zeros((480, 640), np.float32)
    expected[100:350, 200:400] = 1
    assert np.array_equal(picture(shape_of("box", faces, feather=0.0)), expected)


@pytest.mark.parametrize("name", ["mouth", "lower_face", "ellipse", "box"])
def test_a_mask_has_ended_at_the_crops_edge(name):
    faces, _ = face(window=(280.0, 230.0, 350.0, 290.0))  # a crop that cuts through the mouth
    seen = picture(shape_of(name, faces))
    assert 0 < seen.max() <= 1
    inside = np.zeros_like(seen, bool)
    inside[230:290, 280:350] = True
    assert seen[~inside].max() == 0
    assert seen[[230, 289]].max() < 0.05
    assert seen[:, [280, 349]].max() < 0.05


def test_a_mask_does_not_fade_at_the_frames_own_border():
    faces, landmarks = face(centre=(320.0, 405.0), window=(240.0, 330.0, 400.0, 480.0))
    seen = picture(shape_of("lower_face", faces))
    column = int(landmarks[3:, 0].mean())
    assert seen[479, column] > 0.9
    assert seen[330:340].max() == 0


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from(["mouth", "lower_face", "face", "parsing", "ellipse", "box"]),
    degrees=st.floats(-45, 45), x=st.floats(-40, 680), y=st.floats(-40, 520), size=st.sampled_from([0.14, 0.5, 1, 4]),
    feather=st.floats(0, 0.5), grow=st.floats(-0.3, 0.3),
)  # fmt: skip
def test_a_mask_is_nothing_outside_its_area_and_never_more_than_all(name, degrees, x, y, size, feather, grow):
    faces, _ = face(degrees, (x, y), size)
    mask = shape_of(name, faces, feather=feather, grow=grow)
    seen = picture(mask)
    left, top, right, bottom = mask.areas[0]
    assert 0 <= left <= right <= 640
    assert 0 <= top <= bottom <= 480
    assert seen.min() >= 0
    assert seen.max() <= 1
    seen[top:bottom, left:right] = 0
    assert seen.max() == 0


def test_a_mask_of_a_turned_crop_ends_where_the_crop_ends():
    faces, _ = wide()
    angle = np.deg2rad(30)
    linear = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * 2
    matrices = np.concatenate([linear, (128 - linear @ [320.0, 272.0])[:, None]], axis=1)[None].astype(np.float32)
    landmarks = map_points(matrices, turned(FACE, 0)[None])
    faces = FaceBatch(0, faces.crops, matrices, landmarks, np.float32([[0, 0, 256, 256]]))
    seen = picture(shape_of("box", faces, feather=0.0))
    x, y = pixel_centres(np.zeros((1, 2), np.int64), (480, 640), "cpu")
    grid = np.stack(np.broadcast_arrays(x[0].numpy(), y[0].numpy()), -1).reshape(1, -1, 2)
    u, v = np.moveaxis(map_points(matrices, grid).reshape(480, 640, 2), -1, 0)
    far_in = (np.minimum(u, 256 - u) > 0.01) & (np.minimum(v, 256 - v) > 0.01)
    far_out = (np.minimum(u, 256 - u) < -0.01) | (np.minimum(v, 256 - v) < -0.01)
    assert seen[far_in].min() == 1
    assert seen[far_out].max() == 0


def test_rows_of_a_mask_are_looked_at_on_their_own():
    one, _ = face()
    two, _ = face(20, (200.0, 220.0), 0.7)
    both = FaceBatch(0, torch.zeros(2, 3, 256, 256), *(
        np.concatenate([getattr(one, name), getattr(two, name)]) for name in ("matrices", "landmarks", "boxes_xyxy")
    ))  # fmt: skip
    mask = shape_of("lower_face", both)
    corners = np.array([[100, 150]])
    assert torch.equal(
        mask.cut(np.array([1]), corners, (90, 80), "cpu"),
        shape_of("lower_face", two).cut(np.array([0]), corners, (90, 80), "cpu"),
    )


def test_a_faces_width_does_not_shrink_when_the_head_turns():
    turned_away = FACE * np.float32([0.6, 1])
    nodding = FACE * np.float32([1, 0.6])
    widths = face_widths(np.stack([FACE, turned_away, nodding, np.zeros((5, 2), np.float32)]))
    assert widths[:3] == pytest.approx([147, 147, 140], abs=2)
    assert widths[3] > 0


def user_mask():
    grey = np.zeros((480, 640), np.uint8)
    grey[200:300, 250:400] = 255
    return grey


def test_black_of_a_users_mask_stays_black_and_its_edge_is_soft_inside():
    soft = soften_user_mask(user_mask(), FRAME, 150.0, MaskSettings(feather=0.1)).numpy()
    assert soft[user_mask() == 0].max() == 0
    assert soft[250, 325] == 1
    assert 0 < soft[250, 252] < soft[250, 256] < 1


def test_a_users_mask_without_feather_is_taken_as_it_is():
    grey = (user_mask() // 2).astype(np.uint8)
    soft = soften_user_mask(grey, FRAME, 150.0, MaskSettings(feather=0.0))
    assert torch.allclose(soft, torch.from_numpy(grey / np.float32(255)))


@pytest.mark.parametrize(("grow", "row", "expected"), [(0.1, 190, 1), (-0.1, 210, 0)])
def test_a_users_mask_grows_and_shrinks(grow, row, expected):
    soft = soften_user_mask(user_mask(), FRAME, 150.0, MaskSettings(feather=0.0, grow=grow))
    assert soft[row, 325] == expected
    assert soft[250, 325] == 1


def test_a_users_mask_is_used_where_the_crop_is():
    user = soften_user_mask(user_mask(), FRAME, 150.0, MaskSettings(feather=0.0))
    faces, _ = face(window=(300.0, 150.0, 500.0, 350.0))
    seen = picture(shape_of("user", faces, user, feather=0.0))
    assert seen[250, 350] == 1
    assert seen[250, 270] == 0  # white, but outside the crop
    assert seen[250, 420] == 0  # in the crop, but black


def test_a_users_mask_of_another_size_is_refused():
    with pytest.raises(UsageError, match="640x480 px, the frames are 320x240"):
        soften_user_mask(user_mask(), (320, 240), 150.0, MaskSettings())


def test_a_black_mask_is_refused():
    with pytest.raises(UsageError, match="black everywhere"):
        soften_user_mask(np.zeros((480, 640), np.uint8), FRAME, 150.0, MaskSettings())


def test_auto_takes_the_engines_alpha_and_else_its_mask():
    assert choose_shape(MaskSettings(), "lower_face", has_alpha=False) == "lower_face"
    assert choose_shape(MaskSettings(), "lower_face", has_alpha=True) is None
    assert choose_shape(MaskSettings("mouth"), "lower_face", has_alpha=True) == "mouth"


def test_a_shape_that_does_not_exist_is_our_mistake():
    faces, _ = face()
    for name, user in (("star", None), ("user", None), ("mouth", torch.ones(480, 640))):
        with pytest.raises(ValueError, match="mask shape"):
            shape_of(name, faces, user)
    assert set(SHAPES) == {"mouth", "lower_face", "face", "parsing", "ellipse", "box", "user"}
