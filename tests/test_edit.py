"""Crop, turn and shrink, as in the original's inference.py."""

import numpy as np
import pytest

from lipsync_core.errors import UsageError
from lipsync_core.types import FrameBatch
from lipsync_core.video.edit import Edit


def numbered(width=64, height=48):
    frame = np.zeros((height, width, 3), np.uint8)
    frame[..., 0] = np.arange(width)
    frame[..., 1] = np.arange(height)[:, None]
    return FrameBatch(5, frame[None])


def test_no_edit_gives_the_very_batch_back():
    batch = numbered()
    assert Edit().apply(batch) is batch


def test_turning_is_clockwise():
    out = Edit(rotate=90).apply(numbered())
    assert out.pixels.shape == (1, 64, 48, 3)
    assert out.pixels[0, 0, -1].tolist() == [0, 0, 0], "the top left corner went to the top right"
    assert out.first == 5


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("crop", [None, (0, -1, 0, -1), (2, 40, 3, 40)])
def test_the_size_is_known_before_a_frame_is_seen(rotate, factor, crop):
    if factor == 2 and crop == (2, 40, 3, 40):
        crop = (0, 400, 0, 400)
    edit = Edit(factor, rotate, crop)
    batch = numbered(128, 96)
    width, height = edit.size(128, 96)
    assert edit.apply(batch).pixels.shape == (1, height, width, 3)


def test_a_crop_is_top_bottom_left_right():
    out = Edit(crop_tblr=(8, 48, 16, -1)).apply(numbered())
    assert out.pixels[0, 0, 0].tolist() == [16, 8, 0]


def test_a_crop_that_leaves_nothing_is_refused():
    with pytest.raises(UsageError, match="at least 32x32"):
        Edit(crop_tblr=(10, 20, 0, -1)).size(640, 480)
