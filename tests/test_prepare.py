"""Training data from videos: what is kept, what is left out and said, and the same bytes however the work is spread."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from demo_media import quiet_runtime, short_voice, small_portrait

from lipsync_core.__main__ import main
from lipsync_core.audio.mel import mel_spectrogram
from lipsync_core.audio.read import read_speech
from lipsync_core.errors import Cancelled, InputError, UsageError
from lipsync_core.metrics.sync import Sync
from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import lipsync
from lipsync_core.timing import mel_windows
from lipsync_core.training import prepare as work
from lipsync_core.training.prepare import FPS, make_shard, mel_slice, runs
from lipsync_core.training.prepare_plan import PrepareSettings, find_videos, read_names
from lipsync_core.training.prepare_plan import plan_tasks as plan_found
from lipsync_core.training.prepare_run import prepare
from lipsync_core.training.shards import read_frames, read_index, read_mel

SETTINGS = PrepareSettings(size=48, min_seconds=0.4, min_face=16, least_sharpness=0, detector="cascade", per_shard=2)


def plan_tasks(data, out, settings, names=()):
    return plan_found(find_videos(data, names), out, settings)


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Three talking portraits in two folders, and what is often found beside such."""
    folder = tmp_path_factory.mktemp("videos")
    runtime = quiet_runtime(folder)
    portrait = small_portrait(folder / "p.png", 256)
    for place, seconds in (("main/one/00001", 1.0), ("main/one/00002", 0.8), ("main/two/00001", 0.6)):
        target = folder / f"{place}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        lipsync(portrait, short_voice(folder / "v.wav", seconds), target, LipSyncOptions(sway=0.0), runtime)
    data = folder / "main"
    (data / "one" / "00001.txt").write_text("Text: nothing")
    (data / "two" / "empty.mp4").touch()
    (data / "two" / "text.mp4").write_text("this is no video")
    (data / "two" / "cut.mp4").write_bytes((data / "one" / "00001.mp4").read_bytes()[:600])
    return data


def test_every_good_video_becomes_a_clip_and_every_bad_one_is_said(videos, tmp_path):
    rows = prepare(plan_tasks(videos, tmp_path / "out", SETTINGS), quiet_runtime(tmp_path))
    clips = read_index(tmp_path / "out")
    assert [clip.facts["source"] for clip in clips] == ["one/00001.mp4", "one/00002.mp4", "two/00001.mp4"]
    assert [len(clip.frames) for clip in clips] == [25, 20, 15]
    skipped = [text for row in rows for text in row.skipped]
    assert [text.split(":")[0] for text in skipped] == ["two/cut.mp4", "two/empty.mp4", "two/text.mp4"]
    assert "is empty (0 bytes)" in skipped[1]


def test_a_clip_has_the_sound_of_its_own_frames(videos, tmp_path):
    prepare(plan_tasks(videos, tmp_path / "out", SETTINGS), quiet_runtime(tmp_path))
    clip = read_index(tmp_path / "out")[0]
    true = mel_spectrogram(np.concatenate(list(read_speech(videos / "one" / "00001.mp4"))))
    first = int(clip.facts["first"])
    kept, heard = mel_windows(read_mel(clip), 0, 20, FPS), mel_windows(true, first, 20, FPS)
    assert np.abs(kept - heard).max() < 0.2
    assert read_frames(clip, [0, 5]).shape == (2, 48, 48, 3)


def test_what_is_finished_is_not_done_again_and_other_settings_are(videos, tmp_path):
    tasks = plan_tasks(videos, tmp_path / "out", SETTINGS)
    runtime = quiet_runtime(tmp_path)
    assert [row.fresh for row in prepare(tasks, runtime)] == [True, True, True]
    assert [row.fresh for row in prepare(tasks, runtime)] == [False, False, False]
    tasks[1].out.with_suffix(".json").unlink()
    assert [row.fresh for row in prepare(tasks, runtime)] == [False, True, False]
    other = plan_tasks(videos, tmp_path / "out", PrepareSettings(**{**vars(SETTINGS), "size": 96}))
    assert all(row.fresh for row in prepare(other, runtime))


def test_a_run_that_was_stopped_is_finished_without_doubles(videos, tmp_path):
    tasks = plan_tasks(videos, tmp_path / "out", SETTINGS)
    asked = iter([False] * 3 + [True] * 1000)
    with pytest.raises(Cancelled):
        prepare(tasks, quiet_runtime(tmp_path, cancelled=lambda: next(asked)))
    assert not list((tmp_path / "out").glob("*.part"))
    prepare(tasks, quiet_runtime(tmp_path))
    names = [clip.name for clip in read_index(tmp_path / "out")]
    assert len(names) == len(set(names)) == 3


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.slow
def test_processes_give_the_same_bytes_as_one(videos, tmp_path):
    for name, workers in (("one", 1), ("two", 2)):
        prepare(plan_tasks(videos, tmp_path / name, SETTINGS), quiet_runtime(tmp_path), workers)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="ray is not installed")
