"""The whole of training on drawn people: an expert, a generator without and one with it, and what they are worth.

`python -m bench drawn` draws, trains (about 90 minutes on two cores) and measures in DRAWN_DIR, or in a temporary
folder; what is there already is not done again. Everything is measured on clips of people that were held out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from lipsync_core.training.log import read_log
from lipsync_core.training.shards import read_index
from lipsync_core.training.synthetic import synthetic_shards
from lipsync_core.training.windows import split_by_name

from .drawn_scores import measured
from .drawn_videos import found_by_the_command

CLIPS, SEED, SIZE = 960, 7, 48
HELD_OUT = 0.1

_EXPERT = {"expert_width": 16, "batch": 64, "windows_per_clip": 8, "learning_rate": 1e-3, "ema": 0.998}
_GENERATOR = {"width": 8, "residuals": 1, "batch": 32, "learning_rate": 3e-3, "ema": 0.99, "cooldown": 0.25}
_TAUGHT = {"expert": "expert/model.safetensors", "sync_from": 100.0}
_WITH = {"kind": "generator", "steps": 2000, "sync_weight": 0.03, **_TAUGHT, **_GENERATOR}
RUNS: dict[str, dict[str, Any]] = {
    "expert": {"kind": "expert", "steps": 5000, "eval_every": 250, "eval_batches": 20, **_EXPERT},
    "without": {**_WITH, "sync_weight": 0.0},
    "with": _WITH,
    "longer, with": {**_WITH, "steps": 3200, "cooldown": 0.375},
}
_SHARED = {
    "shards": "shards",
    "size": SIZE,
    "held_out": HELD_OUT,
    "save_every": 100,
    "eval_every": 200,
    "eval_batches": 10,
}


def run(folder: Path) -> str:
    work = Path(os.environ.get("DRAWN_DIR", folder))
    synthetic_shards(work / "shards", CLIPS, SEED, SIZE, workers=os.cpu_count() or 1)
    for names in (("expert",), ("without", "with"), ("longer, with",)):  # two generators side by side, one core each
        if names == ("longer, with",) and not (work / names[0]).exists():
            shutil.copytree(work / "with", work / names[0])  # it goes on from there, at the full learning rate again
        jobs = [_started(work, name, max(1, (os.cpu_count() or 1) // len(names))) for name in names]
        ended = [job.wait() for job in jobs]
        if any(ended):
            raise RuntimeError(f"a training of {names} failed")
    known, held = split_by_name(read_index(work / "shards"), HELD_OUT)
    return "\n\n".join([curves(work), *measured(work, known, held), found_by_the_command(work)])


def _started(work: Path, name: str, threads: int) -> subprocess.Popen[bytes]:
    config = work / f"{name}.toml"
    rows = {**_SHARED, **RUNS[name], "out": name}
    config.write_text("".join(f"{key} = {value!r}\n" for key, value in rows.items()), encoding="utf-8")
    words = [sys.executable, "-m", "lipsync_core", "train", str(RUNS[name]["kind"]), str(config), "-q"]
    return subprocess.Popen(words, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, stdout=subprocess.DEVNULL)


def curves(work: Path) -> str:
    """What the logs say of held-out clips, in eighths of each training."""
    lines = ["| training | figure | eighths of its steps |", "|---|---|---|"]
    for name, row in RUNS.items():
        log = read_log(work / name / "log.csv")
        for figure in ("eval_loss", "eval_right") if name == "expert" else ("eval_l1", "eval_sync"):
            values = [value for _, value in log[figure]]
            places = [max(0, round(len(values) * part / 8) - 1) for part in range(1, 9)]
            shown = " ".join(f"{values[place]:.3f}" for place in places)
            lines.append(f"| {name}, {row['steps']} steps, {_minutes(work / name):.0f} min | {figure} | {shown} |")
    return "\n".join(lines)


def _minutes(folder: Path) -> float:
    last = (folder / "log.csv").read_text(encoding="utf-8").splitlines()[-1]
    return float(last.split(",")[1]) / 60
