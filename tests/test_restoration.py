"""Faces enhanced through upright 512 px crops: what stays the same, what moves, and what does not shimmer."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_identity import picture

from lipsync_core.blend import Blender, BlendSettings
from lipsync_core.casting import Actor, Restoring
from lipsync_core.enhancers.restore import Restorer, RestoreSettings
from lipsync_core.enhancers.steady import Detail, detail_between, follow
from lipsync_core.face.align import SIDE, TEMPLATE, cut_aligned, hold, plan_grid
from lipsync_core.face.crop import crop_faces, plan_crops
from lipsync_core.face.mask import MaskSettings
from lipsync_core.geometry import map_points, warp
from lipsync_core.pipeline import perform
from lipsync_core.runtime import BatchSize, Runtime
from lipsync_core.types import CropStyle, FaceTrack, Rendered

RUNTIME = Runtime()
STILL = np.float32([[[1, 0, 0], [0, 1, 0]]])


class Fake:
    """An enhancer of the tests: what it does, and how often it was asked."""

    name, backend, precision = "fake", "test", "fp32"

    def __init__(self, work=lambda faces: faces):
        self.work, self.seen = work, 0

    def restore(self, faces):
        self.seen += len(faces)
        return self.work(faces)


class NoisySharpener(Fake):
    """Sharpens, and adds other noise at each call: worse than any network."""

    def __init__(self, levels=6.0, seed=0):
        self.random, self.levels = torch.Generator().manual_seed(seed), levels
        super().__init__(self.sharpen)

    def sharpen(self, faces):
        blurred = F.avg_pool2d(F.pad(faces, (2, 2, 2, 2), mode="replicate"), 5, 1)
        noise = torch.randn(faces.shape, generator=self.random) * (self.levels / 255)
        return (2 * faces - blurred + noise).clamp(0, 1)


class GivesBack:
    """An engine that makes nothing of its crops; where `mouth` is given, it moves something up and down in it."""

    def __init__(self, mouth=0):
        self.mouth = mouth

    def render(self, faces):
        crops = faces.crops.clone()
        side = crops.shape[-1]
        for row in range(len(crops)):
            opening = (faces.first + row) * 7 % 5 * self.mouth
            crops[row, :, int(side * 0.78) : int(side * 0.78) + opening, int(0.42 * side) : int(0.58 * side)] *= 0.3
        return Rendered(crops)


def actor_for(track, frame_size, enhancer, *, style=None, engine=None, shape="lower_face", region=None, **settings):
    plan = plan_crops(track, style or CropStyle("native", 2048, 1.6), frame_size)
    restorer = Restorer(enhancer, RestoreSettings(**{"strength": 1.0, **settings}))
    return Actor(
        plan, track.active, np.ones(len(track), np.float32), engine or GivesBack(),
        Blender(BlendSettings(0.0)), torch.float32, False, shape,
        MaskSettings(), frame_size, None, BatchSize(4),
        Restoring(restorer, plan_grid(track.landmarks), Blender(BlendSettings(0.0)), region),
    )  # fmt: skip


def weights_of(actor, pixels, first=0):
    """(N, H, W) how far the actor's mask lets the frames change."""
    faces = crop_faces(pixels, actor.plan, first, "cpu", torch.float32)
    mask, count = actor.mask(pixels, faces, Rendered(faces.crops), RUNTIME), len(pixels)
    return mask.cut(np.arange(count), np.zeros((count, 2), np.int64), pixels.shape[1:3], "cpu")[:, 0].numpy()


def repeated(track, count):
    rows = np.zeros(count, np.int64)
    return FaceTrack(track.boxes_xyxy[rows], track.landmarks[rows], track.found[rows], track.active[rows])


# ------------------------------------------------------------------------------------------------ the grid


def test_the_grid_puts_a_face_where_the_networks_know_it():
    angle, scale = 0.4, 0.37
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    landmarks = (TEMPLATE @ turn.T + (300, 200)).astype(np.float32)[None]
    assert map_points(plan_grid(landmarks), landmarks)[0] == pytest.approx(TEMPLATE, abs=0.01)


