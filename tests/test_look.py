"""The faces of one frame."""

import numpy as np
import pytest
from skimage.data import astronaut

from lipsync_core.errors import Cancelled, InputError
from lipsync_core.look import look
from lipsync_core.options import LipSyncOptions
from lipsync_core.runtime import Runtime, default_model_dir

CASCADE = LipSyncOptions(detector="cascade")
PORTRAIT = default_model_dir() / "demo" / "portrait.png"


def test_a_portrait_has_one_face_with_landmarks_inside_its_box():
    seen = look(PORTRAIT, 0, CASCADE, Runtime())
    assert (seen.width, seen.height, seen.detector) == (768, 768, "cascade")
    (box,), (points,) = seen.faces.boxes_xyxy, seen.faces.landmarks
    assert (box[:2] < points).all()
    assert (points < box[2:]).all()
    assert seen.picture.shape[0] * seen.scale == pytest.approx(768)


def test_the_frame_that_was_asked_for_is_looked_at(write_video):
    face, empty = astronaut()[:256, 100:356], np.full((256, 256, 3), 90, np.uint8)
    path = write_video("late.mp4", 12, size=(256, 256), picture=lambda index: face if index == 9 else empty)
    assert [len(look(path, frame, CASCADE, Runtime()).faces) for frame in (0, 9, 11)] == [0, 1, 0]


def test_a_frame_past_the_end_is_refused_by_number(write_video):
    with pytest.raises(InputError, match="there is no frame 12. It has 12, counted from 0"):
        look(write_video("short.mp4", 12), 12, CASCADE, Runtime())


def test_looking_far_into_a_video_can_be_stopped(write_video):
    with pytest.raises(Cancelled):
        look(write_video("long.mp4", 40), 39, CASCADE, Runtime(cancelled=lambda: True))
