"""Device, precision, memory and the stop button."""

import pytest
import torch

from lipsync_core import runtime as runtime_module
from lipsync_core.errors import Cancelled, OutOfMemoryError, UsageError
from lipsync_core.registry import Registry
from lipsync_core.runtime import (
    BatchSize,
    Runtime,
    choose_device,
    choose_precision,
    is_out_of_memory,
    run_in_batches,
)


def test_the_stop_button_ends_the_run_before_the_next_batch():
    seen = []
    runtime = Runtime(progress=lambda *row: seen.append(row), cancelled=lambda: len(seen) >= 2)
    runtime.step("render", 0, 3)
    runtime.step("render", 1, 3)
    with pytest.raises(Cancelled, match="Nothing was written"):
        runtime.step("render", 2, 3)
    assert seen == [("render", 0, 3), ("render", 1, 3)]


def test_a_warning_is_kept_once():
    runtime = Runtime()
    runtime.warn("the video ends early")
    runtime.warn("the video ends early")
    assert runtime.notes == ["the video ends early"]


def test_a_device_that_is_not_there_is_refused_with_advice():
    with pytest.raises(UsageError, match="--device cpu"):
        choose_device("cuda:77")


def test_auto_always_finds_a_device():
    assert torch.device(choose_device("auto"))


@pytest.mark.parametrize(("native", "precision"), [(True, "bf16"), (False, "fp32")])
def test_a_cpu_computes_in_bf16_only_where_it_does_so_natively(monkeypatch, native, precision):
    monkeypatch.setattr(runtime_module, "cpu_computes_bf16", lambda: native)
    assert choose_precision("auto", "cpu") == precision


def test_a_gpu_computes_in_half_precision_and_the_user_has_the_last_word():
    assert choose_precision("auto", "cuda:0") == "fp16"
    assert choose_precision("fp32", "cuda") == "fp32"


def test_the_precision_is_a_torch_type():
    assert Runtime(precision="bf16").dtype is torch.bfloat16


@pytest.mark.parametrize(
    "text", ["CUDA out of memory. Tried to allocate", "DefaultCPUAllocator: can't allocate memory"]
)
def test_running_out_of_memory_is_known_by_its_words(text):
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert is_out_of_memory(MemoryError())


def failing(calls, limit):
    def work(start, end):
        calls.append((start, end))
        if end - start > limit:
            raise RuntimeError("out of memory")

    return work


def test_a_batch_is_halved_when_memory_runs_out_and_what_is_done_is_kept():
    calls: list[tuple[int, int]] = []
    size = BatchSize(8)
    done = []
    work = failing(calls, 3)

    def keep(start, end):
        work(start, end)
        done.append((start, end))

    run_in_batches(size, 10, keep, "the generator")
    assert done == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]
    assert calls[:3] == [(0, 8), (0, 4), (0, 2)]
    assert size.rows == 2, "the smaller size is remembered"


def test_one_frame_that_does_not_fit_ends_with_advice():
    with pytest.raises(OutOfMemoryError, match="--device cpu"):
        run_in_batches(BatchSize(2), 4, failing([], 0), "the generator")


def test_another_fault_is_not_mistaken_for_lack_of_memory():
    def broken(start, end):
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        run_in_batches(BatchSize(2), 4, broken, "the generator")


def test_a_registry_suggests_the_name_that_was_meant():
    table: Registry[int] = Registry("engine")
    table.add("wav2lip", 1)
    with pytest.raises(UsageError, match="no engine 'wav2lp'. Did you mean 'wav2lip'"):
        table["wav2lp"]
    assert list(table) == ["wav2lip"]
    assert len(table) == 1


def test_a_name_is_taken_once():
    table: Registry[int] = Registry("engine")
    table.add("a", 1)
    with pytest.raises(ValueError, match="already"):
        table.add("a", 2)


def test_what_ships_is_found_in_a_clone_and_in_a_wheel(monkeypatch, tmp_path):
    assert (runtime_module.default_model_dir() / "catalogue.json").is_file()
    monkeypatch.setattr(runtime_module, "__file__", str(tmp_path / "site-packages" / "lipsync_core" / "runtime.py"))
    monkeypatch.setattr(runtime_module.sys, "prefix", str(tmp_path))
    installed = tmp_path / "share" / "sd-lipsync" / "models"
    installed.mkdir(parents=True)
    assert runtime_module.default_model_dir() == installed
