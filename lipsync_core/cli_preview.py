"""`lipsync preview`: one frame of the result, the faces that were found, and what is replaced, as a picture."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .cli_options import add_options
from .errors import UsageError
from .types import Pixels

SHOWN = ("all", "mask", "faces", "result")
_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def add_preview(commands: Any, add_shared: Callable[[argparse.ArgumentParser], None]) -> argparse.ArgumentParser:
    """The subcommand with its flags."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "preview",
        help="show one frame and its mask",
        description="Shows one frame of what `sync` would make: faces found, what is replaced (in red), result.",
    )
    parser.add_argument("face_file", metavar="FACE", help="picture or video")
    parser.add_argument("audio_file", metavar="AUDIO", help="file with the speech")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="picture to write")
    parser.add_argument("--at", type=float, metavar="SECONDS", help="which frame (default: where the voice is loudest)")
    parser.add_argument("--show", choices=SHOWN, default="all", help="what is shown (default: all, side by side)")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT when it exists")
    add_options(parser)
    add_shared(parser)
    return parser


def check_name(path: Path, overwrite: bool) -> None:
    """Raise UsageError for an ending that is no picture's, or a name that is taken."""
    if path.suffix.lower() not in _ENDINGS:
        raise UsageError(f"{path.name}: is not the name of a picture. Give it an ending like .png or .jpg.")
    if path.exists() and not overwrite:
        raise UsageError(f"{path.name}: is there already. Choose another name, or give --overwrite.")


def write_picture(path: Path, pixels: Pixels, overwrite: bool) -> None:
    """Write (H, W, 3) RGB whole or not at all."""
    import cv2
    import numpy as np

    from .media import atomic_output

    _, data = cv2.imencode(path.suffix.lower(), np.ascontiguousarray(pixels[..., ::-1]))
    with atomic_output(path, overwrite=overwrite) as part:
        part.write_bytes(data.tobytes())


def choose_picture(faces: Pixels, mask: Pixels, result: Pixels, shown: str) -> Pixels:
    """One of three pictures (H, W, 3), or all side by side."""
    import numpy as np

    pictures = {"faces": faces, "mask": mask, "result": result}
    return np.hstack(list(pictures.values())) if shown == "all" else pictures[shown]
