"""SadTalker's curves: every control changes what it says and nothing else, and nothing ever jumps."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from sadtalker_world import BLINK_WAY, LIPS, SOURCE, StubParts, curve, speech, wishes

from lipsync_core.engines.base import Driving, Portrait
from lipsync_core.engines.sadtalker import motion
from lipsync_core.engines.sadtalker.drive import blink_curve, blinks_of
from lipsync_core.engines.sadtalker.engine import SadTalker
from lipsync_core.engines.sadtalker.motion import (
    POSE_WINDOW,
    angle_curve,
    blinks,
    pose_motion,
    rows_for,
    smoothed,
    windows,
)
from lipsync_core.runtime import Runtime

EXPRESSION, ANGLES, POSITION, POSE = slice(0, 64), slice(64, 67), slice(67, 70), slice(64, 70)


def eyes_of(rows):
    """How far the eyes are shut in expressions."""
    return rows[:, EXPRESSION] @ BLINK_WAY / (BLINK_WAY @ BLINK_WAY)


def without_eyes(rows):
    return rows[:, EXPRESSION] - eyes_of(rows)[:, None] * BLINK_WAY


def step_sizes(rows):
    return np.abs(np.diff(rows, axis=0)).max(axis=1)


# ------------------------------------------------------------------------------------------------ controls


def test_the_same_seed_gives_the_same_curve_and_another_differs():
    assert np.array_equal(curve(seed=4), curve(seed=4))
    other = np.abs(curve(seed=4) - curve(seed=5))
    assert other[:, POSE].max() > 0.01, "pose"
    assert other[:, EXPRESSION].max() > 0.01, "blinks"


def test_the_seed_leaves_the_lips_alone():
    assert np.allclose(without_eyes(curve(seed=4)), without_eyes(curve(seed=5)), atol=1e-6)


@pytest.mark.parametrize("style", [0, 17, 45])
def test_the_pose_style_changes_the_pose_alone(style):
    plain, styled = curve(), curve(pose_style=style)
    assert np.array_equal(plain[:, EXPRESSION], styled[:, EXPRESSION])
    assert (np.abs(plain - styled)[:, POSE].max() > 0.01) == (style != 0)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.5])
def test_the_expression_scale_scales_the_expression_alone(scale):
    plain, scaled = curve(), curve(expression_scale=scale)
    assert np.allclose(scaled[:, EXPRESSION], scale * plain[:, EXPRESSION], atol=1e-6)
    assert np.array_equal(plain[:, POSE], scaled[:, POSE])


def test_still_keeps_the_pose_of_the_portrait_and_the_face_moves():
    plain, still = curve(), curve(still=True)
    assert np.array_equal(still[:, POSE], np.repeat(SOURCE[None, POSE], len(still), axis=0))
    assert np.array_equal(plain[:, EXPRESSION], still[:, EXPRESSION])


@pytest.mark.parametrize("amount", [0.0, 0.5, 2.0])
def test_head_motion_scales_the_way_from_the_portraits_pose_alone(amount):
    plain, scaled = curve(), curve(sway=amount)
    assert np.allclose(scaled[:, POSE] - SOURCE[POSE], amount * (plain[:, POSE] - SOURCE[POSE]), atol=1e-5)
    assert np.array_equal(plain[:, EXPRESSION], scaled[:, EXPRESSION])


def test_without_blinks_only_the_eyes_differ():
    plain, open_eyed = curve(), curve(blink=0.0)
    assert np.allclose(without_eyes(plain), without_eyes(open_eyed), atol=1e-6)
    assert np.array_equal(plain[:, POSE], open_eyed[:, POSE])
    assert eyes_of(plain).max() - eyes_of(open_eyed).max() > 0.9


def test_the_blink_rate_is_how_often_not_how_far():
    rows = 25 * 120
    once, twice = blinks(rows, 3, 1.0), blinks(rows, 3, 2.0)
    count = [(np.diff((shut > 0).astype(int)) == 1).sum() for shut in (once, twice)]
    assert 120 / 4.5 < count[0] < 120 / 1.2
    assert 1.6 < count[1] / count[0] < 2.1
    assert once.max() == twice.max() == 1
    assert not blinks(rows, 3, 0.0).any()


def test_strength_zero_is_silence_and_leaves_eyes_and_pose():
    plain, closed = curve(), curve(strength=0.0)
    silent = curve(speech(seed=0), strength=1.0, expression_scale=1.0)
    assert np.ptp(closed[:, LIPS]) < 1e-6 < np.ptp(silent[:, LIPS])
    assert np.allclose(eyes_of(plain), eyes_of(closed), atol=1e-5)
    assert np.array_equal(plain[:, POSE], closed[:, POSE])


def test_the_voice_moves_the_lips():
    assert np.abs(curve(speech(seed=0))[:, LIPS] - curve(speech(seed=1))[:, LIPS]).max() > 0.1


# ------------------------------------------------------------------------------------------------ videos


def follow(**rows):
    """A driving video of 60 frames in which everything moves."""
    dice = np.random.default_rng(1)
    seen = np.cumsum(dice.normal(0, 0.02, (60, 70)), axis=0).astype(np.float32)
    return seen, Driving(**dict.fromkeys(rows, seen))


def test_a_blink_video_changes_the_eyes_alone():
    seen, driving = follow(blink=True)
    seen[:, EXPRESSION] += np.clip(np.sin(np.arange(60) / 5), 0, 1)[:, None] * BLINK_WAY
    plain, followed = curve(), curve(driving=driving)
    assert np.allclose(without_eyes(plain), without_eyes(followed), atol=1e-5)
    assert np.array_equal(plain[:, POSE], followed[:, POSE])
    assert np.abs(eyes_of(followed) - eyes_of(plain)).max() > 0.3


def test_the_eyes_of_a_video_are_measured_along_the_way_that_eyes_shut():
    shut = np.zeros(50, np.float32)
    shut[20:25] = motion._BLINK
    other = np.random.default_rng(0).normal(0, 1, (50, 64)).astype(np.float32)
    other -= (other @ BLINK_WAY / (BLINK_WAY @ BLINK_WAY))[:, None] * BLINK_WAY
    measured = blinks_of(other + shut[:, None] * BLINK_WAY, SOURCE[EXPRESSION], StubParts())
    assert np.allclose(measured, shut, atol=1e-4)


def test_a_pose_video_gives_the_whole_motion_and_the_face_stays():
    seen, driving = follow(pose=True)
    plain, followed = curve(), curve(driving=driving)
    assert np.array_equal(plain[:, EXPRESSION], followed[:, EXPRESSION])
    way = smoothed(seen[:, POSE])
    assert np.allclose(followed[:60, POSE], SOURCE[POSE] + way - way[:1], atol=1e-5), "it adds to no other motion"
    assert np.array_equal(curve(driving=driving, seed=9)[:, POSE], followed[:, POSE])


def test_a_video_that_is_too_short_plays_forth_and_back_without_a_jump():
    _, driving = follow(pose=True)
    followed = curve(speech(10.0), driving)
    assert len(followed) == 250
    assert step_sizes(followed[:, POSE]).max() <= step_sizes(followed[:60, POSE]).max() * 1.01


def test_a_driving_video_gives_face_and_angles():
    seen, driving = follow(all=True)
    followed = curve(driving=driving)
    assert np.allclose(followed[:60, EXPRESSION], seen[:, EXPRESSION], atol=1e-6)
    assert np.allclose(followed[:60, ANGLES], smoothed(seen[:, POSE])[:, :3], atol=1e-5)
    assert np.allclose(followed[0, POSITION], SOURCE[POSITION], atol=1e-6)
    assert np.array_equal(followed, curve(speech(seed=1), driving)), "the voice gives the length alone"


# ------------------------------------------------------------------------------------------------ pose


@pytest.mark.parametrize("seconds", [1.4, 4.0, 5.1, 20.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_pose_never_jumps_where_windows_meet(seconds, seed):
    steps = step_sizes(curve(speech(seconds), seed=seed)[:, POSE])
    border = np.zeros(len(steps), bool)
    for place in (*range(16, len(steps), 16), len(steps) - 32):  # the last window ends with the clip
        border[max(place - 2, 0) : place + 3] = True
    assert steps[border].max() <= 1.2 * steps[~border].max()


def test_windows_put_end_to_end_would_fail_that():
    parts, asked = StubParts(), wishes(speech(20.0))
    rows = asked.rows
    latents = np.random.default_rng(0).standard_normal((rows // 32 + 1, 64)).astype(np.float32)
    heard = parts.hear_pose(asked.mel(0, rows))
    joined = [
        parts.pose(heard[None, first : first + 32], SOURCE[POSE], latents[first // 32], 0)[0]
        for first in range(0, rows - 32, 32)
    ]
    steps = step_sizes(smoothed(np.concatenate(joined)))
    border = (np.arange(len(steps)) + 3) % 32 < 5
    assert steps[border].max() > 1.2 * steps[~border].max()


def test_the_head_starts_in_the_portraits_pose_and_eases_into_motion():
    rows = curve(sway=1.0, seed=2)
    assert np.abs(rows[0, POSE] - SOURCE[POSE]).max() < 0.01
    assert step_sizes(rows[:, POSE])[0] <= step_sizes(rows[:, POSE]).max()


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 12, 13, 31, 32, 33, 34, 64, 65])
def test_a_clip_of_any_length_has_a_pose_for_every_frame(frames):
    voice = speech(frames / 25)
    rows = curve(voice)
    assert rows.shape == (frames, 70)
    assert np.isfinite(rows).all()


def test_the_pose_network_hears_each_window_where_it_is():
    heard = []

    def decode(windows):
        heard.extend(windows[:, :, 0].tolist())
        return np.zeros((len(windows), POSE_WINDOW, 6), np.float32)

    pose_motion(300, lambda first, end: np.repeat(np.arange(first, end, dtype=np.float32)[:, None], 512, 1), decode)
    assert [row[0] for row in heard] == [*range(1, 268, 16), 268]
    assert all(row == list(range(int(row[0]), int(row[0]) + 32)) for row in heard)


# ------------------------------------------------------------------------------------------------ rates and angles


@pytest.mark.parametrize("fps", ["25", "30", "24000/1001", "50", "12.5"])
def test_windows_are_25_rows_a_second_around_the_frames_own_time(fps):
    rate = Fraction(fps)
    times = np.arange(400) / 25
    wave = np.sin(2 * np.pi * 0.7 * times)[:, None].astype(np.float32)
    frames = int(6 * rate)
    seen = windows(wave, 0, frames, rate)
    assert seen.shape == (frames, 1, 27)
    middle = np.arange(frames) / float(rate)
    wanted = np.sin(2 * np.pi * 0.7 * np.clip(middle[:, None] + np.arange(-13, 14) / 25, 0, None))
    inner = middle > 0.6
    assert np.abs(seen[inner, 0] - wanted[inner]).max() < 2e-3


def test_at_25_frames_a_second_rows_are_taken_as_they_are_and_edges_repeat():
    rows = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    seen = windows(rows, 0, 40, Fraction(25))
    assert np.array_equal(seen[:, :, 13], rows)
    assert np.array_equal(seen[0, :, :13], np.repeat(rows[:1].T, 13, axis=1))
    assert np.array_equal(seen[39, :, 14:], np.repeat(rows[-1:].T, 13, axis=1))


def test_windows_do_not_depend_on_how_they_are_asked_for():
    rows = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    whole = windows(rows, 0, 90, Fraction(30))
    parts = np.concatenate([windows(rows, first, 9, Fraction(30)) for first in range(0, 90, 9)])
    assert np.array_equal(whole, parts)


@pytest.mark.parametrize(("frames", "fps", "rows"), [(1, 25, 1), (50, 25, 50), (60, 30, 51), (51, 50, 26), (2, 1, 26)])
def test_rows_cover_every_frame(frames, fps, rows):
    assert rows_for(frames, Fraction(fps)) == rows


def test_angles_move_at_one_speed_through_all_keys():
    degrees = angle_curve((0, 30, -30), 91)
    assert degrees[0] == 0
    assert degrees[-1] == -30
    assert degrees.max() == pytest.approx(30, abs=1)
    assert np.abs(np.diff(degrees)).max() == pytest.approx(90 / 90, rel=1e-3)


@pytest.mark.parametrize("keys", [(10,), (10, 10), (10, 10, 10)])
def test_equal_angles_hold(keys):
    assert (angle_curve(keys, 50) == 10).all()


def test_two_equal_angles_hold_for_their_share():
    degrees = angle_curve((0, 0, 20, 20), 301)
    assert (degrees[:100] == 0).all()
    assert (degrees[201:] == 20).all()
    assert 9 < degrees[150] < 11


def test_blinks_come_from_the_seed_and_keep_their_place_in_a_longer_clip():
    short, longer = blink_curve(wishes(speech(8.0)), StubParts()), blink_curve(wishes(speech(16.0)), StubParts())
    assert np.array_equal(short[:180], longer[:180])


# ------------------------------------------------------------------------------------------------ keypoints


def performed(voice=None, full=True, **settings):
    """A performance over a grey picture."""
    asked = wishes(voice, **settings)
    engine = SadTalker(StubParts(full=full), asked.settings, Runtime())
    landmarks = np.array([[52, 55], [76, 55], [64, 68], [54, 80], [74, 80]], np.float32)
    picture = np.full((128, 128, 3), 120, np.uint8)
    return engine.perform(
        Portrait(picture, landmarks, np.array([40, 26, 90, 100], np.float32)), asked.speech, Driving()
    )


def angles_of(keypoints):
    """(N, 3) degrees of pitch, yaw and roll that took the first keypoints to each frame's, by least squares."""
    neutral = StubParts().keypoints(torch.zeros(1, 3, 64, 64))[0].numpy()
    rows = np.concatenate([neutral[:14], np.ones((14, 1), np.float32)], axis=1)  # the last one has an expression
    turns = np.stack([np.linalg.lstsq(rows, frame[:14], rcond=None)[0][:3].T for frame in keypoints])
    pitch = np.arctan2(-turns[:, 1, 2], turns[:, 2, 2])
    roll = np.arctan2(-turns[:, 0, 1], turns[:, 0, 0])
    return np.rad2deg(np.stack([pitch, np.arcsin(turns[:, 0, 2]), roll], axis=1))


