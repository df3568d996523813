"""A mouth that came out smoother than its frame gets the frame's grain, no more, and as restless as it."""

import itertools

import cv2
import numpy as np
import pytest
import torch

from lipsync_core import blend_noise
from lipsync_core.blend import Blender, BlendSettings
from lipsync_core.blend_noise import noise, opponent, split_bands
from lipsync_core.face.crop import crop_faces, plan_crops
from lipsync_core.face.mask import MaskSettings, mask_faces
from lipsync_core.types import CropStyle, FaceTrack, Rendered

SIZE = (320, 240)
PLACES = np.array([[0.31, 0.40], [0.69, 0.40], [0.50, 0.60], [0.35, 0.78], [0.65, 0.78]], np.float32)


def frames(count=1, grain=5.0, stays=False):
    """Soft light with grain, new in every frame unless it stays."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    light = (150 + 40 * np.sin(x / 47) * np.cos(y / 31))[:, :, None] * [1.0, 0.8, 0.7]
    made = [cv2.GaussianBlur(rng.normal(0, 2 * grain, light.shape), None, 0.6) for _ in range(1 if stays else count)]
    return np.clip(np.rint([light + made[row % len(made)] for row in range(count)]), 0, 255).astype(np.uint8)


def faces_in(pixels, size=96, still=False, first=0):
    boxes = np.tile(np.float32([[80, 20, 250, 225]]), (len(pixels) + first, 1))
    points = boxes[:, None, :2] + PLACES * (boxes[:, 2:] - boxes[:, :2])[:, None]
    yes = np.ones(len(boxes), bool)
    plan = plan_crops(FaceTrack(boxes, points, yes, yes), CropStyle("box", size), SIZE)
    return crop_faces(pixels, plan, first, "cpu", torch.float32, still=still)


def paste(pixels, faces, new, blender):
    mask = mask_faces(faces, "lower_face", MaskSettings(), SIZE)
    return blender.blend(pixels.copy(), faces, Rendered(new), mask)


def smooth(faces):
    return torch.nn.functional.avg_pool2d(faces.crops, 5, 1, 2, count_include_pad=False)


def fine(pixels, part=np.s_[150:180, 140:190]):
    """Finest band of luma in the middle of the mouth, (N, h, w)."""
    rows = torch.from_numpy(pixels[:, part[0], part[1]].copy()).permute(0, 3, 1, 2).float()
    return split_bands(opponent(rows)[:, 0])[0].numpy()


def with_grain(pixels, still=False, seed=0, amount=1.0, size=96):
    faces = faces_in(pixels, size, still)
    return paste(pixels, faces, smooth(faces), Blender(BlendSettings(grain=amount, seed=seed)))


@pytest.mark.parametrize("size", [96, 256])
def test_a_smooth_mouth_gets_the_grain_of_its_frame(size):
    pixels = frames()
    wanted = fine(pixels).std()
    assert fine(with_grain(pixels, amount=0.0, size=size)).std() < 0.5 * wanted
    assert fine(with_grain(pixels, size=size)).std() == pytest.approx(wanted, rel=0.15)


def test_grain_is_only_where_the_mask_is():
    pixels = frames()
    mask = mask_faces(faces_in(pixels), "lower_face", MaskSettings(), SIZE)
    weight = mask.cut(np.zeros(1, np.int64), np.zeros((1, 2), np.int64), SIZE[::-1], "cpu")[:, 0].numpy()
    assert np.array_equal(with_grain(pixels)[weight == 0], pixels[weight == 0])


@pytest.mark.parametrize("size", [210, 256, 512])
def test_a_mouth_that_has_its_grain_gets_no_more(size):
    pixels = frames()
    faces = faces_in(pixels, size)
    plain, more = (paste(pixels, faces, faces.crops, Blender(BlendSettings(grain=amount))) for amount in (0.0, 1.0))
    assert np.array_equal(plain, more)


def test_a_picture_without_grain_gets_none():
    pixels = frames(grain=0.0)
    blender = Blender(BlendSettings(grain=1.0))
    paste(pixels, faces_in(pixels), smooth(faces_in(pixels)), blender)
    assert blender.grain_levels < 0.3


def test_grain_is_the_same_for_the_same_seed_and_another_for_another():
    pixels = frames()
    assert np.array_equal(with_grain(pixels, seed=3), with_grain(pixels, seed=3))
    assert not np.array_equal(with_grain(pixels, seed=3), with_grain(pixels, seed=4))


def test_the_grain_of_a_still_picture_stays():
    pixels = np.repeat(frames(), 4, axis=0)
    out = with_grain(pixels, still=True)
    assert np.array_equal(out[0], out[3])


@pytest.mark.parametrize(("stays", "low", "high"), [(False, -0.1, 0.35), (True, 0.85, 1.0)])
def test_grain_is_as_restless_as_that_of_the_video(stays, low, high):
    pixels = frames(40, stays=stays)
    bands = fine(with_grain(pixels))[-8:]
    alike = np.mean([np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in itertools.pairwise(bands)])
    assert low < alike < high


def test_the_size_of_a_batch_changes_no_grain():
    pixels = frames(6)
    together = with_grain(pixels)
    blender = Blender(BlendSettings(grain=1.0))
    for first in range(0, 6, 2):
        faces = faces_in(pixels[first : first + 2], first=first)
        alone = paste(pixels[first : first + 2], faces, smooth(faces), blender)
        assert np.array_equal(alone, together[first : first + 2])


def test_noise_has_the_variance_that_is_asked_for_in_each_band():
    missing = np.float32([[9, 2], [1, 0.5], [0.5, 0.1]])
    field = noise(missing, 3.0, 1, (13, 900), (250, 250), "cpu")
    bands = split_bands(opponent(field))
    found = np.stack([band.square().mean(dim=(1, 2)).numpy() for band in bands], -1)
    assert found == pytest.approx(missing, rel=0.12)


@pytest.mark.parametrize("size", [(100, 90), (60, 500)])
def test_noise_is_made_in_strips_that_leave_no_seam(monkeypatch, size):
    missing = np.float32([[9, 2], [1, 0.5], [0.5, 0.1]])
    made = []
    for lines in (1000, 7):
        monkeypatch.setattr(blend_noise, "_LINES_AT_ONCE", {"cpu": lines})
        made.append(noise(missing, 3.3, 1, (13, 350), size, "cpu"))
    assert torch.allclose(made[0], made[1], atol=1e-5)


def test_noise_is_never_finer_than_what_is_missing():
    field = noise(np.float32([[1, 9], [0, 0], [0, 0]]), 0.5, 1, (0, 0), (250, 250), "cpu")
    assert float(split_bands(opponent(field)[0])[0].square().mean()) == pytest.approx(1, rel=0.12)
