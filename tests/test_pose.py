"""How far a head is turned, and that a mouth fades where it is turned away."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from demo_media import BOX, portrait_video, quiet_runtime, short_voice
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsync_core import assembly, casting, pipeline
from lipsync_core.blend import Blender, BlendSettings
from lipsync_core.face.crop import crop_faces, plan_crops
from lipsync_core.face.mask import MaskSettings, mask_faces
from lipsync_core.face.pose import estimate_yaw, fade_with_yaw
from lipsync_core.options import LipSyncOptions
from lipsync_core.types import CropStyle, FaceTrack, Rendered

# A head in mm that is not the one in pose.py: narrower, with a longer nose.
HEAD = np.array([[-30, 0, 0], [30, 0, 0], [0, 40, 30], [-24, 74, 2], [24, 74, 2]], np.float64)


def seen(yaw, pitch=0.0, roll=0.0, size=2.0, away=900.0):
    """(5, 2) px of a head turned by so many degrees, in perspective."""
    y, p, r = np.deg2rad([yaw, pitch, roll])
    turn_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    turn_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    points = HEAD @ (turn_z @ turn_x @ turn_y).T
    return (points[:, :2] * size / (1 - points[:, 2:] / away) + (300, 200)).astype(np.float32)


@settings(deadline=None)
@given(yaw=st.floats(-50, 50), pitch=st.floats(-15, 15), roll=st.floats(-40, 40), size=st.sampled_from([0.3, 2, 9]))
def test_yaw_is_told_from_five_points_whatever_tilt_and_size(yaw, pitch, roll, size):
    assert estimate_yaw(seen(yaw, pitch, roll, size)[None])[0] == pytest.approx(yaw, abs=4 + 0.3 * abs(yaw))


def test_yaw_grows_with_turning_to_the_side_of_the_picture():
    yaws = estimate_yaw(np.stack([seen(yaw) for yaw in range(-60, 61, 10)]))
    assert (np.diff(yaws) > 5).all()
    assert yaws[-1] > 50


def test_points_that_are_not_known_are_not_turned():
    assert estimate_yaw(np.full((2, 5, 2), np.nan, np.float32)).tolist() == [0, 0]
    assert estimate_yaw(np.zeros((1, 5, 2), np.float32)).tolist() == [0]


def test_a_mouth_fades_between_limit_and_limit_plus_fade():
    points = np.stack([seen(yaw) for yaw in (0, -30, 45, -60, 75)])
    shares = fade_with_yaw(points, 40, 45)
    assert shares[:2].tolist() == [1, 1]
    assert 0 < shares[3] < shares[2] < 1
    assert shares[4] == 0
    assert fade_with_yaw(points, 90, 0).tolist() == [1] * 5
    assert set(fade_with_yaw(points, 50, 0).tolist()) == {0, 1}


def test_a_share_of_a_face_is_pasted_and_none_changes_nothing():
    pixels = np.full((3, 200, 200, 3), 120, np.uint8)
    points = np.tile(np.float32([[70, 80], [130, 80], [100, 110], [75, 145], [125, 145]]), (3, 1, 1))
    boxes = np.tile(np.float32([[40, 30, 160, 180]]), (3, 1))
    track = FaceTrack(boxes, points, np.ones(3, bool), np.ones(3, bool))
    faces = crop_faces(pixels, plan_crops(track, CropStyle("box", 96), (200, 200)), 0, "cpu", torch.float32)
    mask = mask_faces(faces, "mouth", MaskSettings(), (200, 200))
    share = np.float32([1, 0.5, 0])
    out = Blender(BlendSettings(0.0)).blend(pixels.copy(), faces, Rendered(faces.crops * 0), mask, share)
    assert out[:, 145, 100, 0].tolist() == [0, 60, 120]
    assert np.array_equal(out[2], pixels[2])


def test_a_run_says_how_many_frames_fade(tmp_path):
    voice, video = short_voice(tmp_path / "voice.wav", 0.4), portrait_video(tmp_path / "clip.mp4", 10)
    runtime = quiet_runtime(tmp_path)
    options = LipSyncOptions(box=BOX, detector="box", yaw_limit=10, yaw_fade=0)
    source = assembly.open_face(video, options)
    heard = assembly.voice(assembly.hear(voice, options, runtime), source.fps, 10, options)
    faces = pipeline.analyse(source, 10, options, runtime)
    turned = replace(faces, tracks=tuple(replace(t, landmarks=_nose_aside(t.landmarks)) for t in faces.tracks))
    actors = casting.cast(turned, source, assembly.choose(options, runtime), heard, options)
    casting.prepare(actors, runtime)
    assert "10 frames keep" in runtime.notes[-1]
    assert not actors[0].share.any()
    actors = casting.cast(faces, replace(source, still=True), assembly.choose(options, runtime), heard, options)
    assert actors[0].share.all()


def _nose_aside(landmarks):
    moved = landmarks.copy()
    moved[:, 2, 0] += 0.4 * (landmarks[:, 1, 0] - landmarks[:, 0, 0])
    return moved
