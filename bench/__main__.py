"""`python -m bench [NAME ...]`: the figures of bench/RESULTS.md, as markdown tables on standard output.

endtoend   frames a second of the whole job, decode to encode
memory     ten minutes against thirty seconds of 720p
encoding   what x264 holds of 1080p, ours beside its own settings; CLIPS names videos
sadtalker  a moving head with all of its networks: memory against length, time of a frame
restoration  flicker of enhanced faces, with a noisy sharpener as the enhancer; CLIPS names videos
drawn      training on drawn people, about 90 minutes; DRAWN_DIR keeps it. Only when named
original   the original's inference.py side by side; needs WAV2LIP_DIR, a checkout of it
renderer   SadTalker's renderer beside the original's; needs SADTALKER_DIR, a checkout of it

Machines differ and are noisy: every table names the machine, and comparisons are made in one run.
"""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from lipsync_core.runtime import cpu_computes_bf16

from . import compare, drawn, encoding, endtoend, memory, renderer, restoration, sadtalker

BENCHES: dict[str, Callable[[Path], str]] = {
    "endtoend": endtoend.run,
    "memory": memory.run,
    "encoding": encoding.run,
    "sadtalker": sadtalker.run,
    "restoration": restoration.run,
    "drawn": drawn.run,
    "original": compare.run,
    "renderer": renderer.run,
}


def machine() -> str:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    native = "bf16 native" if cpu_computes_bf16() else "no native bf16"
    cpu = f"{platform.machine()}, {torch.get_num_threads()} threads ({native})"
    return f"{cpu}, {gpu}, torch {torch.__version__}"


def main(names: list[str]) -> None:
    print(f"Machine: {machine()}\n")
    with tempfile.TemporaryDirectory() as folder:
        for name in names or [name for name in BENCHES if name != "drawn"]:
            print(f"### {name}\n\n{BENCHES[name](Path(folder))}\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
