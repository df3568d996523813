"""Tensors out of files. The only place of the project where a pickle or TorchScript is ever read.

safetensors is read from anybody. A pickle or a TorchScript archive can be a program, so it is read only when its
SHA-256 is in the catalogue that ships, or the user vouched for it with `lipsync weights add`; the bytes that are
read are the bytes that were hashed; and it is converted once, so that next time there is nothing to run.
"""

from __future__ import annotations

import io
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import WeightsError
from ..runtime import Runtime
from .catalogue import is_official, is_pinned
from .converted import find_converted, write_converted
from .hashes import hash_bytes, sha256_of
from .header import read_header

if TYPE_CHECKING:
    import torch

_SAFE_TORCH = (2, 10)  # before it, weights_only does not hold: CVE-2025-32434 (< 2.6), CVE-2026-24747 (< 2.10)
_WRAPPERS = ("state_dict", "params_ema", "params", "model_state_dict", "model")
_NOT_WEIGHTS = ("optimizer", "optimiser", "scheduler", "lr_scheduler")
_UNPACKED = 4  # a zip that grows more than this much, beyond a little, is a bomb; torch stores without compression
_UNPACKED_FREE = 16 << 20  # bytes
# What unpickling a damaged or hostile file has been seen to raise; it is the file's fault each time.
_DAMAGE = (
    pickle.UnpicklingError, zipfile.BadZipFile, struct.error, RuntimeError, ValueError, LookupError, AttributeError,
    TypeError, ArithmeticError, EOFError, OSError, AssertionError, ImportError, MemoryError, NotImplementedError,
)  # fmt: skip


def load_state_dict(path: Path, runtime: Runtime) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint, on the CPU, as they were saved.

    path: safetensors, or a pickle or TorchScript archive that the catalogue or the user vouches for.
    Understands {"state_dict": ...}, {"params_ema": ...} and the like; the prefix `module.` is taken off. Every
    number is finite. A pickle is converted to safetensors beside it at its first use.
    """
    path = Path(path)
    if kind_of(path) == "safetensors":
        return _read_safetensors(path)
    converted = find_converted(path, sha256_of(path, runtime), runtime)
    if converted is not None:
        return _read_safetensors(converted)
    tensors, sha256 = read_vouched(path, runtime)
    try:
        write_converted(tensors, path, sha256)
    except OSError as error:
        runtime.warn(f"{path.name}: could not be converted to safetensors beside it ({error.strerror}).")
    return tensors


def shapes_of(path: Path, runtime: Runtime | None = None) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor, as `load_state_dict` names them; of a safetensors only the header is read."""
    path = Path(path)
    if kind_of(path) == "safetensors":
        return _without_prefix(read_header(path).shapes)
    tensors = load_state_dict(path, runtime or Runtime())
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def metadata_of(path: Path) -> dict[str, str]:
    """The free text in the header of a safetensors file; nothing for files of other kinds."""
    return dict(read_header(path).metadata) if path.suffix.lower() == ".safetensors" else {}


