"""What Run Lip Sync Model gives, checked where it is used: faces that know their crops, crops of the right number."""

from __future__ import annotations

from typing import Any

import torch

from ..lipsync_core.errors import InputError
from ..lipsync_core.modular import CropTrack
from .host import checked_images
from .types import Faces

ALIGNED = "The faces that came with the crops out of Run Lip Sync Model."


def track_of(faces: Any) -> CropTrack:
    """How the crops lie in the frames. Raises InputError for faces that no crops were made of."""
    if isinstance(faces, Faces) and faces.crops is not None:
        return faces.crops
    raise InputError("These faces have no crops yet. Connect the 'faces' output of Run Lip Sync Model.")


def crops_of(crops: Any, track: CropTrack) -> torch.Tensor:
    """IMAGE (N, S, S, C), one for each frame of the track."""
    pictures = checked_images(crops)
    if len(pictures) != len(track):
        raise InputError(
            f"There are {len(pictures)} crops for faces on {len(track)} frames. Connect 'crops' and 'faces' of one "
            "Run Lip Sync Model, and nothing between them that leaves pictures out."
        )
    return pictures


def check_size(size: tuple[int, int], track: CropTrack, what: str) -> None:
    """size: (width, height) of what is pasted into."""
    if size != track.frame_size:
        raise InputError(
            f"The faces were cut out of pictures of {track.frame_size[0]}x{track.frame_size[1]}, but {what} has "
            f"{size[0]}x{size[1]}. Connect what Run Lip Sync Model got, in the same size."
        )
