"""Signals at random moments: a stopped run leaves nothing, what a killed one leaves the next one removes."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest
from demo_media import BOX, short_voice, small_portrait

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture
def media(tmp_path):
    small_portrait(tmp_path / "face.png", 256)
    short_voice(tmp_path / "voice.wav", 20.0)
    (tmp_path / "out").mkdir()
    return tmp_path


def start(media: Path, voice: str = "voice.wav") -> "subprocess.Popen[str]":
    words = ["sync", media / "face.png", media / voice, "-o", media / "out" / "o.mp4", "--offline", "-q"]
    words += [
        "--device",
        "cpu",
        "--preset",
        "ultrafast",
        "--no-cache",
        "--box",
        ",".join(str(2 * int(n)) for n in BOX.split(",")),
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "lipsync_core", *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(media), "OMP_NUM_THREADS": "1"},
    )


def wait_for_part(media: Path, process: "subprocess.Popen[str]") -> None:
    """Until the run has begun to write, so that a signal comes in the middle of it."""
    end = time.monotonic() + 60
    while not list((media / "out").glob(".*.part")) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)


def left(media: Path) -> list[str]:
    return sorted(path.name for path in (media / "out").iterdir())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_a_stopped_run_leaves_no_file(media, number, code):
    process = start(media)
    wait_for_part(media, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert left(media) == []


def test_a_killed_run_leaves_no_final_file_and_the_next_start_removes_its_part(media):
    process = start(media)
    wait_for_part(media, process)
    process.kill()
    process.communicate(timeout=60)
    assert [name for name in left(media) if not name.endswith(".part")] == []
    assert left(media), "the part of the killed run"
    short_voice(media / "short.wav", 0.2)
    again = start(media, "short.wav")
    again.communicate(timeout=120)
    assert again.returncode == 0
    assert left(media) == ["o.mp4"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["INT", "TERM", "KILL"])
@pytest.mark.parametrize("seed", range(6))
def test_signals_at_random_moments_leave_no_half_file(media, number, seed):
    short_voice(media / "voice.wav", 6.0)
    process = start(media)
    time.sleep(random.Random(seed).uniform(0.05, 9.0))
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert "Traceback" not in err or "site-packages" not in err
    names = left(media)
    if "o.mp4" in names:  # it was done before the signal came
        with av.open(str(media / "out" / "o.mp4")) as container:
            assert sum(1 for _ in container.decode(video=0)) == 150
    if number != signal.SIGKILL:
        assert [name for name in names if name.endswith(".part")] == []
        return
    short_voice(media / "short.wav", 0.2)
    (media / "out" / "o.mp4").unlink(missing_ok=True)
    again = start(media, "short.wav")
    again.communicate(timeout=120)
    assert left(media) == ["o.mp4"]
