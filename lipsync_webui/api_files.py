"""The files of an API request: uploads, and names inside a few folders. Never a path of the server, never a URL."""

from __future__ import annotations

import base64
import binascii
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .api_errors import RefusedError, printable

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")  # http:, file:, concat:, data:, C: ...
_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+(;[\w=.+-]+)*;base64,")
_DATA_URI_HEAD = 200  # characters
_MOST_NAME = 1024  # characters of a name
_MOST_PART = 255  # bytes of one part of it, what file systems allow
_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_INSTEAD = "Send the file itself as 'data' (base64), or name one like 'input/portrait.png'."


@dataclass(frozen=True)
class GivenFile:
    """What a request says of one file: its content in base64, or its name. Exactly one of the two."""

    data: str | None = None
    file: str | None = None


def parse_given(what: str, value: object) -> GivenFile:
    """`{"data": ...}` or `{"file": ...}` as it came in a request. what: name of the field, for the error."""
    if isinstance(value, Mapping) and set(value) in ({"data"}, {"file"}):
        given = next(iter(value.values()))
        if isinstance(given, str):
            return GivenFile(**value)
    raise RefusedError(
        422, "WrongFile", f'\'{what}\' must be {{"data": base64}} or {{"file": name}}, one of them. {_INSTEAD}'
    )


class Inbox:
    """The files of one request, as paths that may be read; uploads lie in a folder that vanishes with it.

    folders: name -> folder that files may be named in. most: bytes of one upload.
    """

    def __init__(self, folders: Mapping[str, Path], most: int) -> None:
        self._folders = folders
        self._most = most
        self._place = tempfile.TemporaryDirectory(prefix="lipsync-api-")

    def __enter__(self) -> Inbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._place.cleanup()

    @property
    def folder(self) -> Path:
        """Where uploads lie; results that nobody keeps are made here too."""
        return Path(self._place.name)

    def path(self, what: str, given: GivenFile) -> Path:
        """A file that may be read. what: name of the field; an upload is called so, whatever the client calls it."""
        if given.file is not None:
            return named_file(given.file, self._folders)
        path = self.folder / what
        path.write_bytes(decoded(what, given.data or "", self._most))
        return path


def decoded(what: str, text: str, most: int) -> bytes:
    """The bytes of an upload: base64, or a data URI of it. most: bytes. Raises `RefusedError`."""
    head = _DATA_URI.match(text, 0, _DATA_URI_HEAD)
    if head is None and _URL.match(text[:_DATA_URI_HEAD]):
        raise RefusedError(403, "NoUrl", f"'{what}' is a URL, and the API opens none. {_INSTEAD}")
    body = text[head.end() :] if head else text
    if len(body) // 4 * 3 > most + 3:
        raise RefusedError(413, "TooLarge", f"'{what}' is larger than {most >> 20} MB. {_too_large_help()}")
    try:
        content = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError(422, "NotBase64", f"'{what}' is not base64. {_INSTEAD}") from None
    if not content:
        raise RefusedError(422, "Empty", f"'{what}' is empty. {_INSTEAD}")
    return content


def _too_large_help() -> str:
    return "Put the file into the folder 'input' of the server and name it, or raise the limit in Settings > Lip Sync."


def named_file(name: str, folders: Mapping[str, Path]) -> Path:
    """The real path of 'FOLDER/NAME', or a `RefusedError`: 403 for what is no such name, 404 where there is no file.

    The path is looked at after links are followed: nothing outside the folder is reachable.
    """
    label, *parts = _parts(name)
    if label not in folders or not parts:
        known = ", ".join(f"'{known}/...'" for known in folders)
        raise RefusedError(404, "NoSuchFolder", f"'{printable(name)}' is in no folder of the API. Known: {known}.")
    root = Path(os.path.realpath(folders[label]))
    path = Path(os.path.realpath(root.joinpath(*parts)))
    if root not in path.parents:
        raise _not_a_name(name, f"leads out of the folder '{label}'")
    if not path.is_file():
        raise RefusedError(404, "NoSuchFile", f"There is no file '{printable(name)}'. Check the name.")
    return path


def _parts(name: str) -> list[str]:
    if len(name) > _MOST_NAME:
        raise _not_a_name(name, "is too long")
    if _URL.match(name) or name.startswith(("//", "\\\\")):
        raise _not_a_name(name, "is a URL or a path, and the API opens none")
    if any(not sign.isprintable() for sign in name):
        raise _not_a_name(name, "has characters that no name has")
    parts = name.split("/")
    if "\\" in name or ":" in name or not all(map(_is_plain, parts)):
        raise _not_a_name(name, "is a path of the server, or hidden")
    return parts


def _is_plain(part: str) -> bool:
    """One part of a name as every file system understands it: not '..', not hidden, no device of Windows."""
    trimmed = part.strip(" ")
    return (
        trimmed == part != ""
        and not part.startswith((".", "~"))
        and not part.endswith(".")
        and len(part.encode()) <= _MOST_PART
        and not _WINDOWS_DEVICES.fullmatch(part)
    )


def _not_a_name(name: str, why: str) -> RefusedError:
    return RefusedError(403, "NotAName", f"'{printable(name)}' {why}. {_INSTEAD}")
