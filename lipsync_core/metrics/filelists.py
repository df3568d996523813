"""The pairs of the published evaluation: which voice goes onto which face.

Prajwal et al. 2020, section 4.1: random pairs of the test sets of LRS2, LRS3 and LRW, and ReSyncED's own lists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, UsageError
from ..media import shown_name

VIDEO = ".mp4"


@dataclass(frozen=True)
class Pair:
    """line: of the list, from 1. face, speech: files."""

    line: int
    face: Path
    speech: Path


@dataclass(frozen=True)
class Layout:
    """sound_first: which of the two names of a line is the voice. place: (data folder, name) -> file."""

    sound_first: bool
    place: Callable[[Path, str], Path]


def _with_ending(data: Path, name: str) -> Path:
    return data / (name + VIDEO)


def _by_word(data: Path, name: str) -> Path:
    """LRW keeps WORD_00001 in WORD/test/."""
    flat = _with_ending(data, name)
    return flat if flat.exists() else data / name.rsplit("_", 1)[0] / "test" / (name + VIDEO)


def _as_named(data: Path, name: str) -> Path:
    return data / name


LAYOUTS: dict[str, Layout] = {
    "lrs2": Layout(True, _with_ending),
    "lrs3": Layout(True, _with_ending),
    "lrw": Layout(True, _by_word),
    "resynced": Layout(False, _as_named),
}


def read_pairs(path: Path, layout: str, data: Path) -> list[Pair]:
    """The pairs of a list, in its order. layout: of LAYOUTS. data: folder that its names are relative to.

    Raises InputError for a line that has not two names or leads out of the data folder, UsageError for a layout.
    """
    if layout not in LAYOUTS:
        raise UsageError(f"There is no layout '{layout}'. Known: {', '.join(LAYOUTS)}.")
    rule = LAYOUTS[layout]
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        words = "this is no list of pairs. A list is a text file with two names a line."
        raise InputError(f"{shown_name(path)}: {words}") from None
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        names = line.split()
        if len(names) != 2:
            raise InputError(f"{shown_name(path)}, line {number}: two names are wanted, it has {len(names)}.")
        speech, face = names if rule.sound_first else reversed(names)
        pairs.append(Pair(number, _inside(rule, data, face, number), _inside(rule, data, speech, number)))
    return pairs


def _inside(rule: Layout, data: Path, name: str, line: int) -> Path:
    place = rule.place(data, name)
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise InputError(f"Line {line}: '{name}' leads out of the data folder. Use names inside it.")
    return place
