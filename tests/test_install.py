"""install.py and preload.py: what the hosts run before they start."""

import argparse
import base64
import hashlib
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"lipsync_{name}_under_test", ROOT / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


install = load("install")


@pytest.fixture
def webui(tmp_path: Path) -> Path:
    """A folder that looks like the root of A1111 or Forge."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "launch_utils.py").touch()
    (tmp_path / "launch.py").touch()
    return tmp_path


def run(root: Path | None, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """install.py as a host calls it; pip is replaced by one that only says that it was called."""
    path = os.pathsep.join(map(str, [root] if root else []))
    return subprocess.run(
        [sys.executable, str(ROOT / "install.py"), *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def fake_pip(folder: Path) -> Path:
    """A `pip` package that is found before the real one and writes its arguments down."""
    (folder / "pip").mkdir(parents=True)
    (folder / "pip" / "__main__.py").write_text(
        "import pathlib, sys\npathlib.Path(__file__).with_name('called').write_text('\\n'.join(sys.argv[1:]))\n"
    )
    (folder / "pip" / "__init__.py").touch()
    return folder / "pip" / "called"


def hide(folder: Path, missing: str = "") -> None:
    """To processes that have `folder` on their path, every module looks installed but `missing`."""
    (folder / "sitecustomize.py").write_text(
        "import importlib.util as util\nreal = util.find_spec\n"
        f"util.find_spec = lambda name, *rest: None if name == {missing!r} else real(name, *rest) or real('json')\n"
    )


def test_requirements_are_read_without_what_belongs_to_the_host():
    text = "torch\nnumpy\nav\n# a remark\nscikit-image  # cascade\ngfpgan; python_version < '3.13'\nspandrel>=0.3\n\n"
    assert install.required(text) == ["av", "scikit-image", "spandrel"]


def test_every_requirement_of_the_project_has_a_module_that_shows_it_is_there():
    present = {name.lower() for name in importlib.metadata.packages_distributions().get("cv2", [])}
    names = install.required((ROOT / "requirements.txt").read_text())
    assert {"av", "librosa", "opencv-python", "safetensors"} <= set(names)
    assert present, "an OpenCV of any name is installed here"
    assert "opencv-python" not in install.missing(names)


def test_any_opencv_counts(monkeypatch):
    monkeypatch.setattr(install.importlib.util, "find_spec", lambda name: None if name == "av" else object())
    assert install.missing(["opencv-python", "av", "scikit-image"]) == ["av"]


def test_everything_that_is_here_is_held_at_its_version():
    held = install.present_versions()
    assert f"torch=={importlib.metadata.version('torch')}" in held
    assert f"numpy=={importlib.metadata.version('numpy')}" in held
    assert len(held) == len({row.split("==")[0].lower() for row in held})


def test_odd_versions_do_not_break_the_constraints(monkeypatch):
    class Odd:
        def __init__(self, name, version):
            self.metadata = {"Name": name, "Version": version}

    rows = [Odd("good", "1.0+cu121"), Odd(None, "1"), Odd("half-removed", None), Odd("~umpy", "1"), Odd("own", "main")]
    monkeypatch.setattr(install.importlib.metadata, "distributions", lambda: rows)
    assert install.present_versions() == ["good==1.0+cu121"]


def test_it_does_nothing_where_no_webui_runs_it(tmp_path):
    called = fake_pip(tmp_path)
    hide(tmp_path, "av")
    done = run(tmp_path)
    assert (done.returncode, done.stdout, called.exists()) == (0, "", False)


def test_it_installs_only_what_is_missing_in_one_go(webui):
    called = fake_pip(webui)
    hide(webui, "av")
    done = run(webui, INDEX_URL="https://example.org/simple")
    assert done.returncode == 0, done.stderr
    arguments = called.read_text().splitlines()
    assert arguments[0] == "install"
    assert "--constraint" in arguments
    assert arguments[arguments.index("--index-url") + 1] == "https://example.org/simple"
    assert [name for name in arguments if name in install.required((ROOT / "requirements.txt").read_text())] == ["av"]


@pytest.mark.parametrize("how", ["--skip-install", "--xformers --skip-install", "COMMANDLINE_ARGS"])
def test_skip_install_is_honoured(webui, how):
    called = fake_pip(webui)
    hide(webui, "av")
    done = (
        run(webui, COMMANDLINE_ARGS="--api --skip-install") if how == "COMMANDLINE_ARGS" else run(webui, *how.split())
    )
    assert (done.returncode, called.exists()) == (0, False)


def test_an_open_quotation_mark_in_the_hosts_arguments_is_no_reason_to_stop(monkeypatch):
    monkeypatch.setenv("COMMANDLINE_ARGS", "--ckpt 'unfinished --skip-install")
    assert install.skipped([]) is False


def test_a_start_with_nothing_to_do_loads_a_handful_of_modules_and_starts_nothing(webui):
    """What costs time at a start is imports and processes; a clock would measure the machine's other work."""
    called = fake_pip(webui)
    hide(webui)
    done = run(webui, PYTHONPROFILEIMPORTTIME="1")
    loaded = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.count("|") == 2}
    assert (done.returncode, done.stdout, called.exists()) == (0, "", False)
    assert "importlib.metadata" in loaded
    heavy = {"torch", "numpy", "cv2", "av", "librosa", "scipy", "pip", "skimage", "kornia", "safetensors"}
    assert not {name.split(".")[0] for name in loaded} & heavy
    assert len(loaded) < 250


def wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    """The smallest wheel that pip takes."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in files.items()]
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]))


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.mark.parametrize(("requires", "fits"), [("Requires-Dist: tqdm\n", True), ("Requires-Dist: tqdm>=999\n", False)])
def test_pip_may_add_but_never_move_what_is_here(tmp_path, monkeypatch, capfd, requires, fits):
    wheel(tmp_path, "lipsynctestneed", "1.0", requires)
    wheel(tmp_path, "tqdm", "999.0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    code = install.install(["lipsynctestneed"], dry=True)
    said = capfd.readouterr()
    assert (code == 0) is fits
    assert ("Would install lipsynctestneed-1.0\n" in said.out) is fits
    if not fits:
        assert "conflict" in said.err.lower()


def test_preload_adds_its_arguments_and_defaults_to_nothing():
    parser = argparse.ArgumentParser()
    load("preload").preload(parser)
    given = parser.parse_args(["--lipsync-models-dir", "/m"])
    assert (given.lipsync_models_dir, given.lipsync_input_dir) == ("/m", None)
