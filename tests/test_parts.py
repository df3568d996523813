"""Masks that know what they see: hands stay in front, and the face ends where it ends."""

import numpy as np
import pytest
import torch
from demo_media import BOX as BOX_TEXT
from demo_media import portrait_video, quiet_runtime, short_voice
from safetensors.torch import save_file

from lipsync_core import casting, weights
from lipsync_core.blend import Blender, BlendSettings
from lipsync_core.errors import WeightsError
from lipsync_core.face.align import plan_grid
from lipsync_core.face.crop import crop_faces, plan_crops
from lipsync_core.face.mask import MaskSettings, mask_faces
from lipsync_core.face.parse import PARSERS, FaceParser, find_parser, load_parser
from lipsync_core.face.parts import PartFinder
from lipsync_core.geometry import pixel_centres
from lipsync_core.networks.face_parsing import BiSeNet
from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import lipsync
from lipsync_core.runtime import Runtime
from lipsync_core.types import CropStyle, FaceTrack, Rendered
from tests.golden.fixtures import filled

SIZE = (320, 320)
SKIN, BLUE, GREEN = (200, 150, 130), (20, 40, 220), (30, 160, 40)
POINTS = np.float32([[120, 120], [200, 120], [160, 165], [128, 210], [192, 210]])
BOX = np.float32([70, 40, 250, 270])


class Colours(torch.nn.Module):
    """Takes skin for skin, blue for a hat (something in front) and the rest for background."""

    def __init__(self, classes):
        super().__init__()
        self.classes = classes
        self.calls = 0

    def forward(self, pictures):
        self.calls += len(pictures)
        spec = PARSERS["bisenet"]
        mean, deviation = (torch.tensor(values)[:, None, None] for values in (spec.mean, spec.deviation))
        levels = (pictures * deviation + mean) * 255
        scores = torch.full((len(pictures), 19, *pictures.shape[2:]), -1000.0)
        for name, colour in (("skin", SKIN), ("hat", BLUE), ("background", GREEN)):
            away = (levels - torch.tensor(colour, dtype=torch.float32)[:, None, None]).square().mean(dim=1)
            scores[:, self.classes.index(name)] = -away / 50
        return scores


def scene(count=1, hand=None):
    """A face of plain skin on green; `hand`: rows x columns that something blue covers."""
    pixels = np.full((count, SIZE[1], SIZE[0], 3), GREEN, np.uint8)
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    pixels[:, ((x - 160) / 92) ** 2 + ((y - 150) / 125) ** 2 < 1] = SKIN
    for row in range(count):
        if hand is not None and hand(row):
            pixels[row][hand(row)] = BLUE
    return pixels


def finder_for(count, shape="lower_face", occlusion=True, **settings):
    found = PartFinder(plan_grid(np.repeat(POINTS[None], count, axis=0)), MaskSettings(shape, **settings), occlusion)
    found.parser = FaceParser("bisenet", Colours(PARSERS["bisenet"].classes), Runtime())
    return found


def faces_in(pixels, still=False, first=0, total=None):
    rows = total or len(pixels) + first
    yes = np.ones(rows, bool)
    track = FaceTrack(np.repeat(BOX[None], rows, axis=0), np.repeat(POINTS[None], rows, axis=0), yes, yes)
    return crop_faces(pixels, plan_crops(track, CropStyle("box", 96), SIZE), first, "cpu", torch.float32, still=still)


def picture(mask, count=1):
    x, y = pixel_centres(np.zeros((count, 2), np.int64), SIZE[::-1], "cpu")
    return mask.at(np.arange(count), x, y)[:, 0].numpy()


def seen(finder, pixels, still=False, first=0):
    faces = faces_in(pixels, still, first)
    shape = finder.settings.shape
    return finder.look(pixels, faces, mask_faces(faces, shape, finder.settings, SIZE), Runtime())


HAND = np.s_[190:300, 170:260]


def test_what_is_in_front_of_the_mouth_stays():
    pixels = scene(1, lambda row: HAND)
    finder = finder_for(1)
    mask = seen(finder, pixels)
    faces = faces_in(pixels)
    out = Blender(BlendSettings(0.0)).blend(pixels.copy(), faces, Rendered(faces.crops * 0), mask)
    changed = (out != pixels).any(axis=3)[0]
    assert not changed[195:235, 175:200].any()  # the covered corner of the mouth
    assert changed[205:220, 125:160].all()  # the free one
    assert finder.frames_covered == 1


def test_a_hat_is_in_front_everywhere_and_background_only_around_the_mouth():
    beside = np.s_[200:230, 215:235]
    pixels = scene(1, lambda row: beside)
    assert picture(seen(finder_for(1), pixels))[0][205:225, 220:230].max() < 0.05
    pixels[0][beside] = GREEN
    assert picture(seen(finder_for(1), pixels))[0][215, 222] > 0.3


def test_a_face_with_nothing_in_front_has_the_mask_it_would_have():
    pixels = scene()
    finder = finder_for(1)
    faces = faces_in(pixels)
    plain = mask_faces(faces, "lower_face", finder.settings, SIZE)
    assert np.abs(picture(seen(finder, pixels)) - picture(plain)).max() < 0.05
    assert finder.frames_covered == 0


