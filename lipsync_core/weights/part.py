"""A download that is not finished yet: `<file>.<hash>.<own>.part`, and beside it what the server said of it.

A run that is killed leaves it, and the next one goes on with it. Each run first gives it a name of its own, so two
runs that slip past the lock (network file systems) never write into the same name.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from ..errors import WeightsError
from .catalogue import WeightFile
from .hashes import open_new, sync_folder, write_whole

_DISK_WORDS = {
    errno.ENOSPC: "the disk is full. Free some room",
    getattr(errno, "EDQUOT", errno.ENOSPC): "your disk quota is used up. Free some room",
    errno.EFBIG: "the file system allows no file this big. Choose another folder (SD_LIPSYNC_MODELS)",
    errno.EROFS: "the folder is read-only. Choose another one (SD_LIPSYNC_MODELS)",
    errno.EACCES: "you may not write there. Choose another folder (SD_LIPSYNC_MODELS)",
    errno.EPERM: "you may not write there. Choose another folder (SD_LIPSYNC_MODELS)",
}


def disk_error(error: OSError, path: Path) -> WeightsError:
    """What the system said, as something that the user can do."""
    words = _DISK_WORDS.get(error.errno or 0, f"it cannot be written ({error.strerror or error}). Check the folder")
    return WeightsError(f"{path}: {words}, then run again.")


def need_room(folder: Path, file: str, missing: int) -> None:
    """Stop before the first byte when the disk has no room for `missing` bytes and a twentieth more."""
    free = shutil.disk_usage(folder).free
    if free < missing * 1.05:
        raise WeightsError(
            f"{file}: needs {missing / 1e6:.0f} MB more in {folder}, and only {free / 1e6:.0f} MB are free. "
            "Free some room, or choose another folder (SD_LIPSYNC_MODELS), then run again."
        )


class Part:
    """The unfinished file, open for writing at its end. Closing it keeps what came."""

    def __init__(self, target: Path, file: WeightFile) -> None:
        self.target = target
        stem = f"{target.name}.{file.sha256[:8]}"
        self._info = target.with_name(f"{stem}.info.part")
        self.path = target.with_name(f"{stem}.{os.getpid()}-{secrets.token_hex(4)}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("r+b") if self._adopt(stem) else open_new(self.path)
            self.size = self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise disk_error(error, target) from None
        self.url, self.validator = self._read_info()

    def __enter__(self) -> Part:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):
            self._file.close()
        if self.size == 0:
            self.discard()

    def restart(self, url: str, validator: str) -> None:
        """Forget what came; the next bytes are the first ones of `url`."""
        try:
            self._file.seek(0)
            self._file.truncate()
            self.size, self.url, self.validator = 0, url, validator
            write_whole(self._info, json.dumps({"url": url, "validator": validator}).encode())
        except OSError as error:
            raise disk_error(error, self.target) from None

    def write(self, block: bytes) -> None:
        """Add bytes at the end. What came before a full disk is kept."""
        try:
            self._file.write(block)
        except OSError as error:
            raise disk_error(error, self.target) from None
        self.size += len(block)

    def flush(self) -> None:
        """Everything written so far can be read by its name."""
        try:
            self._file.flush()
        except OSError as error:
            raise disk_error(error, self.target) from None

    def finish(self) -> None:
        """Give it its name; from now on it is there, whole."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self.path.replace(self.target)
        except OSError as error:
            raise disk_error(error, self.target) from None
        self._info.unlink(missing_ok=True)
        sync_folder(self.target.parent)

    def discard(self) -> None:
        """Remove it and what the server said."""
        with suppress(OSError):
            self._file.close()
        for path in (self.path, self._info):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _adopt(self, stem: str) -> bool:
        """Take over the biggest one that a dead run left, and remove the others."""
        found = [path for path in self.target.parent.glob(f"{glob.escape(stem)}.*-*.part") if path.is_file()]
        for path in sorted(found, key=lambda path: path.stat().st_size, reverse=True):
            with suppress(OSError):  # another run may be using it, past a lock that does not lock
                if self.path.exists():
                    path.unlink()
                else:
                    path.rename(self.path)
        return self.path.exists()

    def _read_info(self) -> tuple[str, str]:
        try:
            info = json.loads(self._info.read_text(encoding="utf-8"))
            return str(info["url"]), str(info["validator"])
        except (OSError, ValueError, KeyError, TypeError):
            return "", ""
