"""The subcommands: what each takes, and what it prints."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import cli_score, cli_train
from .cli_options import add_options, given_options
from .cli_preview import add_preview
from .cli_score import add_evaluate, add_score
from .cli_train import add_prepare, add_train
from .errors import Cancelled, LipSyncError, OutputError, UsageError
from .options import LipSyncOptions
from .runtime import Runtime, choose_device, choose_precision, default_model_dir
from .types import Report

Wanted = Callable[[], bool]
SOME_FAILED = 4  # exit code of a folder run in which some files failed
_GOES_ON = "Stopped. Started again, it goes on from here."


def add_commands(commands: Any) -> None:
    """Every subcommand with its flags; each sets `run`."""
    _add_sync(commands)
    add_preview(commands, _add_shared).set_defaults(run=run_preview)
    _add_inspect(commands)
    _add_demo(commands)
    _add_weights(commands)
    add_score(commands, _add_shared).set_defaults(run=run_score)
    add_evaluate(commands, _add_shared).set_defaults(run=run_evaluate)
    add_prepare(commands, _add_shared).set_defaults(run=run_prepare, stopped=_GOES_ON)
    add_train(commands, _add_shared).set_defaults(run=run_train, stopped=_GOES_ON)


def _add_sync(commands: Any) -> None:
    parser = commands.add_parser(
        "sync",
        help="make a face speak",
        description="FACE speaks AUDIO. Either may be a folder: one video is made for each file in it.",
    )
    parser.add_argument("face_file", metavar="FACE", nargs="?", help="picture, video, or a folder of them")
    parser.add_argument(
        "audio_file", metavar="AUDIO", nargs="?", help="file with the speech (sound or video), or a folder"
    )
    parser.add_argument("--face", dest="face_flag", metavar="FILE", help="same as FACE")
    parser.add_argument("--audio", dest="audio_flag", metavar="FILE", help="same as AUDIO")
    parser.add_argument("-o", "--output", "--outfile", metavar="OUT", help="video to make, or a folder for folders")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT when it exists")
    parser.add_argument("--report", metavar="FILE", help="write what was done as JSON")
    add_options(parser)
    _add_shared(parser)
    parser.set_defaults(run=run_sync)


def _add_inspect(commands: Any) -> None:
    parser = commands.add_parser("inspect", help="say what is in a file", description="Say what is in a file.")
    parser.add_argument("file", metavar="FILE", help="picture, video, sound or checkpoint")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=run_inspect)


def _add_demo(commands: Any) -> None:
    parser = commands.add_parser("demo", help="show what it does, with a portrait and a voice of its own")
    parser.add_argument("-o", "--output", default="out", metavar="DIR", help="folder for the results (default: out)")
    _add_shared(parser)
    parser.set_defaults(run=run_demo)


def _add_weights(commands: Any) -> None:
    parser = commands.add_parser("weights", help="list, download, add, convert and verify checkpoints")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, argument, text in (
        ("list", None, "what is known, and what is here"),
        ("get", "NAME", "download a checkpoint"),
        ("add", "FILE", "pin a checkpoint of your own by its hash"),
        ("convert", "FILE", "convert a pinned checkpoint to safetensors"),
        ("verify", None, "hash every checkpoint that is here"),
    ):
        action = actions.add_parser(name, help=text, description=text.capitalize() + ".")
        if argument:
            action.add_argument("what", metavar=argument)
        if name == "get":
            action.add_argument("--accept-licence", action="store_true", help="I have read its licence and accept it")
        _add_shared(action)
        action.set_defaults(run=run_weights)


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", metavar="DIR", action="append", help="folder with weights; may be repeated")
    parser.add_argument("--offline", action="store_true", help="never open a connection")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bars")


def make_runtime(arguments: argparse.Namespace, options: LipSyncOptions, wanted: Wanted) -> Runtime:
    """The Runtime of the command: torch's device, bars on the terminal, signals as the stop button."""
    from .progress import Bars

    device = choose_device(options.device)
    folders = [Path(folder) for folder in arguments.models or ()]
    return Runtime(
        device=device,
        precision=choose_precision(options.precision, device),
        model_dirs=(*folders, default_model_dir()),
        progress=Bars(shown=not arguments.quiet and sys.stderr.isatty()),
        cancelled=wanted,
        offline=arguments.offline,
        cache_dir=cache_dir(),
    )


