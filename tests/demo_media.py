"""A speaking situation in small: the demo's portrait and voice, shrunk until a whole run takes a moment."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from lipsync_core.audio.read import read_speech
from lipsync_core.runtime import Runtime, default_model_dir

DEMO = default_model_dir() / "demo"
SIZE = 128  # px, sides of the small portrait
BOX = "40,26,90,100"  # its face


def small_portrait(path: Path, size: int = SIZE) -> Path:
    with Image.open(DEMO / "portrait.png") as picture:
        picture.convert("RGB").resize((size, size), Image.Resampling.LANCZOS).save(path)
    return path


def short_voice(path: Path, seconds: float = 0.8, rate: int = 16000) -> Path:
    """The demo's voice, from its start, at its 16 kHz; longer than it is: repeated."""
    once = np.concatenate(list(read_speech(DEMO / "voice.wav", end=min(seconds, 11.0))))
    samples = np.resize(once, round(seconds * 16000))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray((samples[None] * 32000).astype(np.int16), "s16", "mono")
        frame.sample_rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def portrait_video(path: Path, frames: int, fps: Fraction = Fraction(25), empty: tuple[int, ...] = ()) -> Path:
    """The small portrait for some frames, a grey picture on those in `empty`."""
    with Image.open(DEMO / "portrait.png") as picture:
        face = np.asarray(picture.convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=fps, options={"crf": "10", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv420p"
        for index in range(frames):
            image = np.full_like(face, 90) if index in empty else face
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        out.mux(stream.encode())
    return path


def quiet_runtime(tmp_path: Path, **more: object) -> Runtime:
    return Runtime(model_dirs=(default_model_dir(),), offline=True, cache_dir=tmp_path / "cache", **more)  # type: ignore[arg-type]


def decoded(path: Path) -> np.ndarray:
    """(N, H, W, 3) uint8 of a finished video."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def sound_seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        return float(sum(Fraction(f.samples, f.sample_rate) for f in container.decode(audio=0)))
