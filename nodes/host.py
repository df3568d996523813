"""Between ComfyUI and the core: IMAGE, MASK, AUDIO and VIDEO as they really arrive, and the Runtime of one run."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import comfy.model_management as mm
import comfy.model_patcher
import comfy.utils
import cv2
import folder_paths
import numpy as np
import torch
from comfy_api.latest import InputImpl
from PIL import Image

from ..lipsync_core.errors import InputError
from ..lipsync_core.runtime import Runtime, choose_precision
from ..lipsync_core.timing import Index, parse_fps
from ..lipsync_core.types import Pixels
from ..lipsync_core.video.edit import Edit
from ..lipsync_core.video.held import hold_frames
from ..lipsync_core.video.reader import WHOLE
from ..lipsync_core.video.source import Source, open_source

FOLDER = "lipsync"  # of the models
_ENDINGS = {".safetensors", ".pth", ".pt", ".tar", ".onnx", ".model", ".ckpt"}
_LENT = ("upscale_models", "facerestore_models", "facedetection")  # where other packs keep weights that we know too
_PREVIEW_SECONDS = 0.6  # between two preview pictures
_PREVIEW_SIDE = 512  # px
_BATCH_BYTES = 14 << 20  # of frames; about four batches are in memory at a time
_FEW_BYTES = {True: 12 << 20, False: 7 << 20}  # the same on a CPU, with and without a network, which gains from more
_CHUNK = 1 << 20  # samples of a sound that are converted at once

# ---------------------------------------------------------------------------------------------------- folders


def add_model_folder() -> None:
    """models/lipsync, beside what extra_model_paths.yaml may have given that name before."""
    folder = str(Path(folder_paths.models_dir) / FOLDER)
    paths, endings = folder_paths.folder_names_and_paths.get(FOLDER, ([], set()))
    kept = [path for path in paths if path != folder]
    folder_paths.folder_names_and_paths[FOLDER] = ([*kept, folder], set(endings) | _ENDINGS)


def model_dirs() -> tuple[Path, ...]:
    """Where weights are looked for; downloads go to the first."""
    names = [FOLDER, *(name for name in _LENT if name in folder_paths.folder_names_and_paths)]
    return tuple(Path(path) for name in names for path in folder_paths.get_folder_paths(name))


def input_file(name: str) -> str:
    """A file of the host's input folder by its name; "" stays. A workflow may name no other file of the machine."""
    if not name:
        return ""
    folder = Path(folder_paths.get_input_directory()).resolve()
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise InputError(f"{name}: only files of the input folder can be named here. Copy it into {folder.name}/.")
    return str(path)


def temporary(ending: str) -> Path:
    """A new name in the host's folder for passing files, which it empties at every start and end."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"lipsync_{uuid.uuid4().hex[:12]}{ending}"


# ---------------------------------------------------------------------------------------------------- runtime

_SHARES = {"listen": (0.0, 0.03), "faces": (0.03, 0.25), "render": (0.25, 1.0)}  # of the bar


@dataclass
class Bar:
    """One progress bar over all stages of a node, with a small picture of what is being made."""

    stages: Mapping[str, tuple[float, float]] = field(default_factory=lambda: _SHARES)
    _bar: Any = None
    _value: int = 0
    _shown: float = 0.0

    def step(self, stage: str, done: int, total: int) -> None:
        low, high = self.stages.get(stage, (0.0, 0.0))
        share = low + (high - low) * min(1.0, done / total) if total else low
        self._value = max(self._value, round(1000 * share))
        self._send(None)

    def preview(self, frame: Pixels) -> None:
        if time.monotonic() - self._shown >= _PREVIEW_SECONDS:
            self._shown = time.monotonic()
            self._send(("JPEG", Image.fromarray(_small(frame)), _PREVIEW_SIDE))

    def _send(self, picture: Any) -> None:
        if self._bar is None:
            self._bar = comfy.utils.ProgressBar(1000)
        self._bar.update_absolute(self._value, 1000, picture)


def _small(frame: Pixels) -> Pixels:
    """(H, W, 3) no larger than a preview: the host would copy the whole frame first."""
    scale = min(1.0, _PREVIEW_SIDE / max(frame.shape[:2]))
    size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def only(stage: str) -> Bar:
    """A bar for a node that does one thing."""
    return Bar({stage: (0.0, 1.0)})


def _stopped() -> bool:
    """Raises the host's own exception when Stop was pressed, so that everything on the way out cleans up after it."""
    mm.throw_exception_if_processing_interrupted()
    return False


