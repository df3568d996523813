"""A real ComfyUI as a child process, for the tests that COMFYUI_DIR switches on.

COMFYUI_DIR names a checkout whose requirements are installed in COMFYUI_PYTHON (this Python when it is not set).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PACK = Path(__file__).resolve().parent.parent
DEMO = PACK / "models" / "demo"
SWITCH = "COMFYUI_DIR"
needs_host = pytest.mark.skipif(not os.environ.get(SWITCH), reason=f"{SWITCH} names no checkout of ComfyUI")

Json = dict[str, Any]


class RefusedError(Exception):
    """POST /prompt said no. `answer`: what it said."""

    def __init__(self, answer: Json) -> None:
        super().__init__(json.dumps(answer)[:2000])
        self.answer = answer


@dataclass
class Done:
    """A prompt that ran. outputs: node -> ui. error: the message in the node's error box, "" where it went well."""

    status: str
    outputs: Json
    error: str
    kind: str


@dataclass
class Host:
    """A running server. base: its folders input, output, temp, models."""

    port: int
    base: Path
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as answer:
            return json.load(answer)

    def post(self, path: str, body: Json) -> Any:
        data = json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise RefusedError(json.load(error)) from None
        return json.loads(text) if text else None

    def start(self, prompt: Json, workflow: Json | None = None) -> str:
        body: Json = {"prompt": prompt, "extra_data": {"extra_pnginfo": {"workflow": workflow or {"nodes": []}}}}
        return str(self.post("/prompt", body)["prompt_id"])

    def wait(self, number: str, seconds: float = 300) -> Done:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            history = self.get(f"/history/{number}")
            if number in history:
                return _done(history[number])
            time.sleep(0.05)
        raise TimeoutError(f"the prompt did not end within {seconds} s")

    def run(self, prompt: Json, seconds: float = 300) -> Done:
        return self.wait(self.start(prompt), seconds)

    def file(self, shown: Json) -> Path:
        """The file of a row like {"filename", "subfolder", "type"}."""
        return self.base / shown["type"] / shown["subfolder"] / shown["filename"]

    def memory_mb(self, which: str) -> float:
        """which: VmRSS now, or VmHWM at the most since `forget_peak`."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{which}:"):
                return int(line.split()[1]) / 1024
        raise LookupError(which)

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", encoding="ascii")


def _done(row: Json) -> Done:
    error = kind = ""
    for name, message in row["status"]["messages"]:
        if name == "execution_error":
            error, kind = message["exception_message"].strip(), message["exception_type"]
        elif name == "execution_interrupted":
            kind = "interrupted"
    return Done(row["status"]["status_str"], row["outputs"], error, kind)


@contextmanager
def comfy(base: Path, name: str = "sd-lipsync", pack: Path = PACK) -> Iterator[Host]:
    """Start the checkout with the pack in a folder `name`, its other folders under `base`."""
    for folder in ("custom_nodes", "input", "output", "models/lipsync", "user/default", "temp"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    (base / "custom_nodes" / name).symlink_to(pack, target_is_directory=True)
    for sample in ("portrait.png", "voice.wav"):
        shutil.copy(DEMO / sample, base / "input" / sample)
    port = _free_port()
    with (base / "log.txt").open("wb") as log:
        process = subprocess.Popen(_command(base, port), cwd=os.environ[SWITCH], stdout=log, stderr=log, env=_calm())
    host = Host(port, base, process)
    try:
        _wait_until_ready(host)
        yield host
    finally:
        process.terminate()
        process.wait(20)


def _command(base: Path, port: int) -> list[str]:
    python = os.environ.get("COMFYUI_PYTHON", sys.executable)
    words = f"main.py --cpu --listen 127.0.0.1 --port {port} --disable-api-nodes --disable-auto-launch".split()
    return [python, *words, "--base-directory", str(base), "--database-url", f"sqlite:///{base}/user/comfyui.db"]


def _calm() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_"))}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": kept.get("OMP_NUM_THREADS", "1")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(host: Host, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if host.process.poll() is not None:
            break
        try:
            host.get("/system_stats")
            return
        except OSError:
            time.sleep(0.3)
    tail = (host.base / "log.txt").read_text(errors="replace")[-3000:]
    raise RuntimeError(f"ComfyUI did not start:\n{tail}")
