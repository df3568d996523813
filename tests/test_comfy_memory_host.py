"""What a minute of 1080p costs a real ComfyUI that has run nothing yet: a few minutes for each test.

`COMFYUI_DIR=... python -m pytest -m slow -s -o timeout=0 tests/test_comfy_memory_host.py` prints the figures.
"""

import sys

import pytest
import torch
from comfy_host import comfy, needs_host
from demo_media import short_voice
from safetensors.torch import save_file
from test_comfy_host import CHECKPOINT, STEPS, VIDEO, hero, moving_portrait, node

from lipsync_core.networks.wav2lip import Generator, layout_96

pytestmark = [needs_host, pytest.mark.slow]

LONG = {**VIDEO, "2": node("LoadAudio", audio="minute.wav")}
MINUTE = 1500  # frames
ROOM_MB = 300  # by which a minute of 1080p may raise the server's memory
CROPS_MB = MINUTE * 96 * 96 * 3 * 4 / 2**20


@pytest.fixture
def roomy(tmp_path):
    """A server that has run nothing yet, with a minute of 1080p to work on."""
    torch.manual_seed(0)
    (tmp_path / "models/lipsync").mkdir(parents=True)
    save_file(Generator(layout_96(quarter=True)).state_dict(), str(tmp_path / "models/lipsync" / CHECKPOINT))
    (tmp_path / "input").mkdir()
    moving_portrait(tmp_path / "input/clip.mp4", MINUTE, (1920, 1080))
    short_voice(tmp_path / "input/minute.wav", 60.0)
    with comfy(tmp_path) as running:
        yield running


def rise_mb(host, prompt, what):
    """By how much the server's memory rises above what it was, at the most."""
    host.forget_peak()
    before = host.memory_mb("VmRSS")
    done = host.run(prompt, 900)
    assert done.status == "success", done.error
    rise = host.memory_mb("VmHWM") - before
    sys.stdout.write(f"{what}: {rise:.0f} MB over {before:.0f}\n")
    return rise


@pytest.mark.parametrize("model", ["puppet", CHECKPOINT])
def test_a_minute_of_1080p_through_the_hero_costs_little_memory(roomy, model):
    for run in ("first", "second"):
        prompt = hero(LONG, model=model, quality="balanced", filename_prefix=f"lipsync/{run}")
        assert rise_mb(roomy, prompt, f"{model}, {run} run") <= ROOM_MB


def test_a_minute_by_crops_costs_little_more_than_the_crops(roomy):
    rise = rise_mb(roomy, {**LONG, **STEPS}, f"by crops of {CROPS_MB:.0f} MB")
    assert rise <= ROOM_MB + 2.2 * CROPS_MB
