"""How the puppet looks for lips, and how it moves pixels: the fast ways agree with the plain ones."""

import numpy as np
import pytest
import torch

from lipsync_core.engines import puppet_fit, puppet_geometry, puppet_sample

DICE = np.random.default_rng(5)


def a_patch():
    return (DICE.random((41, 63, 3)) * 200 + 20).astype(np.float32)


def test_what_lies_above_a_curve_is_summed_up_pixel_by_pixel():
    seen = puppet_fit.evidence(a_patch())
    curves = DICE.uniform(-0.5, 0.7, (3, 4, 63))
    sums = puppet_fit._sums_above(curves, seen)
    each = np.diff(seen.below.reshape(-1, 63, 7), axis=0)
    above = seen.y[None, None, :, None] < curves[:, :, None]
    assert np.allclose(sums, np.einsum("kchw,hwm->kcm", above, each), atol=1e-2)


def test_there_is_no_lip_beyond_the_corners_of_the_mouth():
    x = np.linspace(-0.65, 0.65, 63)
    rows = puppet_fit._USUAL + puppet_fit._SPREAD * DICE.standard_normal((20, 8))
    mouth, *curves = puppet_fit.lens(rows, x)
    assert mouth.any()
    assert all((curve[~mouth] == curves[0][~mouth]).all() for curve in curves)


def test_the_cheapest_path_is_the_cheapest_of_all():
    cost = DICE.random((5, 4))
    found = puppet_geometry._cheapest_path(cost, stiffness=0.1)
    places = np.stack(np.meshgrid(*[np.arange(5)] * 4, indexing="ij"), -1).reshape(-1, 4)
    steps = np.diff(places, axis=1)
    total = cost[places, np.arange(4)].sum(1) + 0.1 * (steps**2).sum(1)
    total[(np.abs(steps) > 2).any(1)] = np.inf
    assert found.tolist() == places[total.argmin()].tolist()


@pytest.mark.parametrize("unit", [15.0, 60.0, 140.0])
def test_a_patch_does_not_depend_on_what_lies_far_from_it(unit):
    image = DICE.integers(0, 255, (300, 320, 3)).astype(np.uint8)
    to_face = puppet_geometry._affine(np.array([150.0, 140.0]), np.array([1.0, 0.3]), unit)
    cut = [puppet_geometry.level_patch(image, to_face, (-0.3, -0.2), (20, 15), 33.0)]
    image[:, 250:] = 0
    image[:60] = 0
    cut.append(puppet_geometry.level_patch(image, to_face, (-0.3, -0.2), (20, 15), 33.0))
    assert np.array_equal(*cut)


def test_a_patch_beyond_the_picture_repeats_its_border():
    image = np.zeros((50, 60, 3), np.uint8)
    image[:, -1] = 200
    to_face = puppet_geometry._affine(np.array([500.0, 25.0]), np.array([1.0, 0.0]), 50.0)
    assert (puppet_geometry.level_patch(image, to_face, (-0.3, -0.2), (20, 15), 50.0) == 200).all()


def test_opencv_and_pytorch_move_pixels_alike():
    picture = torch.rand(2, 3, 39, 47)
    places = torch.rand(2, 2, 15, 20) * torch.tensor([50.0, 42.0])[:, None, None] - 2
    ours, theirs = torch.zeros(2, 3, 15, 20), torch.zeros(2, 3, 15, 20)
    puppet_sample._remap(puppet_sample.for_sampling(picture), places, ours)
    puppet_sample._grid_sample(picture, places.clone(), theirs)
    assert (ours - theirs).abs().max() < 0.04  # OpenCV 4 knows places to 1/32 px


def test_a_shift_of_nothing_gives_the_picture_and_one_of_whole_pixels_its_neighbours():
    crop = torch.rand(1, 3, 30, 30)
    frame, area = (0, 0, 30, 30), (5, 8, 25, 28)
    fine = puppet_sample.for_sampling(puppet_sample.sharpen(crop[0], frame))
    for x, y in ((0, 0), (3, -2)):
        shift = torch.tensor([float(x), float(y)])[None, :, None, None].repeat(1, 1, 20, 20)
        out = torch.zeros(1, 3, 20, 20)
        puppet_sample.sample(fine, frame, shift, area, out)
        there = (5 + x, 8 + y, 25 + x, 28 + y)
        assert torch.allclose(out, puppet_sample.part(crop, frame, there), atol=1e-5)


def test_a_coarse_slope_is_enlarged_to_a_fine_one():
    coarse = torch.arange(6.0)[None, None, None, :].repeat(1, 1, 4, 1)
    fine = torch.zeros(1, 1, 14, 22)
    puppet_sample.enlarge(coarse, 4, fine)
    assert torch.allclose(fine[0, 0, 3].diff()[2:-2], torch.full((17,), 0.25), atol=1e-6)


def test_opencv_and_pytorch_enlarge_alike():
    coarse = torch.rand(2, 3, 4, 6)
    ours, theirs = torch.zeros(2, 3, 14, 22), torch.zeros(2, 3, 14, 22)
    puppet_sample._resize(coarse, 4, ours)
    puppet_sample._interpolate(coarse, 4, theirs)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_only_a_cpu_wants_a_fourth_channel():
    assert puppet_sample.for_sampling(torch.zeros(1, 3, 6, 8)).shape == (1, 4, 6, 8)
    assert puppet_sample.for_sampling(torch.zeros(1, 3, 6, 8, device="meta")).shape == (1, 3, 6, 8)
