"""Downloads that meet a full disk, other programs, a kill, or the stop button."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lipsync_core import weights
from lipsync_core.errors import Cancelled, WeightsError
from lipsync_core.runtime import Runtime
from lipsync_core.weights import part
from tests.local_server import Drop, Fault, FaultServer, Slow, Stall, Status
from tests.weights_world import DATA, FAST, SHA, bare_machine, fetch, flipped, leftovers, ship

Known = Callable[..., None]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    return bare_machine(tmp_path, monkeypatch)


@pytest.fixture
def known(tmp_path: Path, runtime: Runtime) -> Known:
    """Write the catalogue: net.onnx is at these addresses."""
    return lambda *urls, **changes: ship(tmp_path, urls=urls, **changes)


def test_a_full_disk_is_noticed_before_the_first_byte(
    server: FaultServer, runtime: Runtime, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**6, 10**6 - 5000, 5000))
    known(server.serve("a", DATA))
    with pytest.raises(WeightsError, match="Free some room"):
        fetch(runtime)
    assert server.log == []
    known(server.serve("a", DATA), size=None)
    with pytest.raises(WeightsError, match="Free some room"):
        fetch(runtime)
    assert leftovers(runtime) == []


class Full:
    """A file on a disk that takes so many bytes and no more."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def write(self, block: bytes) -> None:
        self.room -= len(block)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.file.write(block)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_a_disk_that_fills_up_keeps_what_came(
    server: FaultServer, runtime: Runtime, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(server.serve("a", DATA, Slow(8, 0.01)))
    opened = part.open_new
    with monkeypatch.context() as patch:
        patch.setattr(part, "open_new", lambda path: Full(opened(path), 300_000))
        with pytest.raises(WeightsError, match="the disk is full"):
            fetch(runtime)
    assert fetch(runtime) == DATA
    assert len(server.requests("a")) == 2
    assert server.requests("a")[-1].sent <= 170_000


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_disk_that_fails_at_the_last_step_is_reported(
    name: str, server: FaultServer, runtime: Runtime, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    known(server.serve("a", DATA))
    with monkeypatch.context() as patch:
        patch.setattr(part, "write_whole", lambda *_: None)
        patch.setattr(*((os, "fsync") if name == "fsync" else (Path, "replace")), fail)
        with pytest.raises(WeightsError, match=r"cannot be written \(Input/output error\)"):
            fetch(runtime)
    assert not (runtime.model_dirs[0] / "net.onnx").exists()
    assert fetch(runtime) == DATA
    assert sum(seen.sent for seen in server.requests("a")) == len(DATA)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_reported(server: FaultServer, runtime: Runtime, known: Known) -> None:
    known(server.serve("a", DATA))
    runtime.model_dirs[0].mkdir()
    runtime.model_dirs[0].chmod(0o555)
    with pytest.raises(WeightsError, match="Choose another"):
        fetch(runtime)


def test_a_folder_that_cannot_be_made_is_reported(server: FaultServer, runtime: Runtime, known: Known) -> None:
    known(server.serve("a", DATA))
    runtime.model_dirs[0].write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match="then run again"):
        fetch(runtime)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO])
def test_every_refusal_of_the_disk_says_what_to_do(code: int) -> None:
    text = str(part.disk_error(OSError(code, os.strerror(code)), Path("models/net.onnx")))
    assert text.startswith(str(Path("models/net.onnx")))
    assert text.endswith("then run again.")


def test_eight_at_once_fetch_once(server: FaultServer, runtime: Runtime, known: Known) -> None:
    known(server.serve("a", DATA, Slow(8, 0.05)))
    results: list[bytes] = []
    waits: list[str] = []
    watching = replace(runtime, progress=lambda stage, done, total: waits.append(stage))
    threads = [threading.Thread(target=lambda: results.append(fetch(watching))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [DATA] * 8
    assert len(server.requests("a")) == 1
    assert "Waiting for the download of net.onnx" in waits
    assert "Download net.onnx" in waits


CHILD = """
import sys
from pathlib import Path
from lipsync_core import weights
from lipsync_core.runtime import Runtime
from lipsync_core.weights import Policy, catalogue
root = Path(sys.argv[1])
catalogue.default_model_dir = lambda: root / "shipped"
runtime = Runtime(model_dirs=(root / "models",), cache_dir=root / "cache")
print(weights.get("net", runtime, policy=Policy(loopback_http=True)))
"""


def child(tmp_path: Path) -> subprocess.Popen[bytes]:
    repository = Path(__file__).parents[1]
    return subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], cwd=repository, stdout=subprocess.PIPE)