def test_a_face_that_trembles_has_one_grid_and_one_that_moves_is_followed():
    random = np.random.default_rng(1)
    still = np.repeat(TEMPLATE[None], 40, axis=0)
    trembling = (still + random.uniform(-1.5, 1.5, still.shape)).astype(np.float32)
    assert (plan_grid(trembling) == plan_grid(trembling)[0]).all()
    moving = (still + np.arange(40)[:, None, None] * (9, 4)).astype(np.float32)
    away = map_points(plan_grid(moving), moving) - TEMPLATE
    assert np.abs(away).max() < 8
    assert np.ptp(away[5:], axis=0).max() < 0.1, "the face stands still in its crops"


def test_hold_stays_within_its_band():
    values = np.cumsum(np.random.default_rng(2).normal(0, 1, 200))
    assert np.abs(hold(values, 2.0) - values).max() <= 2 + 1e-9
    assert (hold(np.array([0.0, 1, -1, 1.5]), 2.0) == 0).all()


def test_a_crop_of_a_large_face_skips_no_pixel():
    stripes = np.zeros((1, 2048, 2048, 3), np.uint8)
    stripes[:, :, ::2] = 255
    grid = np.float32([[[0.25, 0, 0], [0, 0.25, 0]]])
    crop = cut_aligned(stripes, grid, "cpu")
    assert float((crop[..., 2:-2] - 0.5).abs().max()) < 1e-3


def test_beyond_the_frame_its_edge_goes_on():
    frame = np.random.default_rng(3).integers(0, 256, (1, 100, 100, 3), np.uint8)
    crop = cut_aligned(frame, np.float32([[[4, 0, 300], [0, 4, 300]]]), "cpu")
    assert crop.shape == (1, 3, SIDE, SIDE)
    corner = torch.from_numpy(frame[0, 0, 0] / 255).float()
    assert crop[0, :, :280, :280].flatten(1).sub(corner[:, None]).abs().max() < 1e-5


def test_a_warp_that_changes_nothing_changes_nothing():
    picture_ = torch.rand(2, 3, SIDE, SIDE)
    still = np.repeat(np.float32([[[1, 0, 0], [0, 1, 0]]]), 2, axis=0)
    assert float((warp(picture_, still, SIDE) - picture_).abs().max()) < 1e-4


# ------------------------------------------------------------------------------------------------ identity


def change_with(enhancer, name, degrees, style, size=1.0, **options):
    """(mean inside the mask, largest outside of it, PSNR inside), in grey levels, of the whole way of one frame."""
    pixels, track = picture(name, degrees, size)
    actor = actor_for(track, (pixels.shape[2], pixels.shape[1]), enhancer, style=style, **options)
    change = np.abs(perform(actor, pixels.copy(), 0, RUNTIME).astype(int) - pixels)
    weight = weights_of(actor, pixels)
    inside = change[weight > 0]
    return inside.mean(), change[weight == 0].max(), 10 * np.log10(255**2 / max(1e-9, (inside**2.0).mean()))


@pytest.mark.parametrize("degrees", [0, 30])
@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("astronaut", CropStyle("box", 384)),
        ("astronaut", CropStyle("native", 1024, 1.6)),
        ("portrait", CropStyle("box", 512)),
        ("portrait", CropStyle("native", 1024, 1.6)),
    ],
)
def test_an_enhancer_that_adds_nothing_gives_the_frame_back(name, style, degrees):
    inside, outside, _ = change_with(Fake(), name, degrees, style)
    assert outside == 0
    assert inside < 0.5


@pytest.mark.parametrize("degrees", [0, 30])
def test_a_face_of_1024_px_survives_the_enhancers_crop(degrees):
    _, outside, psnr = change_with(Fake(), "portrait", degrees, CropStyle("box", 512), size=1024 / 434)
    assert outside == 0
    assert psnr >= 36


def test_the_whole_face_can_be_enhanced_and_nothing_else_is():
    pixels, track = picture("astronaut", 0)
    size = (pixels.shape[2], pixels.shape[1])
    region = MaskSettings("face")
    actor = actor_for(track, size, NoisySharpener(20), region=region)
    change = np.abs(perform(actor, pixels.copy(), 0, RUNTIME).astype(int) - pixels).max(axis=(0, 3))
    assert change[95:105, 195:260].max() > 10, "the eyes"
    assert change[:12].max() == 0
    assert change[200:].max() == 0


