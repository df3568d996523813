"""safetensors are read from anybody, and nothing damaged or hostile gets through."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lipsync_core import weights
from lipsync_core.errors import WeightsError
from lipsync_core.runtime import Runtime
from tests.weights_world import assert_same, bare_machine, state


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    machine = bare_machine(tmp_path, monkeypatch)
    machine.model_dirs[0].mkdir()
    return machine


def test_safetensors_of_anybody_are_read_and_only_the_header_for_the_shapes(tmp_path: Path, runtime: Runtime) -> None:
    path = tmp_path / "net.safetensors"
    save_file(state(), path)
    assert_same(weights.load_state_dict(path, runtime), state())
    assert weights.shapes_of(path) == {name: tuple(tensor.shape) for name, tensor in state().items()}


def test_the_prefix_of_data_parallel_is_taken_off_only_where_every_name_has_it(
    tmp_path: Path, runtime: Runtime
) -> None:
    path = tmp_path / "net.safetensors"
    save_file({f"module.{name}": tensor for name, tensor in state().items()}, path)
    assert_same(weights.load_state_dict(path, runtime), state())
    assert set(weights.shapes_of(path)) == set(state())
    save_file({"module.a": torch.ones(1), "b": torch.ones(1)}, path)
    assert set(weights.load_state_dict(path, runtime)) == {"module.a", "b"}


def test_tensors_are_copies_that_outlive_their_file(tmp_path: Path, runtime: Runtime) -> None:
    path = tmp_path / "net.safetensors"
    save_file({"a": torch.arange(1000.0)}, path)
    tensors = weights.load_state_dict(path, runtime)
    path.write_bytes(b"")
    assert torch.equal(tensors["a"], torch.arange(1000.0))


def raw(header: bytes | dict[str, Any], data: bytes = b"\0" * 8, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def one(**changes: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


A, B = one()["a"], {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}
HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "nine bytes": b"\x01" + b"\0" * 7 + b"{",
    "header of 100 MB claimed": raw(one(), length=100_000_001),
    "header of 2**63 bytes claimed": raw(one(), length=2**63),
    "header longer than the file": raw(one(), length=5000),
    "header of no bytes": raw(b"", length=0),
    "not JSON": raw(b"{" + b"x" * 50),
    "not UTF-8": raw(b'{"\xff\xfe": 1}'),
    "a space before the brace": raw(b" " + json.dumps(one()).encode()),
    "a list": raw(b"[1, 2]"),
    "nested 100 000 deep": raw(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a number of 10 000 digits": raw(b'{"a": ' + b"9" * 10_000 + b"}"),
    "a name twice": raw(b'{"a":%s,"a":%s}' % ((json.dumps(A).encode(),) * 2)),
    "metadata that is not text": raw({"__metadata__": {"a": 1}, **one()}),
    "metadata that is a list": raw({"__metadata__": [], **one()}),
    "a tensor that is a number": raw({"a": 3}),
    "a missing field": raw({"a": {"dtype": "F32", "shape": [2]}}),
    "a field too many": raw(one(more=1)),
    "an unknown type": raw(one(dtype="F31")),
    "a type that is a list": raw(one(dtype=["F32"])),
    "a negative extent": raw(one(shape=[-2])),
    "an extent that is a fraction": raw(one(shape=[2.0])),
    "an extent that is true": raw(one(shape=[True, 2])),
    "a product that overflows": raw(one(shape=[2**40, 2**40, 2**40])),
    "a hundred thousand dimensions": raw(one(shape=[1] * 100_000)),
    "NaN as an offset": raw(b'{"a": {"dtype":"F32","shape":[2],"data_offsets":[NaN, 8]}}'),
    "three offsets": raw(one(data_offsets=[0, 4, 8])),
    "offsets backwards": raw(one(data_offsets=[8, 0])),
    "a shape that is too small for its bytes": raw(one(shape=[1])),
    "overlapping tensors": raw({"a": A, "b": {**B, "data_offsets": [4, 8]}}),
    "a hole": raw({"a": A, "b": {**B, "data_offsets": [12, 16]}}, b"\0" * 16),
    "bytes after the end": raw(one(), b"\0" * 9),
    "truncated": raw(one(), b"\0" * 7),
    "a zip behind it": raw(one(), b"\0" * 8 + b"PK\x03\x04"),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_safetensors_file_is_refused_in_one_sentence(
    content: bytes, tmp_path: Path, runtime: Runtime
) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(content)
    for read in (weights.shapes_of, lambda path: weights.load_state_dict(path, runtime)):
        with pytest.raises(WeightsError, match=r"^hostile.safetensors: is not a sound safetensors file \(.+\)\. ") as e:
            read(path)
        assert len(str(e.value)) < 300


def test_an_empty_tensor_is_harmless(tmp_path: Path, runtime: Runtime) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(raw({"a": A, "none": {"dtype": "F32", "shape": [0, 3], "data_offsets": [8, 8]}}))
    assert weights.load_state_dict(path, runtime)["none"].shape == (0, 3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_named(value: float, tmp_path: Path, runtime: Runtime) -> None:
    path = tmp_path / "net.safetensors"
    save_file({"good": torch.ones(3), "bad.weight": torch.tensor([1.0, value])}, path)
    with pytest.raises(WeightsError, match="'bad.weight' holds NaN or infinity"):
        weights.load_state_dict(path, runtime)


def test_big_numbers_whose_sum_overflows_are_sound(tmp_path: Path, runtime: Runtime) -> None:
    path = tmp_path / "net.safetensors"
    save_file({"big": torch.full((9,), 3e38), "half": torch.full((9,), 6e4, dtype=torch.float16)}, path)
    assert weights.load_state_dict(path, runtime)["big"].shape == (9,)


def test_infinities_that_cancel_are_seen(tmp_path: Path, runtime: Runtime) -> None:
    path = tmp_path / "net.safetensors"
    save_file({"bad": torch.tensor([float("inf"), -float("inf")])}, path)
    with pytest.raises(WeightsError, match="'bad' holds NaN or infinity"):
        weights.load_state_dict(path, runtime)


def test_a_type_that_this_torch_does_not_know_is_refused(tmp_path: Path, runtime: Runtime) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(raw({"a": {"dtype": "F8_E5M2", "shape": [8], "data_offsets": [0, 8]}}, b"\x7f" * 8))
    with pytest.raises(WeightsError, match=r"net.safetensors"):
        weights.load_state_dict(path, runtime)
