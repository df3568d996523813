"""The Stable Diffusion model makes way for a run on the GPU, and comes back. With stand-ins: no GPU is needed."""

import sys
import types

import pytest
from modules import sd_models, shared

from lipsync_webui import host, memory


@pytest.fixture
def moves(monkeypatch):
    """What happened to the model, in order. The host is A1111 with a model loaded."""
    done = []
    monkeypatch.setattr(host, "is_forge", lambda: False)
    monkeypatch.setattr(sd_models, "model_data", types.SimpleNamespace(sd_model="model"), raising=False)
    monkeypatch.setattr(sd_models, "send_model_to_cpu", lambda model: done.append(("away", model)), raising=False)
    monkeypatch.setattr(sd_models, "send_model_to_device", lambda model: done.append(("back", model)), raising=False)
    return done


def with_free(monkeypatch, gigabytes):
    monkeypatch.setattr(memory, "free_bytes", lambda device: gigabytes << 30)


def test_where_memory_is_short_the_model_goes_and_comes_back(moves, monkeypatch):
    with_free(monkeypatch, 1)
    with memory.gpu_room("cuda"):
        assert moves == [("away", "model")]
    assert moves == [("away", "model"), ("back", "model")]


def test_it_comes_back_after_an_error_too(moves, monkeypatch):
    with_free(monkeypatch, 1)
    with pytest.raises(RuntimeError, match="boom"), memory.gpu_room("cuda"):
        raise RuntimeError("boom")
    assert moves[-1] == ("back", "model")


@pytest.mark.parametrize(
    ("device", "free", "when", "moved"),
    [
        ("cuda", 20, "when memory is short", False),
        ("cuda", 20, "always", True),
        ("cuda:1", 1, "never", False),
        ("cpu", 0, "always", False),
    ],
)
def test_nothing_is_moved_without_need(moves, monkeypatch, device, free, when, moved):
    with_free(monkeypatch, free)
    shared.opts.lipsync_free_sd_model = when
    with memory.gpu_room(device):
        assert bool(moves) is moved


def test_a_host_without_a_model_is_not_made_to_load_one(moves, monkeypatch):
    """`shared.sd_model` of A1111 loads a checkpoint when it is looked at."""
    with_free(monkeypatch, 1)
    sd_models.model_data.sd_model = None
    with memory.gpu_room("cuda"):
        pass
    assert moves == []


@pytest.mark.parametrize(("when", "expected"), [("always", "all"), ("when memory is short", memory.NEEDED_BYTES)])
def test_forge_is_asked_to_make_room_and_loads_again_by_itself(moves, monkeypatch, when, expected):
    asked = []
    manager = types.ModuleType("backend.memory_management")
    manager.free_memory = lambda wanted, device: asked.append(wanted)
    manager.unload_all_models = lambda: asked.append("all")
    monkeypatch.setitem(sys.modules, "backend", types.ModuleType("backend"))
    monkeypatch.setitem(sys.modules, "backend.memory_management", manager)
    monkeypatch.setattr(host, "is_forge", lambda: True)
    with_free(monkeypatch, 1)
    shared.opts.lipsync_free_sd_model = when
    with memory.gpu_room("cuda"):
        pass
    assert asked == [expected]
    assert moves == []
