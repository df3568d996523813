"""From the tensors of a file to a network that has exactly these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from ..errors import WeightsError

if TYPE_CHECKING:
    import torch
    from torch import nn

Network = TypeVar("Network", bound="nn.Module")

_COUNTER = "num_batches_tracked"  # of training; some converters leave it out


def build_network(
    build: Callable[[], Network], tensors: Mapping[str, torch.Tensor], file: str, *, exact: bool = True
) -> Network:
    """A network with these tensors, on the CPU, in fp32 and eval mode. file: its name, for errors.

    exact False passes over tensors that the network has no use for. Raises WeightsError when a tensor is missing, has
    another shape, or (where exact) does not belong there.
    """
    import torch

    with torch.device("meta"):  # no time is lost on weights that are replaced at once
        network = build()
    state = network.state_dict()
    stranger = next((name for name in tensors if name not in state), None)
    if exact and stranger is not None:
        raise WeightsError(f"{file}: the tensor '{stranger}' does not belong there. Download the file again.")
    for name, value in state.items():
        if name.endswith(_COUNTER):
            state[name] = torch.zeros(value.shape, dtype=value.dtype)
        elif name in tensors and tensors[name].shape == value.shape:
            state[name] = tensors[name].float()
        else:
            raise WeightsError(
                f"{file}: the tensor '{name}' is missing or has another shape. The file is damaged or incomplete; "
                "download it again."
            )
    network.load_state_dict(state, assign=True)
    return network.eval()
