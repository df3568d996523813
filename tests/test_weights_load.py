"""Pickles and TorchScript: nothing that a file says is ever run, and only what somebody vouches for is read."""

from __future__ import annotations

import hashlib
import io
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lipsync_core import weights
from lipsync_core.errors import WeightsError
from lipsync_core.runtime import Runtime
from tests.weights_world import Program, Small, assert_same, bare_machine, saved, state, vouch


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    machine = bare_machine(tmp_path, monkeypatch)
    machine.model_dirs[0].mkdir()
    return machine


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old form"])
@pytest.mark.parametrize("listed", [True, False], ids=["in the catalogue", "from somewhere"])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".pkl", ".safetensors", ".tar"])
def test_a_program_in_a_pickle_is_refused_and_never_run(
    zipped: bool,
    listed: bool,
    suffix: str,
    tmp_path: Path,
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    ran = tmp_path / "ran"
    path = saved(
        tmp_path / f"net{suffix}",
        {"state_dict": {"a": torch.ones(2)}, "payload": Program(f"touch {ran}")},
        _use_new_zipfile_serialization=zipped,
    )
    if listed:
        vouch(tmp_path, path)
    with pytest.raises(WeightsError, match=rf"^net{suffix}: "):
        weights.load_state_dict(path, runtime)
    with pytest.raises(WeightsError, match=rf"^net{suffix}: "):
        weights.shapes_of(path, runtime)
    if not listed:
        with pytest.raises(WeightsError, match=rf"^net{suffix}: "):
            weights.add(path, runtime, recognise=lambda shapes: None)
    assert not ran.exists()
    assert not list(tmp_path.glob("net*.safetensors")) or suffix == ".safetensors"


def test_the_payload_would_have_run_without_our_care(tmp_path: Path) -> None:
    """Else the test above proves nothing."""
    ran = tmp_path / "ran"
    path = saved(tmp_path / "net.pth", Program(f"touch {ran}"))
    torch.load(path, weights_only=False)
    assert ran.exists()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "optimizer": {"state": {0: {"step": torch.ones(1)}}}, "global_step": 7},
        lambda s: {"params": {"other": torch.ones(1)}, "params_ema": s},
        lambda s: {"state_dict": {f"module.{name}": tensor for name, tensor in s.items()}},
        lambda s: {**s, "epoch": 3},
    ],
    ids=["plain", "state_dict", "params_ema", "module.", "among numbers"],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old form"])
def test_a_listed_pickle_is_read_whatever_surrounds_the_weights(
    wrap: Callable[[Any], Any], zipped: bool, tmp_path: Path, runtime: Runtime
) -> None:
    path = vouch(tmp_path, saved(tmp_path / "net.pth", wrap(state()), _use_new_zipfile_serialization=zipped))
    assert_same(weights.load_state_dict(path, runtime), state())
    assert weights.shapes_of(path, runtime) == {name: tuple(tensor.shape) for name, tensor in state().items()}


def test_several_networks_in_one_file_keep_their_names(tmp_path: Path, runtime: Runtime) -> None:
    whole = {"mapping": {"a": torch.ones(1)}, "kp": {"b": torch.ones(2)}, "optimizer": {"c": torch.ones(3)}}
    path = vouch(tmp_path, saved(tmp_path / "net.pth.tar", whole))
    assert set(weights.load_state_dict(path, runtime)) == {"mapping.a", "kp.b"}
    assert (tmp_path / "net.safetensors").is_file()


@pytest.mark.parametrize("what", [[1, 2], torch.ones(3), {"epoch": 1}], ids=["list", "tensor", "numbers"])
def test_a_file_without_named_weights_is_refused(what: Any, tmp_path: Path, runtime: Runtime) -> None:
    path = vouch(tmp_path, saved(tmp_path / "net.pth", what))
    with pytest.raises(WeightsError, match=r"^net.pth: holds no weights"):
        weights.load_state_dict(path, runtime)


def test_a_pickle_that_nobody_vouched_for_is_refused_with_its_hash(tmp_path: Path, runtime: Runtime) -> None:
    path = saved(tmp_path / "net.pth", state())
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match=f"sha256 {sha256}.*lipsync weights add"):
        weights.load_state_dict(path, runtime)


