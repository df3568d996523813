"""Scores: against figures worked out by hand, and against the published formulas written out the slow way."""

import json
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from demo_media import DEMO, decoded, portrait_video, quiet_runtime, short_voice, small_portrait

from lipsync_core.__main__ import main
from lipsync_core.errors import InputError, UsageError
from lipsync_core.metrics import crops, filelists, motion, pictures, sync, syncnets, table
from lipsync_core.metrics.mfcc import MfccStream, mfcc
from lipsync_core.metrics.score import Judges, Score, Wish, score_video
from lipsync_core.metrics.seam import edge_of_lower_face, seam
from lipsync_core.networks.syncnet import SyncNetColor
from lipsync_core.networks.syncnet_v2 import SyncNetV2
from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import lipsync
from lipsync_core.runtime import Runtime
from lipsync_core.types import FaceTrack

# ---------------------------------------------------------------------------------------------------- cepstra


def tone(samples: int) -> np.ndarray:
    return (0.3 * np.sin(np.arange(samples) / 7) + 0.1 * np.cos(np.arange(samples) / 2.3)).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "columns"), [(16000, 99), (15999, 99), (16400, 101), (401, 2), (400, 1), (399, 1), (3201, 19)]
)
def test_there_is_a_column_of_cepstra_for_every_hundredth_of_a_second(samples, columns):
    assert mfcc(tone(samples)).shape == (13, columns)


def test_the_cepstra_are_those_of_the_published_evaluation():
    # python_speech_features 0.6, mfcc() of the same sound as 16 bit whole numbers.
    found = mfcc(tone(1600))
    expected = np.array(
        [
            19.8004,
            20.8363,
            -8.1506,
            -21.5849,
            -10.6737,
            -0.1239,
            -14.1102,
            -41.8544,
            -45.2914,
            -13.8952,
            23.1267,
            30.3901,
            12.0888,
        ]
    )
    assert np.abs(found[:, 3] - expected).max() < 1e-3


def test_the_first_coefficient_is_the_log_energy_of_the_window():
    loud, soft = mfcc(tone(4000)), mfcc(tone(4000) * np.float32(0.5))
    assert np.allclose(loud[0] - soft[0], 2 * np.log(2), atol=1e-2)


def test_the_cepstra_are_the_same_however_the_sound_is_cut():
    sound, stream = tone(5000), MfccStream()
    pieces = [stream.push(part) for part in np.array_split(sound, 9)]
    assert np.array_equal(np.concatenate([*pieces, stream.finish()], axis=1), mfcc(sound))


def test_digital_silence_has_finite_cepstra():
    assert np.isfinite(mfcc(np.zeros(2000, np.float32))).all()


# ---------------------------------------------------------------------------------------------------- sync


class Numbered:
    """Points that carry their place: lips of frame i look like the sound of frame i + `late`."""

    side = 4

    def __init__(self, sounds: int, late: int = 0):
        self.sounds = sounds
        self._late = late
        self._points = torch.from_numpy(np.random.default_rng(3).standard_normal((400, 8)).astype(np.float32))
        self.looked = 0

    def look(self, windows):
        first, self.looked = self.looked, self.looked + len(windows)
        return self._points[100 + first + self._late : 100 + self.looked + self._late]

    def hear(self, first, end):
        return self._points[100 + first : 100 + end]

    def distance(self, lips, sounds):
        return torch.nn.functional.pairwise_distance(lips, sounds.expand_as(lips))


def blank(frames: int, size: int = 7):
    for start in range(0, frames, size):
        yield np.zeros((min(size, frames - start), 4, 4, 3), np.uint8)


@pytest.mark.parametrize("late", [-15, -4, 0, 1, 15])
def test_the_offset_is_found_and_is_positive_where_the_sound_comes_too_early(late):
    score = sync.score_sync(blank(60), Numbered(60, late), Runtime(), "a.mp4")
    assert score.offset == -late
    assert score.windows == 55
    assert score.distance < score.curve.max() / 2
    assert score.confidence > 1


