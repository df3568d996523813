"""`lipsync prepare` and `lipsync train`: what they take, and what they print."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UsageError
from .runtime import Runtime

if TYPE_CHECKING:
    from .training.prepare import Made
    from .training.prepare_plan import Found, PrepareSettings

Print = Callable[[str], None]
Shared = Callable[[argparse.ArgumentParser], None]


def add_prepare(commands: Any, add_shared: Shared) -> argparse.ArgumentParser:
    """`lipsync prepare DATA -o SHARDS`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "prepare",
        help="make training data from videos",
        description="Find, cut and hear every face of a folder of videos and write them as shards. Started again it "
        "goes on where it was stopped.",
    )
    parser.add_argument("data", metavar="DATA", nargs="?", help="folder of videos, such as LRS2's main")
    parser.add_argument("-o", "--output", metavar="SHARDS", required=True, help="folder for the shards")
    parser.add_argument(
        "--list", metavar="FILE", help="only these videos: first word of each line, as LRS2's train.txt"
    )
    parser.add_argument("--synthetic", metavar="N", type=int, default=0, help="draw N talking people instead of DATA")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the people that are drawn")
    parser.add_argument("--seconds", metavar="S", type=float, default=4.0, help="of each drawn clip (default: 4)")
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--ray", action="store_true", help="spread the work with Ray over its workers")
    _add_settings(parser)
    add_shared(parser)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("clips")
    for name, default, metavar, text in (
        ("--size", 96, "PX", "side of the crops"),
        ("--min-face", 48, "PX", "narrower faces are left out"),
        ("--min-seconds", 1.0, "S", "shortest clip"),
        ("--max-seconds", 20.0, "S", "longest clip"),
        ("--least-sharpness", 20.0, "V", "least variance of the Laplacian, 0 keeps all"),
        ("--detector", "auto", "NAME", "face detector"),
        ("--checkpoint", "", "FILE", "weights of --net"),
        ("--least-confidence", 1.0, "V", "of --net, below it nobody speaks"),
        ("--per-shard", 16, "N", "videos in a shard"),
    ):
        shown = f"{text} (default: {default})" if default != "" else text
        group.add_argument(name, type=type(default), default=default, metavar=metavar, help=shown)
    net = "take the offset of sound and lips out by this network, and leave out who does not speak"
    group.add_argument("--net", choices=("", "syncnet", "expert"), default="", help=net)


def add_train(commands: Any, add_shared: Shared) -> argparse.ArgumentParser:
    """`lipsync train CONFIG.toml`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="train a sync expert or a Wav2Lip generator",
        description="Run a training, or go on with it. SIGINT and SIGTERM save first.",
    )
    parser.add_argument("kind", choices=("expert", "generator", "hq", "lipgan"), help="what is trained")
    parser.add_argument("config", metavar="CONFIG", help="TOML file; docs/training.md names every setting")
    parser.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="a setting that wins over the file's"
    )
    add_shared(parser)
    return parser


def run_prepare(arguments: argparse.Namespace, runtime: Runtime, say: Print) -> int:
    """`lipsync prepare`: shards, then what was left out and why."""
    if arguments.synthetic:
        from .training.synthetic import synthetic_shards

        if arguments.data:
            raise UsageError("It takes DATA or --synthetic N, not both.")
        settings = (arguments.seed, arguments.size, arguments.seconds, arguments.workers)
        made = synthetic_shards(Path(arguments.output), arguments.synthetic, *settings)
        say(f"{made} clips of drawn people.")
        return 0
    if not arguments.data:
        raise UsageError("It takes a folder of videos: lipsync prepare DATA -o SHARDS")
    from .training.prepare_plan import find_videos, plan_tasks, read_names
    from .training.prepare_run import prepare

    clips = _settings(arguments)
    names = read_names(Path(arguments.list)) if arguments.list else ()
    found = find_videos(Path(arguments.data), names)
    for text in found.troubles:
        say(f"left out: {text}")
    tasks = plan_tasks(found, Path(arguments.output), clips)
    rows = prepare(tasks, runtime, max(1, arguments.workers), arguments.ray, lambda row: _tell(row, say))
    say(_summary(rows, found))
    return 0


def _summary(rows: list[Made], found: Found) -> str:
    left = len(found.troubles) + sum(len(row.skipped) for row in rows)
    text = f"{sum(row.clips for row in rows)} clips in {len(rows)} shards; {left} left out."
    if found.others:
        text += f" Not looked at: {found.others} whose names are not those of videos."
    return text


def _tell(row: Made, say: Print) -> None:
    for text in row.skipped if row.fresh else ():
        say(f"left out: {text}")


def _settings(arguments: argparse.Namespace) -> PrepareSettings:
    from .training.prepare_plan import PrepareSettings

    given = {row.name: getattr(arguments, row.name) for row in fields(PrepareSettings) if hasattr(arguments, row.name)}
    return PrepareSettings(**given)


def run_train(arguments: argparse.Namespace, runtime: Runtime, say: Print) -> int:
    """`lipsync train`."""
    from .training.config import read_config
    from .training.train import train

    config = read_config(Path(arguments.config), kind=arguments.kind, **dict(map(_setting, arguments.set)))
    figures = train(config, runtime)
    say(f"{config.out}/model.safetensors: " + ", ".join(f"{name} {value:.4f}" for name, value in figures.items()))
    return 0


def _setting(text: str) -> tuple[str, Any]:
    """NAME=VALUE, the value as TOML would read it; a word needs no quotes."""
    name, sign, value = text.partition("=")
    if not sign:
        raise UsageError(f"'{text}' is no setting. Write it as name=value.")
    for kind in (int, float):
        try:
            return name.strip(), kind(value)
        except ValueError:
            continue
    return name.strip(), value.strip().strip("\"'")
