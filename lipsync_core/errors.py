"""What a user can act on. A message says what happened, where (file, frames, seconds) and what to do.

Hosts catch `LipSyncError` in one place and show `str(error)`; the command exits with `exit_code`.
Anything else that escapes is our bug. `ValueError` marks a call that breaks a function's contract.
"""


class LipSyncError(Exception):
    """The user can act on this."""

    exit_code = 3


class UsageError(LipSyncError):
    """An option or a combination of options that cannot work."""

    exit_code = 2


class InputError(LipSyncError):
    """A file that was given cannot be used."""

    exit_code = 3


class OutputError(LipSyncError):
    """The result cannot be written: disk full, no right to write, the name is taken."""

    exit_code = 5


class WeightsError(LipSyncError):
    """A checkpoint is missing, damaged, of another network, or not allowed to be read."""

    exit_code = 6


class OutOfMemoryError(LipSyncError):
    """Even one frame at a time does not fit into memory."""

    exit_code = 7


class Cancelled(LipSyncError):  # noqa: N818 - a decision of the user, not a fault
    """The user pressed stop. Nothing was written."""

    exit_code = 130
