"""FFmpeg says "Invalid data found" for ten different causes. This finds the cause by looking at the file's bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

ENCRYPTED = "the file is encrypted (DRM) and cannot be read. Use a copy without protection."
_HEAD = 4096  # bytes that tell what kind of file it is
_MAX_MOOV = 16 << 20  # bytes of the index of an MP4 that are searched
_MAX_ATOMS = 1000

# first bytes -> what it is, in words that finish "it is ..."
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"BM", "a BMP picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"8BPS", "a Photoshop picture"),
    (b"\xff\x0a", "a JPEG XL picture, which is not supported"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture, which is not supported"),
    (b"MThd", "a MIDI score, which holds notes and no sound"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_PLAYLISTS = (b"#extm3u", b"ffconcat", b"v=0", b"[playlist]", b"<mpd", b"[reference]")
_PICTURE_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF"}
_PICTURE_BRANDS |= {b"avif": "AVIF", b"avis": "AVIF"}


def cause_of_failure(path: Path, wanted: str = "video or sound file") -> str:
    """What is wrong with a file that could not be opened or decoded, and what to do: two sentences.

    wanted: what the file should have been.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            return _cause(file, head, wanted)
    except OSError as error:
        return f"the file cannot be read ({error.strerror}). Copy it to a local disk and try again."


def _cause(file: BinaryIO, head: bytes, wanted: str) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(_PLAYLISTS) or (text.startswith(b"<?xml") and b"<mpd" in text):
        return "the file is a playlist, which only points to other files. Give the media file itself."
    if picture := picture_brand(head):
        return f"the file is a picture in {picture}, which is not supported. Convert it to PNG or JPEG."
    if what := _looks_like(head, text):
        return f"the file is not a {wanted} ({what}). Choose another file, or convert it."
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"styp"):
        return _cause_in_mp4(file)
    return _cause_in_other(head)


def _looks_like(head: bytes, text: bytes) -> str:
    if text.startswith((b"<?xml", b"<svg", b"<!doctype svg")) and b"<svg" in text:
        return "it is an SVG drawing"
    if text.startswith((b"<!doctype html", b"<html", b"<?xml", b"<script")):
        return "it looks like a web page"
    for signature, words in _SIGNATURES:
        if head.startswith(signature):
            return f"it is {words}"
    return "it looks like text" if looks_like_text(head) else ""


def _cause_in_other(head: bytes) -> str:
    known = (b"RIFF", b"\x1aE\xdf\xa3", b"OggS", b"fLaC", b"ID3", b"FORM", b"FLV", b"0&\xb2u", b"RF64")
    if head.startswith(known):
        return "the file is damaged, or of a kind that is not supported. Copy or export it again, as MP4 or WAV."
    return "this is not a media file we know. Convert it to MP4 (H.264) or WAV."


def _cause_in_mp4(file: BinaryIO) -> str:
    index = mp4_index(file)
    if index is None:
        return "the file is incomplete (it has no index). Copy or export it again."
    if is_encrypted(index):
        return ENCRYPTED
    return "the file is damaged. Copy or export it again."


def looks_like_text(head: bytes) -> bool:
    """True when these first bytes are words and not data."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # not merely cut inside a character
            return False
        text = head[: error.start].decode("utf-8")
    printable = sum(character.isprintable() or character in "\t\r\n" for character in text)
    return len(text) > 0 and printable >= 0.99 * len(text)


def picture_brand(head: bytes) -> str | None:
    """HEIC, HEIF or AVIF when the first bytes are of such a picture, which is an MP4 to look at."""
    return _PICTURE_BRANDS.get(head[8:12]) if head[4:8] == b"ftyp" else None


def mp4_index(file: BinaryIO) -> bytes | None:
    """The bytes of the `moov` atom, at most 16 MiB of them; None when there is no whole one."""
    end = file.seek(0, 2)
    for kind, start, size in _atoms(file, end):
        if kind == b"moov":
            file.seek(start)
            return file.read(min(size, _MAX_MOOV)) if start + size <= end else None
    return None


def _atoms(file: BinaryIO, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(type, start of the content, size of the content) of the top-level atoms."""
    place = 0
    for _ in range(_MAX_ATOMS):
        file.seek(place)
        header = file.read(16)
        if len(header) < 8:
            return
        size, kind = struct.unpack(">I4s", header[:8])
        length = 8
        if size == 1 and len(header) == 16:
            (size,), length = struct.unpack(">Q", header[8:]), 16
        elif size == 0:  # up to the end of the file
            size = end - place
        if size < length:
            return
        yield kind, place + length, size - length
        place += size


def is_encrypted(index: bytes) -> bool:
    """True when the index of an MP4 describes protected samples."""
    return any(mark in index for mark in (b"encv", b"enca", b"sinf"))


def codec_tag(path: Path) -> str:
    """The four letters by which an MP4 names the codec of its picture, '' when they cannot be found."""
    try:
        with path.open("rb") as file:
            index = mp4_index(file) or b""
    except OSError:
        return ""
    for track in index.split(b"trak")[1:]:
        table = track.find(b"stsd")
        if b"vide" in track and table >= 0:
            return track[table + 16 : table + 20].decode("ascii", "replace")
    return ""
