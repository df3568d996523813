"""Pasting: what must not change does not, and what changes shows no edge."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsync_core import blend_regions
from lipsync_core.blend import Blender, BlendSettings
from lipsync_core.blend_colour import steady
from lipsync_core.blend_pyramid import blend_pyramid, pyramid_levels
from lipsync_core.face.crop import crop_faces, plan_crops
from lipsync_core.face.mask import MaskSettings, mask_faces
from lipsync_core.geometry import map_points
from lipsync_core.types import CropStyle, FaceBatch, FaceTrack, Rendered

SHARED = Path(__file__).parents[1].parent / "shared"
LANDMARKS = np.array([[0.31, 0.40], [0.69, 0.40], [0.50, 0.60], [0.35, 0.78], [0.65, 0.78]], np.float32)
SHAPES = ("mouth", "lower_face", "ellipse", "box")
STYLES = (CropStyle("box", 96), CropStyle("box", 256), CropStyle("native", 256, 1.4), CropStyle("native", 40, 1.4))
IDS = ("box 96", "box 256", "native", "native halved")


def track(*boxes, degrees=0.0):
    """Faces whose landmarks are turned in their boxes."""
    boxes = np.array(boxes, np.float32)
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    places = ((LANDMARKS - 0.5) @ turn.T + 0.5).astype(np.float32)
    landmarks = boxes[:, None, :2] + places * (boxes[:, 2:] - boxes[:, :2])[:, None]
    return FaceTrack(boxes, landmarks.astype(np.float32), np.ones(len(boxes), bool), np.ones(len(boxes), bool))


def skin(count=1, height=240, width=320, grain=3.0):
    """Frames with soft light, folds and grain, different in each row."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:height, :width]
    light = 150 + 40 * np.sin(x / 47) * np.cos(y / 31) + 12 * np.sin(x / 5 + y / 7)
    rows = []
    for row in range(count):
        tinted = (light + row)[:, :, None] * [1.0, 0.8, 0.7]
        noise = cv2.GaussianBlur(rng.normal(0, grain, (height, width)), None, 0.6)  # as lenses and codecs leave it
        rows.append(tinted + noise[:, :, None])
    return np.clip(np.rint(rows), 0, 255).astype(np.uint8)


class Scene:
    """Frames, the faces cut out of them and their mask."""

    def __init__(self, pixels, faces, style=STYLES[0], shape="lower_face", **mask):
        self.pixels, self.frame_size = pixels, (pixels.shape[2], pixels.shape[1])
        self.plan = plan_crops(faces, style, self.frame_size)
        self.faces = crop_faces(pixels, self.plan, 0, "cpu", torch.float32)
        self.mask = mask_faces(self.faces, shape, MaskSettings(**mask), self.frame_size)

    def paste(self, new, alpha=None, active=None, masked=True, **options):
        rendered = Rendered(new, alpha)
        mask = self.mask if masked else None
        return Blender(BlendSettings(**options)).blend(self.pixels.copy(), self.faces, rendered, mask, active)

    def weights(self):
        """(N, H, W) of the mask over the whole frames."""
        rows = np.arange(len(self.pixels))
        size = (self.frame_size[1], self.frame_size[0])
        return self.mask.cut(rows, np.zeros((len(rows), 2), np.int64), size, "cpu")[:, 0].numpy()


def difference(one, other):
    return np.abs(one.astype(int) - other)


# What must not change


@pytest.mark.parametrize("paste", ["feather", "pyramid"])
@pytest.mark.parametrize("style", STYLES, ids=IDS)
@settings(deadline=None, max_examples=12)
@given(
    shape=st.sampled_from(SHAPES), x=st.integers(-60, 300), y=st.integers(-60, 220),
    size=st.sampled_from([20, 90, 200]), degrees=st.floats(-30, 30),
    feather=st.sampled_from([0.0, 0.08, 0.4]), seed=st.integers(0, 99),
)  # fmt: skip
def test_pixels_outside_the_mask_are_bit_identical(style, paste, shape, x, y, size, degrees, feather, seed):
    scene = Scene(skin(), track((x, y, x + size, y + 1.2 * size), degrees=degrees), style, shape, feather=feather)
    noise = torch.rand(scene.faces.crops.shape, generator=torch.Generator().manual_seed(seed))
    out = scene.paste(noise, paste=paste)
    assert not difference(out, scene.pixels)[scene.weights() == 0].any()


