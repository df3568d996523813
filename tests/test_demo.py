"""The demo, its contact sheets, and `inspect`."""

import numpy as np
import pytest
from demo_media import quiet_runtime, short_voice, small_portrait
from PIL import Image

from lipsync_core import contact_sheet, demo, inspect
from lipsync_core.contact_sheet import Strip, draw_strip, read_strip, write_sheet
from lipsync_core.errors import Cancelled, InputError
from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import lipsync
from lipsync_core.types import Report


@pytest.fixture(scope="module")
def talking(tmp_path_factory):
    folder = tmp_path_factory.mktemp("talking")
    voice = short_voice(folder / "voice.wav", 1.0)
    options = LipSyncOptions(preset="ultrafast", box="40,26,90,100")
    lipsync(small_portrait(folder / "face.png"), voice, folder / "out.mp4", options, quiet_runtime(folder))
    return folder / "out.mp4"


def test_a_sheet_shows_frames_at_even_times_over_the_sound(talking, tmp_path):
    strip = read_strip(talking, 5)
    assert [round(time, 2) for time in strip.times] == [0.0, 0.24, 0.48, 0.72, 0.96]
    assert strip.frames[0].shape == (128, 128, 3)
    assert strip.wave.max() == 1
    assert strip.seconds == 1.0
    write_sheet(talking, tmp_path / "sheet.png", count=6, per_row=3)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 3 * (contact_sheet.CELL + contact_sheet.GAP) + contact_sheet.GAP
        assert len(np.unique(np.asarray(sheet).reshape(-1, 3), axis=0)) > 500


def test_a_part_of_the_picture_can_be_shown(talking):
    assert read_strip(talking, 2, (10, 20, 74, 84)).frames[0].shape == (64, 64, 3)


def test_a_loud_moment_stands_out_on_the_sheet():
    wave = np.zeros(100, np.float32)
    wave[50] = 1
    frames = [np.full((8, 8, 3), 200, np.uint8)] * 2
    sheet = np.asarray(draw_strip(Strip(frames, [0.0, 0.9], wave, 1.0), per_row=2))
    strip = (sheet == contact_sheet.WAVE).all(axis=2).sum(axis=0)
    loud = np.flatnonzero(strip > 20)
    assert len(loud) > 0
    assert abs(loud.mean() / sheet.shape[1] - 0.5) < 0.05


def test_a_video_without_sound_has_a_flat_outline(tmp_path):
    from conftest import write_video as make

    strip = read_strip(make(tmp_path / "mute.mp4", 4), 2)
    assert strip.wave.max() == 0


def test_the_demo_makes_both_videos_and_says_where_and_how_fast(tmp_path, monkeypatch):
    made = []

    def pretend(face, voice, out, options, runtime, overwrite):
        made.append((face.name, voice.name, out.name, options.label, overwrite))
        return Report(
            frames=50, seconds=2.0, width=64, height=64, frames_per_second=31.4, device="cpu", engine="puppet"
        )

    monkeypatch.setattr("lipsync_core.pipeline.lipsync", pretend)
    monkeypatch.setattr(demo, "write_sheet", lambda video, picture, area: picture.write_bytes(b"png"))
    said = demo.demo(tmp_path / "new" / "out", quiet_runtime(tmp_path))
    assert [row[2] for row in made] == ["demo.mp4", "demo-astronaut.mp4"]
    assert made[1][3] == "on", "a real person's face is labelled"
    assert "31.4 frames/s" in said
    assert str(tmp_path / "new" / "out" / "demo.png") in said
    with Image.open(tmp_path / "new" / "out" / "astronaut.png") as astronaut:
        assert astronaut.size == (512, 512)


def test_a_clone_without_its_portrait_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "default_model_dir", lambda: tmp_path)
    with pytest.raises(InputError, match="Clone the repository again"):
        demo.demo(tmp_path, quiet_runtime(tmp_path))


def test_inspect_knows_a_checkpoint_by_its_tensors(tmp_path):
    from safetensors.numpy import save_file

    from tests.golden.fixtures import shapes_of

    save_file({"layer.weight": np.zeros((2, 2), np.float32)}, tmp_path / "unknown.safetensors")
    assert inspect.describe(tmp_path / "unknown.safetensors")["network"] == "unknown"
    save_file({name: np.zeros(s, np.int8) for name, s in shapes_of("nota_comp").items()}, tmp_path / "nota.safetensors")
    assert inspect.describe(tmp_path / "nota.safetensors")["network"] == "wav2lip (compressed)"
    save_file({name: np.zeros(s, np.int8) for name, s in shapes_of("w2l_disc").items()}, tmp_path / "disc.safetensors")
    assert "discriminator" in inspect.describe(tmp_path / "disc.safetensors")["network"]


def test_inspect_does_not_open_a_pickle(tmp_path):
    (tmp_path / "old.pth").write_bytes(b"\x80\x02anything")
    facts = inspect.describe(tmp_path / "old.pth")
    assert "lipsync weights add" in facts["network"]
    assert len(facts["sha256"]) == 64


def test_inspect_can_be_stopped(tmp_path):
    with pytest.raises(Cancelled):
        inspect.describe(small_portrait(tmp_path / "face.png"), lambda: True)


def test_inspect_of_neither_picture_nor_sound_is_an_error(tmp_path):
    (tmp_path / "text.mp4").write_bytes(b"just words " * 30)
    with pytest.raises(InputError, match="text.mp4: "):
        inspect.describe(tmp_path / "text.mp4")
