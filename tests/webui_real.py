"""Starts real hosts for the tests: A1111_DIR and FORGE_DIR name checkouts, each with its environment in `venv`.

    with WebUI("a1111", tmp_path, "--api", "--api-auth", "me:secret") as webui:
        webui.get("/lipsync/v1/status", user="me:secret")

They run on the CPU, without a checkpoint, offline, with a data folder of their own in which this repository is the only
extension.
"""

import base64
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
VARIABLES = {"a1111": "A1111_DIR", "forge": "FORGE_DIR"}
_COMMON = (
    *("--skip-torch-cuda-test", "--skip-load-model-at-start", "--no-download-sd-model"),
    *("--skip-python-version-check", "--skip-version-check"),
)
_OWN = {
    "a1111": ("--use-cpu", "all", "--no-half", "--precision", "full", "--do-not-download-clip"),
    "forge": ("--always-cpu", "--no-half-vae"),
}
# Forge's built-in extensions look for three wheels on the network at each start.
_WHEELS = ("HANDREFINER_WHEEL", "DEPTH_ANYTHING_WHEEL", "DEPTH_ANYTHING_V2_WHEEL")
_START_SECONDS = 280


def checkout(kind: str) -> Path:
    """The folder of the host; skips the test where none is named."""
    named = os.environ.get(VARIABLES[kind])
    if not named:
        pytest.skip(f"{VARIABLES[kind]} names no checkout of {kind}")
    return Path(named).resolve()


def python_of(kind: str) -> Path:
    return checkout(kind) / "venv" / "bin" / "python"


@dataclass(frozen=True)
class Answer:
    """status: of HTTP. body: what came back, as text."""

    status: int
    body: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class WebUI:
    """One running host. `log` is what it has printed so far."""

    def __init__(self, kind: str, folder: Path, *arguments: str) -> None:
        self.kind, self.root, self.data = kind, checkout(kind), folder / f"data-{kind}"
        self.port = _free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._arguments = arguments
        self._log_path = folder / f"{kind}.log"
        (self.data / "extensions").mkdir(parents=True, exist_ok=True)
        (self.data / "extensions" / "sd-lipsync").symlink_to(ROOT)
        (self.data / "config.json").write_text('{"show_warnings": false}')

    @property
    def log(self) -> str:
        return self._log_path.read_text(errors="replace")

    def __enter__(self) -> "WebUI":
        allowed = ("--gradio-allowed-path", str(self.root)) if self.kind == "forge" else ()
        command = [str(python_of(self.kind)), "launch.py", *_COMMON, *_OWN[self.kind], *allowed]
        command += ["--data-dir", str(self.data), "--port", str(self.port), *self._arguments]
        with self._log_path.open("w") as log:
            self._process = subprocess.Popen(
                command, cwd=self.root, stdout=log, stderr=log, env=_environment(), start_new_session=True
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _wait(self) -> None:
        """Until the host says that it is up; a server that answers before has not mounted us yet."""
        end = time.monotonic() + _START_SECONDS
        while "Startup time:" not in self.log or not self._is_open():
            if self._process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{self.kind} did not start:\n{self.log[-4000:]}")
            time.sleep(0.3)

    def _is_open(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def get(self, path: str, **more: Any) -> Answer:
        return self.call(path, **more)

    def post(self, path: str, value: Any, **more: Any) -> Answer:
        headers = {"Content-Type": "application/json", **more.pop("headers", {})}
        return self.call(path, content=json.dumps(value).encode(), headers=headers, **more)

    def call(
        self, path: str, content: bytes | None = None, headers: dict[str, str] | None = None, user: str = ""
    ) -> Answer:
        """One request. user: "name:password"."""
        wanted = dict(headers or {})
        if user:
            wanted["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
        request = urllib.request.Request(self.address + path, content, wanted)
        try:
            with urllib.request.urlopen(request, timeout=240) as answer:
                return Answer(answer.status, answer.read().decode(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode(), dict(error.headers))


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_", "PYTHON"))}
    fixed = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    return {**kept, **fixed, "PYTHONUNBUFFERED": "1", **dict.fromkeys(_WHEELS, "/nonexistent.whl")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