def slow_protocol(lips: torch.Tensor, sounds: torch.Tensor) -> np.ndarray:
    """The published computation, row by row: the sound padded with zeros on both sides."""
    padded = torch.nn.functional.pad(sounds, (0, 0, 15, 15))
    rows = [
        torch.nn.functional.pairwise_distance(lips[i : i + 1].repeat(31, 1), padded[i : i + 31])
        for i in range(len(lips))
    ]
    return torch.stack(rows, 1).mean(1).numpy()


@pytest.mark.parametrize(("frames", "sounds"), [(40, 200), (40, 35), (40, 20), (6, 200), (90, 85)])
def test_the_curve_equals_the_published_computation(frames, sounds):
    network = Numbered(sounds, 2)
    score = sync.score_sync(blank(frames), network, Runtime(), "a.mp4")
    count = min(frames - 5, sounds)
    again = Numbered(sounds, 2)
    expected = slow_protocol(again.look(np.zeros(count)), again.hear(0, count))
    assert score.windows == count
    assert np.abs(score.curve - expected).max() < 1e-5
    assert score.confidence == pytest.approx(float(np.median(expected) - expected.min()), abs=1e-5)


@pytest.mark.parametrize(("frames", "sounds"), [(5, 100), (3, 100), (50, 0)])
def test_too_little_to_compare_is_said(frames, sounds):
    with pytest.raises(InputError, match=r"clip\.mp4: a score takes at least 6 frames"):
        sync.score_sync(blank(frames), Numbered(sounds), Runtime(), "clip.mp4")


def test_only_near_points_of_the_sound_are_held():
    network = Numbered(250)
    ear = sync._Ear(network)
    for first in range(0, 200, 8):
        ear.reach(max(0, first - 15), first + 23)
        assert len(ear._points) <= 38


# ---------------------------------------------------------------------------------------------------- networks


def test_syncnet_looks_at_five_bgr_frames_and_hears_a_fifth_of_a_second():
    torch.manual_seed(1)
    network = SyncNetV2().eval()
    sound = syncnets.Sound(mfcc(tone(16000)), np.zeros((80, 81), np.float32), 25)
    score = syncnets.SyncNetScore(network, sound, "cpu")
    assert score.sounds == 20
    windows = np.random.default_rng(0).integers(0, 255, (1, 5, 224, 224, 3), np.uint8)
    with torch.inference_mode():
        bgr = torch.from_numpy(windows[..., ::-1].copy()).permute(0, 4, 1, 2, 3).float()
        assert torch.equal(score.look(windows), network.lip(bgr))
        column = torch.from_numpy(sound.mfcc[None, None, :, 8:28].copy())
        assert torch.allclose(score.hear(2, 3), network.aud(column))


def test_the_expert_looks_at_lower_halves_frame_by_frame():
    torch.manual_seed(1)
    network = SyncNetColor().eval()
    sound = syncnets.Sound(np.zeros((13, 99), np.float32), np.zeros((80, 81), np.float32), 25)
    score = syncnets.ExpertScore(network, sound, "cpu")
    windows = np.random.default_rng(0).integers(0, 255, (1, 5, 96, 96, 3), np.uint8)
    lower = torch.from_numpy(windows[0, :, 48:, :, ::-1].copy()).float() / 255
    stacked = lower.permute(0, 3, 1, 2).reshape(1, 15, 48, 96)
    with torch.inference_mode():
        assert torch.allclose(score.look(windows), network.look(stacked), atol=1e-6)
    assert torch.allclose(score.distance(torch.tensor([[1.0, 0.0]]), torch.tensor([0.6, 0.8])), torch.tensor([0.4]))