@dataclass
class Places:
    """Gives networks to the host's memory management, and remembers how to call them back."""

    patchers: list[Any] = field(default_factory=list)

    def place(self, network: torch.nn.Module, device: str) -> None:
        patcher = comfy.model_patcher.ModelPatcher(
            network, load_device=torch.device(device), offload_device=mm.unet_offload_device()
        )
        self.patchers.append(patcher)
        self.recall()

    def recall(self) -> None:
        """Bring the networks to their device, moving other models away where there is no room."""
        if self.patchers:
            mm.load_models_gpu(self.patchers, force_full_load=True)


def make_runtime(bar: Bar | None = None, places: Places | None = None, precision: str = "auto") -> Runtime:
    """The Runtime of one node's run, on the device that ComfyUI chose."""
    bar = bar or Bar()
    device = mm.get_torch_device()
    return Runtime(
        device=str(device),
        precision=_precision(precision, device),
        model_dirs=model_dirs(),
        progress=bar.step,
        cancelled=_stopped,
        offline=True,  # a node opens no connection; files are fetched when somebody presses the button
        cache_dir=Path(folder_paths.get_temp_directory()) / "lipsync_cache",
        preview=bar.preview,
        place=(places or Places()).place,
    )


def _precision(wanted: str, device: torch.device) -> str:
    """What ComfyUI thinks of fp16 on a GPU counts; on a CPU the core knows better."""
    if wanted != "auto" or mm.is_device_cpu(device):
        return choose_precision(wanted, "cpu")
    return "fp16" if mm.should_use_fp16(device) else "fp32"


