"""No file of the project but one may open a pickle, and none may run text as a program."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("lipsync_core", "lipsync_webui", "nodes", "scripts")
ALONE = ROOT / "lipsync_core" / "weights" / "load.py"
FILES = [path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))]
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
NAMES = {"eval", "exec", "__import__"}
CALLS = {
    "torch.load", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter", "os.system", "os.popen",
    "numpy.load", "np.load", "pandas.read_pickle", "yaml.load", "torch.serialization.load",
}  # fmt: skip
NP_LOADS = {"numpy.load", "np.load"}


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def faults(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name for name in whole if name.split(".")[0] in MODULES or name in CALLS]
        elif isinstance(node, ast.Attribute) and dotted(node) in CALLS - NP_LOADS:
            found.append(dotted(node))
        elif isinstance(node, ast.Call):
            found += call_faults(node)
    return found


def call_faults(node: ast.Call) -> list[str]:
    name = dotted(node.func)
    true = {word.arg for word in node.keywords if isinstance(word.value, ast.Constant) and word.value.value is True}
    found = [name] if name in NAMES else []
    found += [f"{name}(shell=True)"] if "shell" in true else []
    # numpy refuses pickled arrays unless it is told otherwise, so its plain load is fine.
    found += [f"{name}(allow_pickle=True)"] if "allow_pickle" in true else []
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_pickle_and_no_shell_in(path: Path) -> None:
    found = faults(ast.parse(path.read_text(encoding="utf-8")))
    assert path == ALONE or found == []


def test_the_one_place_says_weights_only_every_time() -> None:
    tree = ast.parse(ALONE.read_text(encoding="utf-8"))
    loads = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and dotted(node.func) == "torch.load"]
    assert loads
    for node in loads:
        said = {word.arg: word.value for word in node.keywords}
        assert isinstance(said["weights_only"], ast.Constant)
        assert said["weights_only"].value is True
    assert set(faults(tree)) == {"pickle", "torch.load", "torch.jit.load"}
    uses = {dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {name for name in uses if name.startswith("pickle.")} == {"pickle.UnpicklingError"}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from pickle import loads", "import torch; torch.load(x)", "load = torch.load",
        "from torch import load", "eval('1')", "exec(x)", "os.system('x')", "subprocess.run(x, shell=True)",
        "np.load(x, allow_pickle=True)", "torch.jit.load(x)", "import marshal",
    ],
)  # fmt: skip
def test_the_lint_sees(line: str) -> None:
    assert faults(ast.parse(line))


def test_the_lint_lets_harmless_lines_pass() -> None:
    lines = ["model.eval()", "np.load(x)", "subprocess.run(x)", "json.load(f)", "from . import load", "fit.load(x)"]
    assert [line for line in lines if faults(ast.parse(line))] == []
