"""The examples of docs/webui-api.md, run as they stand against a server."""

import re
import shutil
import subprocess
import sys
import threading
import time
import wave
from pathlib import Path

import av
import pytest
import uvicorn
from webui_parts import DEMO

PAGE = Path(__file__).resolve().parents[2] / "docs" / "webui-api.md"
EXAMPLES = re.findall(r"^```(bash|python)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def address(start):
    """A server that listens; gives its address."""
    server = uvicorn.Server(uvicorn.Config(start().app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize(("language", "code"), EXAMPLES)
def test_the_example_works_as_it_stands(address, tmp_path, language, code):
    if language == "bash" and not shutil.which("curl"):
        pytest.skip("curl is not installed")
    shutil.copy(DEMO / "portrait.png", tmp_path / "portrait.png")
    with wave.open(str(DEMO / "voice.wav")) as whole, wave.open(str(tmp_path / "speech.wav"), "wb") as part:
        part.setparams(whole.getparams())
        part.writeframes(whole.readframes(2 * whole.getframerate()))
    command = {"bash": ["bash", "-ec"], "python": [sys.executable, "-c"]}[language]
    code = code.replace("http://127.0.0.1:7860", address).replace("python3", sys.executable)
    done = subprocess.run([*command, code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"error"' not in done.stdout
    if "talking.mp4" in code:
        with av.open(str(tmp_path / "talking.mp4")) as video:
            assert video.streams.video[0].frames == 50
    else:
        assert re.search(r'"file":"output/|"faces":\[\{"box"', done.stdout)
