"""Networks that spandrel brings: the way where gfpgan and basicsr are missing or broken, and ComfyUI's own way.

A spandrel descriptor's call does not norm GFPGAN's and CodeFormer's input (they work on [-1, 1], a picture is [0, 1]),
and it lets GFPGAN draw random noise, which flickers. So its network is called here, not the descriptor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import UsageError, WeightsError
from ..runtime import Runtime
from .base import FaceNetwork, Tensors, precision_for

if TYPE_CHECKING:
    from types import ModuleType

INSTALL = 'Install it with: pip install "sd-lipsync[enhance]", or only: pip install spandrel'
_INSTALL_EXTRA = "Install them with: pip install spandrel spandrel_extra_arches (CodeFormer: non-commercial use only)"
# What importing a package that does not fit the torch beside it has been seen to raise.
BROKEN = (
    ImportError, AttributeError, OSError, RuntimeError, TypeError, ValueError, LookupError, SyntaxError, NameError,
)  # fmt: skip


def load(name: str, tensors: Tensors, runtime: Runtime, fidelity: float, extra: bool = False) -> FaceNetwork:
    """A face network from its checkpoint's tensors. name: of the table; extra: it is in spandrel_extra_arches.

    Raises UsageError naming what to install when spandrel cannot be imported.
    """
    try:
        spandrel = _import("spandrel")
        registry = _import("spandrel_extra_arches").EXTRA_REGISTRY if extra else None
    except BROKEN as error:
        wanted = _INSTALL_EXTRA if extra else INSTALL
        raise UsageError(f"Enhancer is '{name}', which needs a package that is not here ({error}). {wanted}") from None
    loader = spandrel.ModelLoader(registry=registry) if extra else spandrel.ModelLoader()
    try:
        descriptor = loader.load_from_state_dict(dict(tensors))
    except (RuntimeError, LookupError, ValueError) as error:
        raise damaged(name, error) from None
    return from_descriptor(descriptor, runtime, fidelity)


def damaged(name: str, error: Exception) -> WeightsError:
    """For tensors that have a network's names and do not fit it."""
    first = str(error).strip().splitlines()[0]
    return WeightsError(f"Its tensors do not fit {name} ({first[:160]}). It is damaged; download it again.")


def from_descriptor(descriptor: Any, runtime: Runtime, fidelity: float = 0.7) -> FaceNetwork:
    """A face network from a spandrel ImageModelDescriptor, which is what ComfyUI calls an UPSCALE_MODEL.

    The network is moved to the runtime's device in the precision that suits it. Raises UsageError when the descriptor
    holds an upscaler for whole pictures.
    """
    name = str(descriptor.architecture.id)
    if name not in _FORWARD:
        raise UsageError(
            f"The model is {name}, which is no face restorer. Load one of {', '.join(_FORWARD)}, for example "
            "GFPGANv1.4.pth."
        )
    dtype = precision_for(runtime, bool(descriptor.supports_bfloat16))
    network = descriptor.model.to(device=runtime.device, dtype=dtype).eval()
    return FaceNetwork(
        name.lower(), "spandrel", runtime.device, dtype, lambda faces: _FORWARD[name](network, faces, fidelity)
    )


def forward_gfpgan(network: Any, faces: Any, fidelity: float) -> Any:
    """Without the pictures in between, and with the checkpoint's own noise: the same every time."""
    return network(faces, return_rgb=False, randomize_noise=False)[0]


def _forward_restoreformer(network: Any, faces: Any, fidelity: float) -> Any:
    return network(faces)[0]


def _forward_codeformer(network: Any, faces: Any, fidelity: float) -> Any:
    return network(faces, weight=fidelity)[0]


_FORWARD = {
    "GFPGAN": forward_gfpgan,
    "RestoreFormer": _forward_restoreformer,
    "CodeFormer": _forward_codeformer,
}


def _import(name: str) -> ModuleType:
    import importlib
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)
