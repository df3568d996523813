"""SadTalker without its networks: stand-ins of the same shapes whose every output can be told beforehand.

The stand-in renderer moves the crop as its keypoints say (an affine fit), so that geometry can be seen and measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from demo_media import DEMO
from PIL import Image

from lipsync_core import assembly
from lipsync_core.engines.base import Driving, EngineSettings, HeadSettings
from lipsync_core.engines.choose import Chosen
from lipsync_core.engines.sadtalker import SPEC
from lipsync_core.engines.sadtalker.drive import Wishes, coefficients
from lipsync_core.engines.sadtalker.engine import SadTalker
from lipsync_core.networks.sadtalker.geometry import HeadPose
from lipsync_core.options import LipSyncOptions
from lipsync_core.runtime import Runtime
from lipsync_core.types import Speech

BLINK_WAY = np.zeros(64, np.float32)
BLINK_WAY[40:50] = 0.3
LIPS = 5  # the coefficient that follows the voice
_SCORE = 30.0


@dataclass
class StubParts:
    """`engines.sadtalker.parts.Parts`. calls: how often each network was asked."""

    size: int = 64
    full: bool = True
    device: str = "cpu"
    calls: dict[str, int] = field(default_factory=dict)
    drawn_sizes: list[int] = field(default_factory=list)

    def _count(self, name: str) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1

    def coefficients(self, faces: torch.Tensor) -> np.ndarray:
        """Expression and pose from how bright the parts of the picture are: a video can say what it wants."""
        self._count("coefficients")
        assert faces.shape[1:] == (3, 224, 224)
        assert 0 <= faces.min() <= faces.max() <= 1
        level = faces.mean(dim=(2, 3)).cpu().numpy()
        out = np.zeros((len(faces), 257), np.float32)
        out[:, 80 + LIPS] = level[:, 0]
        out[:, 80:144] += 0.5 * level[:, 1:2] * BLINK_WAY
        out[:, 224:227] = 0.3 * (level - 0.5)
        out[:, 254:257] = 0.1 * level
        return out

    def express(self, mel: np.ndarray, reference: np.ndarray, blink: np.ndarray) -> np.ndarray:
        assert mel.shape[1:] == (1, 80, 16)
        out = np.repeat(0.25 * reference[None], len(mel), axis=0)
        out[:, LIPS] += (mel.mean(axis=(1, 2, 3)) + 4) / 8
        return (out + blink[:, None] * BLINK_WAY).astype(np.float32)

    def hear_pose(self, mel: np.ndarray) -> np.ndarray:
        self._count("hear_pose")
        out = np.zeros((len(mel), 512), np.float32)
        out[:, 0] = (mel.mean(axis=(1, 2, 3)) + 4) / 8
        return out

    def pose(self, heard: np.ndarray, reference: np.ndarray, latent: np.ndarray, style: int) -> np.ndarray:
        """A ramp in every window, so that windows put end to end would jump; and where it lies depends on chance."""
        self._count("pose")
        assert heard.shape[1:] == (32, 512)
        assert 0 <= style <= 45
        ramp = np.linspace(-0.1, 0.1, 32, dtype=np.float32)[None, :, None]
        base = 0.1 * np.tanh(latent[:6])[None, None] + 0.004 * style
        return np.asarray(ramp + base + 0.03 * heard[:, :, :1], np.float32)

    def head(self, windows: np.ndarray) -> HeadPose:
        assert windows.shape[1:] == (73 if self.full else 70, 27)
        middle = torch.from_numpy(windows[:, :, 13])
        degrees = middle[:, 64:67] * (180 / 3.14)
        shift = torch.zeros(len(middle), 3)
        shift[:, 1] = middle[:, 68]
        expression = torch.zeros(len(middle), 15, 3)
        expression[:, 14, 1] = 0.2 * middle[:, LIPS]
        return HeadPose(
            scores(degrees[:, 1]), scores(degrees[:, 0]), scores(degrees[:, 2]), shift, expression.flatten(1)
        )

    def keypoints(self, crop: torch.Tensor) -> torch.Tensor:
        assert crop.shape == (1, 3, self.size, self.size)
        dice = np.random.default_rng(5)
        return torch.from_numpy(dice.uniform(-0.6, 0.6, (1, 15, 3)).astype(np.float32) * [1, 1, 0.4]).float()

    def look(self, crop: torch.Tensor) -> torch.Tensor:
        self._count("look")
        return crop

    def draw(self, source: torch.Tensor, neutral: torch.Tensor, driving: torch.Tensor) -> torch.Tensor:
        self.drawn_sizes.append(len(driving))
        return moved(source, neutral[0, :, :2], driving[:, :, :2])


def scores(degrees: torch.Tensor) -> torch.Tensor:
    """(N,) degrees -> (N, 66) scores whose mean class says them."""
    place = ((degrees + 99) / 3).clamp(0, 64.999)
    low = place.floor().long()
    part = (place - low).clamp(1e-6, 1 - 1e-6)
    out = torch.full((len(degrees), 66), -_SCORE)
    out.scatter_(1, low[:, None], (1 - part).log()[:, None])
    return out.scatter_(1, low[:, None] + 1, part.log()[:, None])


def moved(crop: torch.Tensor, neutral: torch.Tensor, driving: torch.Tensor) -> torch.Tensor:
    """The crop after the affine map that takes the neutral points nearest to each frame's."""
    ones = np.ones((len(neutral), 1))
    grids = []
    for points in driving.double().numpy():
        back = np.linalg.lstsq(np.concatenate([points, ones], 1), neutral.double().numpy(), rcond=None)[0].T
        # Rounded: LAPACK's last digits depend on where its arrays lie in memory.
        matrix = torch.from_numpy(back.round(7)).float()  # result -> crop
        grids.append(F.affine_grid(matrix[None], [1, 3, *crop.shape[2:]], align_corners=True))
    return F.grid_sample(
        crop.expand(len(driving), -1, -1, -1), torch.cat(grids), padding_mode="border", align_corners=True
    )


