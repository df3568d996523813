"""A look at a finished file before it gets its name: does it hold every frame, and can its end be decoded?"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.error

from ..errors import OutputError
from ..media import shown_name


def check_written(temporary: Path, final: Path, frames: int, fps: Fraction) -> None:
    """Raise `OutputError` when the file at `temporary` is not the whole clip. final: its name for the message."""
    if frames == 0:
        raise OutputError(f"{shown_name(final)}: there are no frames to write. Check the input's length.")
    with av.open(str(temporary), options={"protocol_whitelist": "file"}) as container:
        stream = container.streams.video[0]
        count = stream.frames or _count(container, stream)
        last = _last_time(container, stream)
    if count != frames or last is None or abs(last - (frames - 1) / fps) > 1 / fps:
        raise OutputError(
            f"{shown_name(final)}: the finished file holds {count} of {frames} frames. "
            "Check the disk, and try again or choose another folder."
        )


def _count(container: av.container.InputContainer, stream: av.VideoStream) -> int:
    """Packets of the picture, for containers that keep no count."""
    return sum(packet.size > 0 for packet in container.demux(stream))


def _last_time(container: av.container.InputContainer, stream: av.VideoStream) -> Fraction | None:
    """Time of the last frame that decodes, s, after a jump to the last key frame."""
    container.seek(container.duration or 0, backward=True)
    last = None
    for frame in container.decode(stream):
        if frame.pts is not None and frame.time_base:
            last = max(last or Fraction(0), frame.pts * Fraction(frame.time_base))
    return last
