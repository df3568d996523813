"""Which of a clip's faces is the person of a picture. Beside `pipeline.py`, as `look.py` is."""

from __future__ import annotations

import numpy as np

from . import weights
from .errors import UsageError
from .face.person import SAME_PERSON, WEIGHTS, Describe, face_describer, good_looks
from .face.policy import Searched, require_face
from .face.select import select_faces
from .face.track import ClipFaces
from .options import LipSyncOptions
from .pipeline import analyse
from .runtime import Runtime
from .types import FaceTrack, Float
from .video.source import Source


def find_person(
    clip: ClipFaces, source: Source, reference: Source, options: LipSyncOptions, runtime: Runtime
) -> FaceTrack:
    """The face of `clip`, which was found in `source`, that is most like the largest one of `reference`, a picture.

    options: how faces are looked for in the reference. Raises UsageError where nobody is like it, InputError where the
    reference shows no face, WeightsError where the network is not here.
    """
    describe = face_describer(weights.require(WEIGHTS, runtime))
    shown = analyse(reference, 1, options, runtime)
    require_face(shown, Searched("The reference picture", None, options.detector, options.face_threshold))
    (wanted,) = select_faces(shown.tracks, "largest", (shown.width, shown.height))
    (described,) = _described((wanted,), reference, describe, runtime)
    likeness = [float((looks @ described[0]).mean()) for looks in _described(clip.tracks, source, describe, runtime)]
    best = int(np.argmax(likeness))
    if likeness[best] < SAME_PERSON:
        faces = (
            "The face is" if len(likeness) == 1 else f"None of the {len(likeness)} faces is: the likest, number {best},"
        )
        raise UsageError(
            f"Nobody here looks like the person of the reference picture. {faces} {likeness[best]:.2f} like it, and "
            f"{SAME_PERSON:.2f} is usual for one person. Choose the face by its number, or take another picture."
        )
    return clip.tracks[best]


def _described(tracks: tuple[FaceTrack, ...], source: Source, describe: Describe, runtime: Runtime) -> list[Float]:
    """(looks, D) of each track."""
    wanted: dict[int, list[int]] = {}
    for number, track in enumerate(tracks):
        for frame in good_looks(track):
            wanted.setdefault(frame, []).append(number)
    found: list[list[Float]] = [[] for _ in tracks]
    for batch in source.batches(max(wanted) + 1, "hold", 1):
        runtime.check()
        for number in wanted.get(batch.first, ()):
            found[number].append(describe(batch.pixels[0], tracks[number].landmarks[batch.first]))
    return [np.stack(looks) for looks in found]
