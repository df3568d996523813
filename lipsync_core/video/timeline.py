"""Any frame times -> a constant rate: which source frame each slot of the time line shows. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

T = TypeVar("T")

# Rates that exist; what a container has rounded is meant to be one of these.
STANDARD_RATES = (
    *(Fraction(1000 * rate, 1001) for rate in (24, 30, 48, 60, 120)),
    *(Fraction(rate) for rate in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 100, 120, 240)),
)
FASTEST = 240  # frames a second; more is thinned out
SLOWEST = 12  # frames a second; lips cannot be seen to speak in fewer
FAST_ENOUGH = 24
_FINEST_TICK = Fraction(1, 1000)


@dataclass(frozen=True)
class Timed(Generic[T]):
    """A frame with the time at which it appears and how long it is meant to stay, in seconds."""

    time: Fraction
    duration: Fraction
    frame: T


def snap_rate(rate: Fraction) -> Fraction:
    """23.976 -> 24000/1001, 25.001 -> 25: the standard rate that was meant, else the same to three digits."""
    near = min(STANDARD_RATES, key=lambda standard: abs(standard - rate))
    if abs(near - rate) <= near / 2500:  # less than half of what separates 30 from 30000/1001
        return near
    return rate.limit_denominator(1001)


def usable_rate(rate: Fraction) -> Fraction:
    """The rate of the result when the user does not say: the source's own, unless that is far too low or too high.

    Whole multiples and fractions, so that every source frame is shown equally long.
    """
    if rate > FASTEST:
        return rate / math.ceil(rate / FASTEST)
    if rate < SLOWEST:
        return rate * math.ceil(FAST_ENOUGH / rate)
    return rate


def tolerance(tick: Fraction, fps: Fraction) -> Fraction:
    """How far a time stamp may lie past its slot and still belong to it: what the container's clock rounds."""
    return min(max(tick, _FINEST_TICK), 1 / (4 * fps))


def first_slot(time: Fraction, fps: Fraction, slack: Fraction) -> int:
    """The first slot that shows a frame appearing at `time`: the first k with time <= k / fps + slack."""
    return max(0, math.ceil((time - slack) * fps))


def constant_rate(frames: Iterable[Timed[T]], fps: Fraction, slack: Fraction) -> Iterator[tuple[int, int, T]]:
    """(first slot, slots, frame): each slot shows the last frame that has appeared at its time.

    frames: in order of time. Frames too short for any slot are left out; gaps are filled by the frame before them.
    Every clip has at least one slot.
    """
    held: Timed[T] | None = None
    for frame in frames:
        if held is not None:
            first, end = first_slot(held.time, fps, slack), first_slot(frame.time, fps, slack)
            if end > first:
                yield first, end - first, held.frame
        held = frame
    if held is not None:
        first = first_slot(held.time, fps, slack)
        end = max(first_slot(held.time + held.duration, fps, slack), 1)
        if end > first:
            yield first, end - first, held.frame
