"""Time: the worst bug of lip-sync is drift, so it is ruled out here for every rate."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipsync_core.errors import UsageError
from lipsync_core.timing import (
    MEL_COLUMNS_PER_SECOND,
    fitted_length,
    frames_for,
    mel_windows,
    parse_fps,
    source_index,
    source_indices,
    window_starts,
)

RATES = [Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(60000, 1001)]


def ramp(columns: int) -> np.ndarray:
    return np.tile(np.arange(columns, dtype=np.float32), (80, 1))


def test_a_window_past_the_end_repeats_the_last_column():
    (window,) = mel_windows(ramp(20), first=2, count=1, fps=Fraction(25))
    assert window[0, 0].tolist() == [*range(6, 20), 19, 19]


def test_a_window_before_the_start_repeats_the_first_column():
    (window,) = mel_windows(ramp(20), first=0, count=1, fps=Fraction(25), mel_offset_ms=-40)
    assert window[0, 0].tolist() == [0, 0, 0, 0, *range(12)]


def test_the_offset_of_minus_forty_is_the_training_rule_at_25_fps():
    # Published training: the window of frame f starts at int(80 * (f - 1) / 25).
    got = window_starts(1, 200, Fraction(25), mel_offset_ms=-40)
    assert got.tolist() == [int(80 * (f - 1) / 25) for f in range(1, 201)]


def test_no_offset_is_the_published_inference_rule():
    assert window_starts(0, 200, Fraction(25)).tolist() == [int(f * 80 / 25) for f in range(200)]


@pytest.mark.parametrize("fps", RATES, ids=str)
@given(frame=st.integers(0, 10_000_000))
def test_windows_never_drift_from_the_frame_clock(fps, frame):
    (start,) = window_starts(frame, 1, fps)
    assert 0 <= frame / fps - Fraction(int(start), MEL_COLUMNS_PER_SECOND) < Fraction(1, MEL_COLUMNS_PER_SECOND)


@given(
    first=st.integers(0, 100_000),
    count=st.integers(1, 40),
    fps=st.sampled_from(RATES),
    offset=st.integers(-1000, 1000),
)
def test_windows_cut_in_batches_are_the_windows_cut_at_once(first, count, fps, offset):
    whole = window_starts(first, count, fps, offset)
    parts = [int(window_starts(f, 1, fps, offset)[0]) for f in range(first, first + count)]
    assert whole.tolist() == parts


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(30000, 1001)], ids=str)
def test_an_hour_at_ntsc_rates_is_as_long_as_its_sound_within_one_frame(fps):
    frames = frames_for(Fraction(3600), fps)
    assert 0 <= frames / fps - 3600 < 1 / fps
    (last,) = window_starts(frames - 1, 1, fps)
    assert abs(last / 80 - (frames - 1) / fps) < 1 / 80


def test_sound_of_no_length_still_makes_one_frame():
    assert frames_for(Fraction(0), Fraction(25)) == 1


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        ("loop", [0, 1, 2, 0, 1, 2, 0]),
        ("pingpong", [0, 1, 2, 1, 0, 1, 2]),
        ("hold", [0, 1, 2, 2, 2, 2, 2]),
    ],
)
def test_a_video_shorter_than_the_speech_is_continued_as_its_fit_says(fit, expected):
    assert source_indices(fit, 0, 7, 3).tolist() == expected


def test_pingpong_of_one_frame_holds_it():
    assert [source_index("pingpong", f, 1) for f in range(4)] == [0, 0, 0, 0]


def test_only_cut_ends_with_the_shorter_of_the_two():
    assert fitted_length("cut", 10, 25) == 10
    assert fitted_length("cut", 40, 25) == 25
    assert fitted_length("loop", 10, 25) == 25
    assert fitted_length("hold", 40, 25) == 25
    assert fitted_length("cut", None, 25) == 25


def test_an_unknown_fit_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="loop, pingpong, hold, cut"):
        fitted_length("stretch", 1, 1)


@pytest.mark.parametrize(
    ("text", "fps"),
    [("25", Fraction(25)), ("29.97", Fraction(30000, 1001)), ("23.976", Fraction(24000, 1001)),
     ("30000/1001", Fraction(30000, 1001)), ("24", Fraction(24)), ("12.5", Fraction(25, 2))],
)  # fmt: skip
def test_frame_rates_are_read_as_people_write_them(text, fps):
    assert parse_fps(text) == fps


@pytest.mark.parametrize("text", ["", "fast", "1/0", "0", "-25", "1000"])
def test_frame_rates_that_make_no_sense_are_refused(text):
    with pytest.raises(UsageError, match="frame rate"):
        parse_fps(text)


def test_an_empty_mel_is_our_own_fault():
    with pytest.raises(ValueError, match="mel must be"):
        mel_windows(np.zeros((80, 0), np.float32), 0, 1, Fraction(25))
