"""Which pixels of a face are face: the parsing networks, and their weights.

What they tell apart is only as good as their training on CelebAMask-HQ: a hand is mostly background or clothes to them,
sometimes skin.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from ..errors import WeightsError
from ..media import shown_name
from ..networks.face_parsing import BiSeNet, ParseNet
from ..runtime import Runtime

SIDE = 512  # px of the upright crops that the networks were taught on
MAP_SIDE = SIDE // 2  # px of the maps that come out

_AT_ONCE = 4  # faces
_EYES = ("left_eye", "right_eye", "left_brow", "right_brow", "glasses")
_FACE = ("skin", "nose", "mouth", "upper_lip", "lower_lip", *_EYES)
_CLEAR = (*_FACE, "neck", "left_ear", "right_ear")  # what does not lie in front of a mouth
_FREE = (*_CLEAR, "background", "cloth")  # what an open mouth may move over: the rest lies in front wherever it is


@dataclass(frozen=True)
class ParserSpec:
    """build: the network. classes: what its channels are. mean, deviation: of R, G, B in [0, 1], taken off and divided.
    unused: prefixes of the checkpoint's tensors that serve training alone."""

    build: Any
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    unused: tuple[str, ...]


PARSERS = {
    "bisenet": ParserSpec(
        BiSeNet,
        ("background", "skin", "left_brow", "right_brow", "left_eye", "right_eye", "glasses", "left_ear", "right_ear",
         "earring", "nose", "mouth", "upper_lip", "lower_lip", "neck", "necklace", "cloth", "hair", "hat"),
        (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), ("conv_out16.", "conv_out32."),
    ),
    "parsenet": ParserSpec(
        ParseNet,
        ("background", "skin", "nose", "glasses", "left_eye", "right_eye", "left_brow", "right_brow", "left_ear",
         "right_ear", "mouth", "upper_lip", "lower_lip", "hair", "hat", "earring", "necklace", "neck", "cloth"),
        (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), ("out_img_conv.",),
    ),
}  # fmt: skip


class FaceParser:
    """A loaded parsing network. name: its row of PARSERS."""

    def __init__(self, name: str, network: torch.nn.Module, runtime: Runtime) -> None:
        self.name = name
        self.spec = PARSERS[name]
        # mypy has no overload of Module.to with a memory format
        self.network = network.to(dtype=runtime.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        runtime.place(self.network, runtime.device)
        self.runtime = runtime

    def parse(self, crops: torch.Tensor) -> torch.Tensor:
        """(N, 3, 512, 512) upright faces in [0, 1] -> (N, 3, 256, 256) in [0, 1]: face, nothing in front, free."""
        mean, deviation = (
            torch.tensor(values, device=crops.device)[:, None, None] for values in (self.spec.mean, self.spec.deviation)
        )
        maps = []
        with torch.inference_mode():
            for start in range(0, len(crops), _AT_ONCE):
                self.runtime.check()
                given = (crops[start : start + _AT_ONCE].float() - mean) / deviation
                given = given.to(self.runtime.dtype, memory_format=torch.channels_last)
                shares = self.network(given).float().softmax(dim=1)
                parts = torch.stack([self._sum(shares, names) for names in (_FACE, _CLEAR, _FREE)], dim=1)
                maps.append(F.avg_pool2d(parts, SIDE // MAP_SIDE))
        return torch.cat(maps).clone()

    def _sum(self, shares: torch.Tensor, names: tuple[str, ...]) -> torch.Tensor:
        return shares[:, [self.spec.classes.index(name) for name in names]].sum(dim=1)


def find_parser(runtime: Runtime) -> FaceParser:
    """The first parsing network whose weights are here; without any, a WeightsError that says how to get them."""
    from ..weights import entries, present, require

    found = present("parsing", runtime)
    name, path = found[0] if found else ("parsing_bisenet", require("parsing_bisenet", runtime))
    return load_parser(entries(runtime)[name].variant, path, runtime)


def load_parser(name: str, path: Path, runtime: Runtime) -> FaceParser:
    """Read the weights of a row of PARSERS."""
    from ..weights import load_state_dict

    spec = PARSERS[name]
    tensors = {key: value for key, value in load_state_dict(path, runtime).items() if not key.startswith(spec.unused)}
    with torch.device("meta"):  # no time is lost on weights that are replaced at once
        network = spec.build()
    wanted = {key: value.shape for key, value in network.state_dict().items()}
    if {key: value.shape for key, value in tensors.items()} != wanted:
        raise WeightsError(
            f"{shown_name(path)}: is not the face-parsing network '{name}', or a part of it is missing. "
            f"Get it with: lipsync weights get parsing_{name} --accept-licence"
        )
    network.load_state_dict(
        {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}, assign=True
    )
    return FaceParser(name, network.eval(), runtime)
