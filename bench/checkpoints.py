"""A checkpoint with seeded random tensors: right in every shape, so that speed is what real weights would give."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from lipsync_core.networks.wav2lip import Generator, layout_96


def quarter_wav2lip(folder: Path) -> Path:
    """The compressed 96 px generator, where the generator's own cost is not what is measured."""
    path = folder / "quarter.safetensors"
    save_file({name: value.contiguous() for name, value in _seeded(True).state_dict().items()}, path)
    return path


def random_wav2lip(folder: Path) -> tuple[Path, Path]:
    """(safetensors, pickle) of the same 96 px generator; the pickle is what the original reads."""
    network = _seeded(False)
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(state, folder / "random.safetensors")
    torch.save({"state_dict": state}, folder / "random.pth")
    return folder / "random.safetensors", folder / "random.pth"


def _seeded(quarter: bool) -> torch.nn.Module:
    torch.manual_seed(0)
    network = Generator(layout_96(quarter=quarter))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
            torch.nn.init.normal_(module.running_mean, 0.0, 0.1)  # type: ignore[arg-type]
    return network
