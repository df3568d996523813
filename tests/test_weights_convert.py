"""The one-time conversion to safetensors, and files that change behind our back."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lipsync_core import weights
from lipsync_core.errors import WeightsError
from lipsync_core.runtime import Runtime
from lipsync_core.weights import converted, hashes, load
from tests.weights_world import Program, assert_same, bare_machine, saved, state, vouch


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    machine = bare_machine(tmp_path, monkeypatch)
    machine.model_dirs[0].mkdir()
    return machine


def test_a_pickle_is_opened_once_and_its_conversion_afterwards(
    tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = vouch(tmp_path, saved(tmp_path / "net.pth", {"state_dict": state()}))
    old = os.umask(0o027)
    try:
        weights.load_state_dict(path, runtime)
    finally:
        os.umask(old)
    made = tmp_path / "net.safetensors"
    assert made.stat().st_mode & 0o777 == 0o640 or os.name == "nt"
    assert_same(load_file(made), state())
    monkeypatch.setattr(load, "_unpickle", lambda data: pytest.fail("the pickle was opened again"))
    assert_same(weights.load_state_dict(path, runtime), state())
    assert weights.convert(path, runtime) == made
    assert weights.convert(made, runtime) == made
    path.unlink()
    assert weights.locate("net", Runtime(model_dirs=(tmp_path,), cache_dir=tmp_path / "cache")) == made


def test_a_conversion_of_other_content_is_not_used(tmp_path: Path, runtime: Runtime) -> None:
    path = vouch(tmp_path, saved(tmp_path / "net.pth", {"a": torch.ones(2)}))
    weights.load_state_dict(path, runtime)
    vouch(tmp_path, saved(path, {"a": torch.zeros(2)}))
    assert weights.load_state_dict(path, runtime)["a"].tolist() == [0, 0]
    assert weights.load_state_dict(path, runtime)["a"].tolist() == [0, 0]
    assert len(list(tmp_path.glob("net*.safetensors"))) == 2


def test_a_file_of_the_user_is_never_overwritten_by_a_conversion(tmp_path: Path, runtime: Runtime) -> None:
    mine = tmp_path / "net.safetensors"
    save_file({"mine": torch.ones(1)}, mine)
    path = vouch(tmp_path, saved(tmp_path / "net.pth", state()))
    assert_same(weights.load_state_dict(path, runtime), state())
    assert set(load_file(mine)) == {"mine"}
    assert len(list(tmp_path.glob("net.*.safetensors"))) == 1


def test_a_damaged_conversion_is_made_again(tmp_path: Path, runtime: Runtime) -> None:
    path = vouch(tmp_path, saved(tmp_path / "net.pth", state()))
    weights.load_state_dict(path, runtime)
    made = tmp_path / "net.safetensors"
    content = bytearray(made.read_bytes())
    content[-1] ^= 1
    made.write_bytes(content)
    assert not converted.seal_holds(made, runtime)
    assert_same(weights.load_state_dict(path, runtime), state())
    assert converted.seal_holds(made, runtime, fresh=True)
    assert list(tmp_path.glob("*.part")) == []


def test_a_folder_that_takes_no_conversion_is_a_note_only(
    tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = vouch(tmp_path, saved(tmp_path / "net.pth", state()))
    monkeypatch.setattr(converted, "write_whole", refuse)
    assert_same(weights.load_state_dict(path, runtime), state())
    assert "could not be converted" in runtime.notes[0]
    with pytest.raises(WeightsError, match="may not write there"):
        weights.convert(path, runtime)


# changes behind our back


def test_weights_that_change_after_they_were_found_are_refused(tmp_path: Path, runtime: Runtime) -> None:
    path = vouch(tmp_path, saved(runtime.model_dirs[0] / "net.pth", state()))
    found = weights.locate("net", runtime)
    assert found == path
    ran = tmp_path / "ran"
    saved(path, Program(f"touch {ran}"))
    with pytest.raises(WeightsError, match="catalogue does not list"):
        weights.load_state_dict(found, runtime)
    assert not ran.exists()


def test_what_is_unpickled_is_what_was_hashed(
    tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = vouch(tmp_path, saved(tmp_path / "net.pth", {"a": torch.ones(2)}))
    permit = load._permit

    def swap(*given: Any) -> None:
        permit(*given)
        saved(path, {"a": torch.zeros(2)})

    monkeypatch.setattr(load, "_permit", swap)
    assert weights.load_state_dict(path, runtime)["a"].tolist() == [1, 1]


def test_a_safetensors_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.safetensors"
    save_file({"a": torch.ones(2)}, path)
    checked = load._checked

    def touch(*given: Any) -> Any:
        os.utime(path, (1, 1))
        return checked(*given)

    monkeypatch.setattr(load, "_checked", touch)
    with pytest.raises(WeightsError, match="was changed while it was read"):
        weights.load_state_dict(path, runtime)


def test_a_hash_is_kept_until_the_file_changes(
    tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "big.bin"
    path.write_bytes(b"one")
    os.utime(path, (1000, 1000))
    first = hashes.sha256_of(path, runtime)
    with monkeypatch.context() as patch:
        patch.setattr(hashes, "hash_file", lambda *_: pytest.fail("it was read again"))
        assert hashes.sha256_of(path, runtime) == first
    path.write_bytes(b"two")
    os.utime(path, (1000, 1000))  # the same size, and the old time put back
    assert hashes.sha256_of(path, runtime) == hashlib.sha256(b"two").hexdigest()
    (tmp_path / "cache" / "hashes.json").write_text("[")
    assert hashes.sha256_of(path, runtime) == hashlib.sha256(b"two").hexdigest()


def test_a_user_without_a_home_gets_no_folder_named_tilde(
    tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "big.bin"
    path.write_bytes(b"one")
    os.utime(path, (1000, 1000))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hashes, "cache_dir", lambda _: Path("~") / ".cache")
    assert hashes.sha256_of(path, runtime) == hashlib.sha256(b"one").hexdigest()
    assert not (tmp_path / "~").exists()


def test_a_file_that_grows_while_it_is_hashed_is_refused(tmp_path: Path, runtime: Runtime) -> None:
    path = tmp_path / "big.bin"
    path.write_bytes(b"one")

    def work() -> str:
        path.write_bytes(b"longer")
        return "hash"

    with pytest.raises(WeightsError, match="was changed while it was read"):
        hashes.remembered(path, "sha256", runtime, work)


def test_the_cache_of_a_user_is_where_pooch_puts_caches() -> None:
    assert hashes.cache_dir(Runtime()).name == "sd-lipsync" or hashes.cache_dir(Runtime()).parent.name == "sd-lipsync"
