"""Settings as a line of text, in the file and back."""

from dataclasses import fields

import pytest
from demo_media import BOX, quiet_runtime, short_voice, small_portrait

from lipsync_core.infotext import read_infotext, read_infotext_of, write_infotext
from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import lipsync


def test_only_what_differs_from_the_default_is_written():
    text = write_infotext(LipSyncOptions(engine="puppet", strength=1.25, gate=False))
    assert text.startswith("Engine: puppet, Lip strength: 1.25, Close mouth in silence: off, Version: sd-lipsync ")


def test_what_was_written_is_read_back():
    options = {
        "engine": "puppet", "strength": 1.25, "seed": 7, "box": "1,2,30,40", "gate": False, "fit": "pingpong",
        "crop": "0,-1,0,-1", "fps": "30000/1001", "mel_offset_ms": -40.0,
    }  # fmt: skip
    assert read_infotext(write_infotext(LipSyncOptions(**options))) == options


def test_of_a_file_only_its_name_travels():
    text = write_infotext(LipSyncOptions(mask="user", mask_file="/home/somebody/secret/mask.png"))
    assert "Mask file: mask.png" in text
    assert "secret" not in text


@pytest.mark.parametrize("name", ["a, b: c.pth", 'a "quoted" name.pth', "Engine: wav2lip, Seed: 3"])
def test_strange_names_do_not_become_other_settings(name):
    assert read_infotext(write_infotext(LipSyncOptions(checkpoint=name))) == {"engine": "auto", "checkpoint": name}


def test_what_no_option_of_today_can_have_is_left_out():
    text = 'Steps: 20, Engine: no such, Seed: many, Lip strength: 9, Blinks: 0.5, Close mouth in silence: "maybe'
    assert read_infotext(text) == {"blink": 0.5}


def test_labels_are_unique_for_they_are_the_keys():
    labels = [row.metadata["knob"].label for row in fields(LipSyncOptions)]
    assert len(set(labels)) == len(labels)
    assert not [label for label in labels if set(label) & set(':,"')]


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm"])
def test_a_result_carries_its_settings(tmp_path, ending):
    face, voice = small_portrait(tmp_path / "face.png"), short_voice(tmp_path / "voice.wav")
    options = LipSyncOptions(box=BOX, preset="ultrafast", seed=5)
    out = tmp_path / f"out{ending}"
    lipsync(face, voice, out, options, quiet_runtime(tmp_path))
    assert read_infotext_of(out) == write_infotext(options)
    assert read_infotext(read_infotext_of(out)) == {"engine": "auto", "box": BOX, "preset": "ultrafast", "seed": 5}


def test_another_video_has_no_settings(tmp_path, write_video):
    assert read_infotext_of(write_video("plain.mp4", 3)) == ""
