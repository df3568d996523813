"""The drawn world: the same people for the same seed, and mouths that open as the truth says."""

import ctypes.util

import numpy as np
import pytest

from lipsync_core.__main__ import main
from lipsync_core.training.puppet_voices import Phone, Utterance
from lipsync_core.training.shards import read_frames, read_index
from lipsync_core.training.synthetic import opening_of, render, synthetic_shards, talking_clips

espeak = pytest.mark.skipif(not ctypes.util.find_library("espeak-ng"), reason="libespeak-ng is not installed")


def spoken(*signs: str) -> Utterance:
    """Each sound for 0.4 s, in a noise that does not matter here."""
    phones = tuple(Phone(sign, 0.4 * row, 0.4 * (row + 1), 0.4 * (row + 1)) for row, sign in enumerate(signs))
    noise = np.random.default_rng(0).normal(0, 0.1, round(0.4 * len(signs) * 16000)).astype(np.float32)
    return Utterance(noise, phones)


def test_the_lips_open_for_a_and_close_for_m():
    clip = render(spoken("a", "m", "a", ""), 5, 6, 1.6)
    assert len(clip.frames) == len(clip.opening) == 40
    assert clip.opening[4:7].min() > 0.25
    assert clip.opening[13:17].max() < 0.05
    assert clip.opening[36:].max() < 0.05


def test_an_open_mouth_is_seen_in_the_picture_where_the_truth_says():
    clip = render(spoken("", "a", ""), 5, 6, 1.2)
    mouths = [frame[int(y) - 8 : int(y) + 14, int(x) - 10 : int(x) + 10] for frame, (x, y) in _centres(clip)]
    spread = np.array([np.ptp(mouth.mean(axis=2), axis=None) for mouth in mouths], float)
    wide, shut = clip.opening > 0.25, clip.opening < 0.03
    assert spread[wide].mean() > spread[shut].mean() + 20


def _centres(clip):
    return zip(clip.frames, clip.landmarks[:, 3:].mean(axis=1), strict=True)


def test_the_same_numbers_give_the_same_pictures_and_others_others():
    one, again = (render(spoken("a", "m"), 5, 6, 0.8) for _ in range(2))
    assert np.array_equal(one.frames, again.frames)
    assert not np.array_equal(one.frames, render(spoken("a", "m"), 7, 6, 0.8).frames)
    assert not np.array_equal(one.frames, render(spoken("a", "m"), 5, 8, 0.8).frames)


def test_a_person_stays_the_same_while_it_speaks():
    clip = render(spoken("a", "i", "u"), 11, 3, 1.2)
    foreheads = np.stack([frame[:20, 54:74].mean(axis=(0, 1)) for frame in clip.frames])
    assert foreheads.std(axis=0).max() < 25


def test_landmarks_lie_in_the_box_and_eyes_above_the_mouth():
    clip = render(spoken("a", "o"), 21, 4, 0.8)
    low, high = clip.boxes_xyxy[:, None, :2], clip.boxes_xyxy[:, None, 2:]
    assert ((clip.landmarks > low - 3) & (clip.landmarks < high + 3)).all()
    assert (clip.landmarks[:, :2, 1].max(axis=1) < clip.landmarks[:, 3:, 1].min(axis=1)).all()


def test_closed_lips_have_no_opening_however_far_the_jaw_is():
    shapes = np.array([[1, 1, 0, 0, 1], [1, 1, 0, 0, 0], [1, 1, 0, 1, 0]], np.float32)
    closed, wide, round_ = opening_of(shapes)
    assert closed == 0
    assert wide == pytest.approx(0.42)
    assert 0 < round_ < wide


@espeak
@pytest.mark.slow
def test_clips_are_endless_and_repeatable():
    one, two = (list(talking_clips(3, 2, 1.0)) for _ in range(2))
    # espeak-ng's own noise goes on from call to call, so the sound is only nearly the same.
    assert np.abs(one[0].frames.astype(int) - two[0].frames).mean() < 1
    assert np.abs(one[1].opening - two[1].opening).max() < 0.01
    assert not np.array_equal(one[0].frames[0], one[1].frames[0])
    assert one[0].opening.max() > 0.1


@espeak
@pytest.mark.slow
def test_the_command_draws_training_data(tmp_path, capsys):
    arguments = ["prepare", "--synthetic", "2", "--seconds", "1", "--size", "48", "-o", str(tmp_path / "s"), "-q"]
    assert main(arguments) == 0
    assert "2 clips of drawn people." in capsys.readouterr().out
    clips = read_index(tmp_path / "s")
    assert [len(clip.facts["opening"]) for clip in clips] == [25, 25]
    assert read_frames(clips[0], [0]).shape == (1, 48, 48, 3)


@espeak
@pytest.mark.slow
def test_two_processes_draw_the_people_of_one(tmp_path):
    for folder, workers in (("one", 1), ("two", 2)):
        synthetic_shards(tmp_path / folder, 18, seed=5, size=48, seconds=0.6, workers=workers)
    one, two = (read_index(tmp_path / folder) for folder in ("one", "two"))
    assert [clip.name for clip in one] == [clip.name for clip in two]
    assert [clip.shard.name for clip in two] == ["shard-000000.tar"] * 16 + ["shard-000001.tar"] * 2
    for before, after in zip(one[::6], two[::6], strict=True):
        pictures = (read_frames(clip, range(5)).astype(int) for clip in (before, after))
        assert np.abs(np.subtract(*pictures)).mean() < 1
