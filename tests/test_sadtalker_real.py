"""The whole way with the real networks, filled with the fixtures' values: what comes out looks like nothing, but its
size, its length and what it depends on are those of the published weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from demo_media import BOX, decoded, short_voice
from sadtalker_world import portrait
from safetensors.torch import save_file
from test_sadtalker_load import LISTS, published_rows

from lipsync_core import weights
from lipsync_core.engines.base import EngineSettings, HeadSettings
from lipsync_core.engines.choose import choose_engine
from lipsync_core.engines.sadtalker import published
from lipsync_core.errors import WeightsError
from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import lipsync
from lipsync_core.runtime import Runtime
from tests.golden.fixtures import filled_state, tensors_of

pytestmark = pytest.mark.slow
OPTIONS = {"box": BOX, "preset": "ultrafast", "crf": 1, "label": "off"}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """A machine with a checkpoint and both mapping networks, pinned by their hashes."""
    folder = tmp_path_factory.mktemp("models")
    runtime = Runtime(model_dirs=(folder,), offline=True, cache_dir=folder / "cache")
    rows, state = published_rows(), {}
    for prefix in LISTS:
        part = {key.removeprefix(prefix): row for key, row in rows.items() if key.startswith(prefix)}
        state |= {prefix + key: value for key, value in filled_state(part).items()}
    save_file(state, folder / "filled_256.safetensors")
    for width in (70, 73):
        names = {key: (shape, torch.float32) for key, (shape, _) in tensors_of(f"mapping_{width}").items()}
        save_file(filled_state(names), folder / f"mapping_{width}.safetensors")
    for path in folder.glob("*.safetensors"):
        weights.add(path, runtime)
    return runtime


@pytest.fixture
def small(monkeypatch):
    """A quarter of the work."""
    monkeypatch.setattr(published, "_size_of", lambda path, runtime: 128)


def run(runtime, tmp_path, seconds=0.2, **options):
    face, voice = portrait(tmp_path / "face.png", (160, 140)), short_voice(tmp_path / "voice.wav", seconds)
    named = {"checkpoint": "filled_256", "box": "50,30,112,110"}
    out = tmp_path / "out.mp4"
    report = lipsync(face, voice, out, LipSyncOptions(**{**OPTIONS, **named, **options}), runtime, overwrite=True)
    return decoded(out).astype(int), report


def test_a_portrait_and_a_voice_become_a_video_and_the_seed_decides(runtime, tmp_path, small):
    first, report = run(runtime, tmp_path, seed=3, seconds=0.4)
    assert first.shape == (10, 140, 160, 3)
    assert report.engine == "sadtalker (128)"
    assert np.array_equal(first, run(runtime, tmp_path, seed=3, seconds=0.4)[0])
    assert not np.array_equal(first, run(runtime, tmp_path, seed=4, seconds=0.4)[0])


@pytest.mark.parametrize("mode", ["crop", "extcrop", "resize", "full", "extfull"])
def test_every_mode_finds_its_mapping_network(runtime, tmp_path, small, mode):
    frames, _ = run(runtime, tmp_path, seconds=0.08, preprocess=mode, still=True)
    size = {"resize": (112, 128), "full": (140, 160), "extfull": (140, 160)}.get(mode)
    assert len(frames) == 2
    assert size is None or frames.shape[1:3] == size


def test_at_256_the_size_is_read_from_the_file_and_512_can_be_asked_for(runtime, tmp_path):
    frames, report = run(runtime, tmp_path, seconds=0.04, preprocess="resize")
    assert report.engine == "sadtalker (256)"
    assert frames.shape == (1, 224, 256, 3)
    settings = EngineSettings(head=HeadSettings(size=512))
    assert choose_engine("sadtalker", "", settings, runtime).engine.variant == "512", "the one that was pinned"


def test_without_the_mapping_network_its_file_is_named(runtime, tmp_path):
    bare = Runtime(model_dirs=(tmp_path,), offline=True, cache_dir=tmp_path / "cache")
    checkpoint = str(Path(runtime.model_dirs[0]) / "filled_256.safetensors")
    with pytest.raises(WeightsError, match="mapping_00109-model.pth.tar"):
        choose_engine("auto", checkpoint, EngineSettings(), bare)