@pytest.mark.parametrize("style", [CropStyle("box", 20), *STYLES], ids=["box 20", *IDS])
@settings(deadline=None, max_examples=12)
@given(x=st.integers(-60, 250), y=st.integers(-60, 170), degrees=st.sampled_from([0.0, 20.0]), alpha=st.booleans())
def test_a_large_rectangle_is_pasted_in_strips_that_leave_no_seam(style, x, y, degrees, alpha):
    scene = Scene(skin(), track((x, y, x + 150, y + 190), degrees=degrees), style)
    new = 0.8 * torch.rand(scene.faces.crops.shape, generator=torch.Generator().manual_seed(1))
    part = torch.ones_like(new[:, :1]).tril() if alpha else None
    pasted = []
    for budget in (2**30, 1, 4000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(blend_regions, "_BUDGET", {"cpu": budget})
            pasted.append(scene.paste(new, part, grain=1.0))
    assert difference(pasted[0], pasted[1]).max() <= 1
    assert difference(pasted[0], pasted[2]).max() <= 1


@pytest.mark.parametrize("paste", ["feather", "pyramid"])
@settings(deadline=None, max_examples=25)
@given(
    shape=st.sampled_from(SHAPES), x=st.integers(-60, 300), y=st.integers(-60, 220),
    size=st.sampled_from([20, 90, 170]), degrees=st.floats(-30, 30),
)  # fmt: skip
def test_a_native_crop_pasted_back_gives_the_frame_exactly(paste, shape, x, y, size, degrees):
    scene = Scene(skin(grain=20), track((x, y, x + size, y + size), degrees=degrees), STYLES[2], shape)
    assert scene.plan.halvings == 0
    assert np.array_equal(scene.paste(scene.faces.crops, paste=paste), scene.pixels)


@pytest.mark.parametrize("paste", ["feather", "pyramid"])
@settings(deadline=None, max_examples=25)
@given(
    x=st.floats(-40, 250), y=st.floats(-40, 150), size=st.floats(60, 200), degrees=st.floats(-30, 30),
    crop=st.sampled_from([208, 256, 512, 700]),
)  # fmt: skip
def test_a_crop_at_least_as_large_as_the_face_gives_the_frame_back(paste, x, y, size, degrees, crop):
    scene = Scene(skin(), track((x, y, x + size, y + size), degrees=degrees), CropStyle("box", crop), "ellipse")
    changed = difference(scene.paste(scene.faces.crops, paste=paste), scene.pixels)[scene.weights() > 0]
    assert changed.size == 0 or changed.mean() < 0.5


def test_a_face_of_1024_px_survives_a_crop_of_512():
    pixels = cv2.resize(skin(grain=0)[0], (1300, 1200), interpolation=cv2.INTER_CUBIC)[None]
    pixels = np.clip(pixels + np.random.default_rng(0).normal(0, 2, pixels.shape[1:3])[None, ..., None], 0, 255)
    for style in (CropStyle("box", 512), CropStyle("native", 512, 1.0)):
        scene = Scene(pixels.astype(np.uint8), track((130, 90, 1154, 1114), degrees=30), style, "ellipse")
        changed = difference(scene.paste(scene.faces.crops), scene.pixels)[scene.weights() > 0]
        assert 10 * np.log10(255**2 / (changed**2.0).mean()) >= 36


@pytest.mark.parametrize("degrees", [0, 30])
def test_a_turned_crop_gives_the_frame_back(degrees):
    pixels = skin()
    angle = np.deg2rad(degrees)
    linear = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * 1.5
    matrix = np.concatenate([linear, (120 - linear @ [160.0, 120.0])[:, None]], axis=1).astype(np.float32)
    crop = cv2.warpAffine(
        pixels[0].astype(np.float32), matrix + np.float32([[0, 0, s] for s in (linear.sum(1) - 1) / 2]), (240, 240),
        flags=cv2.INTER_CUBIC,
    )  # fmt: skip
    crops = torch.from_numpy(crop / 255).permute(2, 0, 1)[None]
    landmarks = np.float32([[[80, 90], [160, 90], [120, 130], [90, 170], [150, 170]]])
    faces = FaceBatch(0, crops, matrix[None], landmarks, np.float32([[0, 0, 240, 240]]))
    mask = mask_faces(faces, "lower_face", MaskSettings(), (320, 240))
    out = Blender(BlendSettings()).blend(pixels.copy(), faces, Rendered(crops), mask)
    weight = mask.cut(np.zeros(1, np.int64), np.zeros((1, 2), np.int64), (240, 320), "cpu")[:, 0].numpy()
    assert difference(out, pixels)[weight > 0].mean() < 0.5
    assert not difference(out, pixels)[weight == 0].any()


def test_inactive_frames_are_left_alone():
    scene = Scene(skin(4), track(*[(90, 40, 220, 200)] * 4))
    out = scene.paste(scene.faces.crops * 0.5, active=np.array([True, False, True, False]), colour_match=0.0)
    changed = difference(out, scene.pixels).any(axis=(1, 2, 3))
    assert changed.tolist() == [True, False, True, False]
    assert np.array_equal(scene.paste(scene.faces.crops * 0.5, active=np.zeros(4, bool)), scene.pixels)


def test_no_opacity_changes_nothing_and_half_of_it_half():
    scene = Scene(skin(), track((90, 40, 220, 200)), STYLES[2])
    full = difference(scene.paste(scene.faces.crops * 0.5, colour_match=0.0), scene.pixels)
    half = difference(scene.paste(scene.faces.crops * 0.5, colour_match=0.0, opacity=0.5), scene.pixels)
    assert np.array_equal(scene.paste(scene.faces.crops * 0.5, opacity=0.0), scene.pixels)
    assert full.max() > 50
    assert np.abs(half - full / 2).max() <= 1


@pytest.mark.parametrize("paste", ["feather", "pyramid"])
@pytest.mark.parametrize("style", STYLES, ids=IDS)
def test_the_size_of_a_batch_changes_no_pixel(style, paste):
    boxes = [(-20 + 30 * i, -10 + 20 * i, 100 + 31.3 * i, 120 + 20.7 * i) for i in range(8)]
    scene = Scene(skin(8), track(*boxes, degrees=12), style)
    noise = torch.rand(scene.faces.crops.shape, generator=torch.Generator().manual_seed(1))
    new = 0.7 * scene.faces.crops + 0.15 * noise
    together = scene.paste(new, paste=paste)
    one_by_one = Blender(BlendSettings(paste=paste))
    for row in range(8):
        faces = crop_faces(scene.pixels[row : row + 1], scene.plan, row, "cpu", torch.float32)
        mask = mask_faces(faces, "lower_face", MaskSettings(), scene.frame_size)
        alone = one_by_one.blend(scene.pixels[row : row + 1].copy(), faces, Rendered(new[row : row + 1]), mask)
        assert np.array_equal(alone[0], together[row])


def test_frames_are_changed_in_place_unless_they_share_memory():
    scene = Scene(skin(2), track((90, 40, 220, 200), (90, 40, 220, 200)))
    rendered = Rendered(scene.faces.crops * 0.5)
    own = scene.pixels.copy()
    assert Blender(BlendSettings(colour_match=0.0)).blend(own, scene.faces, rendered, scene.mask) is own
    shared = np.broadcast_to(scene.pixels[:1], scene.pixels.shape)
    before = shared.copy()
    out = Blender(BlendSettings(colour_match=0.0)).blend(shared, scene.faces, rendered, scene.mask)
    assert np.array_equal(shared, before)
    assert difference(out, before).any(axis=(1, 2, 3)).all()


# Where to paste


def test_without_softness_the_paste_is_the_published_one():
    scene = Scene(skin(), track((70, 30, 201, 190)), STYLES[0], "box", feather=0.0)
    new = torch.rand(scene.faces.crops.shape, generator=torch.Generator().manual_seed(3))
    expected = scene.pixels[0].copy().astype(np.float32)
    expected[30:190, 70:201] = cv2.resize(new[0].permute(1, 2, 0).numpy() * 255, (131, 160))
    assert np.abs(scene.paste(new, colour_match=0.0)[0] - expected).max() < 0.6


@pytest.mark.parametrize("style", [STYLES[2], STYLES[3]], ids=["native", "native halved"])
def test_an_engines_alpha_says_where_to_paste(style):
    scene = Scene(skin(2), track(*[(90, 40, 220, 200)] * 2), style)
    side = scene.plan.size
    alpha = torch.zeros(2, 1, side, side)
    alpha[0, :, side // 2 : side // 2 + 8, side // 4 : side // 4 + 8] = 1
    out = scene.paste(torch.zeros_like(scene.faces.crops), alpha, masked=False, colour_match=0.0)
    step = 2**scene.plan.halvings
    left, top = scene.plan.areas[0, :2] + np.array([side // 4, side // 2]) * step
    changed = difference(out, scene.pixels).max(axis=3) > 0
    assert (out[0, top + step : top + 7 * step, left + step : left + 7 * step] == 0).all()
    changed[0, top - step : top + 9 * step, left - step : left + 9 * step] = False
    assert not changed.any()


def test_a_mask_and_an_alpha_multiply():
    scene = Scene(skin(), track((90, 40, 220, 200)), STYLES[2], "box", feather=0.0)
    side = scene.plan.size
    alpha = torch.zeros(1, 1, side, side)
    alpha[..., : side // 2] = 0.5
    out = scene.paste(torch.zeros_like(scene.faces.crops), alpha, colour_match=0.0)
    expected = scene.pixels[0].astype(np.float32)
    middle = int(scene.plan.areas[0, 0]) + side // 2
    expected[40:200, 90:middle] *= 0.5
    assert np.abs(out[0] - expected).max() <= 0.5


def test_an_alpha_up_to_the_crops_edge_does_not_leave_the_crop():
    scene = Scene(skin(), track((90.5, 40.5, 180.25, 140)), STYLES[1])
    out = scene.paste(torch.zeros_like(scene.faces.crops), torch.ones(1, 1, 256, 256), masked=False, colour_match=0.0)
    changed = difference(out, scene.pixels)[0].max(axis=2) > 0
    rows, columns = np.nonzero(changed)
    assert (columns.min(), columns.max()) == (91, 179)
    assert (rows.min(), rows.max()) == (41, 139)


def test_an_empty_alpha_changes_nothing():
    scene = Scene(skin(), track((90, 40, 220, 200)), STYLES[2])
    alpha = torch.zeros(1, 1, scene.plan.size, scene.plan.size)
    assert np.array_equal(scene.paste(scene.faces.crops * 0, alpha, masked=False), scene.pixels)


def test_an_alpha_that_lies_beyond_the_frame_changes_nothing():
    scene = Scene(skin(), track((-60, 40, 60, 160)), STYLES[2])
    alpha = torch.zeros(1, 1, scene.plan.size, scene.plan.size)
    alpha[..., :30] = 1
    assert np.array_equal(scene.paste(scene.faces.crops * 0, alpha, masked=False, colour_match=0.0), scene.pixels)


def test_a_larger_picture_from_an_enhancer_covers_the_same_area():
    scene = Scene(skin(), track((90, 40, 186, 136)))
    larger = torch.nn.functional.interpolate(scene.faces.crops, scale_factor=5, mode="bicubic").clamp(0, 1)
    changed = difference(scene.paste(larger), scene.pixels)[scene.weights() > 0]
    assert changed.mean() < 1


def test_somewhere_has_to_be_pasted():
    scene = Scene(skin(), track((90, 40, 220, 200)))
    with pytest.raises(ValueError, match="neither a mask nor an alpha"):
        scene.paste(scene.faces.crops, masked=False)
    with pytest.raises(ValueError, match="paste 'poisson'"):
        BlendSettings(paste="poisson")


@pytest.mark.parametrize("paste", ["feather", "pyramid"])
@pytest.mark.parametrize("side", [20, 2000])
def test_tiny_and_huge_faces_are_pasted(side, paste):
    pixels = np.full((1, side + 60, side + 40, 3), 120, np.uint8)
    scene = Scene(pixels, track((20, 30, 20 + side, 30 + side)))
    out = scene.paste(torch.full_like(scene.faces.crops, 0.2), colour_match=0.0, paste=paste)
    mouth = (20 + side // 2, 30 + int(side * 0.78))
    assert out[0, mouth[1], mouth[0]].tolist() == pytest.approx([51] * 3, abs=4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_reduced_precision_of_an_engine_is_pasted_as_well(dtype):
    scene = Scene(skin(2), track(*[(90, 40, 220, 200)] * 2))
    new = scene.faces.crops * 0.9
    full = scene.paste(new)
    assert difference(scene.paste(new.to(dtype)), full).max() <= 2


# What must not show


def darker(crops, blur=1.2):
    kernel = torch.from_numpy(cv2.getGaussianKernel(9, blur).astype(np.float32))
    weights = (kernel @ kernel.T).expand(3, 1, 9, 9)
    padded = torch.nn.functional.pad(crops, (4, 4, 4, 4), mode="replicate")
    return torch.nn.functional.conv2d(padded, weights, groups=3) * 0.85


def seam_energy(pixels, weights):
    """Mean squared gradient of luma along the mask's edge."""
    band = (weights > 0.02) & (weights < 0.98)
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    across, along = np.diff(luma, axis=2, append=luma[:, :, -1:]), np.diff(luma, axis=1, append=luma[:, -1:])
    return (across**2 + along**2)[band].mean()


@pytest.mark.parametrize("paste", ["feather", "pyramid"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_darker_and_blurred_mouth_shows_no_seam(shape, paste):
    scene = Scene(skin(grain=0), track((90, 40, 220, 200), degrees=15), STYLES[1], shape)
    before = seam_energy(scene.pixels, scene.weights())
    assert seam_energy(scene.paste(darker(scene.faces.crops), paste=paste), scene.weights()) <= 1.1 * before
    assert seam_energy(scene.paste(scene.faces.crops * 0.85, paste=paste), scene.weights()) <= 1.1 * before


def test_the_same_mouth_shows_a_seam_when_nothing_hides_it():
    scene = Scene(skin(grain=0), track((90, 40, 220, 200)), STYLES[1], "box", feather=0.02)
    out = scene.paste(scene.faces.crops * 0.85, colour_match=0.0)
    assert seam_energy(out, scene.weights()) > 2 * seam_energy(scene.pixels, scene.weights())


@pytest.mark.parametrize("change", ["darker", "tinted", "flat"])
def test_a_colour_cast_is_taken_away(change):
    scene = Scene(skin(), track((90, 40, 220, 200)), STYLES[2])
    crops = scene.faces.crops
    tint = torch.tensor([1.08, 0.95, 0.9]).view(1, 3, 1, 1)
    cast = {"darker": crops * 0.85, "tinted": (crops * tint).clamp(0, 1), "flat": crops * 0.8 + 0.1}[change]
    inside = scene.weights() > 0.9
    unmatched = difference(scene.paste(cast, colour_match=0.0), scene.pixels)[inside].mean()
    matched = difference(scene.paste(cast), scene.pixels)[inside].mean()
    half = difference(scene.paste(cast, colour_match=0.5), scene.pixels)[inside].mean()
    assert matched < 0.35 * unmatched
    assert matched < half < unmatched


def test_a_flickering_colour_is_steadied():
    count = 30
    scene = Scene(np.repeat(skin(), count, axis=0), track(*[(90, 40, 220, 200)] * count), STYLES[2])
    gains = 0.9 + 0.02 * np.random.default_rng(2).standard_normal(count)
    out = scene.paste(scene.faces.crops, colour_match=0.0)
    new = scene.faces.crops * torch.from_numpy(gains.astype(np.float32)).view(-1, 1, 1, 1)
    rim = (scene.weights()[0] > 0.3) & (scene.weights()[0] < 0.7)
    out = scene.paste(new)[:, rim].mean(axis=(1, 2))
    raw = scene.paste(new, colour_match=0.0)[:, rim].mean(axis=(1, 2))
    assert np.abs(out - scene.pixels[0, rim].mean()).mean() < 0.25 * np.abs(raw - scene.pixels[0, rim].mean()).mean()


def test_small_changes_of_a_correction_are_smoothed_and_large_ones_followed():
    calm, _ = steady(np.zeros(6), np.full((1, 6), 0.008))
    jump, last = steady(np.zeros(6), np.full((1, 6), 0.2))
    first, _ = steady(None, np.full((1, 6), 0.5))
    assert calm == pytest.approx(np.full((1, 6), 0.001))
    assert jump == pytest.approx(np.full((1, 6), 0.2))
    assert last == pytest.approx(np.full(6, 0.2))
    assert first == pytest.approx(np.full((1, 6), 0.5))


def test_a_pyramid_spreads_a_difference_in_light_over_a_hard_mask():
    mask = torch.zeros(1, 1, 128, 128)
    mask[..., 24:104] = 1
    frame = torch.full((1, 3, 128, 128), 100.0)
    light = blend_pyramid(frame, frame + 40, mask, 3)[0, 0, 64]
    assert light[64] == pytest.approx(140, abs=0.5)
    assert (light[:24] == 100).all()
    assert (light[104:] == 100).all()
    assert light.diff().abs().max() < 12  # without it, one step of 40


def test_a_pyramid_keeps_detail_up_to_the_edge():
    mask = torch.zeros(1, 1, 128, 128)
    mask[..., 24:104] = 1
    frame = torch.full((1, 3, 128, 128), 100.0)
    detail = torch.zeros(128)
    detail[::2], detail[1::2] = 20, -20
    pasted = blend_pyramid(frame, frame + detail, mask, 3)[0, 0, 64]
    assert (pasted[24:104] - 100) == pytest.approx(detail[24:104], abs=1e-3)


def test_the_levels_of_a_pyramid_follow_the_face_but_do_not_waver():
    assert [pyramid_levels(width) for width in (4, 20, 63, 64, 300, 9000)] == [1, 1, 1, 2, 4, 7]
    assert pyramid_levels(60, last=2) == 2
    assert pyramid_levels(50, last=2) == 1
    assert pyramid_levels(200, last=2) == 3


def test_a_speaking_sample_shows_no_seam():
    av = pytest.importorskip("av")
    path = SHARED / "samples/video/talk_1.mp4"
    if not path.exists():
        pytest.skip("the sample videos are not here")
    with av.open(str(path)) as container:
        pixels = np.stack(
            [f.to_ndarray(format="rgb24") for _, f in zip(range(4), container.decode(video=0), strict=False)]
        )
    faces = track(*[(252, 172, 449, 451)] * 4)
    for shape in SHAPES:
        for paste in ("feather", "pyramid"):
            scene = Scene(pixels, faces, STYLES[0], shape)
            out = scene.paste(darker(scene.faces.crops), paste=paste)
            assert seam_energy(out, scene.weights()) <= 1.1 * seam_energy(pixels, scene.weights())


def test_points_go_where_the_matrix_says():
    moved = map_points(np.float32([[[2, 0, 5], [0, 3, -1]]]), np.float32([[[1, 1], [0, 2]]]))
    assert moved.tolist() == [[[7, 2], [5, 5]]]
