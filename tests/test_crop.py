"""Crops: the geometry that an engine was promised, at every place and size of a face."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsync_core.face import crop as crop_module
from lipsync_core.face.crop import crop_faces, plan_crops
from lipsync_core.geometry import cut_out, invert, map_points
from lipsync_core.types import CropStyle, FaceTrack

LANDMARKS = np.array([[0.31, 0.40], [0.69, 0.40], [0.50, 0.60], [0.35, 0.78], [0.65, 0.78]], np.float32)


def frames(count=1, height=90, width=120, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


def track(*boxes):
    boxes = np.array(boxes, np.float32)
    landmarks = boxes[:, None, :2] + LANDMARKS * (boxes[:, 2:] - boxes[:, :2])[:, None]
    return FaceTrack(boxes, landmarks.astype(np.float32), np.ones(len(boxes), bool), np.ones(len(boxes), bool))


def crop(pixels, face, style, **options):
    plan = plan_crops(face, style, (pixels.shape[2], pixels.shape[1]))
    return crop_faces(pixels, plan, 0, "cpu", torch.float32, **options)


def as_picture(crops, row=0):
    return crops[row].permute(1, 2, 0).numpy()


@settings(deadline=None, max_examples=40)
@given(
    left=st.integers(0, 90), top=st.integers(0, 60), width=st.integers(2, 120), height=st.integers(2, 90),
    size=st.sampled_from([96, 17, 64]),
)  # fmt: skip
def test_a_box_crop_is_what_cv2_resize_makes_of_the_slice(left, top, width, height, size):
    pixels = frames()
    right, bottom = min(left + width, 120), min(top + height, 90)
    if right - left < 2 or bottom - top < 2:
        return  # plan_crops widens such a box, which cannot happen with a face
    faces = crop(pixels, track((left, top, right, bottom)), CropStyle("box", size))
    expected = cv2.resize(pixels[0, top:bottom, left:right].astype(np.float32), (size, size))
    assert np.abs(as_picture(faces.crops) * 255 - expected).max() < 0.05
    whole = cv2.resize(pixels[0, top:bottom, left:right], (size, size))
    assert np.abs(as_picture(faces.crops) - whole / 255.0).max() <= 1 / 255


def test_a_box_beyond_the_frame_is_cut_off_at_its_border():
    pixels = frames()
    faces = crop(pixels, track((-30, 40, 60, 140)), CropStyle("box", 48))
    expected = cv2.resize(pixels[0, 40:90, 0:60].astype(np.float32), (48, 48))
    assert np.abs(as_picture(faces.crops) * 255 - expected).max() < 0.05


def test_a_box_outside_the_frame_still_gives_a_crop():
    faces = crop(frames(2), track((500, 500, 600, 600), (-90, -90, -5, -5)), CropStyle("box", 16))
    assert faces.crops.shape == (2, 3, 16, 16)
    assert torch.isfinite(faces.crops).all()


def test_a_box_between_pixels_moves_the_picture_by_that_much():
    ramp = np.broadcast_to((np.arange(120) * 2).astype(np.uint8)[None, None, :, None], (1, 90, 120, 3))
    whole = crop(ramp, track((20, 20, 68, 68)), CropStyle("box", 48)).crops
    half = crop(ramp, track((20.5, 20, 68.5, 68)), CropStyle("box", 48)).crops
    assert torch.allclose((half - whole)[..., 1:-1] * 255, torch.tensor(1.0), atol=1e-3)


def test_a_crops_rows_do_not_depend_on_their_neighbours():
    pixels = frames(5)
    face = track((3, 4, 60, 70), (10, 4, 100.5, 80), (-5, -5, 30, 30), (90, 60, 130, 99), (50, 40, 70, 60))
    for style in (CropStyle("box", 40), CropStyle("native", 64, 1.4), CropStyle("native", 16, 1.0)):
        plan = plan_crops(face, style, (120, 90))
        together = crop_faces(pixels, plan, 0, "cpu", torch.float32)
        for row in range(5):
            alone = crop_faces(pixels[row : row + 1], plan, row, "cpu", torch.float32)
            assert torch.equal(alone.crops[0], together.crops[row])
            assert np.array_equal(alone.matrices[0], together.matrices[row])
            assert alone.first == row


def test_a_native_crop_is_the_frames_own_pixels():
    pixels = frames()
    faces = crop(pixels, track((40, 30, 72, 62)), CropStyle("native", 64, 1.5))
    left, top = (-faces.matrices[0, :, 2]).astype(int)
    assert faces.crops.shape[-1] == 48
    assert (left, top) == (32, 22)
    assert np.array_equal(np.rint(as_picture(faces.crops) * 255), pixels[0, top : top + 48, left : left + 48])


def test_a_native_crop_that_is_too_large_is_averaged_two_by_two():
    pixels = frames()
    faces = crop(pixels, track((40, 30, 80, 70)), CropStyle("native", 32, 1.0))
    left, top = (-faces.matrices[0, :, 2] * 2).astype(int)
    region = pixels[0, top : top + 48, left : left + 48].astype(np.float32)
    assert faces.crops.shape[-1] == 24
    assert left % 2 == top % 2 == 0
    assert np.allclose(as_picture(faces.crops) * 255, region.reshape(24, 2, 24, 2, 3).mean((1, 3)), atol=1e-3)


def test_a_large_native_crop_is_averaged_in_strips_that_leave_no_seam(monkeypatch):
    pixels, face, style = frames(), track((40, 30, 80, 70)), CropStyle("native", 32, 1.0)
    cut = []
    for lines in (1000, 1, 7):
        monkeypatch.setattr(crop_module, "_LINES_AT_ONCE", {"cpu": lines})
        cut.append(crop(pixels, face, style).crops)
    assert torch.equal(cut[0], cut[1])
    assert torch.equal(cut[0], cut[2])


@settings(deadline=None, max_examples=60)
@given(
    left=st.integers(-200, 200), top=st.integers(-200, 200), width=st.integers(1, 200), height=st.integers(1, 200)
)  # fmt: skip
def test_beyond_a_frame_its_edge_goes_on_however_far_away(left, top, width, height):
    frame = frames()[0]
    rows = np.clip(np.arange(top, top + height), 0, frame.shape[0] - 1)
    columns = np.clip(np.arange(left, left + width), 0, frame.shape[1] - 1)
    cut = cut_out([frame], np.array([[left, top]]), (height, width))
    assert np.array_equal(cut[0], frame[rows][:, columns])


def test_a_native_crop_repeats_the_frames_edge():
    faces = crop(frames(), track((-20, -20, 20, 20)), CropStyle("native", 64, 1.0))
    picture = as_picture(faces.crops)
    assert np.array_equal(picture[:20], np.repeat(picture[20:21], 20, axis=0))
    assert np.array_equal(picture[:, :20], np.repeat(picture[:, 20:21], 20, axis=1))


def test_a_native_crop_far_outside_still_shows_a_bit_of_the_frame():
    faces = crop(frames(), track((900, 900, 940, 940)), CropStyle("native", 64, 1.0))
    assert np.array_equal(np.rint(as_picture(faces.crops)[0, 0] * 255), frames()[0, -1, -1])


def test_native_crops_of_a_clip_have_one_size_and_move_by_whole_steps():
    boxes = [(10 + i * 0.3, 10, 60 + i * 0.5, 62) for i in range(8)]
    plan = plan_crops(track(*boxes), CropStyle("native", 30, 1.0), (120, 90))
    assert plan.halvings == 1
    assert len(np.unique(plan.areas[:, 2:] - plan.areas[:, :2])) == 1
    assert not (plan.areas % 2).any()


def test_a_native_crop_is_no_larger_than_the_frame():
    plan = plan_crops(track((10, 5, 80, 85)), CropStyle("native", 512, 4.0), (120, 90))
    assert (plan.size, plan.halvings) == (120, 0)


@pytest.mark.parametrize("style", [CropStyle("box", 96), CropStyle("native", 256, 1.6)], ids=lambda style: style.kind)
def test_landmarks_and_boxes_follow_the_pixels_into_the_crop(style):
    face = track((40, 30, 72, 70))
    plan = plan_crops(face, style, (120, 90))
    back = invert(plan.matrices)
    assert np.allclose(map_points(back, plan.landmarks), face.landmarks, atol=1e-3)
    assert np.allclose(map_points(back, plan.boxes_xyxy.reshape(1, 2, 2)).reshape(1, 4), face.boxes_xyxy, atol=1e-3)


def test_a_track_without_landmarks_gets_the_usual_ones():
    face = track((40, 30, 72, 70), (40, 30, 72, 70))
    face.landmarks[1] = np.nan
    plan = plan_crops(face, CropStyle("box", 96), (120, 90))
    assert np.allclose(plan.landmarks[0], plan.landmarks[1], atol=1e-3)


def test_a_still_portrait_is_cut_once():
    pixels = np.broadcast_to(frames(), (6, 90, 120, 3))
    face = track(*[(40, 30, 72, 70)] * 6)
    still = crop(pixels, face, CropStyle("box", 32), still=True)
    assert still.still
    assert still.crops.stride(0) == 0
    assert len(still) == 6
    assert torch.equal(still.crops, crop(pixels, face, CropStyle("box", 32)).crops)


def test_reduced_precision_costs_no_more_than_its_last_bit():
    plan = plan_crops(track((10, 10, 100, 80)), CropStyle("box", 32), (120, 90))
    full = crop_faces(frames(), plan, 0, "cpu", torch.float32).crops
    assert (crop_faces(frames(), plan, 0, "cpu", torch.bfloat16).crops.float() - full).abs().max() <= 1 / 256
    assert (crop_faces(frames(), plan, 0, "cpu", torch.float16).crops.float() - full).abs().max() <= 1 / 2048


@pytest.mark.parametrize("side", [20, 2000])
def test_tiny_and_huge_faces_are_cut(side):
    pixels = np.full((1, side + 40, side + 60, 3), 100, np.uint8)
    for style in (CropStyle("box", 96), CropStyle("native", 512, 1.2)):
        faces = crop(pixels, track((20, 10, 20 + side, 10 + side)), style)
        assert np.allclose(faces.crops.numpy() * 255, 100, atol=1e-3)
        assert faces.crops.shape[-1] <= style.size


def test_an_unknown_style_is_our_mistake():
    with pytest.raises(ValueError, match="neither 'box' nor 'native'"):
        plan_crops(track((1, 1, 9, 9)), CropStyle("round", 96), (120, 90))