def test_an_expert_of_another_size_scores_crops_of_its_size(tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(1)
    trained = SyncNetColor(48, 4).eval()
    save_file(trained.state_dict(), tmp_path / "expert.safetensors")
    network = syncnets.load_network("expert", str(tmp_path / "expert.safetensors"), quiet_runtime(tmp_path))
    sound = syncnets.Sound(np.zeros((13, 99), np.float32), np.zeros((80, 81), np.float32), 25)
    score = syncnets.scorer(network, sound, quiet_runtime(tmp_path))
    windows = np.random.default_rng(0).integers(0, 255, (1, score.side - 43, score.side, score.side, 3), np.uint8)
    lower = torch.from_numpy(windows[0, :, 24:, :, ::-1].copy()).float() / 255
    with torch.inference_mode():
        assert torch.allclose(score.look(windows), trained.look(lower.permute(0, 3, 1, 2).reshape(1, 15, 24, 48)))


# ---------------------------------------------------------------------------------------------------- pictures


def test_psnr_of_a_constant_difference_is_known():
    true = [np.full((20, 20, 3), 100, np.uint8)]
    made = [np.full((20, 20, 3), 110, np.uint8)]
    assert pictures.psnr(made, true)[0] == pytest.approx(20 * np.log10(255 / 10), abs=1e-4)
    assert np.isinf(pictures.psnr(true, true)[0])


def test_ssim_is_one_for_the_same_picture_and_falls_with_noise():
    rng = np.random.default_rng(0)
    true = [cv2.GaussianBlur(rng.integers(0, 255, (64, 64, 3), np.uint8), (0, 0), 3)]
    noisy = [np.clip(true[0] + rng.normal(0, s, true[0].shape), 0, 255).astype(np.uint8) for s in (5, 20)]
    assert pictures.ssim(true, true)[0] == pytest.approx(1)
    assert 1 > pictures.ssim(noisy[:1], true)[0] > pictures.ssim(noisy[1:], true)[0]


def test_the_width_of_an_edge_is_counted_from_its_foot_to_its_top():
    row = np.array([5, 5, 5, 10, 60, 90, 100, 100, 100.0])
    assert pictures.edge_width(row, 4) == 4
    assert pictures.edge_width(row[::-1].copy(), 4) == 4


def test_sharpness_falls_as_a_picture_is_blurred():
    from skimage import data

    sharp = data.astronaut()[:256, 100:356]
    rows = pictures.cpbd([sharp, cv2.GaussianBlur(sharp, (0, 0), 0.7), cv2.GaussianBlur(sharp, (0, 0), 3)])
    assert rows[0] > 3 * rows[1] > 0
    assert rows[2] < 0.01
    assert np.isnan(pictures.cpbd([np.full((128, 128, 3), 90, np.uint8)])[0])


def test_the_frechet_distance_of_gaussians_is_known():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((4000, 3)) * (1, 2, 3) + (0, 0, 5)
    b = rng.standard_normal((4000, 3)) * (2, 2, 1)
    # |mean|^2 + sum of (difference of the standard deviations)^2
    assert pictures.frechet_distance(a, b) == pytest.approx(25 + 1 + 0 + 4, rel=0.05)
    assert pictures.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_the_frechet_distance_works_with_fewer_pictures_than_features():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 64)), rng.standard_normal((7, 64)) + 1
    assert pictures.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert pictures.frechet_distance(a, b) > 30


def a_face(side: int = 120, high: int = 140):
    """Skin with a soft texture, and its landmarks."""
    rng = np.random.default_rng(4)
    skin = cv2.GaussianBlur(rng.normal(150, 60, (high, side, 3)).astype(np.float32), (0, 0), 4)
    points = np.array([[0.31, 0.40], [0.69, 0.40], [0.50, 0.60], [0.35, 0.78], [0.65, 0.78]], np.float32) * side
    return skin.clip(0, 255).astype(np.uint8), points


def test_a_hard_edge_around_the_lower_face_is_a_seam_and_an_untouched_face_is_none():
    face, points = a_face()
    assert seam([face], [face], [points])[0] == pytest.approx(1)
    edge = edge_of_lower_face(face.shape[:2], points)
    inside = cv2.morphologyEx(edge.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((99, 99), np.uint8)) > 0
    pasted = np.where(cv2.erode(inside.astype(np.uint8), np.ones((5, 5)))[..., None] > 0, face * 0.7, face).astype(
        np.uint8
    )
    assert seam([pasted], [face], [points])[0] > 3
    assert np.isnan(seam([face], [face], [np.full((5, 2), np.nan, np.float32)])[0])


