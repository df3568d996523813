"""What the tests of weights share: a machine without weights, a catalogue of one entry, and its file."""

from __future__ import annotations

import hashlib
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from lipsync_core import weights
from lipsync_core.runtime import Runtime
from lipsync_core.weights import Policy, catalogue

DATA = random.Random(1).randbytes(400_000)
SHA = hashlib.sha256(DATA).hexdigest()
FAST = Policy(
    connect_s=5, read_s=5, stall_s=0.4, tries=3, wait_s=0.01, longest_wait_s=0.5, loopback_http=True, redirects=5
)
_SWITCHES = ("http_proxy", "https_proxy", "all_proxy", "SD_LIPSYNC_OFFLINE", "HF_HUB_OFFLINE", "SD_LIPSYNC_MODELS")


def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """No weights, no proxy, no offline switch; the catalogue is empty, in `tmp_path/shipped`."""
    for name in (*_SWITCHES, "SD_LIPSYNC_WEIGHTS_MIRROR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "catalogue.json").write_text('{"entries": []}')
    monkeypatch.setattr(catalogue, "default_model_dir", lambda: tmp_path / "shipped")
    return Runtime(model_dirs=(tmp_path / "models",), cache_dir=tmp_path / "cache")


def ship(tmp_path: Path, **changes: object) -> None:
    """Write a catalogue with the one entry "net", whose file is net.onnx with DATA in it."""
    row = {
        "name": "net", "engine": "test", "file": "net.onnx", "urls": [], "size": len(DATA), "sha256": SHA,
        "hash_source": "official", "format": "onnx", "licence": "MIT", "licence_url": "", "needs_ack": False,
    }  # fmt: skip
    (tmp_path / "shipped" / "catalogue.json").write_text(json.dumps({"entries": [{**row, **changes}]}))


def vouch(tmp_path: Path, path: Path, format: str = "pickle") -> Path:
    """Put a checkpoint into the catalogue."""
    content = path.read_bytes()
    ship(tmp_path, file=path.name, size=len(content), sha256=hashlib.sha256(content).hexdigest(), format=format)
    return path


def fetch(runtime: Runtime, policy: Policy = FAST) -> bytes:
    return weights.get("net", runtime, policy=policy).read_bytes()


def leftovers(runtime: Runtime) -> list[str]:
    folder = runtime.model_dirs[0]
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock.part"))


def flipped(place: int) -> bytes:
    return DATA[:place] + bytes([DATA[place] ^ 1]) + DATA[place + 1 :]


class Program:
    """A pickle that runs a command when it is opened without care."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


class Small(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x))


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    return Small().state_dict()


def assert_same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


def saved(path: Path, what: Any, **options: Any) -> Path:
    torch.save(what, path, **options)
    return path
