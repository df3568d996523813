"""A polite no before the machine runs out of memory."""

from __future__ import annotations

import psutil

from ..lipsync_core.errors import OutOfMemoryError

_SHARE = 0.8  # of what is free; the rest is for what runs beside


def need_memory(count: int, height: int, width: int, what: str, instead: str) -> None:
    """Raise OutOfMemoryError when `count` float32 pictures will not fit, naming what does the same in little memory."""
    needed = count * height * width * 3 * 4
    free = psutil.virtual_memory().available
    if needed > _SHARE * free:
        raise OutOfMemoryError(
            f"{what}: {count} pictures of {width}x{height} take {needed / 2**30:.1f} GB, and {free / 2**30:.1f} GB are "
            f"free. {instead}"
        )
