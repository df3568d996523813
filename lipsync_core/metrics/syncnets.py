"""The networks that scores are measured with. To add one: write its class, then add its line in NETWORKS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F

from .. import weights
from ..audio.mel import MelStream
from ..audio.read import SpeechReader
from ..errors import UsageError
from ..networks.syncnet import SyncNetColor, expert_of_shapes
from ..networks.syncnet_v2 import SyncNetV2
from ..registry import Registry
from ..runtime import Runtime
from ..timing import mel_windows
from ..types import Float, Pixels
from .mfcc import MfccStream
from .sync import FPS, FRAMES, SyncNetwork

_MFCC_COLUMNS = 20  # 0.2 s, the time of five frames
_MFCC_STEP = 4  # columns a frame
_SAMPLES_PER_FRAME = 640


@dataclass(frozen=True)
class Sound:
    """A voice as scores hear it. mfcc: (13, T); mel: (80, M); frames: whole frames at 25 fps that it covers."""

    mfcc: Float
    mel: Float
    frames: int


def listen(path: Path) -> Sound:
    """Hear a whole file as published evaluations do: mono, 16 kHz, nothing taken away. Raises InputError."""
    reader, cepstra, mel = SpeechReader(path, plain=True), MfccStream(), MelStream()
    heard, spectrum, samples = [], [], 0
    for chunk in reader:
        samples += len(chunk)
        heard.append(cepstra.push(chunk))
        spectrum.append(mel.push(chunk))
    heard.append(cepstra.finish())
    spectrum.append(mel.finish())
    return Sound(np.concatenate(heard, axis=1), np.concatenate(spectrum, axis=1), samples // _SAMPLES_PER_FRAME)


class SyncNetScore:
    """SyncNet v2, the protocol of LSE-D and LSE-C: Euclidean distance of points that are not normalised."""

    side = 224

    def __init__(self, network: SyncNetV2, sound: Sound, device: str) -> None:
        self._network, self._sound, self._device = network, sound, device
        self.sounds = max(0, sound.frames - FRAMES)

    def look(self, windows: Pixels) -> torch.Tensor:
        """(N, 5, 224, 224, 3) uint8 RGB -> (N, 1024)."""
        bgr = torch.from_numpy(np.ascontiguousarray(windows[..., ::-1])).to(self._device)
        with torch.inference_mode():
            return self._network.lip(bgr.permute(0, 4, 1, 2, 3).float())

    def hear(self, first: int, end: int) -> torch.Tensor:
        """-> (end - first, 1024)."""
        starts = _MFCC_STEP * np.arange(first, end)[:, None]
        columns = self._sound.mfcc[:, starts + np.arange(_MFCC_COLUMNS)].transpose(1, 0, 2)[:, None]
        with torch.inference_mode():
            return self._network.aud(torch.from_numpy(np.ascontiguousarray(columns)).to(self._device))

    def distance(self, lips: torch.Tensor, sounds: torch.Tensor) -> torch.Tensor:
        """Euclidean."""
        return F.pairwise_distance(lips, sounds.expand_as(lips))


class ExpertScore:
    """SyncNet_color, the expert that Wav2Lip is trained against: 1 - cosine. Never to be put beside LSE."""

    def __init__(self, network: SyncNetColor, sound: Sound, device: str) -> None:
        self._network, self._mel, self._device = network, sound.mel, device
        self.side = network.size
        self.sounds = max(0, sound.frames - FRAMES)

    def look(self, windows: Pixels) -> torch.Tensor:
        """(N, 5, side, side, 3) uint8 RGB -> (N, D): the lower halves, BGR, one after the other in channels."""
        lower = windows[:, :, windows.shape[2] // 2 :, :, ::-1]
        stacked = torch.from_numpy(np.ascontiguousarray(lower.transpose(0, 1, 4, 2, 3))).to(self._device)
        with torch.inference_mode():
            return self._network.look(stacked.flatten(1, 2).float() / 255)

    def hear(self, first: int, end: int) -> torch.Tensor:
        """-> (end - first, D)."""
        windows = mel_windows(self._mel, first, end - first, FPS)
        with torch.inference_mode():
            return self._network.hear(torch.from_numpy(windows).to(self._device))

    def distance(self, lips: torch.Tensor, sounds: torch.Tensor) -> torch.Tensor:
        """1 - cosine; a point of zeros agrees with nothing."""
        return 1 - (lips * sounds).sum(dim=-1)


def load_network(name: str, checkpoint: str, runtime: Runtime) -> torch.nn.Module:
    """The network that NETWORKS calls `name`, ready to score. Raises UsageError, WeightsError."""
    path = Path(checkpoint) if checkpoint else weights.require(_DEFAULTS[name], runtime)
    state = weights.load_state_dict(path, runtime)
    network = NETWORKS[name]({key: tuple(value.shape) for key, value in state.items()})
    try:
        network.load_state_dict(state)
    except RuntimeError:
        raise UsageError(f"{path.name}: these are not the weights of {name}.") from None
    return network.eval().to(runtime.device)


def scorer(network: torch.nn.Module, sound: Sound, runtime: Runtime) -> SyncNetwork:
    """`network` with a voice to compare with."""
    if isinstance(network, SyncNetV2):
        return SyncNetScore(network, sound, runtime.device)
    return ExpertScore(cast(SyncNetColor, network), sound, runtime.device)


Build = Callable[[Mapping[str, tuple[int, ...]]], torch.nn.Module]

# name -> what builds the network from the shapes of its checkpoint
NETWORKS: Registry[Build] = Registry("score network")
NETWORKS.add("syncnet", lambda _: SyncNetV2())
NETWORKS.add("expert", expert_of_shapes)
_DEFAULTS = {"syncnet": "syncnet_v2", "expert": "lipsync_expert"}
