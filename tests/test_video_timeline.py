"""Frame times -> a constant rate, without drift; and a thread that runs ahead without running away."""

import threading
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipsync_core.video.ahead import read_ahead
from lipsync_core.video.timeline import Timed, constant_rate, snap_rate, tolerance, usable_rate

MS = Fraction(1, 1000)


def shown(times: list[Fraction], last: Fraction, fps: Fraction, tick: Fraction = MS) -> list[int]:
    """Which of the frames each slot shows."""
    frames = [Timed(moment, last, index) for index, moment in enumerate(times)]
    slots: list[int] = []
    for first, count, index in constant_rate(frames, fps, tolerance(tick, fps)):
        assert first == len(slots)
        slots += [index] * count
    return slots


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60)], ids=str)
@pytest.mark.parametrize("tick", [MS, Fraction(1, 600), Fraction(1, 90000)], ids=str)
def test_an_hour_of_rounded_time_stamps_does_not_drift_by_a_frame(rate, tick):
    count = int(3600 * rate)
    times = [int(index / rate / tick) * tick for index in range(0, count, 7)]  # every seventh, to be quick
    slots = [round((moment + tick / 2) * rate) for moment in times]
    assert slots == list(range(0, count, 7))
    for start in (0, count // 2, count - 50):
        near = [int(index / rate / tick) * tick for index in range(start, start + 50)]
        frames = [Timed(moment, 1 / rate, start + index) for index, moment in enumerate(near)]
        placed = [(first, n, index) for first, n, index in constant_rate(frames, rate, tolerance(tick, rate))]
        assert placed[:-1] == [(index, 1, index) for index in range(start, start + 49)]


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=40),
    st.sampled_from([Fraction(12), Fraction(24000, 1001), Fraction(25), Fraction(30), Fraction(60)]),
)
def test_each_slot_shows_the_frame_whose_time_covers_it(steps, fps):
    times = [MS * sum(steps[:index]) for index in range(len(steps))]
    slack = tolerance(MS, fps)
    slots = shown(times, MS * 40, fps)
    for slot, index in enumerate(slots):
        moment = Fraction(slot) / fps + slack
        assert times[index] <= moment
        assert index + 1 == len(times) or times[index + 1] > moment
    assert len(slots) >= 1


def test_a_rate_is_halved_and_doubled_by_leaving_out_and_repeating():
    times = [Fraction(index, 50) for index in range(10)]
    assert shown(times, Fraction(1, 50), Fraction(25)) == [0, 2, 4, 6, 8]
    assert shown(times, Fraction(1, 50), Fraction(100)) == [index // 2 for index in range(20)]


def test_a_gap_is_filled_by_the_frame_before_it_and_equal_times_by_the_last():
    assert shown([Fraction(0), Fraction(4, 25), Fraction(4, 25)], Fraction(1, 25), Fraction(25)) == [0, 0, 0, 0, 2]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("23.976", Fraction(24000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("25.001", Fraction(25)),
        ("30", Fraction(30)),
        ("59.94", Fraction(60000, 1001)),
        ("17.5", Fraction(35, 2)),
    ],
)
def test_rounded_rates_are_what_they_were_meant_to_be(written, meant):
    assert snap_rate(Fraction(written)) == meant


@pytest.mark.parametrize(("rate", "used"), [(25, 25), (1000, 200), (1, 24), (10, 30), (8, 24), (240, 240), (12, 12)])
def test_rates_that_do_not_suit_lips_are_changed_by_whole_numbers(rate, used):
    assert usable_rate(Fraction(rate)) == used


def test_items_come_in_order_and_never_more_than_a_few_ahead():
    made = []

    def source():
        for item in range(50):
            made.append(item)
            yield item

    items = read_ahead(source(), 3)
    assert next(items) == 0
    time.sleep(0.05)
    assert len(made) <= 5
    assert list(items) == list(range(1, 50))


def test_an_error_of_the_source_arrives_after_what_came_before_it():
    def source():
        yield 1
        raise KeyError("broken")

    items = read_ahead(source(), 4)
    assert next(items) == 1
    with pytest.raises(KeyError, match="broken"):
        next(items)


def test_closing_stops_the_thread_and_closes_the_source():
    closed_by = []

    def source():
        try:
            while True:
                yield 0
        finally:
            closed_by.append(threading.current_thread().name)

    before = threading.active_count()
    items = read_ahead(source(), 2)
    next(items)
    items.close()
    assert closed_by == ["lipsync-decode"]
    assert threading.active_count() == before
