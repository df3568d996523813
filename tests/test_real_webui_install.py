"""What install.py would do in the environments of real hosts: it may add packages and must move none."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from real_webui import ROOT, checkout, python_of

_WOULD = re.compile(r"^Would install (.*)$", re.MULTILINE)
_PRESENT = (
    "import importlib.metadata as m; print(*sorted({d.metadata['Name'] or '' for d in m.distributions()}), sep='\\n')"
)
_SITE = "import sysconfig; print(sysconfig.get_path('purelib'))"
_FILES = """
import importlib.metadata as m, sys
for name in sys.argv[1:]:
    try:
        print(*m.files(name), sep="\\n")
    except m.PackageNotFoundError:
        pass
"""
# What a start with this extension has added to either host.
_ADDED = ("av", "librosa", "pooch", "audioread", "soundfile", "soxr", "msgpack", "decorator", "scikit-learn",
          "threadpoolctl", "platformdirs")  # fmt: skip

HOSTS = ("A1111", "Forge")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def only_where_the_host_is(kind: str) -> None:
    if checkout(kind) is None:
        pytest.skip(f"{kind.upper()}_DIR does not name a checkout of {kind}: its environment is not looked at")


def run(kind: str, python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As the host runs an installer: in its folder, with that on the path."""
    root = checkout(kind)
    return subprocess.run(
        [python, *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def would_install(said: str) -> set[str]:
    found = _WOULD.search(said)
    return {plain(entry.rsplit("-", 1)[0]) for entry in found[1].split()} if found else set()


def fresh(kind: str, folder: Path) -> str:
    """The Python of an environment that sees all of the host's packages but those that we once added."""
    subprocess.run([python_of(kind), "-m", "venv", "--without-pip", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    own, theirs = (Path(_said(each, "-c", _SITE).strip()) for each in (python, python_of(kind)))
    ours = {row.split("/")[0] for row in _said(python_of(kind), "-c", _FILES, *_ADDED).split("\n")}
    for entry in theirs.iterdir():
        if entry.name not in ours and not (own / entry.name).exists():
            (own / entry.name).symlink_to(entry)
    return python


def _said(python: str, *arguments: str) -> str:
    return subprocess.run([python, *arguments], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("kind", HOSTS)
def test_installing_into_a_fresh_host_moves_no_version_that_it_has(kind, tmp_path):
    python = fresh(kind, tmp_path / "venv")
    present = {plain(name) for name in _said(python, "-c", _PRESENT).split()}
    assert {"torch", "numpy", "gradio", "pydantic", "protobuf", "pillow"} <= present
    assert not {"av", "librosa"} & present
    done = run(kind, python, str(ROOT / "install.py"), "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    added = would_install(done.stdout)
    assert {"av", "librosa"} <= added
    assert added & present == set()


@pytest.mark.parametrize("kind", HOSTS)
def test_installing_into_the_host_as_it_is_moves_nothing(kind):
    present = {plain(name) for name in _said(python_of(kind), "-c", _PRESENT).split()}
    done = run(kind, python_of(kind), str(ROOT / "install.py"), "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert would_install(done.stdout) & present == set()


@pytest.mark.parametrize("kind", HOSTS)
def test_a_start_with_nothing_to_do_costs_less_than_a_second(kind):
    if "everything is here" not in run(kind, python_of(kind), str(ROOT / "install.py"), "--dry-run").stdout:
        pytest.skip(f"{kind} lacks packages; start it once with this extension")
    start = time.monotonic()
    assert run(kind, python_of(kind), str(ROOT / "install.py")).returncode == 0
    assert time.monotonic() - start < 1.0
