from fractions import Fraction

import numpy as np
import pytest

from lipsync_core.types import FrameBatch
from lipsync_core.video.label import draw_label, label_batch


def frames(count=3, height=720, width=1280, value=120):
    return np.full((count, height, width, 3), value, np.uint8)


def touched(pixels, value=120):
    changed = (pixels != value).any(axis=(0, 3))
    rows, columns = np.nonzero(changed.any(1))[0], np.nonzero(changed.any(0))[0]
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


@pytest.mark.parametrize(
    ("height", "width"), [(720, 1280), (1920, 1080), (512, 512), (2160, 3840), (64, 64), (16, 4096)]
)
def test_the_tag_is_small_and_lies_inside_the_bottom_corner(height, width):
    pixels = frames(1, height, width)
    draw_label(pixels)
    top, bottom, left, right = touched(pixels)
    assert bottom - top <= max(9, round(0.041 * height))
    assert right - left <= width * 0.51
    assert top >= 0.2 * height
    assert (bottom <= height, left < width * 0.1) == (True, True)


@pytest.mark.parametrize("value", [0, 120, 255])
def test_the_words_stand_out_on_any_ground(value):
    pixels = frames(1, value=value)
    draw_label(pixels)
    top, bottom, left, right = touched(pixels, value)
    tag = pixels[0, top:bottom, left:right, 0].astype(int)
    assert tag.max() - np.median(tag) > 130


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 2), (5, 300), (300, 5), (8, 8)])
def test_even_a_tiny_frame_takes_it(height, width):
    draw_label(frames(1, height, width))


def test_frames_that_nobody_may_write_to_are_left_as_they_are():
    picture = frames(1)
    shown = np.broadcast_to(picture, (3, *picture.shape[1:]))
    labelled = label_batch(FrameBatch(0, shown), Fraction(25))
    assert (labelled.pixels != 120).any()
    assert (picture == 120).all()


def test_other_frames_are_not_copied():
    batch = FrameBatch(0, frames())
    assert label_batch(batch, Fraction(25)).pixels is batch.pixels


def test_the_same_frame_gives_the_same_pixels_in_any_batch():
    alone = label_batch(FrameBatch(2, frames(1)), Fraction(25)).pixels[0]
    together = label_batch(FrameBatch(0, frames(3)), Fraction(25)).pixels
    assert all(np.array_equal(alone, frame) for frame in together)


@pytest.mark.parametrize(("first", "shown"), [(0, 10), (70, 5), (75, 0), (200, 0)])
def test_it_can_be_shown_for_the_first_seconds_only(first, shown):
    labelled = label_batch(FrameBatch(first, frames(10, 64, 64)), Fraction(25), seconds=3.0)
    assert (labelled.pixels != 120).any(axis=(1, 2, 3)).sum() == shown


def test_time_is_counted_exactly_at_ntsc_rates():
    labelled = label_batch(FrameBatch(85, frames(10, 64, 64)), Fraction(30000, 1001), seconds=3.0)
    assert (labelled.pixels != 120).any(axis=(1, 2, 3)).sum() == 90 - 85  # frame 90 comes at 3.003 s