def test_the_parsed_mask_covers_the_lower_face_and_neither_eyes_nor_background():
    pixels = scene()
    mask = picture(seen(finder_for(1, "parsing", occlusion=False, feather=0.04), pixels))[0]
    skin = (pixels[0] == SKIN).all(axis=2)
    assert mask[190:235, 110:210].min() > 0.95
    assert mask[:125].max() == 0
    assert mask[250, 160] > 0.5
    assert mask[~skin].mean() < 0.03
    assert mask[285:].max() < 0.05


def test_the_parsed_mask_grows():
    small, large = (
        picture(seen(finder_for(1, "parsing", occlusion=False, grow=grow), scene())).sum() for grow in (-0.1, 0.1)
    )
    assert large > 1.1 * small


def test_a_face_goes_at_once_and_comes_back_gently():
    finder = finder_for(4)
    pixels = scene(4, lambda row: HAND if row == 1 else None)
    spot = picture(seen(finder, pixels), 4)[:, 212, 185]
    assert spot[0] > 0.9
    assert spot[1] < 0.1
    assert 0.3 < spot[2] < 0.7 < spot[3]


def test_the_size_of_a_batch_changes_nothing_and_a_batch_may_come_again():
    pixels = scene(4, lambda row: np.s_[190 + 5 * row : 300, 170:260])
    together = picture(seen(finder_for(4), pixels), 4)
    finder = finder_for(4)
    for first in (0, 2):
        for _ in range(2):
            alone = picture(seen(finder, pixels[first : first + 2], first=first), 2)
        assert np.allclose(alone, together[first : first + 2], atol=1e-6)


def test_a_still_picture_is_parsed_once_a_batch():
    finder = finder_for(5)
    seen(finder, np.repeat(scene(), 5, axis=0), still=True)
    assert finder.parser.network.calls == 1


def test_an_engines_own_alpha_is_kept_away_from_a_hand():
    pixels = scene(1, lambda row: HAND)
    faces = faces_in(pixels)
    mask = finder_for(1).look(pixels, faces, None, Runtime())
    new = Rendered(faces.crops * 0, torch.ones(1, 1, 96, 96))
    out = Blender(BlendSettings(0.0)).blend(pixels.copy(), faces, new, mask)
    changed = (out != pixels).any(axis=3)[0]
    assert not changed[195:235, 175:200].any()
    assert changed[205:220, 125:160].all()


@pytest.mark.parametrize("name", PARSERS)
def test_a_parsers_weights_are_read_and_what_is_for_training_is_left_out(name, tmp_path):
    spec = PARSERS[name]
    tensors = dict(filled(spec.build).state_dict()) | {f"{spec.unused[0]}conv.weight": torch.zeros(2, 2)}
    save_file(tensors, tmp_path / "some.safetensors")
    parser = load_parser(name, tmp_path / "some.safetensors", Runtime())
    assert len(set(spec.classes)) == 19
    maps = parser.parse(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert maps.shape == (1, 3, 32, 32)
    assert (maps.diff(dim=1) >= -1e-6).all()
    assert maps.max() <= 1 + 1e-5


def test_other_weights_are_refused_by_name(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "some.safetensors")
    with pytest.raises(WeightsError, match="lipsync weights get parsing_bisenet"):
        load_parser("bisenet", tmp_path / "some.safetensors", Runtime())


def test_without_weights_the_way_to_them_is_told(tmp_path):
    with pytest.raises(WeightsError, match="lipsync weights get parsing_bisenet --accept-licence"):
        find_parser(Runtime(model_dirs=(tmp_path,), offline=True))


def test_the_catalogue_names_both_networks():
    found = [weights.entries(Runtime())[f"parsing_{name}"] for name in PARSERS]
    assert [entry.variant for entry in found] == list(PARSERS)
    assert all(entry.engine == "parsing" and entry.needs_ack for entry in found)


def test_a_grid_of_another_size_is_not_needed():
    network = BiSeNet().eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 64, 96)).shape == (1, 19, 64, 96)


def run_with(options, tmp_path):
    voice = short_voice(tmp_path / "voice.wav", 0.4)
    video = portrait_video(tmp_path / "clip.mp4", 10)
    runtime = quiet_runtime(tmp_path)
    return lipsync(video, voice, tmp_path / "out.mp4", LipSyncOptions(box=BOX_TEXT, **options), runtime)


@pytest.mark.parametrize("options", [{"occlusion": True}, {"mask": "parsing"}, {"mask": "mouth", "occlusion": True}])
def test_a_run_looks_for_what_is_in_front(options, tmp_path, monkeypatch):
    network = Colours(PARSERS["bisenet"].classes)
    monkeypatch.setattr(casting, "find_parser", lambda runtime: FaceParser("bisenet", network, runtime))
    report = run_with(options, tmp_path)
    assert network.calls == 10
    assert 0 <= report.frames_covered <= 10


def test_a_run_without_the_weights_says_so_and_leaves_nothing(tmp_path, monkeypatch):
    alone = Runtime(model_dirs=(tmp_path,), offline=True)
    monkeypatch.setattr(casting, "find_parser", lambda runtime: find_parser(alone))
    with pytest.raises(WeightsError, match="lipsync weights get parsing_bisenet"):
        run_with({"occlusion": True}, tmp_path)
    assert not (tmp_path / "out.mp4").exists()
