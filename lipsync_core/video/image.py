"""Pictures: any of the common kinds -> upright 8-bit RGB. Nothing of Pillow's global state is read or changed."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..diagnosis import cause_of_failure, picture_brand
from ..errors import InputError
from ..media import MAX_PIXELS, regular_file, shown_name
from ..types import Pixels

MAX_IMAGE_PIXELS = 50_000_000  # looked at before anything is decoded
MAX_IMAGE_BYTES = 192 << 20  # of the file; more is metadata that only fills the memory
MIN_SIDE = 32  # pixels; no face can be found in less

# JPEG means MPO as well: what many phones save as .jpg.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
_WIDE_FORMATS = (*_FORMATS, "TIFF", "GIF", "PPM", "TGA")
_ALPHA_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
# What Pillow's readers raise on damaged files, as far as fuzzing has found.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError, TypeError, zlib.error)


def is_picture(path: str | os.PathLike[str]) -> bool:
    """True when the content, not the name, is a still picture. An animated GIF is a video. Raises `InputError`."""
    real = regular_file(path)
    with real.open("rb") as file:
        head = file.read(32)
    if head.startswith((b"GIF87a", b"GIF89a")):
        return _frames_of(real) <= 1
    return (
        head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[:2] == b"BM" and head[15:18] == b"\0\0\0" and head[14] in (12, 40, 52, 56, 64, 108, 124))
        or (head[:1] == b"P" and head[1:2] in b"456" and head[2:3] in b"\n\r\t #")
        or picture_brand(head) is not None
    )


def _frames_of(path: Path) -> int:
    try:
        with Image.open(path, formats=_WIDE_FORMATS) as image:
            return int(getattr(image, "n_frames", 1))
    except (*_DAMAGE, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return 1


def read_image(path: str | os.PathLike[str], *, wide: bool = True) -> Pixels:
    """The picture as (H, W, 3) uint8 RGB, upright by its EXIF orientation; transparent parts on black.

    wide: also the kinds that only a user's own machine should open (TIFF, GIF, PPM, TGA).
    Larger than 4096 x 4096 pixels in area: scaled down. Raises `InputError`.
    """
    return read_image_with_notes(path, wide=wide)[0]


def read_image_with_notes(
    path: str | os.PathLike[str], *, wide: bool = True, min_side: int = MIN_SIDE
) -> tuple[Pixels, tuple[str, ...]]:
    """`read_image`, and in sentences what was done to the picture that the user may not expect."""
    real, name = regular_file(path), shown_name(path)
    if real.stat().st_size > MAX_IMAGE_BYTES:
        raise InputError(f"{name}: the file is larger than {MAX_IMAGE_BYTES >> 20} MB. Save it as a JPEG.")
    try:
        with Image.open(real, formats=_WIDE_FORMATS if wide else _FORMATS) as image:
            _check_size(image.size, name, min_side)
            notes = _notes_of(image, name)
            pixels = _to_rgb(ImageOps.exif_transpose(image), name, notes)
    except UnidentifiedImageError:
        raise InputError(f"{name}: {cause_of_failure(real, 'picture')}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(_too_large(name)) from None
    except _DAMAGE as error:
        raise InputError(f"{name}: the picture is damaged ({error}). Copy or export it again.") from None
    return pixels, tuple(notes)


def _check_size(size: tuple[int, int], name: str, min_side: int) -> None:
    width, height = size
    if width * height > MAX_IMAGE_PIXELS:
        raise InputError(_too_large(name))
    if min(size) < min_side:
        raise InputError(
            f"{name}: {width}x{height} is too small, a face needs at least {MIN_SIDE} pixels. Use a larger picture."
        )


def _too_large(name: str) -> str:
    limit = MAX_IMAGE_PIXELS // 1_000_000
    return f"{name}: the picture has more than {limit} million pixels. Scale it down first."


def _notes_of(image: Image.Image, name: str) -> list[str]:
    """Called before the picture is decoded, while it still knows its file."""
    if getattr(image, "is_animated", False) and image.format != "MPO":  # an MPO is a photo with a preview
        return [f"{name}: has {getattr(image, 'n_frames', 2)} pictures, the first one is used."]
    return []


def _to_rgb(image: Image.Image, name: str, notes: list[str]) -> Pixels:
    if image.mode == "F":
        raise InputError(f"{name}: holds floating-point numbers. Convert it to an 8 or 16 bit PNG.")
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow's own conversion would cut everything above 255 to white.
        grey = np.asarray(image).astype(np.float64).clip(0, 65535) / 257
        return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        image = _on_black(image.convert("RGBA"), name, notes)
    rgb = image.convert("RGB")
    if rgb.width * rgb.height > MAX_PIXELS:
        notes.append(f"{name}: {rgb.width}x{rgb.height} is larger than 4096x4096 and was scaled down.")
        factor = (MAX_PIXELS / (rgb.width * rgb.height)) ** 0.5
        rgb = rgb.resize((int(rgb.width * factor), int(rgb.height * factor)), Image.Resampling.LANCZOS)
    return np.array(rgb)


def _on_black(image: Image.Image, name: str, notes: list[str]) -> Image.Image:
    """H.264 has no transparency. Black is what players show behind it, and what the video reader does as well."""
    low, _ = image.getchannel("A").getextrema()
    if low != 255:
        notes.append(f"{name}: is partly transparent and was put on black.")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return image
