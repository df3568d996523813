"""The demo's own portrait: rendered by this repository, and a face to its own detector."""

from pathlib import Path

import numpy as np
from PIL import Image

from lipsync_core.runtime import default_model_dir
from lipsync_core.training.portrait import render


def test_the_committed_portrait_is_what_the_script_renders():
    with Image.open(default_model_dir() / "demo" / "portrait.png") as picture:
        committed = picture.convert("RGB")
    small = np.asarray(committed.resize((48, 48), Image.Resampling.BOX), np.float32)
    rendered = render(48, oversampling=1).astype(np.float32)
    inside = slice(8, 40), slice(12, 36)
    assert np.abs(rendered[inside] - small[inside]).mean() < 12, "grey levels; one sample a pixel against many"


def test_the_portrait_is_large_enough_to_want_to_look_at():
    path: Path = default_model_dir() / "demo" / "portrait.png"
    with Image.open(path) as picture:
        assert min(picture.size) >= 512
    assert path.stat().st_size < 500_000
