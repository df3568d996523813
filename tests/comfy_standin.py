"""The little of ComfyUI that the nodes touch, so that they run without it. Names and signatures are those of 0.3.64 and
0.33.0, as they differ in what a Schema and a widget take."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

PACK = Path(__file__).resolve().parent.parent
_NUMBERS = itertools.count()


class Stopped(Exception):  # noqa: N818 - the host's name for it
    """comfy.model_management.InterruptProcessingException."""


class FolderType(str, Enum):
    input, output, temp = "input", "output", "temp"


class Input:
    """An input that refuses words its version does not know."""

    io_type = "*"
    known: frozenset[str] = frozenset()

    def __init__(self, id: str, **words: Any) -> None:
        unknown = set(words) - self.known
        if unknown:
            raise TypeError(f"{type(self).__name__} got an unexpected keyword argument {sorted(unknown)[0]!r}")
        self.id, self.words, self.extra_dict = id, words, dict(words.get("extra_dict") or {})

    def __getattr__(self, name: str) -> Any:
        if name in self.known or name in ("advanced", "default", "min", "max", "step", "options"):
            return self.words.get(name, self.extra_dict.get(name))
        raise AttributeError(name)


class Output:
    def __init__(self, id: str | None = None, display_name: str | None = None, tooltip: str | None = None) -> None:
        self.id, self.display_name, self.tooltip = id, display_name, tooltip


def _make_io(new: bool) -> types.ModuleType:
    """comfy_api.latest.io of 0.33.0 (new) or 0.3.64."""
    module = types.ModuleType("comfy_api.latest.io")
    plain = frozenset({"display_name", "optional", "tooltip", "lazy", "extra_dict"})
    widget = (plain - {"extra_dict"}) | {"default", "socketless"} | ({"advanced", "extra_dict"} if new else set())
    module_types = {
        "Image": plain, "Mask": plain, "Audio": plain, "Video": plain, "UpscaleModel": plain, "String": widget,
        "Boolean": widget, "Int": widget | {"min", "max", "step"}, "Float": widget | {"min", "max", "step"},
        "Combo": widget | {"options"},
    }  # fmt: skip
    for name, known in module_types.items():
        setattr(module, name, _make_type(name.upper(), known))
    module.UpscaleModel.io_type = "UPSCALE_MODEL"
    module.MultiType = types.SimpleNamespace(Input=_signed(type("MultiInput", (Input,), {"known": plain | {"types"}})))
    module.Custom = lambda kind: _make_type(kind, plain)
    module.Schema = _make_schema(new)
    module.ComfyNode = type("ComfyNode", (), {"hidden": None})
    module.NodeOutput = NodeOutput
    module.FolderType = FolderType
    return module


def _make_type(name: str, known: frozenset[str]) -> Any:
    made = type(name, (Input,), {"known": frozenset(known), "io_type": name})
    return types.SimpleNamespace(io_type=name, Input=_signed(made), Output=Output)


def _signed(made: type[Input]) -> Any:
    """`inspect.signature` must see which words this version takes."""
    import inspect

    words = [inspect.Parameter(word, inspect.Parameter.KEYWORD_ONLY, default=None) for word in sorted(made.known)]
    first = inspect.Parameter("id", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    made.__signature__ = inspect.Signature([first, *words])  # type: ignore[attr-defined]
    return made


def _make_schema(new: bool) -> type:
    old_words = ("node_id", "display_name", "category", "inputs", "outputs", "description", "is_output_node")
    new_words = ("search_aliases", "has_intermediate_output") if new else ()

    def init(self: Any, **words: Any) -> None:
        for word in words:
            if word not in (*old_words, *new_words):
                raise TypeError(f"Schema got an unexpected keyword argument {word!r}")
        for word in (*old_words, *new_words):
            setattr(self, word, words.get(word))

    return type("Schema", (), {"__init__": init})


class NodeOutput:
    def __init__(self, *args: Any, ui: Any = None) -> None:
        self.args, self.ui = args, ui

    def __getitem__(self, index: int) -> Any:
        return self.args[index]


class VideoFromFile:
    """start, length: of a trimmed one."""

    def __init__(self, file: Any, start: float = 0.0, length: float = 0.0) -> None:
        self._file, self._window = file, (start, length)

    def get_stream_source(self) -> Any:
        return self._file

    def get_active_trim_window(self) -> tuple[float, float]:
        return self._window

    def save_to(self, path: str) -> None:
        data = self._file.getvalue() if isinstance(self._file, BytesIO) else Path(self._file).read_bytes()
        Path(path).write_bytes(data)


class VideoFromComponents:
    def __init__(self, images: Any, frame_rate: Fraction) -> None:
        self._parts = types.SimpleNamespace(images=images, frame_rate=frame_rate)

    def get_components(self) -> Any:
        return self._parts


class ProgressBar:
    """Every bar remembers what it was told in `told`, for all to see."""

    told: list[tuple[int, int, Any]] = []  # noqa: RUF012 - shared on purpose

    def __init__(self, total: int, node_id: Any = None) -> None:
        self.total = total

    def update_absolute(self, value: int, total: int | None = None, preview: Any = None) -> None:
        ProgressBar.told.append((value, total or self.total, preview))


class World:
    """The stand-in's switches and what it saw. stop: raise at the next look at the stop button."""

    def __init__(self, base: Path) -> None:
        self.base = base
        # ComfyUI names a pack's module by its path; each stand-in has its own.
        self.name = f"/standin{next(_NUMBERS)}/custom_nodes/sd-lipsync"
        self.stop_after = -1
        self.looks = 0
        self.placed: list[Any] = []
        self.metadata_off = False
        self.nodes: dict[str, Any] = {}
        self.pack: Any = None

    def check(self) -> None:
        self.looks += 1
        if 0 <= self.stop_after < self.looks:
            raise Stopped

    def part(self, name: str) -> Any:
        """A module of the pack, like "lipsync_core.errors"."""
        return importlib.import_module(f"{self.name}.{name}")


