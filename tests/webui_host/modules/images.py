"""Numbered file names."""

import re
from pathlib import Path


def get_next_sequence_number(path: str, basename: str) -> int:
    """One more than the highest number that a file in the folder starts with."""
    prefix = f"{basename}-" if basename else ""
    numbers = [re.match(rf"{re.escape(prefix)}(\d+)", entry.name) for entry in Path(path).iterdir()]
    return max((int(match[1]) for match in numbers if match), default=-1) + 1
