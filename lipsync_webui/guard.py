"""Nothing of ours may keep the host from starting: what fails while it loads is kept, and shown in the tab."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
_log = logging.getLogger("lipsync")


@dataclass(frozen=True)
class Failure:
    """what: the part that is missing now. reason: one line. details: the traceback, for a report."""

    what: str
    reason: str
    details: str


FAILURES: list[Failure] = []


def attempt(what: str, work: Callable[[], T]) -> T | None:
    """What `work` gives; None when it fails, and then `FAILURES` says why."""
    try:
        return work()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        FAILURES.append(Failure(what, reason, traceback.format_exc()))
        _log.exception("Lip Sync: %s could not be loaded", what)
        return None
