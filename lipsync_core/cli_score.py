"""`lipsync score` and `lipsync evaluate`: what they take, and what they print."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cli_options import add_group, add_options, given_options
from .errors import Cancelled, LipSyncError, UsageError
from .options import LipSyncOptions
from .runtime import Runtime

if TYPE_CHECKING:
    from .metrics.score import Score

Print = Callable[[str], None]
SOME_FAILED = 4
_SCORED: dict[str, Any] = {"which_face": "all", "detect_every": 1}
_FACE_FLAGS = ("detector", "box", "which_face", "face_index", "face_point", "face_threshold", "min_face")


def add_score(commands: Any, add_shared: Callable[[argparse.ArgumentParser], None]) -> argparse.ArgumentParser:
    """`lipsync score VIDEO...`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "score",
        help="measure finished videos",
        description="Measure how well lips and sound agree, how sharp and how steady the faces are.",
    )
    parser.add_argument("videos", nargs="+", metavar="VIDEO", help="videos, or folders of them")
    parser.add_argument("--reference", metavar="FILE", help="the true video, or a folder with the same names")
    _add_scoring(parser)
    add_group(parser, "Face", _FACE_FLAGS, _SCORED)
    add_shared(parser)
    return parser


def add_evaluate(commands: Any, add_shared: Callable[[argparse.ArgumentParser], None]) -> argparse.ArgumentParser:
    """`lipsync evaluate LIST --layout lrs2 --data DIR -o DIR`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "evaluate",
        help="make and measure every pair of a published list",
        description="Make a video for each pair of a list of the published evaluation, then measure all of them. What "
        "is there already is not made again.",
    )
    parser.add_argument("list", metavar="LIST", help="text file with two names a line")
    parser.add_argument("--layout", choices=("lrs2", "lrs3", "lrw", "resynced"), required=True, help="how to read it")
    parser.add_argument("--data", metavar="DIR", required=True, help="folder that its names are relative to")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="folder for the videos")
    _add_scoring(parser)
    add_options(parser)
    add_shared(parser)
    return parser


def _add_scoring(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("scores")
    net = "what judges the sync: SyncNet v2 (LSE-D, LSE-C), a Wav2Lip expert, nothing (default: syncnet)"
    group.add_argument("--net", choices=("syncnet", "expert", "none"), default="syncnet", help=net)
    protocol = "the crops it sees: the face that is found, or the whole frame of a video that is a face crop already, "
    group.add_argument(
        "--protocol",
        choices=("tracked", "whole"),
        default="tracked",
        help=protocol + "as those of LRS2 are (default: tracked)",
    )
    group.add_argument("--score-checkpoint", metavar="FILE", default="", help="weights of that network")
    group.add_argument("--json", metavar="FILE", help="write the scores as JSON")
    group.add_argument("--plot", metavar="FILE", help="draw distance over shift as PNG")


def run_score(arguments: argparse.Namespace, runtime: Runtime, say: Print) -> int:
    """`lipsync score`: a table of all videos. A video that cannot be scored is a line, and the rest goes on."""
    from .batch import VIDEOS

    videos = list(_files(arguments.videos, VIDEOS))
    options = given_options(arguments, **_SCORED)
    return _score_all(arguments, videos, options, runtime, say)


def run_evaluate(arguments: argparse.Namespace, runtime: Runtime, say: Print) -> int:
    """`lipsync evaluate`: make what is missing, then score all."""
    from .metrics.filelists import read_pairs

    options = given_options(arguments)
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for pair in read_pairs(Path(arguments.list), arguments.layout, Path(arguments.data)):
        output = folder / f"{pair.line:05d}.mp4"
        if output.exists() or _made(pair.face, pair.speech, output, options, runtime, say):
            made.append(output)
    return _score_all(arguments, made, replace(options, **_SCORED), runtime, say)


def _made(face: Path, speech: Path, output: Path, options: LipSyncOptions, runtime: Runtime, say: Print) -> bool:
    from .pipeline import lipsync

    try:
        lipsync(face, speech, output, options, runtime)
    except Cancelled:
        raise
    except LipSyncError as error:
        say(f"failed: {output.name}: {error}")
        return False
    return True


def _score_all(
    arguments: argparse.Namespace, videos: list[Path], options: LipSyncOptions, runtime: Runtime, say: Print
) -> int:
    from .metrics.learned import fid
    from .metrics.score import Judges, Wish
    from .metrics.syncnets import load_network
    from .metrics.table import as_data, as_text, plot

    wish = Wish(arguments.net, arguments.protocol, options)
    network = None if wish.net == "none" else load_network(wish.net, arguments.score_checkpoint, runtime)
    reference = getattr(arguments, "reference", None)
    judges = Judges(network, fid(runtime) if reference else None)
    scores = _scores(videos, Path(reference) if reference else None, wish, judges, runtime, say)
    overall = {"FID face": judges.fid.value()} if judges.fid else {}
    if scores:
        say(as_text(scores, overall))
    if arguments.json:
        from .cli import write_json

        write_json(Path(arguments.json), as_data(scores, overall))
    if arguments.plot:
        plot(scores, Path(arguments.plot))
    return 0 if len({score.file for score in scores}) == len(videos) else SOME_FAILED


def _scores(
    videos: list[Path], reference: Path | None, wish: Any, judges: Any, runtime: Runtime, say: Print
) -> list[Score]:
    from .metrics.score import score_video

    scores: list[Score] = []
    for video in videos:
        true = reference / video.name if reference and reference.is_dir() else reference
        try:
            scores += score_video(video, true, wish, judges, runtime)
        except Cancelled:
            raise
        except LipSyncError as error:
            if len(videos) == 1:
                raise
            say(f"failed: {error}")
    return scores


def _files(names: Iterable[str], endings: tuple[str, ...]) -> Iterable[Path]:
    for name in names:
        path = Path(name)
        if not path.is_dir():
            yield path
            continue
        inside = sorted(child for child in path.iterdir() if child.suffix.lower() in endings)
        if not inside:
            raise UsageError(f"{path.name}: there is no video in this folder.")
        yield from inside
