"""Pictures and voices for the tests on a real ComfyUI, made of our own portrait and voice."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from comfy_host import DEMO
from PIL import Image


def make_media(folder: Path) -> None:
    """two.png: our portrait and its mirror. short.wav: the first 3 s of our voice. long.wav: a minute of it."""
    portrait = np.asarray(Image.open(DEMO / "portrait.png").convert("RGB").resize((512, 512)))
    Image.fromarray(np.concatenate([portrait, portrait[:, ::-1]], axis=1)).save(folder / "two.png")
    with wave.open(str(DEMO / "voice.wav")) as voice:
        form, samples = voice.getparams(), voice.readframes(voice.getnframes())
    size = form.sampwidth * form.nchannels
    for name, data in (("short.wav", samples[: 3 * form.framerate * size]), ("long.wav", samples * 6)):
        with wave.open(str(folder / name), "wb") as made:
            made.setparams(form)
            made.writeframes(data)
