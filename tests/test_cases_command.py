"""The odd files of ../shared/cases through the whole command, in one process: exit code, frames, words.

The tables are cases_video.py and cases_audio.py; here each of their lines has to hold for `lipsync sync` too.
"""

import importlib.util
import json
import math
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest
from cases_audio import CASES as SOUNDS
from cases_video import CASES as VIDEOS
from demo_media import BOX, short_voice, small_portrait

from lipsync_core import __main__ as command

MAKER = Path(__file__).parents[1].parent / "shared" / "cases" / "make_cases.py"
VOICE_SECONDS = Fraction(3)
# What makes the cases leaves its files open; ResourceWarnings of it are not ours.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
SLOW = ("8192", "3h", "fps_1000")


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """name -> path, making the file."""
    if not MAKER.exists() or shutil.which("ffmpeg") is None:
        pytest.skip("../shared/cases or the ffmpeg program that makes them is not here")
    folder = tmp_path_factory.mktemp("cases")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["make_cases", str(folder)])
        spec = importlib.util.spec_from_file_location("make_cases", MAKER)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)

    def make(name):
        try:
            module.CASES[name](name)
        except RuntimeError as error:
            pytest.skip(f"this ffmpeg cannot make the case: {error}")
        return folder / name

    return make


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    small_portrait(folder / "face.png")
    short_voice(folder / "voice.wav", float(VOICE_SECONDS))
    return folder


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    monkeypatch.setenv("SD_LIPSYNC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(command.StopSignal, "install", lambda self: None)


def sync(face, voice, folder, *words):
    out = folder / "out.mp4"
    report = folder / "report.json"
    quick = ["--offline", "-q", "--device", "cpu", "--preset", "ultrafast", "--report", report, *words]
    code = command.main(["sync", *map(str, [face, voice, "-o", out, *quick])])
    return code, out, json.loads(report.read_text()) if report.exists() else None


def listed(table):
    return [pytest.param(n, marks=pytest.mark.slow) if any(word in n for word in SLOW) else n for n in table]


@pytest.mark.parametrize("name", listed(VIDEOS))
def test_an_odd_picture_file_gives_what_the_table_says(cases, media, tmp_path, capsys, name):
    face, expected = cases(name), VIDEOS[name]
    code, out, report = sync(face, media / "voice.wav", tmp_path, "--fit", "cut", "--box", "6,4,58,46")
    said = capsys.readouterr().err
    assert "Traceback" not in said
    if isinstance(expected, str):
        assert code == 3
        assert f"{name}: " in said
        assert expected in said
        assert not out.exists()
        assert report is None
        return
    frames, fps, width, height, note = expected
    assert code == 0, said
    fps = Fraction(fps or 25)
    spoken = math.ceil(VOICE_SECONDS * fps)
    least, most = frames if isinstance(frames, tuple) else (frames, frames)
    least, most = (spoken, spoken) if most == 1 else (min(least, spoken), min(most, spoken))
    assert least <= report["frames"] <= most
    assert (report["width"], report["height"]) == (width, height)
    assert Fraction(report["fps"]) == fps
    with av.open(str(out)) as container:
        video = container.streams.video[0]
        assert sum(1 for _ in container.decode(video)) == report["frames"]
        assert (video.width, video.height) == (width + width % 2, height + height % 2)
    assert note is None or any(note in text for text in report["warnings"])


@pytest.mark.parametrize("name", listed(SOUNDS))
def test_an_odd_sound_file_gives_what_the_table_says(cases, media, tmp_path, capsys, name):
    voice, expected = cases(name), SOUNDS[name]
    if "3h" in name:
        assert command.main(["inspect", str(voice), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["sound seconds"] == "10800.000"
        return
    code, out, report = sync(media / "face.png", voice, tmp_path, "--box", BOX)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    if isinstance(expected, str):
        assert code == 3
        assert f"{name}: " in said
        assert expected in said
        assert not out.exists()
        return
    seconds, note = expected
    assert code == 0, said
    assert abs(report["frames"] - max(1, seconds * 25)) <= 1.01
    assert note is None or any(note in text for text in report["warnings"])