def cache_dir() -> Path:
    """Where face tracks are remembered: SD_LIPSYNC_CACHE, else the user's cache folder."""
    named = os.environ.get("SD_LIPSYNC_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "sd-lipsync"
    except RuntimeError:  # no HOME
        import tempfile

        return Path(tempfile.gettempdir()) / "sd-lipsync"


def run_sync(arguments: argparse.Namespace, wanted: Wanted) -> int:
    """`lipsync sync`: one pair, or every pair of the folders that were given."""
    from .batch import pairs

    face = arguments.face_flag or arguments.face_file
    audio = arguments.audio_flag or (arguments.audio_file if not arguments.face_flag else arguments.face_file)
    if arguments.idle and not audio:
        audio = face  # nobody speaks, so it is not heard
    if not face or not audio or not arguments.output:
        raise UsageError("It takes a face, a voice and -o OUT: lipsync sync portrait.png speech.wav -o talking.mp4")
    options = given_options(arguments)
    jobs, many = pairs(Path(face), Path(audio), Path(arguments.output))
    rows: list[dict[str, Any]] = []
    for job in jobs:
        if many:
            made = sum("error" not in row for row in rows)
            arguments.stopped = f"Stopped. {made} of {len(jobs)} videos had been made; nothing else was written."
        rows.append(_one(job, arguments, options, wanted, many))
    if arguments.report:
        write_json(Path(arguments.report), rows if many else rows[0])
    failed = sum("error" in row for row in rows)
    if many:
        _print(f"{len(rows) - failed} of {len(rows)} videos made.")
    return SOME_FAILED if failed else 0


def _one(
    job: tuple[Path, Path, Path], arguments: argparse.Namespace, options: LipSyncOptions, wanted: Wanted, many: bool
) -> dict[str, Any]:
    """Make one video; in a folder run a failure is a row and the rest goes on."""
    from .pipeline import lipsync

    face, audio, output = job
    runtime = make_runtime(arguments, options, wanted)
    try:
        report = lipsync(face, audio, output, options, runtime, overwrite=arguments.overwrite)
    except Cancelled:
        raise
    except LipSyncError as error:
        if not many:
            raise
        _print(f"failed: {error}")
        return {"face": face.name, "audio": audio.name, "output": str(output), "error": str(error)}
    _print(summary(report))
    return asdict(report)


def summary(report: Report) -> str:
    """What a run did, in two lines and a line for each warning."""
    lines = [
        f"{report.output}: {report.frames} frames, {report.seconds:.2f} s at {report.fps} fps, "
        f"{report.width}x{report.height}",
        f"{report.engine} on {report.device} ({report.precision}), {report.frames_per_second:.1f} frames/s, "
        f"{report.peak_memory_mb:.0f} MB",
        *(f"note: {text}" for text in report.warnings),
    ]
    return "\n".join(lines)


def write_json(path: Path, value: Any) -> None:
    """Write a report whole or not at all."""
    from .media import atomic_output

    try:
        with atomic_output(path) as part:
            part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path.name}: the report cannot be written ({error.strerror}).") from None


def run_preview(arguments: argparse.Namespace, wanted: Wanted) -> int:
    """`lipsync preview`."""
    from .cli_preview import check_name, choose_picture, write_picture
    from .preview import preview_frame

    options = given_options(arguments)
    face, audio = Path(arguments.face_file), Path(arguments.audio_file)
    check_name(Path(arguments.output), arguments.overwrite)
    seen = preview_frame(face, audio, options, make_runtime(arguments, options, wanted), arguments.at)
    picture = choose_picture(seen.faces, seen.mask, seen.result, arguments.show)
    write_picture(Path(arguments.output), picture, arguments.overwrite)
    _print(f"{arguments.output}: {arguments.show} at {seen.seconds:.2f} s, {sum(seen.speaking)} of "
           f"{len(seen.speaking)} faces speak")  # fmt: skip
    return 0


def run_inspect(arguments: argparse.Namespace, wanted: Wanted) -> int:
    """`lipsync inspect`."""
    from .inspect import describe

    facts = describe(Path(arguments.file), wanted)
    if arguments.json:
        _print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        width = max(len(name) for name in facts)
        _print("\n".join(f"{name:<{width}}  {value}" for name, value in facts.items()))
    return 0


def run_demo(arguments: argparse.Namespace, wanted: Wanted) -> int:
    """`lipsync demo`."""
    from .demo import demo

    arguments.offline = True  # it shows what works with nothing downloaded
    runtime = make_runtime(arguments, LipSyncOptions(), wanted)
    _print(demo(Path(arguments.output), runtime))
    return 0


def run_score(arguments: argparse.Namespace, wanted: Wanted) -> int:
    """`lipsync score`."""
    return cli_score.run_score(arguments, make_runtime(arguments, LipSyncOptions(), wanted), _print)


def run_evaluate(arguments: argparse.Namespace, wanted: Wanted) -> int:
    """`lipsync evaluate`."""
    return cli_score.run_evaluate(arguments, make_runtime(arguments, given_options(arguments), wanted), _print)


def run_prepare(arguments: argparse.Namespace, wanted: Wanted) -> int:
    """`lipsync prepare`."""
    return cli_train.run_prepare(arguments, make_runtime(arguments, LipSyncOptions(), wanted), _print)


def run_train(arguments: argparse.Namespace, wanted: Wanted) -> int:
    """`lipsync train`."""
    return cli_train.run_train(arguments, make_runtime(arguments, LipSyncOptions(), wanted), _print)


def run_weights(arguments: argparse.Namespace, wanted: Wanted) -> int:
    """`lipsync weights ...`."""
    from .cli_weights import ACTIONS

    runtime = make_runtime(arguments, LipSyncOptions(), wanted)
    _print(ACTIONS[arguments.action](arguments, runtime))
    return 0


def _print(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stdout.flush()
