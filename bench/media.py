"""Input for the benchmarks, made on the spot: a portrait that moves through a 720p picture, and a voice."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PORTRAIT = ROOT / "models" / "demo" / "portrait.png"
VOICE = ROOT / "models" / "demo" / "voice.wav"


def portrait(path: Path, size: int = 512) -> Path:
    """The demo's portrait at another size."""
    Image.open(PORTRAIT).convert("RGB").resize((size, size), Image.Resampling.LANCZOS).save(path)
    return path


def moving_face(
    path: Path, seconds: float = 10, fps: Fraction = Fraction(25), size: tuple[int, int] = (1280, 720)
) -> Path:
    """The portrait, 720 px high, swinging left and right over a plain background."""
    width, height = size
    face = Image.open(PORTRAIT).convert("RGB").resize((height, height), Image.Resampling.LANCZOS)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.colorspace = 6  # BT.601, which is how the frames are converted and what OpenCV assumes
        stream.codec_context.color_range = 1
        for index in range(round(seconds * fps)):
            picture = Image.new("RGB", size, (70, 84, 96))
            shift = math.sin(index / float(fps) * 1.3) * (width - height) * 0.4
            picture.paste(face, (round((width - height) / 2 + shift), 0))
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def repeated(clip: Path, path: Path, times: int) -> Path:
    """The clip again and again in one file, its packets copied: a long video in a moment."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        out = target.add_stream_from_template(stream)
        length = round(stream.frames / stream.average_rate / stream.time_base)
        for turn in range(times):
            source.seek(0)
            for packet in source.demux(stream):
                if packet.dts is None:
                    continue
                packet.pts, packet.dts = packet.pts + turn * length, packet.dts + turn * length
                packet.stream = out
                target.mux(packet)
    return path


def voice(path: Path, seconds: float) -> Path:
    """The demo's voice, repeated to a length, 16 kHz mono 16 bit."""
    with av.open(str(VOICE)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=16000)
        parts = [out.to_ndarray()[0] for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    once = np.concatenate(parts)
    samples = np.resize(once, round(seconds * 16000))
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.astype("<i2").tobytes())
    return path
