"""What one step of training sees: windows of five frames with their sound, drawn by chance that can be repeated.

The draw of step s for rank r is a function of (seed, s, r) alone: a run that is resumed sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch

from ..timing import mel_windows
from ..types import Float, Pixels
from .shards import ClipPlace, read_frames, read_mel

FPS = Fraction(25)
FRAMES = 5
_MELS_KEPT = 4096  # clips whose mel stays in memory


@dataclass(frozen=True)
class Draw:
    """seed: of the run. step: from 0. rank: of this process. size: windows that it takes."""

    seed: int
    step: int
    rank: int
    size: int

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng((self.seed, self.step, self.rank))


@dataclass(frozen=True)
class ExpertBatch:
    """face: (N, 15, S / 2, S) BGR in [0, 1]. mel: (N, 1, 80, 16).

    together: (N,) 1 or 0; or (N / K, K, K) for N / K clips of K windows each, the windows of a clip in a row: 1 where a
    face (row) and a sound (column) are of one time, else 0.
    """

    face: torch.Tensor
    mel: torch.Tensor
    together: torch.Tensor


@dataclass(frozen=True)
class GeneratorBatch:
    """face: (N, 6, 5, S, S) BGR in [0, 1], the target with its lower half zeroed, then a window from elsewhere.

    true: (N, 3, 5, S, S). mels: (N, 5, 1, 80, 16), one a frame. mel: (N, 1, 80, 16) of the window, for the expert.
    """

    face: torch.Tensor
    true: torch.Tensor
    mels: torch.Tensor
    mel: torch.Tensor


class Windows:
    """Random windows out of clips. clips: of at least 3 * 5 frames, the shorter ones are passed over.

    mel_offset_ms: what the generator hears for a frame, see `timing.window_starts`; -40 is the published training rule.
    The window of an expert always begins with its first frame. least_shift: frames that a wrong pair is at least apart;
    the published rule is 1.
    """

    def __init__(self, clips: Sequence[ClipPlace], mel_offset_ms: float = -40.0, least_shift: int = 1) -> None:
        self._clips = [clip for clip in clips if len(clip.frames) >= 3 * FRAMES]
        self._offset, self._least = mel_offset_ms, max(1, least_shift)
        self._mel = lru_cache(maxsize=_MELS_KEPT)(read_mel)

    def __len__(self) -> int:
        return len(self._clips)

    def expert(self, draw: Draw) -> ExpertBatch:
        """Half of the pairs belong together, half are from elsewhere in the same clip."""
        rng = draw.rng
        together = rng.random(draw.size) < 0.5
        faces, mels = [], []
        for belongs in together:
            clip, start, other = self._place(rng)
            faces.append(read_frames(clip, range(*((start, start + FRAMES) if belongs else (other, other + FRAMES)))))
            mels.append(mel_windows(self._mel(clip), start, 1, FPS)[0])
        return _expert_batch(faces, mels, together.astype(np.float32))

    def expert_grids(self, draw: Draw, per_clip: int) -> ExpertBatch:
        """`per_clip` windows from different times of each clip, to be compared with the sound of all of them."""
        rng = draw.rng
        faces, mels = [], []
        clips = draw.size // per_clip
        for _ in range(clips):
            clip = self._clips[int(rng.integers(len(self._clips)))]
            for start in self._apart(rng, len(clip.frames) - FRAMES, per_clip):
                faces.append(read_frames(clip, range(start, start + FRAMES)))
                mels.append(mel_windows(self._mel(clip), start, 1, FPS)[0])
        return _expert_batch(faces, mels, np.tile(np.eye(per_clip, dtype=np.float32), (clips, 1, 1)))

    def generator(self, draw: Draw) -> GeneratorBatch:
        """A window to be made, with another one of the same clip as reference."""
        rng = draw.rng
        true, reference, mels, mel = [], [], [], []
        for _ in range(draw.size):
            clip, start, other = self._place(rng)
            rows = read_frames(clip, [*range(start, start + FRAMES), *range(other, other + FRAMES)])
            true.append(rows[:FRAMES])
            reference.append(rows[FRAMES:])
            heard = self._mel(clip)
            mels.append(mel_windows(heard, start, FRAMES, FPS, self._offset))
            mel.append(mel_windows(heard, start, 1, FPS)[0])
        made = _bgr(np.stack(true)).transpose(1, 2)
        masked = made.clone()
        masked[:, :, :, made.shape[3] // 2 :] = 0
        face = torch.cat([masked, _bgr(np.stack(reference)).transpose(1, 2)], dim=1)
        return GeneratorBatch(face, made, torch.from_numpy(np.stack(mels)), torch.from_numpy(np.stack(mel)))

    def _apart(self, rng: np.random.Generator, last: int, count: int) -> list[int]:
        """`count` first frames in 1 to `last`, `least_shift` apart; a clip too short for that gives what it has."""
        step = max(1, min(self._least, last // count))
        places = np.arange(1 + int(rng.integers(step)), last + 1, step)
        return [int(place) for place in rng.choice(places, count, replace=len(places) < count)]

    def _place(self, rng: np.random.Generator) -> tuple[ClipPlace, int, int]:
        """A clip, the first frame of a window (never the clip's own first, for whose sound there is nothing before),
        and that of another window.
        """
        clip = self._clips[int(rng.integers(len(self._clips)))]
        last = len(clip.frames) - FRAMES
        while True:
            start, other = (int(place) for place in rng.integers(1, last + 1, 2))
            if abs(start - other) >= self._least:
                return clip, start, other


def split_by_name(clips: Sequence[ClipPlace], share: float) -> tuple[list[ClipPlace], list[ClipPlace]]:
    """(for training, held out): whole videos, `share` of them, chosen by their names and so the same every time."""
    import zlib

    def held(clip: ClipPlace) -> bool:
        source = str(clip.facts.get("source", clip.name))
        return zlib.crc32(source.encode()) / 2**32 < share

    return [clip for clip in clips if not held(clip)], [clip for clip in clips if held(clip)]


def _expert_batch(faces: list[Pixels], mels: list[Float], together: Float) -> ExpertBatch:
    lower = _bgr(np.stack(faces))[:, :, :, faces[0].shape[1] // 2 :]  # (N, 5, 3, S / 2, S)
    return ExpertBatch(lower.flatten(1, 2), torch.from_numpy(np.stack(mels)), torch.from_numpy(together))


def _bgr(pixels: Pixels) -> torch.Tensor:
    """(..., S, S, 3) uint8 RGB -> (..., 3, S, S) float BGR in [0, 1]."""
    swapped = np.ascontiguousarray(np.moveaxis(pixels[..., ::-1], -1, -3))
    return torch.from_numpy(swapped).float().div_(255)