def test_processes_at_once_fetch_once(tmp_path: Path, server: FaultServer, runtime: Runtime, known: Known) -> None:
    known(server.serve("a", DATA, Slow(10, 0.05)))
    running = [child(tmp_path) for _ in range(3)]
    answers = [process.communicate(timeout=60)[0].decode().strip() for process in running]
    assert answers == [str(runtime.model_dirs[0] / "net.onnx")] * 3
    assert len(server.requests("a")) == 1


def test_a_killed_download_goes_on_where_it_was(
    tmp_path: Path, server: FaultServer, runtime: Runtime, known: Known
) -> None:
    known(server.serve("a", DATA, Slow(20, 0.05)))
    process = child(tmp_path)
    deadline = time.monotonic() + 60
    while server.sent("a") < len(DATA) * 0.6 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert not (runtime.model_dirs[0] / "net.onnx").exists()
    assert len(leftovers(runtime)) == 2
    assert fetch(runtime) == DATA
    assert len(server.requests("a")) == 2
    assert server.requests("a")[-1].sent <= 0.55 * len(DATA)
    assert leftovers(runtime) == ["net.onnx"]


def test_a_rest_that_was_damaged_meanwhile_is_fetched_anew(server: FaultServer, runtime: Runtime, known: Known) -> None:
    known(server.serve("a", DATA, Drop(100_000), *(Drop(0) for _ in range(3))))
    with pytest.raises(WeightsError, match="connection broke after 100000 of 400000"):
        fetch(runtime)
    (rest,) = runtime.model_dirs[0].glob("net.onnx.*-*.part")
    rest.write_bytes(b"?" * 100_000)
    assert fetch(runtime) == DATA


def test_several_rests_become_one(server: FaultServer, runtime: Runtime, known: Known) -> None:
    known(server.serve("a", DATA))
    runtime.model_dirs[0].mkdir()
    for number, size in enumerate((5, 900, 20)):
        (runtime.model_dirs[0] / f"net.onnx.{SHA[:8]}.{number}-ab.part").write_bytes(DATA[:size])
    (runtime.model_dirs[0] / f"net.onnx.{SHA[:8]}.info.part").write_text("{")
    assert fetch(runtime) == DATA
    assert leftovers(runtime) == ["net.onnx"]


def test_a_damaged_file_is_replaced_and_kept_aside(server: FaultServer, runtime: Runtime, known: Known) -> None:
    known(server.serve("a", DATA))
    path = runtime.model_dirs[0] / "net.onnx"
    path.parent.mkdir()
    path.write_bytes(flipped(9))
    assert weights.locate("net", runtime) is None
    assert "left alone" in runtime.notes[0]
    assert fetch(runtime) == DATA
    (aside,) = path.parent.glob("set-aside-*-net.onnx")
    assert aside.read_bytes() == flipped(9)


@pytest.mark.parametrize(
    "fault", [Stall(65536), Stall(0), Slow(400, 0.05), Status(503, {"Retry-After": "60"})], ids=str
)
def test_stop_takes_effect_within_half_a_second(
    fault: Fault, server: FaultServer, runtime: Runtime, known: Known
) -> None:
    patient = replace(FAST, stall_s=60, longest_wait_s=60)
    took = []
    for _ in range(3):  # on a busy machine one of three shows what the code does
        known(server.serve("a", DATA, fault, fault, fault))
        pressed = time.monotonic() + 0.2
        with pytest.raises(Cancelled):
            fetch(replace(runtime, cancelled=lambda until=pressed: time.monotonic() > until), patient)
        took.append(time.monotonic() - pressed)
        assert not (runtime.model_dirs[0] / "net.onnx").exists()
    assert min(took) < 0.5


def test_no_thread_outlives_a_download_that_was_stopped(server: FaultServer, runtime: Runtime, known: Known) -> None:
    known(server.serve("a", DATA, Stall(65536)))
    pressed = time.monotonic() + 0.2
    with pytest.raises(Cancelled):
        fetch(replace(runtime, cancelled=lambda: time.monotonic() > pressed), replace(FAST, stall_s=60))
    deadline = time.monotonic() + 5
    while any(thread.name == "lipsync-download" for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(thread.name == "lipsync-download" for thread in threading.enumerate())


def test_progress_counts_the_bytes_up_to_the_whole(server: FaultServer, runtime: Runtime, known: Known) -> None:
    known(server.serve("a", DATA, Slow(4, 0.1)))
    steps: list[tuple[str, int, int]] = []
    fetch(replace(runtime, progress=lambda *step: steps.append(step)))
    counts = [done for _, done, _ in steps]
    assert counts == sorted(counts)
    assert steps[-1] == ("Download net.onnx", len(DATA), len(DATA))
    assert len(steps) >= 2


def test_a_file_system_without_locks_is_no_obstacle(
    server: FaultServer, runtime: Runtime, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    import filelock

    def refuse(self: object, timeout: float) -> None:
        raise NotImplementedError("flock")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    known(server.serve("a", DATA))
    assert fetch(runtime) == DATA
