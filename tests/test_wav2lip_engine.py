"""The Wav2Lip engine: it reads a checkpoint, hears the right sound for each frame, and shows RGB."""

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lipsync_core.engines import ENGINES, recognise, wav2lip
from lipsync_core.engines.base import EngineSettings
from lipsync_core.engines.choose import choose_engine
from lipsync_core.engines.wav2lip import Wav2Lip, stressed
from lipsync_core.errors import WeightsError
from lipsync_core.networks.wav2lip import Generator, layout_96
from lipsync_core.networks.wav2lip_hq import layout_sam
from lipsync_core.runtime import Runtime
from lipsync_core.timing import mel_windows
from lipsync_core.types import CropStyle, FaceBatch, Speech
from tests.golden.fixtures import filled, shapes_of, tensor_for, uniform

FRAMES = 6


@pytest.fixture(scope="module")
def published() -> Generator:
    """The generator of 96 pixels in fp32, as the fixtures prove it, nothing folded."""
    return filled(lambda: Generator(layout_96()), 1.0)


@pytest.fixture(scope="module")
def checkpoint(published: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "w2l.safetensors"
    save_file({f"module.{key}": value for key, value in published.state_dict().items()}, str(path))
    return path


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Wav2Lip:
    loaded = wav2lip.load(checkpoint, Runtime(), EngineSettings())
    assert isinstance(loaded, Wav2Lip)
    return loaded


def speech(offset: float = 0.0, pause: bool = False) -> Speech:
    mel = uniform(31, 80, 60, low=-4, high=4).numpy()
    if pause:
        mel[:, 10:] = -4
    return Speech(mel, np.ones(60, np.float32), Fraction(25), FRAMES, offset)


def faces(first: int = 0, count: int = FRAMES, still: bool = False, seed: int = 32) -> FaceBatch:
    crops = uniform(seed, FRAMES, 3, 96, 96)[first : first + count]
    if still:
        crops = uniform(seed, 1, 3, 96, 96).repeat(count, 1, 1, 1)
    rows = np.zeros((count, 2, 3), np.float32)
    return FaceBatch(first, crops, rows, np.zeros((count, 5, 2), np.float32), np.zeros((count, 4), np.float32), still)


def by_hand(net: Generator, voice: Speech, shown: FaceBatch) -> torch.Tensor:
    """What the paper's program does, step by step, one frame at a time."""
    windows = mel_windows(voice.mel, shown.first, len(shown), voice.fps, voice.mel_offset_ms)
    pictures = []
    for window, crop in zip(windows, shown.crops, strict=True):
        bgr = crop.flip(0)
        masked = bgr.clone()
        masked[:, 48:] = 0
        with torch.no_grad():
            pictures.append(net(torch.from_numpy(window)[None], torch.cat((masked, bgr))[None])[0].flip(0))
    return torch.stack(pictures)


def psnr(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return -10 * math.log10(float((found.float() - wanted.float()).square().mean()))


@pytest.mark.parametrize("offset", [0.0, -40.0, 80.0])
@pytest.mark.parametrize("still", [False, True], ids=["moving", "still"])
def test_every_frame_is_what_the_published_network_makes_of_it(
    engine: Wav2Lip, published: Generator, still: bool, offset: float
):
    shown = faces(first=2, count=4, still=still)
    rendered = engine.listen(speech(offset)).render(shown)
    assert rendered.alpha is None
    assert rendered.crops.shape == (4, 3, 96, 96)
    assert torch.allclose(rendered.crops, by_hand(published, speech(offset), shown), atol=2e-5)


def test_the_lower_half_of_the_target_is_hidden_and_colours_are_bgr_only_inside(engine: Wav2Lip):
    seen: list[torch.Tensor] = []
    parts = engine.parts

    def look(face: torch.Tensor) -> list[torch.Tensor]:
        seen.append(face)
        return parts.look(face)

    spy = Wav2Lip(wav2lip.Parts(parts.hear, look, parts.speak, parts.closed), engine.layout, "96", Runtime())
    shown = faces(count=1)
    spy.listen(speech()).render(shown)
    (face,) = seen
    assert torch.equal(face[0, 3:].flip(0), shown.crops[0])
    assert torch.equal(face[0, :3, :48], face[0, 3:, :48])
    assert not face[0, :3, 48:].any()


def test_batching_changes_nothing(engine: Wav2Lip):
    performance = engine.listen(speech())
    whole = performance.render(faces()).crops
    pieces = [performance.render(faces(first, 2)).crops for first in range(0, FRAMES, 2)]
    assert torch.allclose(whole, torch.cat(pieces), atol=1e-5)


def test_a_still_picture_is_looked_at_once_and_a_pause_rendered_once(engine: Wav2Lip):
    counts = {"look": 0, "rows": 0}
    parts = engine.parts

    def look(face: torch.Tensor) -> list[torch.Tensor]:
        counts["look"] += 1
        return parts.look(face)

    def speak(heard: torch.Tensor, features: list[torch.Tensor]) -> torch.Tensor:
        counts["rows"] += len(heard)
        return parts.speak(heard, features)

    counting = Wav2Lip(wav2lip.Parts(parts.hear, look, speak, parts.closed), engine.layout, "96", Runtime())
    performance = counting.listen(speech(pause=True))
    first, second = performance.render(faces(0, 3, still=True)), performance.render(faces(3, 3, still=True))
    assert counts == {"look": 1, "rows": 3 + 2}  # frame 3 starts in column 9, which still sounds; 4 and 5 hear nothing
    assert not torch.equal(first.crops[0], first.crops[1])
    assert torch.equal(second.crops[1], second.crops[2])
    performance.render(faces(0, 1, still=True, seed=33))
    assert counts["look"] == 2  # another picture


def test_the_result_may_be_changed_in_place(engine: Wav2Lip):
    crops = engine.listen(speech()).render(faces(count=1)).crops
    crops += 0.1  # tensors of inference mode refuse this
    assert not crops.is_inference()
    assert crops.dtype == torch.float32


def test_bf16_shows_the_same_mouth(checkpoint: Path, engine: Wav2Lip):
    quick = wav2lip.load(checkpoint, Runtime(precision="bf16"), EngineSettings())
    found, wanted = (e.listen(speech()).render(faces(count=2)).crops for e in (quick, engine))
    assert found.dtype == torch.float32
    assert psnr(found[:, :, 48:], wanted[:, :, 48:]) >= 40
    assert not torch.equal(found, wanted)


def test_strength_goes_from_silence_over_what_is_heard_to_beyond(checkpoint: Path, engine: Wav2Lip):
    def mouth(strength: float, voice: Speech) -> torch.Tensor:
        loaded = wav2lip.load(checkpoint, Runtime(), EngineSettings(strength=strength))
        return loaded.listen(voice).render(faces(count=1)).crops

    silence = Speech(np.full((80, 60), -4, np.float32), np.zeros(60, np.float32), Fraction(25), FRAMES)
    closed, heard = mouth(1, silence), mouth(1, speech())
    assert torch.allclose(mouth(0, speech()), closed, atol=1e-5)
    away = [float((mouth(strength, speech()) - closed).abs().mean()) for strength in (0.5, 1, 2)]
    assert away[0] < away[1] < away[2]
    assert torch.equal(mouth(1, speech()), heard)


def test_stress_stays_where_the_decoder_knows_its_way():
    heard, closed = torch.tensor([[0.0, 2.0, -0.1]]), torch.tensor([[1.0, 1.0, 0.2]])
    assert stressed(heard, closed, 2.0, layout_96())[0].tolist() == pytest.approx([0.0, 3.0, -0.1])
    assert float(stressed(heard, closed, 2.0, layout_sam()).norm()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "size", "variant"),
    [("wav2lip96", 96, "96"), ("nota_comp", 96, "compressed")],
)
def test_the_crop_has_the_size_of_the_checkpoint(tmp_path: Path, name: str, size: int, variant: str):
    loaded = wav2lip.load(saved(tmp_path, name), Runtime(), EngineSettings())
    assert loaded.crop_style(500.0) == CropStyle("box", size)
    assert (loaded.name, loaded.variant) == ("wav2lip", variant)
    assert loaded.listen(speech()).render(faces(count=1)).crops.shape == (1, 3, size, size)


def saved(folder: Path, name: str, change: Callable[[dict[str, Any]], None] | None = None) -> Path:
    """A checkpoint with the tensors of a key list, under a name that says nothing."""
    tensors = {
        key: torch.zeros(shape, dtype=torch.int64)
        if key.endswith("num_batches_tracked")
        else tensor_for(key, shape, torch.float32, 1.0)
        for key, shape in shapes_of(name).items()
    }
    if change is not None:
        change(tensors)
    save_file(tensors, str(folder / "model.safetensors"))
    return folder / "model.safetensors"


def test_half_precision_and_missing_counters_are_understood(tmp_path: Path):
    def shrink(tensors: dict[str, Any]) -> None:
        for key in list(tensors):
            if key.endswith("num_batches_tracked"):
                del tensors[key]
            else:
                tensors[key] = tensors[key].half()

    loaded = wav2lip.load(saved(tmp_path, "nota_comp", shrink), Runtime(), EngineSettings())
    whole = wav2lip.load(saved(tmp_path, "nota_comp"), Runtime(), EngineSettings())
    a, b = (e.listen(speech()).render(faces(count=1)).crops for e in (loaded, whole))
    assert torch.allclose(a, b, atol=5e-3)


@pytest.mark.parametrize(
    ("name", "words"),
    [("syncnet_color", "SyncNet_color"), ("s3fd_720p", "face detector"), ("w2l_disc", "discriminator")],
)
def test_another_network_is_refused_by_name(tmp_path: Path, name: str, words: str):
    with pytest.raises(WeightsError, match=rf"^model\.safetensors: is .*{words}.* Use a Wav2Lip generator"):
        wav2lip.load(saved(tmp_path, name), Runtime(), EngineSettings())


def test_another_network_is_refused_by_name_when_the_engine_is_left_to_the_file(tmp_path: Path):
    with pytest.raises(WeightsError, match=r"^model\.safetensors: is the face detector S3FD"):
        choose_engine("auto", str(saved(tmp_path, "s3fd_720p")), EngineSettings(), Runtime())


def test_the_file_chooses_the_engine(tmp_path: Path):
    chosen = choose_engine("auto", str(saved(tmp_path, "nota_comp")), EngineSettings(), Runtime())
    assert (chosen.name, chosen.engine.variant) == ("wav2lip", "compressed")


def test_a_checkpoint_with_a_hole_is_named_as_damaged(tmp_path: Path):
    path = saved(tmp_path, "nota_comp", lambda tensors: tensors.pop("face_decoder_blocks.3.0.conv_block.0.bias"))
    with pytest.raises(WeightsError, match=r"'face_decoder_blocks\.3\.0\.conv_block\.0\.bias' is missing"):
        wav2lip.load(path, Runtime(), EngineSettings())


def test_without_a_checkpoint_it_says_how_to_get_one():
    with pytest.raises(WeightsError, match="lipsync weights get wav2lip_gan"):
        wav2lip.load(None, Runtime(), EngineSettings())


def test_compiling_is_tried_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    compiled: list[str] = []

    def fake(function: Callable[..., Any]) -> Callable[..., Any]:
        compiled.append(function.__name__)
        return function

    monkeypatch.setattr(torch, "compile", fake)
    path = saved(tmp_path, "nota_comp")
    wav2lip.load(path, Runtime(), EngineSettings())
    assert compiled == []
    wav2lip.load(path, Runtime(), EngineSettings(compile=True))
    assert compiled == ["hear", "look", "speak"]


def test_where_compiling_fails_the_generator_runs_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(_: Callable[..., Any]) -> Callable[..., Any]:
        def fail(*_: Any) -> Any:
            raise RuntimeError("no C++ compiler\nand a long story")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    runtime = Runtime()
    loaded = wav2lip.load(saved(tmp_path, "nota_comp"), runtime, EngineSettings(compile=True))
    assert loaded.listen(speech()).render(faces(count=1)).crops.shape == (1, 3, 96, 96)
    (note,) = runtime.notes
    assert note.endswith("runs without it: no C++ compiler")


def test_the_engine_is_in_the_table_and_says_its_licence():
    spec = ENGINES["wav2lip"]
    assert recognise(shapes_of("wav2lip96")) == ("wav2lip", "96")
    assert spec.needs_weights
    assert spec.visible_label
    assert spec.mask == "lower_face"
    assert "research" in spec.licence
    assert "LRS2" in spec.licence
