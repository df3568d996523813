"""The scripts of the pages: they parse, their logic holds, and they load nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted((ROOT / "js").glob("*.*js"))
TESTS = sorted((ROOT / "tests" / "js").glob("*.test.mjs"))


@pytest.fixture(scope="session")
def node() -> str:
    found = shutil.which("node")
    if not found:
        pytest.skip("node is not installed: the scripts of the pages are not checked")
    return found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_parses_as_a_module(node: str, script: Path, tmp_path: Path) -> None:
    module = tmp_path / f"{script.stem}.mjs"
    module.write_bytes(script.read_bytes())
    done = subprocess.run([node, "--check", module], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", TESTS, ids=lambda path: path.name)
def test_the_logic_of_the_pages_holds(node: str, script: Path) -> None:
    done = subprocess.run([node, "--test", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("script", [*SCRIPTS, ROOT / "js" / "lipsync.css"], ids=lambda path: path.name)
def test_a_page_loads_nothing_from_elsewhere(script: Path) -> None:
    """ComfyUI can forbid it (`connect-src 'self'`), and a machine without a network must work."""
    text = script.read_text(encoding="utf-8")
    assert not re.findall(r"""(?:from|import|url\(|src\s*=|href\s*=|fetch\()\s*["'(]*https?:""", text)


def test_only_one_script_is_an_extension() -> None:
    """ComfyUI loads every *.js below js/ as an extension of its own; shared code is *.mjs."""
    assert [path.name for path in sorted((ROOT / "js").rglob("*.js"))] == ["lipsync_comfy.js"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_stays_short_enough_to_read(script: Path) -> None:
    lines = script.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 400
    assert max(map(len, lines)) <= 130
