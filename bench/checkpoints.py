"""A checkpoint with seeded random tensors: right in every shape, so that speed is what real weights would give."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from lipsync_core.networks.wav2lip import Generator, layout_96
from lipsync_core.runtime import Runtime


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


def random_sadtalker(folder: Path) -> Path:
    """SadTalker_V0.0.2_256 with random tensors, and its two mapping networks; all pinned for a machine at `folder`."""
    from lipsync_core import weights
    from lipsync_core.engines.sadtalker import networks as published
    from lipsync_core.networks.sadtalker import coefficients, expression, generator, keypoints, mapping, pose

    torch.manual_seed(0)
    parts = {
        published.COEFFICIENTS: coefficients.CoefficientNetwork(),
        published.EXPRESSION: expression.ExpressionNetwork(),
        published.POSE: pose.PoseNetwork(),
        published.KEYPOINTS: keypoints.KeypointDetector(),
        published.GENERATOR: generator.Generator(),
    }
    whole = {prefix + name: value for prefix, net in parts.items() for name, value in net.state_dict().items()}
    save_file({name: value.contiguous() for name, value in whole.items()}, folder / "sadtalker_random_256.safetensors")
    for width in (70, 73):
        save_file(mapping.MappingNetwork(width).state_dict(), folder / f"mapping_random_{width}.safetensors")
    machine = Runtime(model_dirs=(folder,), offline=True)
    for path in folder.glob("*_random_*.safetensors"):
        weights.add(path, machine)
    return folder / "sadtalker_random_256.safetensors"