# ---------------------------------------------------------------------------------------------------- motion


def still_track(frames: int, speed: float = 0.0, tremble: float = 0.0) -> FaceTrack:
    rng = np.random.default_rng(0)
    points = np.array([[40, 50], [60, 50], [50, 60], [44, 70], [56, 70]], np.float32)
    moved = points + speed * np.arange(frames)[:, None, None] + tremble * rng.standard_normal((frames, 5, 2))
    box = np.array([30, 30, 70, 80], np.float32) + speed * np.arange(frames)[:, None]
    yes = np.ones(frames, bool)
    return FaceTrack(box.astype(np.float32), moved.astype(np.float32), yes, yes)


def test_a_steady_motion_is_no_jitter_and_trembling_is():
    assert motion.jitter(still_track(20, speed=3)) == pytest.approx(0, abs=1e-5)
    assert motion.jitter(still_track(200, tremble=1)) > 3 * motion.jitter(still_track(200, tremble=0.2)) > 0
    assert np.isnan(motion.jitter(still_track(2)))


def test_turning_the_head_is_no_motion_of_the_mouth():
    track = still_track(12)
    angles = np.linspace(0, 0.5, 12)
    turn = np.stack(
        [np.stack([np.cos(angles), -np.sin(angles)], -1), np.stack([np.sin(angles), np.cos(angles)], -1)], 1
    )
    turned = (track.landmarks @ turn.transpose(0, 2, 1) * np.linspace(1, 1.4, 12)[:, None, None]).astype(np.float32)
    moves = motion.mouth_motion(FaceTrack(track.boxes_xyxy, turned, track.found, track.active))
    assert np.isnan(moves[0])
    assert np.nanmax(moves) < 1e-5


def test_a_smile_is_motion_of_the_mouth_in_shares_of_the_eyes_distance():
    track = still_track(2)
    wider = track.landmarks.copy()
    wider[1, 3, 0] -= 2
    wider[1, 4, 0] += 2
    assert motion.mouth_motion(FaceTrack(track.boxes_xyxy, wider, track.found, track.active))[1] == pytest.approx(0.1)


def test_a_mouth_that_rests_in_silence_is_told_from_one_that_flaps():
    speaking = np.arange(20) < 10
    resting = motion.mouth_stillness(np.where(speaking, 4.0, 0.2).astype(np.float32), speaking)
    flapping = motion.mouth_stillness(np.full(20, 4.0, np.float32), speaking)
    assert resting.ratio == pytest.approx(0.05)
    assert flapping.ratio == pytest.approx(1)


def test_frames_near_speech_count_as_speaking():
    gate = np.zeros(160, np.float32)
    gate[80:100] = 1
    frames = np.flatnonzero(motion.speaking_frames(gate, 25.0, 50))
    assert (frames[0], frames[-1]) == (23, 33)  # 1.0 s - 0.1 s to 1.25 s + 0.1 s


# ---------------------------------------------------------------------------------------------------- crops


def test_the_square_of_the_published_pipeline_is_wider_than_the_face_and_lower():
    track = still_track(9)
    # 40 x 50 at (30, 30): half size 25, centre (50, 55); from y - 25 to y + 45, 35 to each side.
    assert crops.published_squares(track)[4].tolist() == [15, 30, 85, 100]
    assert crops.published_squares(still_track(1))[0].tolist() == [15, 30, 85, 100]


def test_beyond_the_border_a_crop_is_grey():
    frame = np.zeros((50, 60, 3), np.uint8)
    cut = crops._cut(frame, np.array([-20, 10, 20, 50]), 40)
    assert (cut[:, :19] == 110).all()
    assert (cut[:, 21:] == 0).all()
    assert (crops._cut(frame, np.array([70, 60, 90, 80]), 40) == 110).all()