def test_an_old_torch_opens_listed_pickles_only(
    tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "__version__", "2.10.0")
    mine = saved(tmp_path / "mine.pth", {"a": torch.ones(1)})
    weights.add(mine, runtime, recognise=lambda shapes: None)
    listed = vouch(tmp_path, saved(tmp_path / "net.pth", state()))
    for version in ("2.1.2", "2.9.1+cu128"):
        monkeypatch.setattr(torch, "__version__", version)
        with pytest.raises(WeightsError, match=r"torch 2\.[19] cannot open one safely \(CVE-2025-32434"):
            weights.load_state_dict(mine, runtime)
        with pytest.raises(WeightsError, match="cannot open one safely"):
            weights.add(saved(tmp_path / "new.pth", {"b": torch.ones(1)}), runtime)
    assert_same(weights.load_state_dict(listed, runtime), state())
    monkeypatch.setattr(torch, "__version__", "2.10.0")
    assert set(weights.load_state_dict(mine, runtime)) == {"a"}


def test_torchscript_is_read_under_the_same_condition(tmp_path: Path, runtime: Runtime) -> None:
    path = tmp_path / "net.pt"
    torch.manual_seed(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(Small()), path)
    with pytest.raises(WeightsError, match="catalogue does not list"):
        weights.load_state_dict(path, runtime)
    assert_same(weights.load_state_dict(vouch(tmp_path, path, "torchscript"), runtime), state())
    assert weights.locate("net", Runtime(model_dirs=(tmp_path,), cache_dir=tmp_path)) == tmp_path / "net.safetensors"


@pytest.mark.parametrize("content", [b"", b"MZ\x90", b"<html>", b"(lp0\nI1\n."], ids=["empty", "exe", "html", "ascii"])
def test_what_is_no_checkpoint_is_refused(content: bytes, tmp_path: Path, runtime: Runtime) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="net.pth: is not a checkpoint"):
        weights.load_state_dict(path, runtime)


def test_a_missing_file_is_an_error_of_one_line(tmp_path: Path, runtime: Runtime) -> None:
    with pytest.raises(WeightsError, match="gone.pth: cannot be read"):
        weights.load_state_dict(tmp_path / "gone.pth", runtime)


@pytest.mark.parametrize("keep", [5, 100, -30])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old form"])
def test_a_damaged_pickle_is_refused(keep: int, zipped: bool, tmp_path: Path, runtime: Runtime) -> None:
    path = saved(tmp_path / "net.pth", state(), _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=r"net.pth: cannot be read as weights \(.+\)"):
        weights.load_state_dict(vouch(tmp_path, path), runtime)


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path: Path, runtime: Runtime) -> None:
    plain = io.BytesIO()
    torch.save({"a": torch.zeros(8 << 20)}, plain)
    path = tmp_path / "net.pth"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for row in source.infolist():
            target.writestr(row.filename, source.read(row))
    assert path.stat().st_size < 100_000
    with pytest.raises(WeightsError, match="zip bomb"):
        weights.load_state_dict(vouch(tmp_path, path), runtime)


def test_a_sparse_tensor_is_refused_by_its_name(tmp_path: Path, runtime: Runtime) -> None:
    path = vouch(tmp_path, saved(tmp_path / "net.pth", {"odd": torch.eye(3).to_sparse()}))
    with pytest.raises(WeightsError, match="odd"):
        weights.load_state_dict(path, runtime)


def test_tied_weights_come_apart(tmp_path: Path, runtime: Runtime) -> None:
    shared = torch.arange(12.0)
    path = vouch(
        tmp_path, saved(tmp_path / "net.pth", {"a": shared, "b": shared, "c": shared[3:6], "d": shared.view(3, 4).T})
    )
    weights.load_state_dict(path, runtime)
    again = weights.load_state_dict(path, runtime)
    assert again["c"].tolist() == [3, 4, 5]
    assert torch.equal(again["d"], shared.view(3, 4).T)
