from fractions import Fraction

import numpy as np
import pytest

from lipsync_core.sound_time import SoundPiece, TimeLine


def piece(samples, rate=1000):
    return SoundPiece(rate, ("FC",), np.asarray(samples, np.float32)[None])


def laid_out(*placed, origin=None, stop=None):
    line = TimeLine()
    line.begin(origin, stop)
    parts = [part.samples[0] for time, sound in placed for part in line.place(time, sound)]
    return np.concatenate([np.zeros(0), *parts]), line.notes()


def test_a_hole_is_filled_with_silence_and_reported():
    samples, notes = laid_out((Fraction(0), piece([1] * 100)), (Fraction(2), piece([2] * 100)))
    assert len(samples) == 2100
    assert samples[100:2000].max() == 0
    assert samples[2000] == 2
    assert "1.90 s" in notes[0]


def test_an_overlap_is_trimmed_and_reported():
    samples, notes = laid_out((Fraction(0), piece([1] * 100)), (Fraction(1, 20), piece([2] * 100)))
    assert samples.tolist() == [1] * 100 + [2] * 50
    assert "0.05 s" in notes[0]


def test_rough_time_stamps_are_no_holes():
    placed = [(Fraction(k * 23 + k % 2 * 3, 1000), piece([k] * 23)) for k in range(100)]
    samples, notes = laid_out(*placed)
    assert len(samples) == 2300
    assert notes == []


def test_early_sound_is_cut_to_the_sample():
    samples, notes = laid_out(
        *[(Fraction(k, 20), piece(np.arange(k * 50, k * 50 + 50))) for k in range(4)], origin=Fraction(63, 1000)
    )
    assert samples.tolist() == list(range(63, 200))
    assert notes == []


@pytest.mark.parametrize("jump", [Fraction(10_000), Fraction(-5)])
def test_a_broken_clock_is_not_believed(jump):
    samples, notes = laid_out((Fraction(10), piece([1] * 100)), (10 + jump, piece([2] * 100)), origin=Fraction(10))
    assert samples.tolist() == [1] * 100 + [2] * 100
    assert "jump" in notes[0]


def test_sound_absurdly_far_from_its_picture_starts_with_it():
    samples, notes = laid_out((Fraction(99999), piece([1] * 10)), origin=Fraction(0))
    assert len(samples) == 10
    assert "jump" in notes[0]


def test_pieces_without_a_time_follow_each_other():
    samples, _ = laid_out((None, piece([1] * 10)), (None, piece([2] * 10)), origin=Fraction(0))
    assert samples.tolist() == [1] * 10 + [2] * 10


def test_a_declared_end_that_comes_far_too_early_is_not_believed():
    placed = [(Fraction(k, 20), piece([k] * 50)) for k in range(10)]
    assert len(laid_out(*placed, stop=Fraction(47, 100))[0]) == 470
    assert len(laid_out(*placed, stop=Fraction(1, 10))[0]) == 500