@pytest.mark.parametrize(("name", "column"), [("pitch", 0), ("yaw", 1), ("roll", 2)])
def test_an_angle_by_hand_replaces_that_angle_alone(name, column):
    plain, turned = (
        angles_of(performed().keypoints.frames),
        angles_of(performed(**{name: (-10.0, 25.0)}).keypoints.frames),
    )
    assert np.allclose(turned[:, column], np.linspace(-10, 25, len(turned)), atol=0.2)
    others = [index for index in range(3) if index != column]
    assert np.allclose(plain[:, others], turned[:, others], atol=0.02)
    assert np.ptp(plain[:, column]) > 1


def test_an_angle_by_hand_turns_a_still_head_too():
    turned = angles_of(performed(yaw=(20.0,), still=True).keypoints.frames)
    assert np.allclose(turned[:, 1], 20, atol=0.1)
    assert np.ptp(turned[:, [0, 2]], axis=0).max() < 0.01


def test_a_head_that_keeps_still_has_the_portraits_own_keypoints():
    made = performed(still=True, blink=0.0, strength=0.0)
    moved = made.keypoints.frames - made.keypoints.neutral
    assert np.abs(moved[:, :14]).max() < 1e-5
    assert np.ptp(made.landmarks, axis=0).max() < 0.5


def test_every_frame_rate_samples_one_motion():
    """Frames of 50 a second, every second one taken, are those of 25 a second."""
    slow = performed(speech(4.0)).keypoints.frames
    fast = performed(speech(4.0, Fraction(50))).keypoints.frames
    assert len(fast) == 2 * len(slow)
    assert np.abs(fast[::2] - slow)[:60].max() < 1e-4
    steps = np.abs(np.diff(fast, axis=0)).max(axis=(1, 2))
    assert steps[1:-1:2].mean() == pytest.approx(steps[:-1:2].mean(), rel=0.2), "no frame is shown twice"


@pytest.mark.parametrize("full", [True, False])
def test_the_mapping_network_of_the_mode_gets_its_columns(full):
    """73 with where the face lies, which never moves, 70 without; the stand-in refuses any other number."""
    assert np.isfinite(performed(full=full).keypoints.frames).all()
