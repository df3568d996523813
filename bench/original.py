"""Run the original's inference.py as it is, from a checkout named by WAV2LIP_DIR, on today's packages.

`python -m bench.original CHECKOUT [arguments of inference.py]`. The checkout is not touched: what newer packages broke
(librosa's positional mel(), OpenCV's cv2.cv2) is mended from outside, and frames are counted and timed from the
moment the network is loaded, so that start-up is left out. Prints one JSON line last.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any


def _mend_packages() -> None:
    import cv2
    import librosa
    import torch

    mel = librosa.filters.mel
    librosa.filters.mel = lambda *a, **k: mel(**dict(zip(("sr", "n_fft"), a, strict=False)), **k)
    cv2.cv2 = cv2
    load = torch.load
    torch.load = lambda *a, **k: load(*a, **{**k, "weights_only": True})


class TimedWriter:
    """Stands in for cv2.VideoWriter: same file, and the time of the first and last frame."""

    def __init__(self, writer: Any) -> None:
        self.writer, self.times, self.frames = writer, [time.perf_counter()], []

    def write(self, frame: Any) -> None:
        self.frames.append(frame.copy())
        self.writer.write(frame)
        self.times.append(time.perf_counter())

    def release(self) -> None:
        self.writer.release()


def main() -> None:
    checkout = Path(sys.argv[1]).resolve()
    keep = Path(os.environ["ORIGINAL_FRAMES"]).resolve() if "ORIGINAL_FRAMES" in os.environ else None
    _mend_packages()
    import cv2
    import numpy as np

    writers: list[TimedWriter] = []
    plain = cv2.VideoWriter

    def timed(*arguments: Any) -> TimedWriter:
        writers.append(TimedWriter(plain(*arguments)))
        return writers[-1]

    cv2.VideoWriter = timed
    os.chdir(checkout)
    (checkout / "temp").mkdir(exist_ok=True)
    sys.path.insert(0, str(checkout))
    sys.argv = ["inference.py", *sys.argv[2:]]
    runpy.run_path("inference.py", run_name="__main__")
    times, frames = writers[0].times, writers[0].frames
    if keep:
        np.save(keep, np.stack(frames)[..., ::-1])
    sys.stdout.write("\n" + json.dumps({"frames": len(frames), "seconds": times[-1] - times[0]}) + "\n")


if __name__ == "__main__":
    main()
