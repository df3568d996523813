"""Sound laid out on a time line: frames with time stamps in, samples without holes or overlaps out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .types import Float

_TOLERANCE = Fraction(20, 1000)  # s; time stamps of some containers are this rough, so smaller steps are no holes
_LONGEST_HOLE = Fraction(600)  # s; a larger jump of the time stamps is an error in the file, not silence
_LONGEST_OVERLAP = Fraction(1)  # s; time that runs back further starts anew, and nothing is trimmed
_MISSING = Fraction(1, 2)  # s; a track that ends this long before its declared end was cut off
_PADDING = Fraction(1, 10)  # s; what an MP4 holds past its declared end, up to this, is the encoder's padding


@dataclass(frozen=True)
class SoundPiece:
    """Neighbouring samples. samples: (channels, n) float32, full scale is 1. layout: channel names like FL, FC, LFE."""

    rate: int
    layout: tuple[str, ...]
    samples: Float

    def __len__(self) -> int:
        return int(self.samples.shape[1])

    def part(self, start: int, end: int | None = None) -> SoundPiece:
        """Samples start..end of it."""
        return SoundPiece(self.rate, self.layout, self.samples[:, start:end])


class TimeLine:
    """Places pieces from time 0 on. Times are seconds on the file's own clock."""

    def __init__(self) -> None:
        self._end = Fraction(0)  # s of what has been given out
        self._shift: Fraction | None = None  # from the file's clock to ours
        self._expected = Fraction(0)  # on the file's clock, where the last piece ended
        self._origin: Fraction | None = None
        self._stop: Fraction | None = None
        self._held: list[SoundPiece] = []  # past the declared end: padding, or an end that was declared too early
        self._silence = self._trimmed = Fraction(0)
        self._jumps = 0

    def begin(self, origin: Fraction | None, stop: Fraction | None) -> None:
        """A file, or the next link of a chained one, follows.

        origin: the time that becomes 0; None for that of the first piece. stop: the declared end, None if unknown.
        """
        self._origin = origin if self._end == 0 else None
        self._shift, self._stop = None, stop

    def place(self, time: Fraction | None, piece: SoundPiece) -> Iterator[SoundPiece]:
        """time: of the piece's first sample; None where it follows the one before."""
        if time is None:
            time = (self._origin or Fraction(0)) if self._shift is None else self._expected
        self._shift = self._first_shift(time) if self._shift is None else self._next_shift(time, self._shift)
        self._expected = time + Fraction(len(piece), piece.rate)
        yield from self._fit(time + self._shift - self._end, piece)

    def _first_shift(self, time: Fraction) -> Fraction:
        """Sound that lies absurdly far from its picture is taken to start with it."""
        if self._origin is not None and abs(time - self._origin) < _LONGEST_HOLE:
            return self._end - self._origin
        self._jumps += self._origin is not None
        return self._end - time

    def _next_shift(self, time: Fraction, shift: Fraction) -> Fraction:
        step = time - self._expected
        if -_LONGEST_OVERLAP <= step <= _LONGEST_HOLE:
            return shift
        self._jumps += 1
        return shift - step

    def _fit(self, gap: Fraction, piece: SoundPiece) -> Iterator[SoundPiece]:
        leading = self._end == 0  # the start is placed to the sample
        if gap > (0 if leading else _TOLERANCE):
            self._silence += 0 if leading else gap
            yield from self._silent(round(gap * piece.rate), piece)
        elif -gap > (0 if leading else _TOLERANCE):
            cut = min(len(piece), round(-gap * piece.rate))
            self._trimmed += 0 if leading else Fraction(cut, piece.rate)
            piece = piece.part(cut)
        yield from self._until_stop(piece)

    def _silent(self, count: int, like: SoundPiece) -> Iterator[SoundPiece]:
        for start in range(0, count, like.rate):  # a second at a time
            length = min(like.rate, count - start)
            zeros = np.zeros((len(like.layout), length), np.float32)
            yield from self._out(SoundPiece(like.rate, like.layout, zeros))

    def _until_stop(self, piece: SoundPiece) -> Iterator[SoundPiece]:
        """Keep back what lies past the declared end, until there is too much of it to be padding."""
        over = 0 if self._stop is None else round((self._expected - self._stop) * piece.rate)
        keep = max(0, min(len(piece), len(piece) - over))
        yield from self._out(piece.part(0, keep))
        if keep < len(piece):
            self._held.append(piece.part(keep))
        if over > _PADDING * piece.rate:
            held, self._held, self._stop = self._held, [], None
            for part in held:
                yield from self._out(part)

    def _out(self, piece: SoundPiece) -> Iterator[SoundPiece]:
        if len(piece):
            self._end += Fraction(len(piece), piece.rate)
            yield piece

    def notes(self) -> list[str]:
        """What had to be mended, as sentences."""
        found = []
        if self._silence:
            found.append(f"Holes in the sound, {float(self._silence):.2f} s, were filled with silence.")
        if self._trimmed:
            found.append(f"Overlapping sound, {float(self._trimmed):.2f} s, was trimmed.")
        if self._jumps:
            found.append("The time stamps of the sound jump; it was taken as continuous.")
        if self._stop is not None and self._stop - self._expected > _MISSING:
            found.append(f"The sound breaks off {float(self._stop - self._expected):.2f} s before its declared end.")
        return found
