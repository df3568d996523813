"""The one owner of time: frames, mel columns, and which source frame a frame of the result shows.

Everything is computed from an index and a Fraction, never by adding up, so nothing drifts.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError
from .types import Float

MEL_COLUMNS_PER_SECOND = 80  # 16 kHz / hop of 200 samples
MEL_WINDOW_COLUMNS = 16  # 0.2 s, what Wav2Lip and SyncNet hear for one frame
SAMPLE_RATE = 16000  # Hz of everything that listens

FITS = ("loop", "pingpong", "hold", "cut")

Index = NDArray[np.int64]


def window_starts(first: int, count: int, fps: Fraction, mel_offset_ms: float = 0.0) -> Index:
    """First mel column of each frame's window: floor(80 * (f / fps + mel_offset_ms / 1000)).

    An offset of 0 is the published inference rule, -40 the published training rule at 25 fps.
    Returns (count,) int64; may be negative or past the end, `mel_windows` repeats the edge.
    """
    offset = Fraction(mel_offset_ms).limit_denominator(1_000_000) / 1000
    # f * n / d + o, all over one denominator, floored in whole numbers: exact for any rate and any length.
    step = MEL_COLUMNS_PER_SECOND / fps
    shift = MEL_COLUMNS_PER_SECOND * offset
    denominator = step.denominator * shift.denominator
    up = step.numerator * shift.denominator
    add = shift.numerator * step.denominator
    return np.array([(up * f + add) // denominator for f in range(first, first + count)], dtype=np.int64)


def mel_windows(mel: Float, first: int, count: int, fps: Fraction, mel_offset_ms: float = 0.0) -> Float:
    """Cut one mel window per frame.

    mel: (80, M) float32 in [-4, 4], 80 columns a second.
    Returns (count, 1, 80, 16) float32. Past either end the edge column repeats.
    """
    if mel.ndim != 2 or mel.shape[1] == 0:
        raise ValueError(f"mel must be (80, M) with M > 0, not {mel.shape}")
    columns = window_starts(first, count, fps, mel_offset_ms)[:, None] + np.arange(MEL_WINDOW_COLUMNS)
    return np.ascontiguousarray(mel[:, columns.clip(0, mel.shape[1] - 1)].transpose(1, 0, 2)[:, None])


def frames_for(seconds: Fraction, fps: Fraction) -> int:
    """Frames whose time line covers `seconds`: at least one, the last one may reach past the end."""
    return max(1, math.ceil(seconds * fps))


def fitted_length(fit: str, video_frames: int | None, speech_frames: int) -> int:
    """Frames of the result. `cut` ends with the shorter of the two, every other fit with the speech.

    video_frames: None for a still picture, which is as long as it has to be.
    """
    if fit not in FITS:
        raise UsageError(f"There is no fit '{fit}'. Known: {', '.join(FITS)}.")
    if fit == "cut" and video_frames is not None:
        return min(video_frames, speech_frames)
    return speech_frames


def source_index(fit: str, frame: int, video_frames: int) -> int:
    """Which source frame the frame of the result shows, for a video of `video_frames` frames."""
    if frame < video_frames:
        return frame
    if fit == "loop":
        return frame % video_frames
    if fit == "pingpong" and video_frames > 1:
        period = 2 * (video_frames - 1)
        place = frame % period
        return place if place < video_frames else period - place
    return video_frames - 1


def source_indices(fit: str, first: int, count: int, video_frames: int) -> Index:
    """`source_index` of neighbouring frames, (count,) int64."""
    return np.array([source_index(fit, f, video_frames) for f in range(first, first + count)], dtype=np.int64)


def parse_fps(text: str) -> Fraction:
    """'25', '29.97', '30000/1001' -> Fraction. The NTSC rates that people write as decimals are meant exactly."""
    try:
        fps = Fraction(text.strip())
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"'{text}' is not a frame rate. Write it like 25, 29.97 or 30000/1001.") from None
    for ntsc in (Fraction(24000, 1001), Fraction(30000, 1001), Fraction(48000, 1001), Fraction(60000, 1001)):
        if abs(fps - ntsc) < Fraction(1, 100):
            return ntsc
    if not 1 <= fps <= 240:
        raise UsageError(f"A frame rate of {text} is out of range. It must lie between 1 and 240.")
    return fps
