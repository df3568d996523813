"""Everything on the CPU."""

import torch

device = cpu = torch.device("cpu")
dtype = torch.float32


def get_device_for(task: str) -> torch.device:
    return device


def torch_gc() -> None:
    """Nothing to free."""
