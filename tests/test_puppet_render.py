"""The puppet's renderer on a face that is drawn here: lips part, everything else stays what it was."""

import importlib
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch

from lipsync_core.engines import puppet, puppet_geometry, puppet_pose
from lipsync_core.engines.base import EngineSettings
from lipsync_core.engines.puppet_paint import read_palette
from lipsync_core.engines.puppet_render import Motion, read_portrait, render
from lipsync_core.engines.puppet_sample import sharpen
from lipsync_core.types import FaceBatch, Speech

SIDE, UNIT = 360, 80.0
REST, OPEN, SHUT = [0.0] * 5, [0.8, 0.8, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]


def drawn_face(gap=0.0, degrees=0.0, inside=(225, 215, 200)):
    """(S, S, 3) uint8 face with lips `gap` eye distances apart, its landmarks (5, 2) and box (4,)."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) + 0.5
    fx, fy = (x - SIDE / 2) / UNIT, (y - SIDE * 0.62) / UNIT
    image = np.full((SIDE, SIDE, 3), (90, 110, 120), np.float32)
    image[(fx / 1.1) ** 2 + ((fy + 0.55) / 1.35) ** 2 < 1] = (205, 160, 135)
    for side in (-0.5, 0.5):
        eye = ((fx - side) / 0.2) ** 2 + ((fy + 1.1) / 0.09) ** 2 < 1
        image[eye] = (235, 232, 228)
        image[eye & (np.hypot(fx - side, fy + 1.1) < 0.085)] = (60, 40, 30)
    bulge = np.clip(1 - (fx / 0.42) ** 2, 0, None)
    top, bottom = -0.5 * gap * bulge, 0.5 * gap * bulge
    image[(fy > top - 0.11 * bulge) & (fy < bottom + 0.15 * bulge)] = (170, 75, 75)
    image[(fy > top - 0.012) & (fy < bottom + 0.012) & (bulge > 0)] = (70, 25, 25)
    if gap:
        image[(fy > top + 0.01) & (fy < bottom - 0.01)] = inside
    points = np.array([[-0.5, -1.1], [0.5, -1.1], [0, -0.5], [-0.42, 0], [0.42, 0]], np.float32) * UNIT
    points += (SIDE / 2, SIDE * 0.62)
    turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), -degrees, 1.0)
    image = cv2.warpAffine(cv2.GaussianBlur(image, (0, 0), 0.8), turn, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
    points = (points @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
    low, high = points.min(0) - 0.6 * UNIT, points.max(0) + 0.65 * UNIT
    return image.round().astype(np.uint8), points, np.array([*low, *high], np.float32)


def batch_of(face, count=1, still=True, first=0):
    image, points, box = face
    crop = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    rows = lambda a: np.repeat(a[None], count, 0)  # noqa: E731 - three arrays, one rule
    matrices = rows(np.eye(2, 3, dtype=np.float32))
    return FaceBatch(first, crop.expand(count, -1, -1, -1), matrices, rows(points), rows(box), still)


def calm(count):
    return Motion(torch.zeros(count), torch.zeros(count, 3), blinks=False, sways=False)


def rendered(face, *shapes, strength=1.0):
    faces = batch_of(face, len(shapes))
    portrait = read_portrait(faces.crops[0], faces.landmarks[0], faces.boxes_xyxy[0])
    return faces, portrait, render(portrait, faces.crops, torch.tensor(shapes), calm(len(shapes)), strength)


def dark_rows(picture, portrait, x=0.0):
    """Places in face units on the line down through the mouth that are not skin and not lip any more."""
    y = np.arange(-0.1, 0.6, 0.005, dtype=np.float32)
    places = puppet_geometry.apply(portrait.to_crop.numpy(), np.stack([np.full_like(y, x), y], 1)) - 0.5
    line = cv2.remap(picture.permute(1, 2, 0).numpy(), places[None, :, 0], places[None, :, 1], cv2.INTER_LINEAR)[0]
    redness = line[:, 0] - line[:, 1]
    return y[redness < 0.16]


def test_lips_are_found_where_they_were_drawn():
    image, points, box = drawn_face()
    shape = puppet_geometry.find_face(image, points, box)
    middle = puppet_geometry.apply(shape.to_face, np.array([SIDE / 2, SIDE * 0.62], np.float32))
    assert shape.gap == 0
    assert abs(shape.half - 0.42) < 0.06
    assert abs(middle[0]) < 0.04
    assert abs(middle[1] - shape.upper[32]) < 0.03


def test_teeth_that_show_are_seen_as_an_open_mouth():
    shape = puppet_geometry.find_face(*drawn_face(gap=0.2))
    assert shape.gap == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize(("apart", "seen"), [(0.0, False), (0.02, False), (0.13, True)])
def test_a_dark_band_between_the_lips_is_an_open_mouth_and_a_dark_line_is_not(apart, seen):
    image, points, _ = drawn_face(apart, inside=(40, 16, 16))
    patch = puppet_geometry.level_patch(image, puppet_geometry.face_frame(points), (-0.66, -0.36), (63, 41), 48.0)
    fitted = np.array([0, -0.5 * apart, 0, 0.42, 0, 0.11, 0.15, max(apart, 0.04)])
    assert puppet_geometry.shows_inside(patch, fitted) == seen


def test_a_mouth_at_rest_leaves_every_pixel_alone():
    faces, _, result = rendered(drawn_face(), REST)
    assert result.alpha.abs().max() == 0
    assert (result.crops - faces.crops).abs().max() < 1e-5


@pytest.mark.parametrize("degrees", [0, 20, -35])
def test_the_gap_is_as_wide_as_asked_for_however_the_head_is_tilted(degrees):
    _, portrait, result = rendered(drawn_face(degrees=degrees), OPEN)
    rows = dark_rows(result.crops[0], portrait)
    assert rows.max() - rows.min() == pytest.approx(0.28, abs=0.06)


def test_closed_lips_cover_the_teeth_of_a_smile():
    face = drawn_face(gap=0.2)
    faces, portrait, result = rendered(face, SHUT, OPEN)
    before = len(dark_rows(faces.crops[0], portrait))
    assert len(dark_rows(result.crops[0], portrait)) < 0.35 * before
    assert len(dark_rows(result.crops[1], portrait)) > 1.1 * before


def test_rounding_narrows_and_width_widens_the_mouth():
    from lipsync_core.engines.puppet_warp import face_tensors, pose_of

    face = face_tensors([puppet_geometry.find_face(*drawn_face())], "cpu")
    shapes = torch.tensor([[0.3, 0.3, 0, 0, 0], [0.3, 0.3, 1, 0, 0], [0.3, 0.3, 0, 1, 0]])
    plain, wide, round_ = pose_of(face, shapes, 1.0).half.flatten().tolist()
    assert round_ < 0.85 * plain < plain < wide


def test_closure_wins_over_opening():
    faces, _, result = rendered(drawn_face(), [1.0, 1.0, 0, 0, 1.0], SHUT)
    portrait = read_portrait(faces.crops[0], faces.landmarks[0], faces.boxes_xyxy[0])
    rows = dark_rows(result.crops[0], portrait)
    assert len(rows) < 12


def test_nothing_changes_at_the_border_of_the_crop():
    faces = batch_of(drawn_face(), 2)
    portrait = read_portrait(faces.crops[0], faces.landmarks[0], faces.boxes_xyxy[0])
    sway = torch.tensor([[0.02, 0.02, 0.02], [-0.02, 0.01, -0.02]])
    result = render(portrait, faces.crops, torch.tensor([OPEN, OPEN]), Motion(torch.ones(2), sway), 2.0)
    edge = torch.ones(SIDE, SIDE, dtype=torch.bool)
    edge[2:-2, 2:-2] = False
    assert result.alpha[:, 0, edge].max() < 0.02
    assert result.alpha.max() == 1


def test_a_blink_covers_the_eye_with_skin():
    faces = batch_of(drawn_face(), 2)
    portrait = read_portrait(faces.crops[0], faces.landmarks[0], faces.boxes_xyxy[0])
    motion = Motion(torch.tensor([0.0, 1.0]), torch.zeros(2, 3), sways=False)
    result = render(portrait, faces.crops, torch.tensor([REST, REST]), motion, 1.0)
    x, y = faces.landmarks[0, 0].astype(int)
    assert result.crops[0, 0, y, x] < 0.4
    assert result.crops[1, 0, y, x] > 0.6


def test_an_eye_that_was_not_seen_does_not_blink():
    faces = batch_of(drawn_face(), 1)
    portrait = read_portrait(faces.crops[0], faces.landmarks[0], faces.boxes_xyxy[0])
    unseen = portrait.face.eyes.clone()
    unseen[:, :, 3:] = 0
    portrait = replace(portrait, face=replace(portrait.face, eyes=unseen))
    motion = Motion(torch.ones(1), torch.zeros(1, 3), sways=False)
    assert render(portrait, faces.crops, torch.tensor([REST]), motion, 1.0).alpha.max() == 0


def test_blinks_come_every_two_to_six_seconds_and_switch_off():
    times = np.arange(0, 120, 0.04)
    shut = puppet_pose.blink_curve(times, seed=3, amount=1.0)
    starts = times[1:][(shut[1:] > 0) & (shut[:-1] == 0)]
    assert 18 <= len(starts) <= 60
    assert np.diff(starts).min() > 1.8
    assert np.diff(starts).max() < 6.3
    assert shut.max() > 0.9
    assert not puppet_pose.blink_curve(times, 3, 0.0).any()


def test_the_head_starts_at_rest_sways_a_little_and_switches_off():
    times = np.arange(0, 20, 0.04)
    shapes = np.tile((np.sin(np.arange(1600) / 9) ** 2)[:, None], (1, 5)).astype(np.float32)
    sway = puppet_pose.sway_curve(times, shapes, 5, 1.0)
    assert not sway[0].any()
    assert 0.005 < np.abs(sway[:, :2]).max() <= 0.0201
    assert np.abs(np.rad2deg(sway[:, 2])).max() <= 1.0
    assert np.abs(np.diff(sway[:, :2], axis=0)).max() < 0.003
    assert (sway == puppet_pose.sway_curve(times, shapes, 5, 1.0)).all()
    assert not puppet_pose.sway_curve(times, shapes, 5, 0.0).any()


def a_performance(**settings):
    dice = np.random.default_rng(0)
    shapes = np.clip(dice.random((9, 5)), 0, 1).astype(np.float32)
    shapes[:, 4] *= 0.3
    sway = puppet_pose.sway_curve(np.arange(9) / 2.0, shapes, 0, 1.0)
    return puppet.PuppetPerformance(shapes, np.linspace(0, 1, 9, dtype=np.float32), sway, EngineSettings(**settings))


@pytest.mark.parametrize("still", [True, False])
def test_every_split_into_batches_gives_the_same_pictures(still):
    face = drawn_face(gap=0.12)
    whole = a_performance().render(batch_of(face, 5, still))
    pieces = a_performance()
    parts = [pieces.render(batch_of(face, n, still, first)) for first, n in ((0, 1), (1, 3), (4, 1))]
    assert torch.equal(whole.crops, torch.cat([p.crops for p in parts]))
    assert torch.equal(whole.alpha, torch.cat([p.alpha for p in parts]))


def test_every_split_of_a_moving_video_with_a_cut_gives_the_same_pictures():
    frames = [drawn_face(gap=0.05 * i, degrees=2 * i) for i in range(5)]
    crops = torch.stack([torch.from_numpy(f[0]).permute(2, 0, 1).float() / 255 for f in frames])
    crops[3:] *= 0.5
    points, boxes = (np.stack([f[i] for f in frames]) for i in (1, 2))
    matrices = np.tile(np.eye(2, 3, dtype=np.float32), (5, 1, 1))

    def taken(*sizes):
        performance, first = a_performance(), 0
        for size in sizes:
            rows = slice(first, first + size)
            yield performance.render(FaceBatch(first, crops[rows], matrices[rows], points[rows], boxes[rows]))
            first += size

    whole = next(taken(5))
    for sizes in ((1, 1, 1, 1, 1), (2, 3)):
        assert torch.equal(whole.crops, torch.cat([r.crops for r in taken(*sizes)]))
        assert torch.equal(whole.alpha, torch.cat([r.alpha for r in taken(*sizes)]))


def test_a_video_gets_no_blink_and_no_sway():
    performance = a_performance()
    performance.shapes[:] = 0
    face = drawn_face()
    assert performance.render(batch_of(face, 2, still=False, first=4)).alpha.max() == 0
    assert performance.render(batch_of(face, 2, still=True, first=4)).alpha.max() == 1


def test_strength_zero_keeps_the_lips_together():
    performance = a_performance(strength=0.0, blink=0.0, sway=0.0)
    result = performance.render(batch_of(drawn_face(), 3))
    portrait = read_portrait(torch.from_numpy(drawn_face()[0]).permute(2, 0, 1) / 255, *drawn_face()[1:])
    assert all(len(dark_rows(row, portrait)) < 12 for row in result.crops)


def test_the_engine_hears_a_voice_and_asks_for_a_native_crop(monkeypatch):
    heard = np.tile(np.array([0.5, 0.54, 0.1, 0.2, 0.1], np.float32), (160, 1))
    monkeypatch.setattr(puppet.puppet_ear, "load_ear", lambda path: torch.nn.Identity())
    monkeypatch.setattr(puppet.puppet_ear, "hear", lambda network, mel: heard)
    base = importlib.import_module("lipsync_core.runtime")
    engine = puppet.SPEC.load(None, base.Runtime(), EngineSettings(seed=4))
    gate = np.ones(160, np.float32)
    gate[:80] = 0
    performance = engine.listen(Speech(np.zeros((80, 160), np.float32), gate, Fraction(25), 50))
    assert performance.shapes.shape == (50, 5)
    assert performance.shapes[5, 1] == 0
    assert performance.shapes[45, 1] == pytest.approx(0.6, abs=1e-5)
    assert performance.blink.shape == (50,)
    assert performance.sway.shape == (50, 3)
    style = engine.crop_style(200.0)
    assert (style.kind, style.size) == ("native", 1024)
    assert puppet.SPEC.detect({"anything": (1,)}) is None


def test_moving_a_still_picture_does_not_blur_it():
    dice = torch.Generator().manual_seed(0)
    crop = torch.rand(3, 40, 40, generator=dice)
    fine = sharpen(crop, (4, 0, 40, 40))
    assert fine.shape == (1, 3, 79, 71)
    assert torch.allclose(fine[0, :, ::2, ::2], crop[:, :, 4:], atol=1e-5)
    between = fine[0, :, ::2, 1::2]
    halves = (crop[:, :, 4:-1] + crop[:, :, 5:]) / 2
    assert between.std() > 1.1 * halves.std()


def test_a_large_still_picture_is_not_kept_twice():
    assert sharpen(torch.zeros(1, 1000, 1000), (0, 0, 1000, 1000)).shape == (1, 1, 1000, 1000)


def test_lips_are_followed_from_the_frame_before():
    image, points, box = drawn_face(gap=0.15)
    first = puppet_geometry.find_face(image, points, box)
    moved = points + np.float32(3.0)
    again = puppet_geometry.find_face(
        image, moved, box, puppet_geometry.Search(first.followed, afresh=False, eyes=False)
    )
    assert again.gap == pytest.approx(first.gap, abs=0.05)
    assert not again.eyes[:, 3:].any()


def test_a_wrong_mouth_of_the_frame_before_is_given_up():
    image, points, box = drawn_face(gap=0.15)
    right = puppet_geometry.find_face(image, points, box)
    wrong = np.array([0.15, -0.2, 0.2, 0.25, 0.1, 0.05, 0.07, 0.0])
    before = replace(right.followed, lips=wrong)
    found = puppet_geometry.find_face(image, points, box, puppet_geometry.Search(before, afresh=True))
    assert found.continues
    assert np.abs(found.followed.lips - right.followed.lips).max() < 0.05


def test_lips_are_looked_for_anew_after_a_cut():
    image, points, box = drawn_face(gap=0.15)
    right = puppet_geometry.find_face(image, points, box)
    search = puppet_geometry.Search(replace(right.followed, lips=right.followed.lips + 0.1), afresh=False)
    dark = (image * 0.6).astype(np.uint8)
    assert puppet_geometry.find_face(image, points, box, search).continues
    found = puppet_geometry.find_face(dark, points, box, search)
    assert not found.continues
    assert np.abs(found.followed.lips - right.followed.lips).max() < 0.05


def test_the_inside_is_drawn_in_the_light_of_the_picture():
    image, points, box = drawn_face()
    dim = (image * 0.4).astype(np.uint8)
    bright_teeth, dim_teeth = (read_palette(i, puppet_geometry.find_face(i, points, box))[1] for i in (image, dim))
    assert 0.35 < dim_teeth.mean() / bright_teeth.mean() < 0.75
    assert bright_teeth.max() < 0.95


def test_a_blank_picture_is_rendered_without_a_fault():
    blank = np.full((SIDE, SIDE, 3), 127, np.uint8)
    _, points, box = drawn_face()
    faces, _, result = rendered((blank, points, box), REST, OPEN)
    assert result.crops.isfinite().all()
    assert result.crops.shape == faces.crops.shape


def test_what_is_remembered_of_still_faces_stays_small(monkeypatch):
    monkeypatch.setattr(puppet, "_PORTRAITS_KEPT", 2)
    performance = a_performance()
    image, points, box = drawn_face()
    for shift in range(3):
        performance.render(batch_of((image, points + np.float32(shift * 0.1), box)))
    assert len(performance._known) == 2


def test_openings_go_as_far_as_their_targets_and_a_shut_mouth_stays_shut():
    heard = np.array([[0.45, 0.9, 0.2, 0.1, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0], [0.95, 1.15, 0, 0, 0]], np.float32)
    wider = puppet.spread(heard)
    assert wider[0, :2].tolist() == pytest.approx([0.5, 1.0])
    assert wider[:, 2:].tolist() == heard[:, 2:].tolist()
    assert wider[1, :2].tolist() == [0, 0]
    assert wider[2, :2].tolist() == pytest.approx([1.0, 1.2]), "never beyond what can be drawn"