def _host_modules(world: World, new: bool) -> dict[str, types.ModuleType]:
    import torch

    def module(name: str, **names: Any) -> types.ModuleType:
        made = types.ModuleType(name)
        vars(made).update(names)
        return made

    folder = _folder_paths(world)
    cpu = torch.device("cpu")
    management = module(
        "comfy.model_management",
        get_torch_device=lambda: cpu,
        unet_offload_device=lambda: cpu,
        is_device_cpu=lambda device: device.type == "cpu",
        should_use_fp16=lambda device=None: True,
        load_models_gpu=lambda models, **more: world.placed.extend(models),
        throw_exception_if_processing_interrupted=world.check,
    )
    latest = module(
        "comfy_api.latest",
        io=_make_io(new),
        ui=types.SimpleNamespace(SavedResult=_Shown),
        InputImpl=types.SimpleNamespace(VideoFromFile=VideoFromFile, VideoFromComponents=VideoFromComponents),
        ComfyExtension=type("ComfyExtension", (), {}),
    )  # fmt: skip
    args = types.SimpleNamespace(disable_metadata=world.metadata_off)
    found = {
        "comfy": module("comfy", __path__=[]),
        "comfy.model_management": management,
        "comfy.model_patcher": module("comfy.model_patcher", ModelPatcher=_Patcher),
        "comfy.utils": module("comfy.utils", ProgressBar=ProgressBar),
        "comfy.cli_args": module("comfy.cli_args", args=args),
        "comfy_api": module("comfy_api", __path__=[]),
        "comfy_api.latest": latest,
        "folder_paths": folder,
        "aiohttp": module("aiohttp", web=types.SimpleNamespace(Request=object, Response=object)),
        "server": module("server", PromptServer=type("PromptServer", (), {"instance": None})),
    }
    for name in ("model_management", "model_patcher", "utils", "cli_args"):
        setattr(found["comfy"], name, found[f"comfy.{name}"])
    return found


