"""The base of everything that touches a media file: open it safely, say what is wrong, write it whole or not at all.

The rules of opening: the real path (so that no name is ever parsed as a protocol), a regular file, the `file` protocol
alone, and a list of container formats none of which can point to a second file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import sys
import time
import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av
import av.container
import av.error

from .diagnosis import cause_of_failure
from .errors import InputError, OutputError

MAX_PIXELS = 4096 * 4096  # of one decoded video frame
OUTPUT_EXTENSIONS = (".mp4", ".mov", ".mkv", ".webm")

# What a server may open. Playlists (hls, concat, dash, sdp) are not here and must never be.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,wav,mp3,flac,ogg,aac"
# What a user may open on their own machine besides.
WIDE_FORMATS = (
    FORMATS + ",avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,gif,asf,flv,ac3,eac3,aiff,caf,au,amr,w64,wv,ape,tta,dv"
)

# Tags that are no UTF-8 are no reason to refuse a file; from PyAV 19 on it replaces such bytes by itself.
LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}

_PART = re.compile(r"\..*\.[0-9a-f]{8}\.(\d+)\.part", re.DOTALL)
_YOUNG = 60.0  # seconds in which a .part of a living process is left alone, locked or not
_NAME_BYTES = 255  # what file systems allow


def shown_name(path: str | os.PathLike[str]) -> str:
    """The file's name as it may be printed: control and direction characters and undecodable bytes are escaped."""
    text = os.fspath(path)
    name = Path(text).name or text
    return "".join(_shown(character) for character in name)


def _shown(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as os.fsdecode keeps it
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character.encode("unicode_escape").decode("ascii") if code < 0xD800 else f"\\u{code:04x}"
    return character


def regular_file(path: str | os.PathLike[str]) -> Path:
    """The real path of a non-empty regular file, or an `InputError` that says what it is instead."""
    name = shown_name(path)
    try:
        real = Path(os.path.realpath(path))
        status = real.stat()
    except ValueError:  # a NUL in the name
        raise InputError(f"{name}: this is not a file name. Choose another file.") from None
    except OSError as error:
        raise InputError(f"{name}: {_why_unreadable(error, path)}") from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{name}: this is a folder, not a file. Choose a file inside it.")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{name}: this is not a regular file but a device or a pipe. Copy it to a file first.")
    if status.st_size == 0:
        raise InputError(f"{name}: the file is empty (0 bytes). Copy or export it again.")
    if not os.access(real, os.R_OK):
        raise InputError(f"{name}: {_why_unreadable(PermissionError(errno.EACCES, ''), path)}")
    return real


def _why_unreadable(error: OSError, path: str | os.PathLike[str]) -> str:
    if error.errno == errno.ELOOP:
        return "the link leads back to itself. Give the file it should point to."
    if error.errno == errno.ENOENT and Path(path).is_symlink():
        return "the link points to a file that does not exist. Give the file itself."
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "there is no such file. Check the name and the folder."
    if error.errno in (errno.EACCES, errno.EPERM):
        return "you are not allowed to read this file. Change its permissions, or copy it."
    if error.errno == errno.ENAMETOOLONG:
        return "the name is too long. Rename the file."
    return f"the file cannot be read ({error.strerror or error}). Copy it to a local disk and try again."


def open_media(
    path: str | os.PathLike[str], *, wide: bool = True, wanted: str = "video or sound file"
) -> av.container.InputContainer:
    """Open a video or sound file for reading; close it with `with`.

    wide: also the formats that only a user's own machine should open (AVI, MPEG, raw streams, WMA, ...).
    wanted: what the file should be, for the error.
    No stream of it can decode a picture of more than MAX_PIXELS. Raises `InputError`.
    """
    real = regular_file(path)
    options = {"protocol_whitelist": "file", "format_whitelist": WIDE_FORMATS if wide else FORMATS}
    try:
        # Not as `options`: PyAV 14 then frees memory that is not its own where streams are found late (MPEG, FLV).
        container: av.container.InputContainer = av.open(os.fspath(real), container_options=options, **LENIENT)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{shown_name(path)}: {_why_unopened(error, real, wanted)}") from None
    for stream in container.streams.video:
        # The option of the container does not limit anything; the one of the decoder also stops a later resize.
        if stream.codec_context is not None:
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return container


def _why_unopened(error: Exception, real: Path, wanted: str) -> str:
    # PyAV's errors of the system are Python's too; what it makes of bad data is not to be shown.
    if isinstance(error, OSError):
        return _why_unreadable(error, real)
    return cause_of_failure(real, wanted)


def content_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of the file's bytes, 64 hex digits: the key of whatever is kept about it."""
    digest = hashlib.sha256()
    try:
        with regular_file(path).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise InputError(f"{shown_name(path)}: {_why_unreadable(error, path)}") from None
    return digest.hexdigest()


# ---------------------------------------------------------------------------------------------------- writing


_WRITE_FAILURES = {
    errno.ENOSPC: "no space is left on the disk of {folder}. Free some, or choose another folder.",
    getattr(errno, "EDQUOT", errno.ENOSPC): "your quota on the disk of {folder} is used up. Choose another folder.",
    errno.EFBIG: "the file is larger than this disk or user may hold. Choose another folder.",
    errno.EROFS: "the folder {folder} is read-only. Choose another one.",
    errno.EACCES: "you are not allowed to write into {folder}. Choose another folder.",
    errno.EPERM: "you are not allowed to write into {folder}. Choose another folder.",
    errno.ENOENT: "there is no folder {folder}. Make it, or choose another one.",
    errno.ENOTDIR: "{folder} is not a folder. Choose another one.",
    errno.ENAMETOOLONG: "the name is too long. Choose a shorter one.",
    errno.EEXIST: "the file already exists. Choose another name, or allow overwriting (--overwrite).",
}