# ---------------------------------------------------------------------------------------------------- lists


def test_lists_of_the_evaluation_name_the_voice_first_and_resynced_the_face(tmp_path):
    (tmp_path / "l.txt").write_text("6339/00098 6330/00011\n\na/1 b/2\n")
    pairs = filelists.read_pairs(tmp_path / "l.txt", "lrs2", tmp_path)
    assert [(p.line, p.face, p.speech) for p in pairs] == [
        (1, tmp_path / "6330/00011.mp4", tmp_path / "6339/00098.mp4"),
        (3, tmp_path / "b/2.mp4", tmp_path / "a/1.mp4"),
    ]
    (tmp_path / "r.txt").write_text("adam_1.mp4 talk.wav\n")
    (pair,) = filelists.read_pairs(tmp_path / "r.txt", "resynced", tmp_path)
    assert (pair.face.name, pair.speech.name) == ("adam_1.mp4", "talk.wav")


def test_lrw_is_read_flat_and_by_word(tmp_path):
    (tmp_path / "l.txt").write_text("BRING_00018 WESTERN_00039\n")
    (tmp_path / "BRING_00018.mp4").touch()
    (pair,) = filelists.read_pairs(tmp_path / "l.txt", "lrw", tmp_path)
    assert pair.speech == tmp_path / "BRING_00018.mp4"
    assert pair.face == tmp_path / "WESTERN" / "test" / "WESTERN_00039.mp4"


@pytest.mark.parametrize("line", ["one", "a b c", "../a b", "a /etc/passwd"])
def test_a_bad_line_of_a_list_is_named(tmp_path, line):
    (tmp_path / "l.txt").write_text(f"a b\n{line}\n")
    with pytest.raises(InputError, match=r"[Ll]ine 2"):
        filelists.read_pairs(tmp_path / "l.txt", "lrs3", tmp_path)


def test_a_layout_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UsageError, match="lrs2, lrs3, lrw, resynced"):
        filelists.read_pairs(tmp_path / "l.txt", "lrs4", tmp_path)


# ---------------------------------------------------------------------------------------------------- whole


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """A finished video of the puppet, and the silent portrait as a video of the same length."""
    folder = tmp_path_factory.mktemp("spoken")
    made = folder / "made.mp4"
    lipsync(small_portrait(folder / "p.png", 256), short_voice(folder / "v.wav", 0.6), made,
            LipSyncOptions(blink=0.0, sway=0.0, box="80,52,180,200"), quiet_runtime(folder))  # fmt: skip
    return made


def test_a_finished_video_is_scored_whole(spoken, tmp_path):
    torch.manual_seed(0)
    wish = Wish("syncnet", "tracked", LipSyncOptions(box="80,52,180,200"))
    (score,) = score_video(spoken, spoken, wish, Judges(SyncNetV2().eval()), quiet_runtime(tmp_path))
    assert score.frames == 15
    assert {"LSE-D tracked", "LSE-C tracked", "offset tracked"} < set(score.values)
    assert np.isinf(score.values["PSNR face"]) or np.isnan(score.values["PSNR face"])
    assert score.values["SSIM face"] == pytest.approx(1)
    assert score.values["mouth change speaking"] > 0
    assert len(score.curve) == 31


def test_two_protocols_never_share_a_column(spoken, tmp_path):
    names = []
    for protocol in ("tracked", "whole"):
        torch.manual_seed(0)
        wish = Wish("syncnet", protocol, LipSyncOptions(box="80,52,180,200"))
        (score,) = score_video(spoken, None, wish, Judges(SyncNetV2().eval()), quiet_runtime(tmp_path))
        names.append({name for name in score.values if name.startswith(("LSE", "offset"))})
    assert not names[0] & names[1]


def test_a_picture_cannot_be_scored(tmp_path):
    with pytest.raises(InputError, match=r"p\.png: this is a picture"):
        score_video(small_portrait(tmp_path / "p.png"), None, Wish("none"), Judges(), quiet_runtime(tmp_path))