def test_light_and_colour_stay_the_frames_own():
    base = torch.rand(1, 3, SIDE, SIDE)
    tinted = base * 1.0 + torch.tensor([0.1, -0.05, 0.2])[:, None, None]
    assert float(detail_between(tinted, base).abs().max()) < 1e-6
    sharper = base + 0.1 * (torch.rand(1, 3, SIDE, SIDE) - 0.5)
    assert float(detail_between(sharper, base).std()) == pytest.approx(0.1 / 12**0.5, rel=0.05)


def test_strength_says_how_much_detail_is_added():
    base = torch.rand(2, 3, SIDE, SIDE) * 0.5 + 0.25
    added = 0.2 * (torch.rand(2, 3, SIDE, SIDE) - 0.5)
    numbers = np.arange(2)

    def at(strength):
        restorer = Restorer(Fake(lambda faces: faces + added[: len(faces)]), RestoreSettings(strength, 0.0))
        return restorer.restore(numbers, base, STILL.repeat(2, axis=0)) - base

    assert float(at(0.0).abs().max()) < 1e-6
    assert float((at(0.5) * 2 - at(1.0)).abs().max()) < 1e-6
    assert float(at(1.0).std()) > 0.05


# ------------------------------------------------------------------------------------------------ flicker


def enhanced(pixels, track, enhancer, batch=4, **options):
    """Frames through an actor, in batches."""
    actor = actor_for(track, (pixels.shape[2], pixels.shape[1]), enhancer, **options)
    out = [
        perform(actor, pixels[first : first + batch].copy(), first, RUNTIME) for first in range(0, len(pixels), batch)
    ]
    return np.concatenate(out), weights_of(actor, pixels)


@pytest.fixture(scope="module")
def portrait_clip():
    """The small portrait, eight times."""
    pixels, track = picture("portrait", 0, 0.5)
    return np.repeat(pixels, 8, axis=0), repeated(track, 8)


def still_change(pixels, track, stability):
    """Mean grey levels from frame to frame inside the mask, away from what moves."""
    out, weight = enhanced(
        pixels, track, NoisySharpener(), engine=GivesBack(mouth=4), stability=stability, shape="lower_face"
    )
    plain, _ = enhanced(pixels, track, Fake(), engine=GivesBack(mouth=4), shape="lower_face")
    moves = np.abs(np.diff(plain.astype(int), axis=0)).max(axis=(0, 3)) > 0
    away = F.max_pool2d(torch.from_numpy(moves)[None].float(), 13, 1, 6)[0].numpy() == 0
    still = (weight[0] > 0.5) & away
    assert still.sum() > 2000
    return np.abs(np.diff(out.astype(int), axis=0))[:, still].mean(axis=(1, 2))


def test_still_skin_does_not_shimmer_while_the_mouth_moves(portrait_clip):
    assert still_change(*portrait_clip, stability=1.0).max() < 0.5
    assert still_change(*portrait_clip, stability=0.0).min() > 2, "without it, this is what flickers"


def test_a_moving_face_changes_at_most_a_tenth_more_than_its_video():
    """A photograph that drifts and trembles under sensor noise, as a talking head does."""
    random = np.random.default_rng(5)
    big, track = picture("astronaut", 0, 2.0)
    frames, landmarks, boxes = [], [], []
    for index in range(10):
        x, y = round(6 * np.sin(index / 5)), round(4 * np.cos(index / 4))
        frame = np.roll(big[0], (y, x), axis=(0, 1))[100:400, 340:640].astype(float)
        frames.append(np.clip(frame + random.normal(0, 2, frame.shape), 0, 255).round().astype(np.uint8))
        shift = np.float32([x - 340, y - 100])
        landmarks.append(track.landmarks[0] + shift + random.normal(0, 0.3, (5, 2)).astype(np.float32))
        boxes.append(track.boxes_xyxy[0] + np.tile(shift, 2))
    pixels, yes = np.stack(frames), np.ones(10, bool)
    moving = FaceTrack(np.stack(boxes), np.stack(landmarks).astype(np.float32), yes, yes)
    out, weight = enhanced(pixels, moving, NoisySharpener())
    inside = (weight[1:] > 0.5) & (weight[:-1] > 0.5)

    def change(frames):
        return np.abs(np.diff(frames.astype(int), axis=0))[inside].mean()

    assert change(out) <= 1.1 * change(pixels)
    assert change(enhanced(pixels, moving, NoisySharpener(), stability=0.0)[0]) > 1.3 * change(pixels)