def batch_size(wanted: int, size: tuple[int, int] = (512, 512), network: bool = True) -> int:
    """Frames of `size` px at once. 0: few on a CPU, where more gain little and Stop should act at once; and never so
    many that the frames which wait at the decoder and the encoder fill the memory. network: one makes the faces."""
    on_cpu = mm.is_device_cpu(mm.get_torch_device())
    room = _FEW_BYTES[network] if on_cpu else _BATCH_BYTES
    return wanted or max(1, min(4 if on_cpu else 16, room // (size[0] * size[1] * 3)))


# ---------------------------------------------------------------------------------------------------- pictures


@dataclass(frozen=True)
class TensorFrames:
    """IMAGE (N, H, W, C), whatever its precision, device, channels and range, as `HeldFrames`."""

    images: torch.Tensor

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        return int(self.images.shape[2]), int(self.images.shape[1])

    def read(self, rows: Index) -> Pixels:
        return to_pixels(self.images[torch.from_numpy(rows).to(self.images.device)])


def to_pixels(images: torch.Tensor) -> Pixels:
    """IMAGE (N, H, W, C) -> (N, H, W, 3) uint8 RGB. Values outside 0 to 1 and what is no number are cut off."""
    rgb = images[..., :3] if images.shape[-1] >= 3 else images[..., :1].expand(*images.shape[:-1], 3)
    grey = rgb.to(device="cpu", dtype=torch.float32).nan_to_num().clamp(0, 1).mul(255).round_()
    return grey.to(torch.uint8).numpy()


def to_images(pixels: Pixels) -> torch.Tensor:
    """(N, H, W, 3) uint8 RGB -> IMAGE."""
    return torch.from_numpy(pixels).to(torch.float32).div_(255)


def checked_images(images: torch.Tensor) -> torch.Tensor:
    if images.ndim == 3:
        return images[None]
    if images.ndim != 4:
        raise InputError(f"The connected IMAGE has the shape {tuple(images.shape)}. It must be (frames, H, W, 3).")
    return images


def save_mask(mask: torch.Tensor, path: Path) -> Path:
    """The first MASK (B, H, W) as a grey picture of its size."""
    grey = mask[0] if mask.ndim == 3 else mask
    levels = grey.to(device="cpu", dtype=torch.float32).nan_to_num().clamp(0, 1).mul(255).round_().to(torch.uint8)
    Image.fromarray(levels.numpy()).save(path)
    return path


# ---------------------------------------------------------------------------------------------------- sources


@contextlib.contextmanager
def opened(source: Any, fps: float = 0.0) -> Iterator[Source]:
    """IMAGE or VIDEO as the core's Source. fps: 0 for a video's own, and the usual 25 for pictures."""
    rate = parse_fps(f"{fps:g}") if fps else None
    if source is None:
        raise InputError("Nothing is connected to 'source'. Connect a picture or a video.")
    if isinstance(source, torch.Tensor):
        yield hold_frames(TensorFrames(checked_images(source)), rate, "The connected pictures")
    elif isinstance(source, InputImpl.VideoFromComponents):
        parts = source.get_components()
        own = Fraction(parts.frame_rate).limit_denominator(1001)
        yield hold_frames(TensorFrames(checked_images(parts.images)), rate or own, "The connected video")
    else:
        with _file_of(source) as path:
            yield open_source(path, rate, False, Edit(), _window(source))


@contextlib.contextmanager
def _file_of(video: Any) -> Iterator[Path]:
    """The file of a VIDEO; one that lives in memory is written to a temporary file, not decoded."""
    place = video.get_stream_source()
    if not isinstance(place, BytesIO):
        yield Path(place)
        return
    path = temporary(".video")
    try:
        path.write_bytes(place.getbuffer())
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def video_file(video: Any) -> Iterator[Path]:
    """VIDEO as one whole file with its sound; a trimmed one, or one made of pictures, is saved by the host first."""
    if video is None:
        raise InputError("Nothing is connected to 'video'. Connect Load Video, or Lip Sync Video.")
    if not isinstance(video, InputImpl.VideoFromComponents) and _window(video) == WHOLE:
        with _file_of(video) as path:
            yield path
        return
    path = temporary(".mp4")
    try:
        video.save_to(str(path))
        yield path
    finally:
        path.unlink(missing_ok=True)


def _window(video: Any) -> tuple[Fraction, Fraction]:
    """(start, length) in seconds of a trimmed VIDEO. Versions 0.13.1 to 0.22.0 trim, but have no getter."""
    getter = getattr(video, "get_active_trim_window", None)
    if callable(getter):
        start, length = getter()
    else:
        start = getattr(video, "_VideoFromFile__start_time", 0.0)
        length = getattr(video, "_VideoFromFile__duration", 0.0)
        if start < 0:
            start = max(0.0, video.get_duration() + start)
    return Fraction(start).limit_denominator(100_000), Fraction(length).limit_denominator(100_000)


# ---------------------------------------------------------------------------------------------------- sound

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
_EMPTY = "The connected audio holds no sound. Connect Load Audio, or a video that has a sound track."


def waveform_of(audio: Any) -> tuple[torch.Tensor, int]:
    """AUDIO -> ((C, T) as it is, sample rate). Of a batch the first. Raises InputError for None and for no samples."""
    if audio is None:
        raise InputError("The connected audio is empty: the video it comes from has no sound track. Use Load Audio.")
    waveform, rate = audio["waveform"], int(audio["sample_rate"])  # only these: it may be a lazy Mapping
    while waveform.ndim > 2:
        waveform = waveform[0]
    if waveform.ndim == 1:
        waveform = waveform[None]
    if not waveform.numel() or rate <= 0:
        raise InputError(_EMPTY)
    return waveform, rate


def seconds_of(audio: Any) -> Fraction:
    """Exact length of AUDIO."""
    waveform, rate = waveform_of(audio)
    return Fraction(int(waveform.shape[1]), rate)


def to_float(waveform: torch.Tensor) -> torch.Tensor:
    """Samples of any type as float32 with full scale 1, on the CPU."""
    samples = waveform.to("cpu")
    if samples.dtype.is_floating_point:
        return samples.to(torch.float32)
    if samples.dtype == torch.uint8:
        return (samples.to(torch.float32) - 128) / 128
    return samples.to(torch.float32) / float(torch.iinfo(samples.dtype).max + 1)


@contextlib.contextmanager
def sound_file(audio: Any) -> Iterator[Path]:
    """AUDIO as a file that the core can hear and copy from; it is gone afterwards."""
    waveform, rate = waveform_of(audio)
    path = temporary(".wav")
    try:
        _write_wav(path, waveform, rate)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _write_wav(path: Path, waveform: torch.Tensor, rate: int) -> None:
    layout = _LAYOUTS.get(len(waveform), "stereo")
    waveform = waveform if len(waveform) in _LAYOUTS else waveform[:2]
    with av.open(str(path), "w", format="wav") as out:
        stream = out.add_stream("pcm_f32le", rate=rate, layout=layout)
        for first in range(0, waveform.shape[1], _CHUNK):
            samples = to_float(waveform[:, first : first + _CHUNK]).numpy()
            packed = np.ascontiguousarray(samples.T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
            frame.sample_rate = rate
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
