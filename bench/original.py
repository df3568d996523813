"""Run the original's inference.py as it is, from a checkout named by WAV2LIP_DIR, on today's packages.

`python -m bench.original CHECKOUT [arguments of inference.py]`. The checkout is not touched: what newer packages broke
(librosa's positional mel(), OpenCV's cv2.cv2) is mended from outside. Timed from the moment it opens the
video to its end, without the loading of the network: reading, generating, writing, muxing. Prints one JSON line last.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any

MOMENTS: dict[str, float] = {}  # name -> seconds of the clock


def _mend_packages() -> None:
    import cv2
    import librosa
    import torch

    mel = librosa.filters.mel
    librosa.filters.mel = lambda *a, **k: mel(**dict(zip(("sr", "n_fft"), a, strict=False)), **k)
    cv2.cv2 = cv2
    load, capture = torch.load, cv2.VideoCapture

    def noted_load(*a: Any, **k: Any) -> Any:
        MOMENTS["load"] = time.perf_counter()
        return load(*a, **{**k, "weights_only": True})

    def noted_capture(*a: Any) -> Any:
        MOMENTS["start"] = time.perf_counter()
        return capture(*a)

    torch.load, cv2.VideoCapture = noted_load, noted_capture


class KeepingWriter:
    """Stands in for cv2.VideoWriter: same file, and the frames are kept."""

    def __init__(self, writer: Any) -> None:
        self.writer, self.frames = writer, []
        MOMENTS["loaded"] = time.perf_counter()  # it is made right after the network

    def write(self, frame: Any) -> None:
        self.frames.append(frame.copy())
        self.writer.write(frame)

    def release(self) -> None:
        self.writer.release()


def main() -> None:
    checkout = Path(sys.argv[1]).resolve()
    keep = Path(os.environ["ORIGINAL_FRAMES"]).resolve() if "ORIGINAL_FRAMES" in os.environ else None
    _mend_packages()
    import cv2
    import numpy as np

    writers: list[KeepingWriter] = []
    plain = cv2.VideoWriter

    def timed(*arguments: Any) -> KeepingWriter:
        writers.append(KeepingWriter(plain(*arguments)))
        return writers[-1]

    cv2.VideoWriter = timed
    os.chdir(checkout)
    (checkout / "temp").mkdir(exist_ok=True)
    sys.path.insert(0, str(checkout))
    sys.argv = ["inference.py", *sys.argv[2:]]
    runpy.run_path("inference.py", run_name="__main__")
    seconds = time.perf_counter() - MOMENTS["start"] - (MOMENTS["loaded"] - MOMENTS["load"])
    frames = writers[0].frames
    if keep:
        np.save(keep, np.stack(frames)[..., ::-1])
    sys.stdout.write("\n" + json.dumps({"frames": len(frames), "seconds": seconds}) + "\n")


if __name__ == "__main__":
    main()