def test_new_things_get_their_detail_within_two_frames():
    before, now = torch.full((1, 3, 64, 64), 0.3), torch.full((1, 3, 64, 64), 0.6)
    wanted, none = torch.full((1, 3, 64, 64), 0.1), torch.zeros(1, 3, 64, 64)
    detail = follow(Detail(before, none, none, STILL), wanted, now, STILL)
    detail = follow(detail, wanted, now + 0.2, STILL)
    assert float(detail.shown.min()) > 0.07


def test_detail_lies_still_in_the_frame_while_the_crop_moves_over_it():
    base = torch.rand(1, 3, 64, 64)
    detail = Detail(base, torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64), STILL)
    moved = np.float32([[[1, 0, -5], [0, 1, 3]]])  # the crop went 5 px to the right and 3 px up
    shifted = torch.roll(base, (3, -5), dims=(2, 3))
    found = follow(detail, torch.zeros(1, 3, 64, 64), shifted, moved)
    inside = (slice(None), slice(None), slice(16, 48), slice(16, 48))
    change = found.shown - torch.roll(detail.shown, (3, -5), dims=(2, 3))
    assert float(change[inside].abs().max()) * 255 < 0.3


def test_the_size_of_the_batches_changes_nothing(portrait_clip):
    pixels, track = portrait_clip
    options = {"engine": GivesBack(mouth=4)}
    one, _ = enhanced(pixels[:4], repeated(track, 4), NoisySharpener(), batch=1, **options)
    all_, _ = enhanced(pixels[:4], repeated(track, 4), NoisySharpener(), batch=3, **options)
    assert (one == all_).all()


def test_a_batch_that_comes_again_after_memory_ran_out_gives_the_same():
    base = torch.rand(4, 3, SIDE, SIDE)
    brighter = Fake(lambda faces: (faces * 1.1).clamp(0, 1))
    once, twice = (Restorer(brighter, RestoreSettings()) for _ in range(2))
    grid = STILL.repeat(4, axis=0)
    wanted = [once.restore(np.arange(n, n + 2), base[n : n + 2], grid[:2]) for n in (0, 2)]
    for first in (0, 2):
        twice.restore(np.arange(first, first + 2), base[first : first + 2], grid[:2])
    again = [twice.restore(np.array([n]), base[n : n + 1], STILL) for n in (2, 3)]
    assert torch.equal(torch.cat(again), wanted[1])


def test_what_was_just_seen_is_not_enhanced_again(portrait_clip):
    pixels, track = portrait_clip
    fake = Fake()
    enhanced(pixels, track, fake)
    assert fake.seen == 1
    fake = Fake()
    enhanced(pixels, track, fake, engine=GivesBack(mouth=4))
    assert fake.seen == 8


def test_frames_left_as_they_are_cost_nothing_and_break_the_chain(portrait_clip):
    pixels, track = portrait_clip
    active = np.ones(8, bool)
    active[2:5] = False
    fake = NoisySharpener()
    out, _ = enhanced(
        pixels, FaceTrack(track.boxes_xyxy, track.landmarks, track.found, active), fake, engine=GivesBack(mouth=4)
    )
    assert fake.seen == 5
    assert (out[2:5] == pixels[2:5]).all()


def test_memory_that_runs_out_while_enhancing_spoils_no_frame(portrait_clip):
    pixels, track = portrait_clip
    fails = [True]

    def work(faces):
        if len(faces) > 1 and fails:
            fails.clear()
            raise MemoryError
        return (2 * faces - 0.3).clamp(0, 1)

    options = {"engine": GivesBack(mouth=4)}
    troubled, _ = enhanced(pixels[:4], repeated(track, 4), Fake(work), **options)
    fails.clear()
    smooth, _ = enhanced(pixels[:4], repeated(track, 4), Fake(work), **options)
    assert (troubled == smooth).all()
