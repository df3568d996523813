"""A1111 and Forge run this at every start: it installs what is missing, and moves nothing that is there.

`python install.py --dry-run` says what it would do. Under ComfyUI, whose manager reads requirements.txt, it does
nothing. Only the standard library is imported, so that a start with nothing to do costs a fraction of a second.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"
# Distribution -> the module that shows it is there, where the names differ. Any OpenCV counts.
MODULES = {"opencv-python": "cv2", "scikit-image": "skimage", "pillow": "PIL"}
# The host brings them, in the build that suits its machine.
LEFT_TO_THE_HOST = ("torch", "numpy")
# spandrel, which is asked for as well, loads the same checkpoints; these two take minutes to build.
NOT_NEEDED = ("gfpgan", "basicsr")
# What pip understands as `name==version`; anything odder is left out of the constraints.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?(\+[a-z0-9]+([-_.][a-z0-9]+)*)?", re.IGNORECASE)
_SKIP = ("--skip-install", "--skip-prepare-environment")


def main(arguments: list[str]) -> int:
    """Install what is missing. Returns pip's exit code, 0 when there is nothing to do."""
    dry = "--dry-run" in arguments
    if not dry and (skipped(arguments) or not under_webui()):
        return 0
    names = missing(required(REQUIREMENTS.read_text(encoding="utf-8")))
    if not names:
        if dry:
            say("Lip Sync: everything is here.")
        return 0
    say(f"Lip Sync: installing {', '.join(names)}")
    code = install(names, dry)
    if code:
        say(
            "Lip Sync: pip could not install them. The tab will say what does not work without them. "
            f"To try by hand: {sys.executable} -m pip install {' '.join(names)}"
        )
    return code


def under_webui() -> bool:
    """True where A1111, Forge or a fork of them runs us: their root is on the path."""
    roots = [Path(entry or ".") for entry in sys.path]
    return any((root / "modules" / "launch_utils.py").is_file() and (root / "launch.py").is_file() for root in roots)


def skipped(arguments: list[str]) -> bool:
    """True when the host was started with --skip-install; "Install from URL" runs us all the same."""
    try:
        given = shlex.split(os.environ.get("COMMANDLINE_ARGS", ""))
    except ValueError:  # an open quotation mark: the host will complain
        given = []
    return any(flag in _SKIP for flag in [*arguments, *given])


def required(text: str) -> list[str]:
    """The distributions that requirements.txt names and that are ours to install."""
    lines = (line.split("#")[0].split(";")[0].strip() for line in text.splitlines())
    names = [match[0].lower() for line in lines if (match := _NAME.match(line))]
    return [name for name in names if name not in (*LEFT_TO_THE_HOST, *NOT_NEEDED)]


def missing(names: Iterable[str]) -> list[str]:
    """Those of the distributions whose module cannot be found."""
    return [name for name in names if importlib.util.find_spec(MODULES.get(name, name.replace("-", "_"))) is None]


def present_versions() -> list[str]:
    """`name==version` of everything that is installed: pip must not move any of it."""
    found = {}
    for distribution in importlib.metadata.distributions():
        name, version = distribution.metadata["Name"], distribution.metadata["Version"]
        if name and version and _NAME.fullmatch(name) and _VERSION.fullmatch(version):
            found.setdefault(name.lower(), f"{name}=={version}")  # the first on the path is the one in use
    return sorted(found.values())


def install(names: list[str], dry: bool = False) -> int:
    """One pip run for all of them, held to the versions that are here."""
    with tempfile.TemporaryDirectory(prefix="lipsync-install-") as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(present_versions()) + "\n", encoding="utf-8")
        return subprocess.run(pip_command(names, constraints, dry), check=False).returncode


def pip_command(names: list[str], constraints: Path, dry: bool) -> list[str]:
    """The command, as the host itself calls pip: it prefers wheels, and honours INDEX_URL."""
    index = os.environ.get("INDEX_URL", "")
    return [
        *(sys.executable, "-m", "pip", "install", "--prefer-binary", "--disable-pip-version-check", "--no-input"),
        *(("--dry-run",) if dry else ("--quiet",)),
        *(("--index-url", index) if index else ()),
        *("--constraint", str(constraints)),
        *names,
    ]


def say(text: str) -> None:
    """One line for the host's console, before what pip has to say."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
