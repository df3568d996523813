"""From the published files to networks that are ready: every tensor accounted for, folded, on their device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ...errors import WeightsError
from ...media import shown_name
from ...runtime import Runtime

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ...networks.sadtalker.coefficients import CoefficientNetwork
    from ...networks.sadtalker.expression import ExpressionNetwork
    from ...networks.sadtalker.generator import Generator
    from ...networks.sadtalker.keypoints import KeypointDetector
    from ...networks.sadtalker.mapping import MappingNetwork
    from ...networks.sadtalker.pose import PoseNetwork

Shapes = Mapping[str, tuple[int, ...]]
Network = TypeVar("Network", bound="nn.Module")

# Where each network's tensors are in SadTalker_V0.0.2_{256,512}.safetensors.
COEFFICIENTS, EXPRESSION, POSE, KEYPOINTS, GENERATOR = (
    "face_3drecon.", "audio2exp.", "audio2pose.", "kp_extractor.", "generator.",
)  # fmt: skip
PREFIXES = (COEFFICIENTS, EXPRESSION, POSE, KEYPOINTS, GENERATOR)
MAPPING = "mapping."
_MAPPING_FIRST = "first.0.weight"
_MAPPING_WIDTHS = (70, 73)
_MAPPING_TRAINING = ("discriminator.",)  # in mapping_*.pth.tar, for training alone


@dataclass(frozen=True)
class Networks:
    """Everything of one checkpoint, on the runtime's device, in eval mode.

    What the generator does for every frame is in the runtime's precision, all else in fp32: it is small, or runs once
    for a source. Everything takes and gives fp32.
    """

    coefficients: CoefficientNetwork
    expression: ExpressionNetwork
    pose: PoseNetwork
    keypoints: KeypointDetector
    generator: Generator


def is_networks(shapes: Shapes) -> bool:
    """True for SadTalker_V0.0.2_{256,512}.safetensors; their tensors do not tell one from the other."""
    return all(any(name.startswith(prefix) for name in shapes) for prefix in PREFIXES)


def mapping_width(shapes: Shapes) -> int | None:
    """70 or 73, the coefficients that a mapping network takes; None when the file holds none."""
    shape = shapes.get(MAPPING + _MAPPING_FIRST) or shapes.get(_MAPPING_FIRST)
    return shape[1] if shape is not None and len(shape) == 3 and shape[1] in _MAPPING_WIDTHS else None


def load_networks(path: Path, runtime: Runtime, compiled: bool = False) -> Networks:
    """Read SadTalker_V0.0.2_{256,512}.safetensors. compiled: through torch.compile where this machine can.

    Raises WeightsError when a tensor is missing, has another shape, or is not of this file.
    """
    from ...networks.sadtalker import coefficients, expression, generator, keypoints, pose
    from ...weights import load_state_dict
    from ...weights.build import build_network

    runtime.check()
    file = shown_name(path)
    parts = _split(load_state_dict(path, runtime), file)  # nothing else holds them: each is let go as it is used
    told = build_network(pose.PoseNetwork, parts.pop(POSE), file)
    told.forget_training()
    painter = ready(build_network(generator.Generator, parts.pop(GENERATOR), file), runtime)
    painter.compute_in(runtime.dtype)
    networks = Networks(
        _small(build_network(coefficients.CoefficientNetwork, parts.pop(COEFFICIENTS), file), runtime),
        _small(build_network(expression.ExpressionNetwork, parts.pop(EXPRESSION), file), runtime),
        _small(told, runtime),
        ready(build_network(keypoints.KeypointDetector, parts.pop(KEYPOINTS), file), runtime),
        painter,
    )
    if compiled:
        _compile(networks.generator, runtime)
    return networks


def load_mapping(path: Path, runtime: Runtime) -> MappingNetwork:
    """Read mapping_00229-model.pth.tar (70 coefficients) or mapping_00109-model.pth.tar (73), or a conversion."""
    from ...networks.sadtalker.mapping import MappingNetwork
    from ...weights import load_state_dict
    from ...weights.build import build_network

    tensors = load_state_dict(path, runtime)
    width = mapping_width({name: tuple(value.shape) for name, value in tensors.items()})
    if width is None:
        raise WeightsError(
            f"{shown_name(path)}: is not a mapping network of SadTalker. Get it with: "
            "lipsync weights get sadtalker_mapping (or sadtalker_mapping_full)."
        )
    wrapped = any(name.startswith(MAPPING) for name in tensors)
    own = {
        name.removeprefix(MAPPING) if wrapped else name: value
        for name, value in tensors.items()
        if not name.startswith(_MAPPING_TRAINING)
    }
    return _small(build_network(lambda: MappingNetwork(width), own, shown_name(path)), runtime)


def _split(tensors: Mapping[str, torch.Tensor], file: str) -> dict[str, dict[str, torch.Tensor]]:
    """The tensors of each network, without its prefix; none may be left over."""
    parts: dict[str, dict[str, torch.Tensor]] = {prefix: {} for prefix in PREFIXES}
    for name, value in tensors.items():
        prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
        if prefix is None:
            raise WeightsError(
                f"{file}: the tensor '{name}' is none of SadTalker's. Get the published file with: "
                "lipsync weights get sadtalker_256 (or sadtalker_512)."
            )
        parts[prefix][name.removeprefix(prefix)] = value
    return parts


def _small(network: Network, runtime: Runtime) -> Network:
    import torch

    return network.to(device=runtime.device, dtype=torch.float32)


def ready(network: Network, runtime: Runtime) -> Network:
    """Folded, on the device, in fp32, channels last: what convolutions like best everywhere."""
    import torch

    from ...networks.sadtalker.layers import fold

    network = fold(network).to(device=runtime.device, dtype=torch.float32)
    for parameter in network.parameters():
        if parameter.dim() in _LAST:
            parameter.data = parameter.data.contiguous(memory_format=getattr(torch, _LAST[parameter.dim()]))
    return network


_LAST = {4: "channels_last", 5: "channels_last_3d"}


def _compile(generator: Generator, runtime: Runtime) -> None:
    """Compile what nearly all of the time goes into; leave it as it was, with a warning, where that does not work."""
    import torch

    from ...networks.sadtalker.generator import SMALLEST_PX

    motion = generator.dense_motion_network
    plain: tuple[Any, Any] = motion.hourglass, generator.decoder
    motion.hourglass = cast(Any, torch.compile(plain[0]))
    generator.decoder = cast(Any, torch.compile(plain[1]))
    try:
        with torch.inference_mode():
            source = generator.look(torch.zeros(1, 3, SMALLEST_PX, SMALLEST_PX, device=runtime.device))
            points = torch.zeros(1, 15, 3, device=runtime.device)
            generator(source, points, points)
    except RuntimeError as error:
        runtime.warn(f"torch.compile does not work here, SadTalker runs without it: {str(error).splitlines()[0]}")
        motion.hourglass, generator.decoder = plain
