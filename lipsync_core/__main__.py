"""`lipsync`, or `python -m lipsync_core`: the command. Exit codes: docs/command.md."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

from . import __version__
from .errors import Cancelled, LipSyncError

EPILOG = "Start with `lipsync demo`, then `lipsync sync portrait.png speech.wav -o talking.mp4`."


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    from . import cli

    parser = argparse.ArgumentParser(
        prog="lipsync", description="A portrait or a video plus speech becomes a talking video.", epilog=EPILOG
    )
    parser.add_argument("--version", action="version", version=f"sd-lipsync {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of a fault")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    cli.add_commands(commands)
    return parser


class StopSignal:
    """Turns the first SIGINT or SIGTERM into a wish to stop; a second one ends the process at once."""

    def __init__(self) -> None:
        self.number = 0

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", None)):
            if number is not None:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            raise KeyboardInterrupt
        self.number = number

    def wanted(self) -> bool:
        return self.number != 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    stop = StopSignal()
    stop.install()
    arguments = build_parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments, stop.wanted)
    except (Cancelled, KeyboardInterrupt):
        _say(getattr(arguments, "stopped", "Stopped. Nothing was written."))
        return 128 + (stop.number or signal.SIGINT)
    except LipSyncError as error:
        if arguments.debug:
            raise
        _say(f"lipsync: {error}")
        return error.exit_code
    except BrokenPipeError:  # whoever read our output went away, as `| head` does
        with suppress(OSError, ValueError):  # so that the interpreter's last flush finds a place to go
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _say(text: str) -> None:
    sys.stderr.write(text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")


if __name__ == "__main__":
    sys.exit(main())
