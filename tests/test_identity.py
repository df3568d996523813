"""On pictures, upright and tilted: a generator that gives its crop back gives the frame back, and a bad one no seam."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from lipsync_core.blend import Blender, BlendSettings
from lipsync_core.blend_fit import read_fitted
from lipsync_core.face.crop import crop_faces, plan_crops
from lipsync_core.face.mask import MaskSettings, mask_faces
from lipsync_core.types import CropStyle, FaceTrack, Rendered

PORTRAIT = Path(__file__).parents[1] / "models/demo/portrait.png"
# Where the cascade finds the faces: box, then eyes, nose and corners of the mouth.
PLACES = {
    "portrait": [225.3, 129.6, 549, 563.8, 316.3, 300.2, 461, 299.1, 395.4, 373.6, 331.6, 469.9, 434.4, 471.2],
    "astronaut": [181.9, 54.6, 268.3, 170.6, 202.9, 100.9, 248.4, 102.9, 227.4, 127, 203.6, 140.3, 243.7, 141],
}


@cache
def picture(name, degrees, size=1.0):
    """One frame and its face, tilted around the face's middle."""
    pixels = skimage.data.astronaut() if name == "astronaut" else cv2.imread(str(PORTRAIT))[:, :, ::-1]
    points = np.float32(PLACES[name]).reshape(-1, 2)
    turn = cv2.getRotationMatrix2D(points[:2].mean(axis=0).tolist(), -degrees, size)
    turn[:, 2] += (size - 1) * points[:2].mean(axis=0)
    frame_size = (round(pixels.shape[1] * size), round(pixels.shape[0] * size))
    pixels = cv2.warpAffine(pixels, turn, frame_size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    landmarks = points[2:] @ turn[:, :2].T + turn[:, 2]
    middle = points[:2].mean(axis=0) @ turn[:, :2].T + turn[:, 2]
    half = (points[1] - points[0]) / 2 * size
    boxes = np.concatenate([middle - half, middle + half])[None].astype(np.float32)
    yes = np.ones(1, bool)
    return pixels[None], FaceTrack(boxes, landmarks[None].astype(np.float32), yes, yes)


def given_back(name, degrees, style, shape, size=1.0, **options):
    """(grey levels inside the mask, largest outside of it, PSNR inside) after pasting the crops themselves."""
    pixels, track = picture(name, degrees, size)
    frame_size = (pixels.shape[2], pixels.shape[1])
    faces = crop_faces(pixels, plan_crops(track, style, frame_size), 0, "cpu", torch.float32)
    mask = mask_faces(faces, shape, MaskSettings(), frame_size)
    out = Blender(BlendSettings(**options)).blend(pixels.copy(), faces, Rendered(faces.crops), mask)
    weight = mask.cut(np.zeros(1, np.int64), np.zeros((1, 2), np.int64), pixels.shape[1:3], "cpu")[:, 0].numpy()
    change = np.abs(out.astype(int) - pixels)
    inside = change[weight > 0]
    return inside.mean(), change[weight == 0].max(), 10 * np.log10(255**2 / max(1e-9, (inside**2.0).mean()))


@pytest.mark.parametrize("paste", ["feather", "pyramid"])
@pytest.mark.parametrize("shape", ["mouth", "lower_face", "face", "ellipse", "box"])
@pytest.mark.parametrize("degrees", [0, 30])
@pytest.mark.parametrize(("name", "side"), [("astronaut", 128), ("astronaut", 384), ("portrait", 512)])
def test_a_crop_as_large_as_its_face_gives_the_frame_back(name, side, degrees, shape, paste):
    inside, outside, _ = given_back(name, degrees, CropStyle("box", side), shape, paste=paste)
    assert outside == 0
    assert inside < 0.5


@pytest.mark.parametrize("degrees", [0, 30])
def test_a_face_of_1024_px_survives_a_crop_of_512_px(degrees):
    _, outside, psnr = given_back("portrait", degrees, CropStyle("box", 512), "ellipse", size=1024 / 434)
    assert outside == 0
    assert psnr >= 36


def test_enlarged_faces_are_read_back_far_better_than_between_their_pixels():
    rng = np.random.default_rng(3)
    frame = cv2.GaussianBlur(rng.normal(128, 40, (90, 90)), None, 0.7).astype(np.float32)
    crop = cv2.resize(frame, (130, 130), interpolation=cv2.INTER_LINEAR)
    matrix = np.float32([[[130 / 90, 0, 0], [0, 130 / 90, 0]]])
    back = read_fitted(torch.from_numpy(crop)[None, None], matrix, 130, np.array([[20, 30]]), (32, 48))[0, 0].numpy()
    plain = cv2.resize(crop, (90, 90), interpolation=cv2.INTER_CUBIC)[30:62, 20:68]
    wanted = frame[30:62, 20:68]
    assert np.abs(back - wanted).mean() < 0.25 * np.abs(plain - wanted).mean()


def test_reading_back_invents_no_light():
    crop = torch.full((1, 3, 300, 300), 0.25)
    matrix = np.float32([[[3, 0, -30.5], [0, 3, -61]]])
    back = read_fitted(crop, matrix, 300, np.array([[2, 12]]), (112, 112))
    assert back.min() == pytest.approx(0.25, abs=1e-5)
    assert back.max() == pytest.approx(0.25, abs=1e-5)


def darker(crops):
    """15 % darker, and blurred."""
    soft = torch.nn.functional.avg_pool2d(crops, 5, 1, 2, count_include_pad=False)
    return 0.85 * torch.nn.functional.avg_pool2d(soft, 5, 1, 2, count_include_pad=False)


def seam_energy(pixels, weight):
    """Mean squared gradient of luma along the mask's edge."""
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    across, along = np.diff(luma, axis=2, append=luma[:, :, -1:]), np.diff(luma, axis=1, append=luma[:, -1:])
    return (across**2 + along**2)[(weight > 0.02) & (weight < 0.98)].mean()


@pytest.mark.parametrize("paste", ["feather", "pyramid"])
@pytest.mark.parametrize("shape", ["mouth", "lower_face", "face", "ellipse", "box"])
@pytest.mark.parametrize("degrees", [0, 30])
@pytest.mark.parametrize(("name", "side"), [("astronaut", 96), ("astronaut", 384), ("portrait", 96), ("portrait", 512)])
def test_a_darker_and_blurred_mouth_shows_no_seam_on_pictures(name, side, degrees, shape, paste):
    pixels, track = picture(name, degrees)
    frame_size = (pixels.shape[2], pixels.shape[1])
    faces = crop_faces(pixels, plan_crops(track, CropStyle("box", side), frame_size), 0, "cpu", torch.float32)
    mask = mask_faces(faces, shape, MaskSettings(), frame_size)
    weight = mask.cut(np.zeros(1, np.int64), np.zeros((1, 2), np.int64), pixels.shape[1:3], "cpu")[:, 0].numpy()
    settings = BlendSettings(paste=paste, grain=1.0)
    out = Blender(settings).blend(pixels.copy(), faces, Rendered(darker(faces.crops)), mask)
    assert seam_energy(out, weight) <= 1.1 * seam_energy(pixels, weight)
