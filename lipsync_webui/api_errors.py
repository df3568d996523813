"""What an API client is told when a request cannot be served: a status, a kind, and a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lipsync_core.errors import (
    Cancelled,
    InputError,
    LipSyncError,
    OutOfMemoryError,
    OutputError,
    UsageError,
    WeightsError,
)

# First match wins; HTTP status codes.
_STATUS: tuple[tuple[type[LipSyncError], int], ...] = (
    (UsageError, 422),
    (InputError, 422),
    (Cancelled, 409),
    (WeightsError, 409),  # the request is fine, the server lacks a file
    (OutOfMemoryError, 503),
    (OutputError, 507),
)
_SHOWN = 300  # characters of a client's own words in a message


class RefusedError(Exception):
    """A request that is not served. status: of HTTP. kind: one word for programs. str(): a sentence for people."""

    def __init__(self, status: int, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.kind = kind


@dataclass(frozen=True)
class Answer:
    """What goes back: `{"error": kind, "detail": sentence}` with an HTTP status."""

    status: int
    kind: str
    sentence: str

    @property
    def body(self) -> dict[str, str]:
        return {"error": self.kind, "detail": self.sentence}


def answer_to(error: RefusedError | LipSyncError, places: Mapping[str, Path]) -> Answer:
    """The answer to an error that a client can act on. places: name -> folder, for `without_paths`."""
    if isinstance(error, RefusedError):
        return Answer(error.status, error.kind, str(error))
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 422)
    return Answer(status, type(error).__name__, without_paths(str(error), places))


def without_paths(text: str, places: Mapping[str, Path]) -> str:
    """The text with each folder of the server replaced by its name in angle brackets, deeper folders first."""
    for name, folder in sorted(places.items(), key=lambda place: -len(str(place[1]))):
        for spelling in {str(folder), folder.as_posix()}:
            if len(spelling) > 1:
                text = text.replace(spelling, f"<{name}>")
    return text


def printable(text: str) -> str:
    """A client's own words as they may stand in a log or message: short, on one line, nothing invisible."""
    short = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in short)
