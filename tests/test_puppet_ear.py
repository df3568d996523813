"""The puppet's ear: the network, its weights that ship, and how frames read it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lipsync_core.engines import puppet_ear
from lipsync_core.engines.puppet_ear import hear, load_ear, shapes_at
from lipsync_core.errors import WeightsError
from lipsync_core.networks.mouth_shape import MOUTH_SHAPE, MouthShapeConfig, MouthShapeNet, level_and_colour_removed

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "models" / "puppet.safetensors"
SPOKEN = ROOT / "tests" / "golden" / "puppet_ear.npz"  # our own espeak-ng speech: mel, and the times of its sounds
OPENING, CLOSURE = MOUTH_SHAPE.index("opening"), MOUTH_SHAPE.index("closure")


@pytest.fixture(scope="module")
def ear() -> MouthShapeNet:
    return load_ear(SHIPPED)


@pytest.fixture(scope="module")
def spoken() -> dict[str, np.ndarray]:
    with np.load(SPOKEN) as data:
        return {name: data[name].astype(np.float32) for name in data.files}


def a_voice(columns: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    syllables = np.repeat(rng.uniform(-3.5, 1, (80, columns // 10 + 1)), 10, 1)[:, :columns]
    return (syllables + rng.normal(0, 0.2, (80, columns))).clip(-4, 4).astype(np.float32)


def test_the_shipped_ear_is_smaller_than_two_megabytes() -> None:
    assert 100_000 < SHIPPED.stat().st_size < 2_000_000


def test_shapes_have_one_row_per_column_and_stay_in_their_ranges(ear: MouthShapeNet) -> None:
    shapes = hear(ear, a_voice(333))
    assert shapes.shape == (333, 5)
    assert shapes.dtype == np.float32
    low, high = shapes.min(0), shapes.max(0)
    for row, name in enumerate(MOUTH_SHAPE):
        assert low[row] >= (-1 if name == "width" else 0)
        assert high[row] <= (1.2 if name == "opening" else 1)


def test_silence_shuts_the_mouth(ear: MouthShapeNet) -> None:
    shapes = hear(ear, np.full((80, 400), -4, np.float32))
    assert shapes[:, OPENING].max() < 0.05


@pytest.mark.parametrize("level", [-3.8, -3.0, -2.0, -1.0])
def test_a_noise_floor_alone_does_not_open_the_mouth(ear: MouthShapeNet, level: float) -> None:
    noise = np.random.default_rng(1).normal(level, 0.25, (80, 800)).clip(-4, 4).astype(np.float32)
    assert np.percentile(hear(ear, noise)[:, OPENING], 95) < 0.1


def test_the_lips_meet_at_every_p_b_m_of_speech(ear: MouthShapeNet, spoken: dict[str, np.ndarray]) -> None:
    opening = hear(ear, spoken["mel"])[:, OPENING]
    wide = np.percentile(opening, 90)
    lowest = [opening[int(a * 80) : int(b * 80) + 2].min() for a, b in spoken["lips"]]
    assert len(lowest) >= 8
    assert np.mean(np.array(lowest) < wide / 4) >= 0.85


def test_the_mouth_opens_wide_at_open_vowels(ear: MouthShapeNet, spoken: dict[str, np.ndarray]) -> None:
    opening = hear(ear, spoken["mel"])[:, OPENING]
    wide = np.percentile(opening, 90)
    widest = [opening[int(a * 80) : int(b * 80) + 2].max() for a, b in spoken["open"]]
    assert len(widest) >= 4
    assert np.mean(np.array(widest) > wide / 2) >= 0.8


def test_the_opening_follows_the_published_targets(ear: MouthShapeNet, spoken: dict[str, np.ndarray]) -> None:
    opening = hear(ear, spoken["mel"])[:, OPENING]
    assert np.corrcoef(opening, spoken["target"])[0, 1] > 0.8


def test_a_quiet_recording_gives_the_same_mouth_as_a_loud_one(
    ear: MouthShapeNet, spoken: dict[str, np.ndarray]
) -> None:
    loud = hear(ear, spoken["mel"])[:, OPENING]
    quiet = hear(ear, (spoken["mel"] - 1.2).clip(-4, 4))[:, OPENING]  # 15 dB softer
    assert np.corrcoef(loud, quiet)[0, 1] > 0.95
    assert 0.8 < quiet.std() / loud.std() < 1.25


def test_cutting_the_voice_into_pieces_changes_nothing(ear: MouthShapeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    mel = a_voice(1501)
    whole = hear(ear, mel)
    assert len(whole) == 1501
    monkeypatch.setattr(puppet_ear, "_COLUMNS_AT_ONCE", 312)
    np.testing.assert_allclose(hear(ear, mel), whole, atol=1e-4)


def test_nothing_beyond_the_halo_reaches_a_column() -> None:
    torch.manual_seed(0)
    network = MouthShapeNet(MouthShapeConfig(width=16, dilations=(1, 2))).eval()
    mel = a_voice(1200)
    other = mel.copy()
    other[:, 1000:] = 2
    reach = network.config.halo
    np.testing.assert_allclose(hear(network, mel)[: 1000 - reach], hear(network, other)[: 1000 - reach], atol=1e-4)
    assert np.abs(hear(network, mel)[1000:] - hear(network, other)[1000:]).max() > 1e-3


def test_a_microphones_colour_is_taken_out_before_listening() -> None:
    mel = torch.from_numpy(a_voice(800))[None] - 1
    coloured = mel + torch.linspace(-0.2, 0.2, 80)[None, :, None]
    plain, tinted = (level_and_colour_removed(x)[:, :80] for x in (mel, coloured))
    assert (plain - tinted).abs().mean() < 0.25 * (mel - coloured).abs().mean()


def test_a_mel_of_another_form_is_our_bug(ear: MouthShapeNet) -> None:
    for shape in ((80, 0), (40, 100), (1, 80, 100)):
        with pytest.raises(ValueError, match="mel must be"):
            hear(ear, np.zeros(shape, np.float32))


def test_a_short_closure_survives_at_25_frames_a_second() -> None:
    shapes = np.zeros((81, 5), np.float32)
    shapes[:, OPENING] = 0.8
    shapes[41:43, OPENING], shapes[41:43, CLOSURE] = 0, 1  # 0.5125 to 0.525 s, between frames at 0.5 and 0.54
    frames = shapes_at(shapes, np.arange(25) / 25)
    assert frames[:, CLOSURE].max() > 0.99
    assert frames[:, OPENING].min() < 0.01
    assert np.median(frames[:, OPENING]) == pytest.approx(0.8)


def test_shapes_between_columns_are_interpolated_and_the_edges_repeat() -> None:
    shapes = np.zeros((3, 5), np.float32)
    shapes[:, 0] = [0.0, 0.5, 1.0]
    jaw = shapes_at(shapes, np.array([-1.0, 0.5 / 80, 1 / 80, 9.0]))[:, 0]
    np.testing.assert_allclose(jaw, [0, 0.25, 0.5, 1])


def test_a_missing_or_foreign_file_says_where_to_get_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.safetensors: is missing"):
        load_ear(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("not weights")
    with pytest.raises(WeightsError, match="models folder"):
        load_ear(tmp_path / "text.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="not the puppet's ear"):
        load_ear(tmp_path / "other.safetensors")
    config = json.dumps({"width": 16, "dilations": [1], "kernel": 3})
    save_file({"a": torch.zeros(1)}, tmp_path / "keys.safetensors", {"mouth_shape": config})
    with pytest.raises(WeightsError, match="not the puppet's ear"):
        load_ear(tmp_path / "keys.safetensors")
