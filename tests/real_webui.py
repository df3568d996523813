"""A real A1111 or Forge, started for tests with this repository as an extension, and its page in a headless browser."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "models" / "demo"
EXTENSION = "my lip-sync"  # a folder of any name will do
_COMMON = (
    "--skip-torch-cuda-test", "--skip-load-model-at-start", "--no-download-sd-model",
    "--skip-python-version-check", "--skip-version-check", "--api",
)  # fmt: skip
_FLAGS = {
    "A1111": ["--use-cpu", "all", "--no-half", "--precision", "full", "--do-not-download-clip"],
    "Forge": ["--always-cpu", "--no-half-vae"],
}
_START_SECONDS = 240
# Forge's own extension tries to get these from GitHub at every start.
_WHEELS = ("HANDREFINER_WHEEL", "DEPTH_ANYTHING_WHEEL", "DEPTH_ANYTHING_V2_WHEEL")


def checkout(host: str) -> Path | None:
    """The folder that A1111_DIR or FORGE_DIR names."""
    named = os.environ.get(f"{host.upper()}_DIR")
    return Path(named) if named else None


@dataclass
class RealHost:
    """A running host. url: of its page. data: its data folder. log: what it printed so far."""

    name: str
    data: Path
    url: str
    log_file: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def results(self) -> list[Path]:
        """Every file under the folder of the results, unfinished ones too."""
        return sorted(path for path in (self.data / "outputs" / "lipsync").rglob("*") if path.is_file())


@contextmanager
def running(host: str, data: Path, extension: Path = ROOT, *more: str) -> Iterator[RealHost]:
    """Start a host with its own data folder on a free port, and end it."""
    folder = checkout(host)
    assert folder is not None
    extensions = data / "extensions"
    extensions.mkdir(parents=True)
    (extensions / EXTENSION).symlink_to(extension, target_is_directory=True)
    (extensions / "stand-in-image").symlink_to(ROOT / "tests" / "webui_extension", target_is_directory=True)
    port, log_file = _free_port(), data / "host.log"
    command = [python_of(host), "launch.py", *_COMMON, *_FLAGS[host], "--data-dir", data, "--port", port, *more]
    if host == "Forge":  # its own page is outside the data folder, which gradio 4 would not serve
        command += ["--gradio-allowed-path", folder]
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [str(part) for part in command], cwd=folder, stdout=log, stderr=log, env=_environment(),
            start_new_session=True,
        )  # fmt: skip
    started = RealHost(host, data, f"http://127.0.0.1:{port}", log_file, process)
    try:
        wait(lambda: "Startup time" in started.log or process.poll() is not None, _START_SECONDS, "the host's start")
        assert process.poll() is None, started.log[-3000:]
        yield started
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def python_of(host: str) -> str:
    """The host's own, as its start script makes it, or what A1111_PYTHON or FORGE_PYTHON names."""
    folder = checkout(host)
    assert folder is not None
    return os.environ.get(f"{host.upper()}_PYTHON") or str(folder / "venv" / "bin" / "python")


def _environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    quiet = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "PIP_RETRIES": "0"}
    wheels = dict.fromkeys(_WHEELS, "/nowhere.whl")
    return {**wheels, **inherited, **quiet, "LIPSYNC_TEST_IMAGE": str(DEMO / "portrait.png")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait(true: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait until it is true, and give what it gave; after so many seconds the test fails."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = true()
        if got:
            return got
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


def answers(url: str) -> int:
    """HTTP status of a GET."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        return int(answer.status)


class Page:
    """The host's page, and what the tests do on it. errors: what its scripts complained about."""

    def __init__(self, page: Any, host: RealHost) -> None:
        self.page, self.host = page, host
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.route(re.compile("https://"), lambda route: route.abort())
        self.load()

    def load(self) -> None:
        self.page.goto(self.host.url)
        self.page.wait_for_selector("#tab_lipsync", state="attached", timeout=60_000)
        self.page.wait_for_function(
            "typeof switch_to_lipsync === 'function' && Boolean(opts.samples_save !== undefined)"
        )
        self.page.wait_for_timeout(1500)

    def text(self, selector: str) -> str:
        return str(self.page.evaluate("s => document.querySelector(s)?.innerText ?? ''", selector))

    def value(self, selector: str) -> str:
        return str(self.page.evaluate("s => document.querySelector(s)?.value ?? ''", selector))

    def open_tab(self) -> None:
        self.page.evaluate("switch_to_lipsync()")
        self.page.wait_for_selector("#lipsync_generate", state="visible")

    def give(self, portrait: Path, voice: Path) -> None:
        """Drop both files where they belong."""
        self.page.set_input_files("#lipsync_image input[type=file]", portrait)
        self.page.wait_for_selector("#lipsync_image img", timeout=30_000)
        self.give_voice(voice)

    def give_voice(self, voice: Path) -> None:
        if clear := self.page.query_selector("#lipsync_sound button[aria-label=Clear]"):
            clear.click()
        self.page.set_input_files("#lipsync_sound input[type=file]", voice)
        self.page.wait_for_selector("#lipsync_sound audio, #lipsync_sound .waveform-container", state="attached")
        self.page.wait_for_timeout(1500)

    def progress(self) -> str:
        return self.text("#lipsync_results .progressDiv")

    def generate(self, seconds: float = 120) -> str:
        """Press Generate and wait for the end; gives the log below the video."""
        self.page.click("#lipsync_generate")
        return self.finish(seconds)

    def finish(self, seconds: float = 120) -> str:
        """Wait until the run that was started says how long it took."""
        done = "() => document.querySelector('#html_log_lipsync .performance, #html_log_lipsync .error') !== null"
        idle = "() => !document.querySelector('#lipsync_results .progressDiv')"
        self.page.wait_for_timeout(700)
        self.page.wait_for_function(idle, timeout=seconds * 1000)
        self.page.wait_for_function(done, timeout=20_000)
        self.page.wait_for_timeout(500)
        return self.text("#html_log_lipsync")

    def plays(self) -> dict[str, float]:
        """Play the result for a moment: what the browser makes of it."""
        self.page.wait_for_selector("#lipsync_result video", state="attached", timeout=20_000)
        start = """async () => { const v = document.querySelector('#lipsync_result video');
            v.muted = true; await v.play(); }"""
        self.page.evaluate(start)
        self.page.wait_for_timeout(700)
        facts = """() => { const v = document.querySelector('#lipsync_result video'); return { at: v.currentTime,
            seconds: v.duration, width: v.videoWidth, height: v.videoHeight, ready: v.readyState }; }"""
        return dict(self.page.evaluate(facts))


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium: the one that CHROMIUM names, one on the PATH, or Playwright's own."""
    from playwright.sync_api import sync_playwright

    named = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=named, args=quiet)
        yield started
        started.close()
