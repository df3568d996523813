"""The tab and the API inside a host of our own making. Run in the environments of `make webui-envs`.

Nothing here runs where gradio is not installed; tests/test_webui_environments.py calls it where it is.
"""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HOST = Path(__file__).resolve().parents[1] / "webui_host"
GRADIO = importlib.util.find_spec("gradio") is not None
if GRADIO:
    sys.path.insert(0, str(HOST))
    import gradio

    if gradio.__version__.startswith("4"):
        sys.path.insert(0, str(HOST / "forge"))
else:
    collect_ignore_glob = ["test_*.py"]

ADDRESS = "http://127.0.0.1:7860"


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of this test's own, with an input folder in it."""
    from modules import paths

    folder = tmp_path / "data"
    (folder / "inputs" / "lipsync").mkdir(parents=True)
    monkeypatch.setattr(paths, "data_path", str(folder))
    monkeypatch.setattr(paths, "models_path", str(folder / "models"))
    return folder


@pytest.fixture(autouse=True)
def fresh_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The host's state, options, arguments and callbacks as they are at its start; afterwards no job may be left."""
    from modules import infotext_utils, progress, script_callbacks, shared

    script_callbacks.clear_callbacks()
    script_callbacks.REPORTED.clear()
    infotext_utils.paste_fields.clear()
    infotext_utils.registered_param_bindings.clear()
    monkeypatch.setattr(shared, "opts", shared.Options())
    arguments = vars(shared.cmd_opts).copy()
    shared.cmd_opts.api = True
    yield
    vars(shared.cmd_opts).clear()
    vars(shared.cmd_opts).update(arguments)
    assert progress.current_task is None
    assert shared.state.job == ""


@pytest.fixture
def start() -> Callable[..., Any]:
    """Start the API with arguments of the host, as in start(api_auth="me:secret"); gives a client of it."""
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from modules import script_callbacks, shared

    from lipsync_webui import api

    def started(**arguments: Any) -> TestClient:
        vars(shared.cmd_opts).update(arguments)
        app = FastAPI()
        api.register()
        script_callbacks.run("app_started", None, app)
        assert not script_callbacks.REPORTED
        return TestClient(app, base_url=ADDRESS)

    return started


@pytest.fixture
def client(start: Callable[..., Any]) -> Any:
    return start()


@pytest.fixture
def request_body() -> Callable[..., dict[str, Any]]:
    """A request for a second of video, from what ships with the project; more or other fields as keywords."""

    def body(**fields: Any) -> dict[str, Any]:
        wanted = {"face": {"file": "demo/portrait.png"}, "speech": {"file": "demo/voice.wav"}}
        wanted["options"] = {"speech_end": 0.4, "detector": "cascade", "resize_factor": 2}
        return {**wanted, **fields}

    return body