@pytest.mark.filterwarnings("ignore")
def test_ray_gives_the_same_bytes_as_one_process(videos, tmp_path):
    prepare(plan_tasks(videos, tmp_path / "one", SETTINGS), quiet_runtime(tmp_path))
    prepare(plan_tasks(videos, tmp_path / "ray", SETTINGS), quiet_runtime(tmp_path), 2, ray=True)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "ray")


def test_without_ray_the_way_to_it_is_said(videos, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install sd-lipsync\[ray\]"):
        prepare(plan_tasks(videos, tmp_path / "out", SETTINGS), quiet_runtime(tmp_path), 2, ray=True)


def test_a_list_chooses_videos_by_the_first_word_of_its_lines(videos, tmp_path):
    (tmp_path / "train.txt").write_text("one/00002 MV\n\ntwo/00001.mp4\n")
    names = read_names(tmp_path / "train.txt")
    (task,) = plan_tasks(videos, tmp_path / "out", SETTINGS, names)
    assert task.videos == ("one/00002.mp4", "two/00001.mp4")


def test_a_folder_without_videos_is_said(tmp_path):
    with pytest.raises(InputError, match="no video in this folder"):
        plan_tasks(tmp_path, tmp_path / "out", SETTINGS)


def test_the_offset_that_is_found_is_taken_out_and_who_does_not_speak_is_left_out(videos, tmp_path, monkeypatch):
    found = {"one/00001.mp4": Sync(5, 4, 3, 20, None), "one/00002.mp4": Sync(5, 0.2, 0, 20, None)}
    found["two/00001.mp4"] = Sync(5, 4, 15, 20, None)
    monkeypatch.setattr(work, "load_network", lambda *_: object())
    monkeypatch.setattr(work, "_sync", lambda source, *_: found[source.path.relative_to(videos).as_posix()])
    settings = PrepareSettings(**{**vars(SETTINGS), "net": "syncnet"})
    rows = [make_shard(task, quiet_runtime(tmp_path)) for task in plan_tasks(videos, tmp_path / "out", settings)]
    (clip,) = read_index(tmp_path / "out")
    assert (clip.facts["source"], clip.facts["offset"], clip.facts["first"]) == ("one/00001.mp4", 3, 3)
    true = mel_spectrogram(np.concatenate(list(read_speech(videos / "one" / "00001.mp4"))))
    assert np.abs(read_mel(clip)[:, :16] - true[:, :16]).max() < 0.2  # frame 3 says what is heard at 0
    assert sum("does not speak" in text for row in rows for text in row.skipped) == 2


def test_blurred_clips_are_left_out(videos, tmp_path):
    settings = PrepareSettings(**{**vars(SETTINGS), "least_sharpness": 1e6})
    rows = [make_shard(task, quiet_runtime(tmp_path)) for task in plan_tasks(videos, tmp_path / "out", settings)]
    assert sum("are blurred" in text for row in rows for text in row.skipped) == 3
    assert sum(row.clips for row in rows) == 0


@pytest.mark.parametrize(
    ("usable", "offset", "expected"),
    [
        ("1" * 30, 0, [(0, 30)]),
        ("0" * 3 + "1" * 27, 0, [(5, 30)]),
        ("1" * 12 + "0" + "1" * 20, 0, [(0, 12), (15, 33)]),
        ("1" * 9 + "0" * 9, 0, []),
        ("1" * 120, 0, [(0, 50), (50, 100), (100, 120)]),
        ("1" * 30, 3, [(3, 30)]),
        ("1" * 30, -2, [(3, 30)]),
    ],
)
def test_runs_begin_where_a_mel_column_begins_and_have_no_gap(usable, offset, expected):
    settings = PrepareSettings(min_seconds=0.4, max_seconds=2.0)
    found = runs(np.array([sign == "1" for sign in usable]), offset, settings)
    assert found == expected
    assert all((first - offset) % 5 == 0 for first, _ in found)


def test_the_sound_behind_the_end_is_its_last_column():
    mel = np.arange(40, dtype=np.float32)[None].repeat(80, 0)
    part = mel_slice(mel, 5, 15)
    assert part.shape == (80, 48)
    assert part[0, :24].tolist() == list(range(16, 40))
    assert (part[0, 24:] == 39).all()


def test_the_command_prepares_and_says_what_was_left_out(videos, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SD_LIPSYNC_CACHE", str(tmp_path / "cache"))
    arguments = [
        "prepare",
        str(videos),
        "-o",
        str(tmp_path / "out"),
        "--size",
        "48",
        "--min-face",
        "16",
        "-q",
        "--offline",
    ]
    assert main([*arguments, "--min-seconds", "0.4", "--least-sharpness", "0", "--detector", "cascade"]) == 0
    out = capsys.readouterr().out
    assert "left out: two/empty.mp4" in out
    assert (
        out.splitlines()[-1] == "3 clips in 1 shards; 3 left out. Not looked at: 1 whose names are not those of videos."
    )
    assert main(["prepare", "-o", str(tmp_path / "out")]) == 2
