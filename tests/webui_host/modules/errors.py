"""The host's console."""

import sys


def report(message: str, *, exc_info: bool = False) -> None:
    sys.stderr.write(f"*** {message}\n")


def display(error: Exception, task: str) -> None:
    report(f"{task}: {error}")
