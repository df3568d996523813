"""One frame of the result, to set things up by."""

import numpy as np
import pytest
from demo_media import BOX, SIZE, portrait_video, quiet_runtime, short_voice, small_portrait

from lipsync_core.__main__ import main
from lipsync_core.errors import InputError
from lipsync_core.options import LipSyncOptions
from lipsync_core.preview import preview_frame


@pytest.fixture
def voice(tmp_path):
    return short_voice(tmp_path / "voice.wav")


def test_a_portraits_preview_shows_box_mask_and_an_open_mouth(voice, tmp_path):
    portrait = small_portrait(tmp_path / "face.png")
    preview = preview_frame(portrait, voice, LipSyncOptions(box=BOX), quiet_runtime(tmp_path))
    assert preview.result.shape == preview.faces.shape == preview.mask.shape == (SIZE, SIZE, 3)
    assert preview.speaking == [True]
    change = np.abs(preview.result.astype(int) - np.asarray(_pixels(portrait))).max(axis=2)
    assert change[70:90, 50:80].max() > 40, "the mouth"
    tint = preview.mask[..., 0].astype(int) - preview.mask[..., 1]
    assert tint[70:90, 50:80].mean() > tint[:12].mean() + 20, "the mask is where the mouth is"
    assert list(tmp_path.glob("*.mp4")) == []


def test_the_frame_of_a_video_is_the_one_asked_for(voice, tmp_path):
    video = portrait_video(tmp_path / "clip.mp4", 20, empty=tuple(range(10)))
    grey = preview_frame(video, voice, LipSyncOptions(box=BOX), quiet_runtime(tmp_path), seconds=0.1)
    face = preview_frame(video, voice, LipSyncOptions(box=BOX), quiet_runtime(tmp_path), seconds=0.6)
    assert grey.faces[:12].std() < 8 < face.faces[:12].std()
    assert (grey.seconds, face.seconds) == (0.08, 0.6)


def test_a_crop_is_done_once(voice, tmp_path):
    portrait = small_portrait(tmp_path / "face.png")
    options = LipSyncOptions(crop=f"8,{SIZE},0,{SIZE}", rotate=180, box=BOX)
    assert preview_frame(portrait, voice, options, quiet_runtime(tmp_path)).result.shape == (SIZE - 8, SIZE, 3)


def test_a_picture_without_a_face_is_refused_as_by_the_run(voice, tmp_path):
    video = portrait_video(tmp_path / "clip.mp4", 4, empty=(0, 1, 2, 3))
    options = LipSyncOptions(detector="cascade")
    with pytest.raises(InputError, match="[Nn]o face"):
        preview_frame(video, voice, options, quiet_runtime(tmp_path))


def _pixels(path):
    from PIL import Image

    with Image.open(path) as picture:
        return picture.convert("RGB")


@pytest.mark.parametrize(("shown", "wide"), [("all", 3), ("mask", 1), ("result", 1)])
def test_the_command_writes_the_preview_as_a_picture(voice, tmp_path, shown, wide, monkeypatch):
    monkeypatch.setenv("SD_LIPSYNC_CACHE", str(tmp_path / "cache"))
    portrait, out = small_portrait(tmp_path / "face.png"), tmp_path / "seen.png"
    words = ["preview", str(portrait), str(voice), "-o", str(out), "--show", shown, "--box", BOX, "--offline"]
    assert main(words) == 0
    assert _pixels(out).size == (wide * SIZE, SIZE)
    assert main(words) == 2, "it does not replace a file unasked"
    assert main([*words, "--overwrite"]) == 0


def test_the_command_refuses_a_name_that_is_no_pictures(voice, tmp_path, capsys):
    portrait = small_portrait(tmp_path / "face.png")
    assert main(["preview", str(portrait), str(voice), "-o", str(tmp_path / "seen.mp4"), "--box", BOX]) == 2
    assert "ending like .png" in capsys.readouterr().err
