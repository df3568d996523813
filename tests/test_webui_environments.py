"""The tests under tests/webui, once with A1111's gradio and once with Forge's, in what `make webui-envs` makes."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("host", "folder"), [("A1111", ".venv-gradio3"), ("Forge", ".venv-gradio4")])
def test_the_tab_and_the_api_work_with_the_gradio_of(host, folder):
    python = ROOT / folder / "bin" / "python"
    if not python.is_file():
        pytest.skip(f"{folder} is not here (`make webui-envs` makes it)")
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "default", "tests/webui"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=_environment())
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def _environment() -> dict[str, str]:
    """Without what a run under pytest, coverage or a WebUI would hand down."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_", "GRADIO_"))
    }
    return {**inherited, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
