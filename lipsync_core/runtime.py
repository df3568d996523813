"""What the core needs of its host: a device, a precision, folders, a progress bar and a stop button."""

from __future__ import annotations

import gc
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import Cancelled, OutOfMemoryError, UsageError

if TYPE_CHECKING:
    import torch

    from .types import Pixels

Progress = Callable[[str, int, int], None]  # stage, done, total

_MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "CUDNN_STATUS_NOT_SUPPORTED",
)


def _no_progress(stage: str, done: int, total: int) -> None:
    """Nobody is watching."""


def _never() -> bool:
    return False


def _no_preview(frame: Pixels) -> None:
    """Nobody is watching."""


def _move(network: torch.nn.Module, device: str) -> None:
    """Without a host that lends memory, the device simply takes the network."""
    network.to(device)


@dataclass(frozen=True)
class Runtime:
    """Services of the host.

    device: a torch device name, as `torch.device` takes it.
    precision: "fp32", "fp16" or "bf16", what networks compute in.
    model_dirs: folders that are searched for weights, first match wins; downloads go to the first.
    progress: called with (stage, done, total) after each batch.
    cancelled: asked before each batch; True ends the run with `Cancelled`.
    offline: never open a connection.
    preview: shown a finished frame, (H, W, 3) uint8 RGB, after each batch; it must not keep or change it.
    place: called with (network, device) when a network is to run there; a host that shares the device's memory among
    many models moves it itself, and may take it off again when no run needs it.
    """

    device: str = "cpu"
    precision: str = "fp32"
    model_dirs: tuple[Path, ...] = ()
    progress: Progress = _no_progress
    cancelled: Callable[[], bool] = _never
    offline: bool = False
    cache_dir: Path | None = None
    notes: list[str] = field(default_factory=list)
    preview: Callable[[Pixels], None] = _no_preview
    place: Callable[[torch.nn.Module, str], None] = _move

    @property
    def dtype(self) -> torch.dtype:
        import torch

        return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[self.precision]

    def check(self) -> None:
        """Raise `Cancelled` when the user pressed stop."""
        if self.cancelled():
            raise Cancelled("Stopped. Nothing was written.")

    def step(self, stage: str, done: int, total: int) -> None:
        """One batch is about to run, or the last one has: report, and stop if asked to."""
        self.check()
        self.progress(stage, done, total)

    def warn(self, text: str) -> None:
        """Something the user should know, said once, kept for the report."""
        if text not in self.notes:
            self.notes.append(text)


def default_model_dir() -> Path:
    """Where what ships lies: `models/` beside the package in a clone, the environment's share folder in a wheel."""
    beside = Path(__file__).resolve().parent.parent / "models"
    installed = Path(sys.prefix) / "share" / "sd-lipsync" / "models"
    return installed if not (beside / "catalogue.json").is_file() and installed.is_dir() else beside


def choose_device(name: str = "auto") -> str:
    """ "auto" -> the best device of this machine: CUDA or ROCm, then XPU, then MPS, then the CPU."""
    import torch

    if name != "auto":
        try:
            torch.zeros(1, device=torch.device(name))
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise UsageError(f"The device '{name}' cannot be used here: {error}. Try --device cpu.") from None
        return name
    if torch.cuda.is_available():
        return "cuda"
    xpu = getattr(torch, "xpu", None)
    if xpu is not None and xpu.is_available():
        return "xpu"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def choose_precision(name: str, device: str) -> str:
    """ "auto" -> fp16 on a GPU, bf16 on a CPU that computes it natively, else fp32."""
    if name != "auto":
        return name
    kind = device.split(":")[0]
    if kind in ("cuda", "xpu", "mps"):
        return "fp16"
    return "bf16" if cpu_computes_bf16() else "fp32"


def cpu_computes_bf16() -> bool:
    """True where the CPU has bf16 multiply-add instructions; emulated bf16 is slower than fp32."""
    import torch

    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    if callable(probe):
        return bool(probe())
    return platform.system() == "Linux" and "avx512_bf16" in _cpu_flags()


def _cpu_flags() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def is_out_of_memory(error: BaseException) -> bool:
    """torch and its allocators say it in different words."""
    import torch

    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _MEMORY_WORDS)


def free_memory() -> None:
    """Give cached blocks back to the device, after an out-of-memory error."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@dataclass
class BatchSize:
    """How many rows go through a network at once: halved when memory runs out, remembered for the run."""

    rows: int

    def halve(self, what: str) -> None:
        """Called outside the `except`, when the failed tensors are gone."""
        free_memory()
        if self.rows == 1:
            raise OutOfMemoryError(
                f"{what}: not even one frame fits into memory. Close other programs, use a smaller video "
                "(--resize-factor 2), or run with --device cpu."
            )
        self.rows //= 2


def run_in_batches(size: BatchSize, total: int, work: Callable[[int, int], None], what: str) -> None:
    """Call work(start, end) over `total` rows. When memory runs out, halve and do that span again; done spans stay."""
    start = 0
    while start < total:
        end = min(total, start + size.rows)
        try:
            work(start, end)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            start = end
            continue
        size.halve(what)  # out here, where the failed span's tensors are gone