def kind_of(path: Path) -> str:
    """ "safetensors", "zip" (torch's own or TorchScript) or "pickle" (torch's old form), by the content."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise WeightsError(f"{path.name}: cannot be read ({error.strerror}). Check the path {path}.") from None
    if path.suffix.lower() == ".safetensors" or (head[5:8] == b"\0\0\0" and head[8:9] == b"{"):
        return "safetensors"
    if head[:4] == b"PK\x03\x04":
        return "zip"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "pickle"
    raise WeightsError(
        f"{path.name}: is not a checkpoint that we can read. Give a .safetensors, or a .pth that torch saved."
    )


def read_vouched(path: Path, runtime: Runtime, pinning: bool = False) -> tuple[dict[str, torch.Tensor], str]:
    """The tensors and the SHA-256 of a pickle or TorchScript archive, if it may be read.

    pinning: the user is vouching for it right now.
    """
    data = path.read_bytes()  # hashed and read from memory: what changes on the disk meanwhile does not matter
    sha256 = hash_bytes(data)
    _permit(path.name, sha256, pinning or is_pinned(sha256, runtime))
    runtime.check()
    try:
        tensors = _plain(_unpickle(data))
    except WeightsError as error:
        raise WeightsError(f"{path.name}: {error}") from None
    except _DAMAGE as error:
        raise WeightsError(
            f"{path.name}: cannot be read as weights ({_first_line(error)}). "
            "It is damaged, or holds more than tensors. Download it again, or get it as safetensors."
        ) from None
    return _checked(tensors, path.name), sha256


def _permit(name: str, sha256: str, pinned: bool) -> None:
    if is_official(sha256):
        return
    if not pinned:
        raise WeightsError(
            f"{name}: is a pickled checkpoint that the catalogue does not list, and opening one can run a program. "
            f"If you trust where it came from (sha256 {sha256}), pin it with 'lipsync weights add', "
            "or get it as safetensors."
        )
    if torch_version() < _SAFE_TORCH:
        raise WeightsError(
            f"{name}: is a pickled checkpoint that the catalogue does not list, and torch "
            f"{'.'.join(map(str, torch_version()))} cannot open one safely (CVE-2025-32434, CVE-2026-24747). "
            "Convert it where torch is 2.10 or newer ('lipsync weights convert'), and use the .safetensors here."
        )


def torch_version() -> tuple[int, int]:
    """(major, minor) of the torch that is installed."""
    import torch

    found = re.match(r"(\d+)\.(\d+)", str(torch.__version__))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _unpickle(data: bytes) -> Any:
    import torch

    if data[:2] == b"PK" and _is_torchscript(data):
        with warnings.catch_warnings():  # torch deprecates TorchScript, which is what the official links serve
            warnings.simplefilter("ignore", DeprecationWarning)
            read: Any = torch.jit.load  # it has no types
            return read(io.BytesIO(data), map_location="cpu").state_dict()
    # weights_only has to be said: where it is not, TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 turns it off.
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _is_torchscript(data: bytes) -> bool:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        rows = archive.infolist()
    if sum(row.file_size for row in rows) > _UNPACKED * len(data) + _UNPACKED_FREE:
        raise WeightsError("unpacks to far more than it is, like a zip bomb. Get it from its publisher.")
    return any(row.filename.endswith("/constants.pkl") for row in rows)


def _plain(root: Any) -> dict[str, torch.Tensor]:
    """The weights inside whatever a training script saved around them."""
    if not isinstance(root, Mapping):
        raise WeightsError("holds no weights by name. Save its state_dict, and use that.")
    for name in _WRAPPERS:
        inner = root.get(name)
        if isinstance(inner, Mapping) and _tensors(inner):
            return _without_prefix(_tensors(inner))
    found = _tensors(root)
    for name, part in root.items():  # several networks in one file, each under its name
        if isinstance(part, Mapping) and name not in _NOT_WEIGHTS:
            found.update({f"{name}.{key}": tensor for key, tensor in _tensors(part).items()})
    if not found:
        raise WeightsError("holds no weights. Choose the file that has the network's state_dict.")
    return _without_prefix(found)


def _tensors(mapping: Mapping[Any, Any]) -> dict[str, torch.Tensor]:
    import torch

    return {str(name): value.detach() for name, value in mapping.items() if isinstance(value, torch.Tensor)}


def _without_prefix(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Take `module.` off, which DataParallel puts before every name."""
    if rows and all(name.startswith("module.") for name in rows):
        return {name[len("module.") :]: row for name, row in rows.items()}
    return dict(rows)


def _checked(tensors: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """Own memory for each tensor, so that none is a window onto a bigger one or onto a file; no NaN, no infinity."""
    import torch

    for key, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise WeightsError(f"{name}: '{key}' is not a plain tensor. Get a checkpoint with ordinary float weights.")
        if tensor.is_floating_point() and not _is_finite(tensor):
            raise WeightsError(f"{name}: '{key}' holds NaN or infinity. The file is damaged; download it again.")
        tensors[key] = tensor.clone(memory_format=torch.contiguous_format)
    return tensors


def _is_finite(tensor: torch.Tensor) -> bool:
    import torch

    # One NaN or infinity spoils the sum, which is twenty times faster; a sound one that overflows is looked at again.
    return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError, safe_open

    before = path.stat()
    read_header(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = _checked({name: file.get_tensor(name) for name in file.keys()}, path.name)  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path.name}: cannot be read ({_first_line(error)}). Download it again.") from None
    after = path.stat()
    if (before.st_size, before.st_mtime_ns, before.st_ino) != (after.st_size, after.st_mtime_ns, after.st_ino):
        raise WeightsError(f"{path.name}: was changed while it was read. Wait until it is complete, then run again.")
    return _without_prefix(tensors)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160].rstrip(".")