def test_a_reference_of_another_size_is_refused(spoken, tmp_path):
    other = portrait_video(tmp_path / "other.mp4", 5)
    wish = Wish("none", options=LipSyncOptions(box="80,52,180,200"))
    with pytest.raises(InputError, match=r"other\.mp4: it is 128x128 and made\.mp4 256x256"):
        score_video(spoken, other, wish, Judges(), quiet_runtime(tmp_path))


def test_the_command_prints_a_table_and_writes_json_and_plot(spoken, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SD_LIPSYNC_CACHE", str(tmp_path / "cache"))
    weights = tmp_path / "expert.safetensors"
    from safetensors.torch import save_file

    torch.manual_seed(0)
    save_file(SyncNetColor().state_dict(), weights)
    arguments = ["score", str(spoken), str(DEMO / "voice.wav"), "--net", "expert", "--score-checkpoint", str(weights)]
    code = main([*arguments, "--json", str(tmp_path / "s.json"), "--plot", str(tmp_path / "s.png"), "-q", "--offline"])
    out = capsys.readouterr().out
    assert code == 4  # the voice is no video
    assert "failed: voice.wav" in out
    header, row = [line.split() for line in out.splitlines() if line.startswith(("video", "made"))]
    assert header[:3] == ["video", "face", "frames"]
    assert row[:3] == ["made.mp4", "0", "15"]
    data = json.loads((tmp_path / "s.json").read_text())
    assert set(data) == {"rows", "mean", "overall"}
    assert -15 <= data["rows"][0]["scores"]["expert offset"] <= 15
    assert (tmp_path / "s.png").read_bytes()[:4] == b"\x89PNG"


def test_a_face_that_is_not_found_can_be_scored_by_its_box(spoken, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SD_LIPSYNC_CACHE", str(tmp_path / "cache"))
    arguments = ["score", str(spoken), "--net", "none", "-q", "--offline", "--detector", "cascade"]
    assert main([*arguments, "--min-face", "1024"]) == 3
    assert "no face found" in capsys.readouterr().err
    assert main([*arguments[:-2], "--box", "80,52,180,200"]) == 0
    assert "made.mp4" in capsys.readouterr().out


def test_a_published_list_is_made_and_measured_and_goes_on_where_it_stopped(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SD_LIPSYNC_CACHE", str(tmp_path / "cache"))
    small_portrait(tmp_path / "face.png", 256)
    short_voice(tmp_path / "voice.wav", 0.4)
    (tmp_path / "list.txt").write_text("face.png voice.wav\nface.png missing.wav\n")
    arguments = [
        "evaluate",
        str(tmp_path / "list.txt"),
        "--layout",
        "resynced",
        "--data",
        str(tmp_path),
        "--net",
        "none",
    ]
    arguments += ["-o", str(tmp_path / "out"), "--box", "80,52,180,200", "-q", "--offline"]
    assert main(arguments) == 0
    assert "failed: 00002.mp4: missing.wav" in capsys.readouterr().out
    before = (tmp_path / "out" / "00001.mp4").stat().st_mtime_ns
    assert main(arguments) == 0
    assert (tmp_path / "out" / "00001.mp4").stat().st_mtime_ns == before
    assert len(decoded(tmp_path / "out" / "00001.mp4")) == 10


def test_a_table_leaves_out_what_is_not_known():
    rows = [
        Score("a.mp4", 0, 10, {"LSE-D whole": 7.1234, "CSIM face": float("nan")}),
        Score("b.mp4", 0, 20, {"LSE-D whole": 8.0}),
    ]
    lines = table.as_text(rows, {"FID face": 4.5}).splitlines()
    assert lines[1].split() == ["a.mp4", "0", "10", "7.123", "-"]
    assert lines[3].split() == ["mean", "30", "7.562", "-"]
    assert lines[-1] == "FID face: 4.50"
    assert table.as_data(rows)["rows"][0]["scores"]["CSIM face"] is None


def test_everything_is_scored_at_the_rate_the_networks_know():
    assert Fraction(25) == sync.FPS
