"""From what the user named to a loaded engine, and a whole run of the Wav2Lip engine with a random checkpoint."""

import numpy as np
import pytest
from demo_media import BOX, decoded, quiet_runtime, short_voice, small_portrait
from safetensors.torch import save_file

from lipsync_core import weights
from lipsync_core.engines.base import EngineSettings
from lipsync_core.engines.choose import choose_engine
from lipsync_core.errors import UsageError, WeightsError
from lipsync_core.networks.wav2lip import Generator, layout_96
from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import lipsync
from tests.golden.fixtures import filled, shapes_of

SETTINGS = EngineSettings()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The compressed generator: the whole road of a Wav2Lip checkpoint in 5 MB."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file(filled(lambda: Generator(layout_96(quarter=True)), gain=1.0).state_dict(), path)
    return path


def test_without_a_checkpoint_auto_is_the_puppet(tmp_path):
    chosen = choose_engine("auto", "", SETTINGS, quiet_runtime(tmp_path))
    assert (chosen.name, chosen.weights) == ("puppet", "")


def test_a_checkpoint_brings_its_engine(tmp_path, checkpoint):
    chosen = choose_engine("auto", str(checkpoint), SETTINGS, quiet_runtime(tmp_path))
    assert (chosen.name, chosen.engine.variant) == ("wav2lip", "compressed")
    assert len(chosen.weights) == 8


def test_a_checkpoint_that_was_added_is_known_by_name_and_found_without_one(tmp_path, checkpoint):
    from dataclasses import replace

    runtime = replace(quiet_runtime(tmp_path), model_dirs=(tmp_path / "models",))
    (tmp_path / "models").mkdir()
    entry = weights.add(checkpoint, runtime)
    assert choose_engine("auto", entry.name, SETTINGS, runtime).name == "wav2lip"
    assert choose_engine("wav2lip", "", SETTINGS, runtime).name == "wav2lip"


def test_an_engine_without_its_checkpoint_says_how_to_get_one(tmp_path):
    with pytest.raises(WeightsError, match="lipsync weights"):
        choose_engine("wav2lip", "", SETTINGS, quiet_runtime(tmp_path))


def test_a_network_that_nobody_knows_is_refused(tmp_path):
    from safetensors.numpy import save_file as save

    save({"layer.weight": np.zeros((2, 2), np.float32)}, tmp_path / "odd.safetensors")
    with pytest.raises(WeightsError, match="odd.safetensors"):
        choose_engine("auto", str(tmp_path / "odd.safetensors"), SETTINGS, quiet_runtime(tmp_path))


def test_a_discriminator_is_refused_by_name(tmp_path):
    from safetensors.numpy import save_file as save

    save({n: np.zeros(s, np.int8) for n, s in shapes_of("w2l_disc").items()}, tmp_path / "disc.safetensors")
    with pytest.raises(WeightsError, match="discriminator"):
        choose_engine("auto", str(tmp_path / "disc.safetensors"), SETTINGS, quiet_runtime(tmp_path))


def test_the_puppet_takes_no_checkpoint(tmp_path, checkpoint):
    with pytest.raises(UsageError, match="takes no checkpoint"):
        choose_engine("puppet", str(checkpoint), SETTINGS, quiet_runtime(tmp_path))


@pytest.mark.parametrize("mask", ["auto", "mouth", "ellipse", "box"])
def test_wav2lip_speaks_and_leaves_everything_else_alone(tmp_path, checkpoint, mask):
    face, voice = small_portrait(tmp_path / "face.png"), short_voice(tmp_path / "voice.wav", 0.4)
    options = LipSyncOptions(checkpoint=str(checkpoint), box=BOX, mask=mask, crf=0, preset="ultrafast", label="off")
    report = lipsync(face, voice, tmp_path / "out.mp4", options, quiet_runtime(tmp_path))
    assert report.engine == "wav2lip (compressed)"
    frames = decoded(tmp_path / "out.mp4").astype(int)
    still = LipSyncOptions(engine="puppet", strength=0.0, box=BOX, blink=0.0, sway=0.0, crf=0, preset="ultrafast")
    lipsync(face, voice, tmp_path / "still.mp4", still, quiet_runtime(tmp_path))
    change = np.abs(frames - decoded(tmp_path / "still.mp4")[:1]).max(axis=(0, 3))
    assert change[60:100, 44:86].max() > 30, "the mouth"
    assert change[:20].max() <= 2
    assert change[112:].max() <= 2


def test_results_with_its_weights_are_labelled_unless_that_is_turned_off(tmp_path, checkpoint):
    face, voice = small_portrait(tmp_path / "face.png"), short_voice(tmp_path / "voice.wav", 0.2)
    pictures = {}
    for label in ("auto", "off"):
        options = LipSyncOptions(checkpoint=str(checkpoint), box=BOX, crf=1, preset="ultrafast", label=label)
        lipsync(face, voice, tmp_path / f"{label}.mp4", options, quiet_runtime(tmp_path))
        pictures[label] = decoded(tmp_path / f"{label}.mp4").astype(int)
    assert np.abs(pictures["auto"] - pictures["off"])[:, -16:, :70].max() > 40