class _Shown(dict[str, str]):
    def __init__(self, name: str, folder: str, kind: FolderType) -> None:
        super().__init__(filename=name, subfolder=folder, type=kind.value)


class _Patcher:
    def __init__(self, model: Any, load_device: Any, offload_device: Any) -> None:
        self.model, self.load_device, self.offload_device = model, load_device, offload_device


def _folder_paths(world: World) -> types.ModuleType:
    made = types.ModuleType("folder_paths")
    names: dict[str, tuple[list[str], set[str]]] = {}

    def files(name: str) -> list[str]:
        return sorted(path.name for folder in names[name][0] for path in Path(folder).glob("*.*"))

    def full_path(name: str, file: str) -> str | None:
        found = [Path(folder) / file for folder in names[name][0] if (Path(folder) / file).is_file()]
        return str(found[0]) if found else None

    def save_place(prefix: str, root: str, width: int = 0, height: int = 0) -> tuple[str, str, int, str, str]:
        target = (Path(root) / prefix).resolve()
        if not target.is_relative_to(Path(root).resolve()):
            raise Exception("Saving image outside the output folder is not allowed.")
        target.parent.mkdir(parents=True, exist_ok=True)
        count = len(list(target.parent.glob(f"{target.name}_*"))) + 1
        return str(target.parent), target.name, count, str(Path(prefix).parent), prefix

    vars(made).update(
        models_dir=str(world.base / "models"),
        folder_names_and_paths=names,
        get_folder_paths=lambda name: list(names[name][0]),
        get_filename_list=files,
        get_full_path=full_path,
        get_input_directory=lambda: str(world.base / "input"),
        get_temp_directory=lambda: str(world.base / "temp"),
        get_output_directory=lambda: str(world.base / "output"),
        get_user_directory=lambda: str(world.base / "user"),
        get_save_image_path=save_place,
    )
    return made


@contextmanager
def standin(base: Path, new: bool = True, metadata_off: bool = False) -> Iterator[World]:
    """The pack loaded as ComfyUI loads it, over the stand-in. new: 0.33.0, else 0.3.64."""
    world = World(base)
    world.metadata_off = metadata_off
    for folder in ("models/lipsync", "temp", "output", "user"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    before = dict(sys.modules)
    sys.modules.update(_host_modules(world, new))
    ProgressBar.told.clear()
    try:
        spec = importlib.util.spec_from_file_location(
            world.name, PACK / "__init__.py", submodule_search_locations=[str(PACK)]
        )
        assert spec is not None
        assert spec.loader is not None
        pack = importlib.util.module_from_spec(spec)
        sys.modules[world.name] = pack
        spec.loader.exec_module(pack)
        extension = pack.comfy_entrypoint()
        world.nodes = {node.__name__: node for node in _finished(extension.get_node_list())}
        yield world
    finally:
        for name in set(sys.modules) - set(before):
            if name.startswith((world.name, "comfy", "folder_paths", "server", "aiohttp")):
                del sys.modules[name]
        sys.modules.update({name: module for name, module in before.items() if sys.modules.get(name) is not module})


def _finished(waiting: Any) -> list[Any]:
    """What a coroutine gives that waits for nothing."""
    try:
        waiting.send(None)
    except StopIteration as end:
        return list(end.value)
    raise RuntimeError("get_node_list waits for something")


def defaults_of(node: Any) -> dict[str, Any]:
    """Widget -> default, as the page would send it."""
    return {each.id: each.default for each in node.define_schema().inputs if each.default is not None}


def run(world, name, **given):
    """What a node gives for these inputs, with its defaults for the others."""
    node = world.nodes[name]
    return node.execute(**{**defaults_of(node), **given})


def tone(seconds: float, rate: int = 16000) -> Any:
    """AUDIO of a voice-like buzz."""
    import torch

    times = np.arange(round(seconds * rate)) / rate
    buzz = 0.4 * np.sign(np.sin(2 * np.pi * 140 * times)) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * times))
    return {"waveform": torch.from_numpy(buzz.astype(np.float32))[None, None], "sample_rate": rate}