def output_error(error: BaseException, path: str | os.PathLike[str]) -> OutputError:
    """What a failed write means to the user. error: an OSError, or PyAV's own error with an errno."""
    name, folder = shown_name(path), Path(path).parent
    sentence = _WRITE_FAILURES.get(getattr(error, "errno", None) or 0)
    if sentence:
        return OutputError(f"{name}: {sentence.format(folder=folder)}")
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return OutputError(f"{name}: the file could not be written ({words}). Try another folder or disk.")


def check_output_path(
    out: str | os.PathLike[str],
    inputs: Iterable[str | os.PathLike[str]] = (),
    overwrite: bool = False,
    extensions: tuple[str, ...] = OUTPUT_EXTENSIONS,
) -> Path:
    """Find out before the work starts whether the result can be written there; missing folders are made.

    inputs: files that must not be replaced, hard links and symbolic links to them included. Raises `OutputError`.
    """
    final, name = Path(os.path.abspath(out)), shown_name(out)  # noqa: PTH100 - Path.absolute keeps '..'
    if final.suffix.lower() not in extensions:
        known = ", ".join(extensions)
        raise OutputError(
            f"{name}: the result cannot be written as '{final.suffix}'. End its name with one of {known}."
        )
    if len(os.fsencode(final.name)) > _NAME_BYTES:  # the shortened .part would not notice
        raise output_error(OSError(errno.ENAMETOOLONG, ""), final)
    if any(_same_file(final, other) for other in inputs):
        raise OutputError(f"{name}: this is one of the files that are read. Choose another name for the result.")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _check_existing(final, name, overwrite)
        with atomic_output(final, keep=False):
            pass  # could the file be made?
    except OSError as error:
        raise output_error(error, final) from None
    return final


def _same_file(final: Path, other: str | os.PathLike[str]) -> bool:
    try:
        return final.samefile(other)
    except (OSError, ValueError):
        return False


def _check_existing(final: Path, name: str, overwrite: bool) -> None:
    if not os.path.lexists(final):
        return
    if final.exists() and not final.is_file():
        raise OutputError(f"{name}: this is a folder or a device. Choose another name for the result.")
    if not overwrite:
        raise output_error(FileExistsError(errno.EEXIST, ""), final)


@contextmanager
def atomic_output(final: Path, *, overwrite: bool = True, keep: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `final`; on a clean exit it takes the final name, else it is gone.

    The file is on the disk before the name appears. overwrite False: a file that has taken the name meanwhile wins.
    keep False: throw the file away whatever happens. Raises `OutputError` when the file cannot be made or renamed;
    errors of the body pass through.
    """
    temporary = _part_path(final)
    try:
        # Made here and not by the encoder: exclusively, with the mode that the umask asks for, and early.
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    except OSError as error:
        raise output_error(error, final) from None
    try:
        handle = _hold(handle)
        yield temporary
        if keep:
            _publish(temporary, final, overwrite)
    finally:
        if handle >= 0:
            os.close(handle)
        temporary.unlink(missing_ok=True)


def _part_path(final: Path) -> Path:
    tail = f".{uuid.uuid4().hex[:8]}.{os.getpid()}.part"
    room = _NAME_BYTES - len(tail) - 1
    start = os.fsencode(final.name)[:room].decode("utf-8", "ignore")
    return final.with_name(f".{start}{tail}")


def _hold(handle: int) -> int:
    """Lock the .part for as long as its process lives. Windows refuses to delete open files, which does the same."""
    if sys.platform == "win32":
        os.close(handle)
        return -1
    import fcntl

    with suppress(OSError):  # some network file systems have no locks; the process number is left then
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return handle


def _publish(temporary: Path, final: Path, overwrite: bool) -> None:
    try:
        _sync(temporary)
        if overwrite or not _link(temporary, final):
            temporary.replace(final)
    except OSError as error:
        raise output_error(error, final) from None
    with suppress(OSError):  # Windows cannot open a folder, some network disks cannot sync one
        _sync(final.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _link(temporary: Path, final: Path) -> bool:
    """Take the final name only if it is free. False where the file system has no hard links."""
    try:
        os.link(temporary, final)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(final):
            raise FileExistsError(errno.EEXIST, "") from None
        return False
    return True


def sweep_parts(folder: str | os.PathLike[str]) -> list[Path]:
    """Remove what killed runs left in `folder`: our .part files whose process is gone. Returns what was removed."""
    removed = []
    with suppress(OSError):
        for entry in Path(folder).iterdir():
            match = _PART.fullmatch(entry.name)
            if match and _left_over(entry, int(match[1])):
                with suppress(OSError):
                    entry.unlink()
                    removed.append(entry)
    return removed


def _left_over(part: Path, pid: int) -> bool:
    try:
        # A process number means little across containers and machines: the lock decides where there is one.
        return _unlocked(part) and (not _alive(pid) or time.time() - part.stat().st_mtime > _YOUNG)
    except OSError:
        return False


def _unlocked(part: Path) -> bool:
    if sys.platform == "win32":
        return True
    import fcntl

    handle = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        os.close(handle)
    return True


def _alive(pid: int) -> bool:
    if sys.platform == "win32":  # os.kill would end it there
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
