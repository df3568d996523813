"""Room on the GPU: the Stable Diffusion model makes way for a run, and comes back after it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from modules import devices, sd_models

from lipsync_core.runtime import free_memory

from . import host

WHEN = ("when memory is short", "always", "never")  # the choices of the setting
NEEDED_BYTES = 4 << 30  # what the largest engine with an enhancer takes, with some air


@contextmanager
def gpu_room(device: str) -> Iterator[None]:
    """While this lasts, the Stable Diffusion model is off the GPU where the run would not fit beside it.

    device: of the run; nothing is moved for a run on the CPU.
    """
    if not _wanted(device):
        yield
        return
    if host.is_forge():
        _forge_makes_room(device)  # it loads its models again by itself
        yield
        return
    # `shared.sd_model` would load a checkpoint where there is none: ask the loader's own field.
    model = sd_models.model_data.sd_model
    if model is None:
        yield
        return
    sd_models.send_model_to_cpu(model)
    try:
        yield
    finally:
        free_memory()
        sd_models.send_model_to_device(model)


def _wanted(device: str) -> bool:
    when = host.setting("free_sd_model", WHEN[0])
    if torch.device(device).type == "cpu" or when == "never":
        return False
    return when == "always" or free_bytes(device) < NEEDED_BYTES


def free_bytes(device: str) -> int:
    """What a run could take on the device. Where torch cannot tell, none: better to make room once too often."""
    devices.torch_gc()
    if torch.device(device).type != "cuda":
        return 0
    return int(torch.cuda.mem_get_info(device)[0])


def _forge_makes_room(device: str) -> None:
    manager: Any = importlib.import_module("backend.memory_management")
    if host.setting("free_sd_model", WHEN[0]) == "always":
        manager.unload_all_models()
    else:
        manager.free_memory(NEEDED_BYTES, torch.device(device))