def speech(seconds: float = 4.0, fps: Fraction = Fraction(25), seed: int = 0, offset: float = 0.0) -> Speech:
    """A voice that comes and goes."""
    columns = round(seconds * 80) + 1
    level = -4 + 4 * np.abs(np.sin(np.arange(columns) / 9 + seed))
    mel = np.repeat(level[None], 80, axis=0).astype(np.float32)
    return Speech(mel, np.ones(columns, np.float32), fps, max(1, round(seconds * fps)), offset)


SOURCE = np.linspace(-0.1, 0.1, 70).astype(np.float32)


def wishes(voice: Speech | None = None, driving: Driving | None = None, **settings: object) -> Wishes:
    """settings: of EngineSettings or HeadSettings."""
    own = {name: value for name, value in settings.items() if name in EngineSettings.__dataclass_fields__}
    head = HeadSettings(**{name: value for name, value in settings.items() if name not in own})  # type: ignore[arg-type]
    return Wishes(SOURCE, voice or speech(), EngineSettings(**own, head=head), driving or Driving())  # type: ignore[arg-type]


def curve(voice: Speech | None = None, driving: Driving | None = None, **settings: object) -> np.ndarray:
    """(T, 70) coefficients with these settings."""
    return coefficients(wishes(voice, driving, **settings), StubParts())


def use_stub(monkeypatch: pytest.MonkeyPatch, parts: StubParts) -> None:
    """Let the pipeline have SadTalker with stand-ins."""

    def choose(options: LipSyncOptions, runtime: Runtime) -> Chosen:
        parts.full = "full" in options.preprocess
        engine = SadTalker(parts, assembly.engine_settings(options), runtime, str(parts.size))
        return Chosen("sadtalker", SPEC, engine, "01234567")

    monkeypatch.setattr(assembly, "choose", choose)


def portrait(path: Path, size: tuple[int, int] = (128, 128)) -> Path:
    with Image.open(DEMO / "portrait.png") as picture:
        picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(path)
    return path
