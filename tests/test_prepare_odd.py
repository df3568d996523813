"""Training data from a folder in which much is odd: every good video is there, every bad one is said, nothing twice."""

import importlib.util
import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import dying_hands
import psutil
import pytest
import sleeping_hand
from cases_audio import CASES as SOUNDS
from cases_video import CASES as VIDEOS
from demo_media import DEMO, quiet_runtime, short_voice, small_portrait

from lipsync_core.__main__ import main
from lipsync_core.errors import Cancelled, InputError, OutputError, UsageError
from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import lipsync
from lipsync_core.training import prepare_hands, shards
from lipsync_core.training.prepare import make_shard
from lipsync_core.training.prepare_plan import ENDINGS, PrepareSettings, clip_stem, find_videos, plan_tasks, read_names
from lipsync_core.training.prepare_run import prepare
from lipsync_core.training.shards import read_index

FLAGS = ["--size", "48", "--min-face", "16", "--min-seconds", "0.4", "--least-sharpness", "0", "--detector", "cascade"]
SETTINGS = PrepareSettings(size=48, min_face=16, min_seconds=0.4, least_sharpness=0.0, detector="cascade", per_shard=4)
MAKER = Path(__file__).parents[1].parent / "shared" / "cases" / "make_cases.py"
unix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes and sockets in folders here")


@pytest.fixture(scope="module")
def talking(tmp_path_factory) -> bytes:
    """A good video: 15 frames."""
    folder = tmp_path_factory.mktemp("talking")
    runtime = quiet_runtime(folder)
    voice = short_voice(folder / "v.wav", 0.6)
    lipsync(small_portrait(folder / "p.png", 256), voice, folder / "a.mp4", LipSyncOptions(sway=0.0), runtime)
    return (folder / "a.mp4").read_bytes()


@pytest.fixture
def data(tmp_path, talking) -> Path:
    """A folder with two good videos, first and last by name."""
    folder = tmp_path / "data"
    for name in ("0/good.mp4", "z/good.mp4"):
        put(folder / name, talking)
    return folder


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def run(data: Path, tmp_path: Path, settings: PrepareSettings = SETTINGS, **more):
    """(sources of the clips, name of a file -> what was said of it)."""
    found = find_videos(data)
    rows = prepare(plan_tasks(found, tmp_path / "out", settings), quiet_runtime(tmp_path), **more)
    said = (*found.troubles, *(text for row in rows for text in row.skipped))
    return [clip.facts["source"] for clip in read_index(tmp_path / "out")], dict(text.split(": ", 1) for text in said)


def test_files_that_are_no_good_videos_are_each_said(data, talking, tmp_path):
    portrait, sound = (DEMO / "portrait.png").read_bytes(), (DEMO / "voice.wav").read_bytes()
    noise = random.Random(0).randbytes(5000)
    bad = {"empty": b"", "text": b"words " * 99, "noise": noise, "cut": talking[: len(talking) // 3]}
    bad |= {"picture": portrait, "sound": sound, "page": b"<html><body>", "list": b"#EXTM3U\n../0/good.mp4\n"}
    for name, content in bad.items():
        put(data / "odd" / f"{name}.mp4", content)
    sources, said = run(data, tmp_path)
    assert sources == ["0/good.mp4", "z/good.mp4"]
    assert sorted(said) == sorted(f"odd/{name}.mp4" for name in bad)
    assert "is a picture" in said["odd/picture.mp4"]
    assert "has sound but no picture" in said["odd/sound.mp4"]
    assert "only points to other files" in said["odd/list.mp4"]


@unix
def test_what_is_no_file_neither_blocks_nor_is_passed_over(data, tmp_path, monkeypatch):
    odd = data / "odd"
    (odd / "folder.mp4").mkdir(parents=True)
    os.mkfifo(odd / "pipe.mp4")
    (odd / "nowhere.mp4").symlink_to("missing")
    (odd / "loop.mp4").symlink_to("loop.mp4")
    (odd / "device.mp4").symlink_to("/dev/zero")
    (odd / "up").symlink_to("..")
    monkeypatch.chdir(odd)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.mp4")
        sources, said = run(data, tmp_path)
    assert sources == ["0/good.mp4", "z/good.mp4"]
    names = ("device.mp4", "loop.mp4", "nowhere.mp4", "pipe.mp4", "socket.mp4", "up")
    assert sorted(said) == [f"odd/{name}" for name in names]
    assert "device or a pipe" in said["odd/pipe.mp4"]
    assert "not followed" in said["odd/up"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is closed to this user")
def test_what_may_not_be_read_is_said(data, talking, tmp_path):
    put(data / "file.mp4", talking).chmod(0)
    put(data / "closed" / "a.mp4", talking).parent.chmod(0)
    sources, said = run(data, tmp_path)
    (data / "closed").chmod(0o700)
    assert sources == ["0/good.mp4", "z/good.mp4"]
    assert "not allowed to read" in said["file.mp4"]
    assert "cannot be read" in said["closed"]


@unix
def test_strange_and_equal_names_stay_apart_and_are_printed_in_one_line(talking, tmp_path):
    names = ["a b", "a_b", "a-b", "a/b", "a.b", "A_b", "new\nline", "\u202egpj", "x" * 250, "e\u0301", "\u00e9"]
    videos = [f"{name}.mp4" for name in names] + ["a_b.mov", "a_b.MP4", os.fsdecode(b"raw\xff.mp4")]
    for name in videos:
        put(tmp_path / "data" / name, talking)
    put(tmp_path / "data" / os.fsdecode(b"bad\xff\n.mp4"), b"")
    sources, said = run(tmp_path / "data", tmp_path)
    names = [clip.name for clip in read_index(tmp_path / "out")]
    assert len(names) == len(set(names)) == len(set(sources)) == len(videos)
    assert "a-b-0-000000" in names  # a/b.mp4, the plain one
    assert all(name.isascii() and "." not in name and len(name) < 100 for name in names)
    assert list(said) == ["bad\\xff\\n.mp4"]
    "".join(sources).encode()  # they can be stored and hashed


def test_a_name_in_a_shard_is_of_one_video_alone():
    videos = [
        "a b.mp4",
        "a_b.mp4",
        "a-b.mp4",
        "a/b.mp4",
        "a_b.mkv",
        "a_b.MP4",
        " .mp4",
        "..mp4",
        "\u4f60.mp4",
        "\u597d.mp4",
    ]
    assert len({clip_stem(name) for name in videos}) == len(videos)
    assert clip_stem("5535415699068794046/00001.mp4") == "5535415699068794046-00001"


def test_a_video_that_vanishes_is_said_and_one_that_grew_is_done_again(data, talking, tmp_path):
    put(data / "gone.mp4", talking)
    tasks = plan_tasks(find_videos(data), tmp_path / "out", SETTINGS)
    (data / "gone.mp4").unlink()
    (row,) = prepare(tasks, quiet_runtime(tmp_path))
    assert (row.clips, row.fresh) == (2, True)
    assert "no such file" in row.skipped[0]
    put(data / "gone.mp4", talking)
    (row,) = prepare(tasks, quiet_runtime(tmp_path))
    assert (row.clips, row.fresh, row.skipped) == (3, True, ())


def test_what_may_be_read_at_last_is_done_again(data, tmp_path, monkeypatch):
    (task,) = plan_tasks(find_videos(data), tmp_path / "out", SETTINGS)
    known = task.key
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert task.key != known


def test_a_stop_at_any_moment_finishes_no_shard_without_its_videos(data, tmp_path):
    tasks = plan_tasks(find_videos(data), tmp_path / "out", SETTINGS)
    asked: list[int] = []

    def stop_at(number):
        asked.clear()
        return quiet_runtime(tmp_path, cancelled=lambda: asked.append(1) or len(asked) == number)

    for _ in range(2):  # the faces are remembered from the first time on
        make_shard(tasks[0], stop_at(0))
        tasks[0].out.with_suffix(".json").unlink()
    for number in range(1, len(asked) + 1):
        with pytest.raises(Cancelled):
            make_shard(tasks[0], stop_at(number))
        assert not tasks[0].out.with_suffix(".json").exists()


def test_fewer_shards_than_before_leave_no_old_ones(data, tmp_path):
    single = PrepareSettings(**{**vars(SETTINGS), "per_shard": 1})
    assert len(run(data, tmp_path, single)[0]) == 2
    put(tmp_path / "out" / "shard-000007.json", b'{"version": 1, "clips": []}')  # not ours
    put(tmp_path / "out" / ".shard-000000.tar.0123abcd.999999999.part", b"half")
    assert len(run(data, tmp_path)[0]) == 2
    left = ["shard-000000.json", "shard-000000.tar", "shard-000007.json"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == left


def test_frames_without_sound_are_no_clip(data, talking, tmp_path, monkeypatch):
    from lipsync_core import assembly
    from lipsync_core.training import prepare as work

    def short(*arguments):
        heard = assembly.hear(*arguments)
        return type("Heard", (), {"mel": heard.mel[:, :32]})  # 0.4 s: 10 frames

    monkeypatch.setattr(work, "assembly", type("A", (), {"hear": short, "open_face": assembly.open_face}))
    run(data, tmp_path)
    assert [len(clip.frames) for clip in read_index(tmp_path / "out")] == [10, 10]


def test_a_full_disk_is_said(data, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards, "_add", full)
    with pytest.raises(OutputError, match="no space is left on the disk"):
        run(data, tmp_path)
    assert list((tmp_path / "out").iterdir()) == []


def test_settings_lists_and_folders_that_cannot_be_are_said(data, tmp_path):
    for wrong in ({"per_shard": 0}, {"size": 0}, {"min_seconds": 0.0}, {"min_seconds": 3.0, "max_seconds": 2.0}):
        with pytest.raises(UsageError):
            PrepareSettings(**wrong)
    with pytest.raises(InputError, match="cannot be read"):
        read_names(tmp_path / "missing.txt")
    with pytest.raises(InputError, match="not text"):
        read_names(put(tmp_path / "list.txt", b"\xff\xfe"))
    with pytest.raises(InputError, match="names no video"):
        read_names(put(tmp_path / "list.txt", b"\n"))
    with pytest.raises(InputError, match="not a folder"):
        find_videos(data / "0" / "good.mp4")
    found = find_videos(data, ("0/good", "9/lost"))
    assert (found.videos, found.troubles[0][:42]) == (("0/good.mp4",), "1 of the 2 videos of the list are not in t")


def test_what_is_no_video_by_its_name_is_counted(data):
    for name in ("notes.txt", "face.png", "voice.wav", ".mp4", "noending"):
        put(data / name, b"x")
    found = find_videos(data)
    assert (len(found.videos), found.others) == (2, 5)


@pytest.mark.parametrize("command", ["prepare", "train"])
def test_a_stop_says_that_it_goes_on(command, monkeypatch, capsys):
    def stopped(*_):
        raise Cancelled("Stopped. Nothing was written.")

    monkeypatch.setattr(f"lipsync_core.cli_train.run_{command}", stopped)
    rest = ["data", "-o", "shards"] if command == "prepare" else ["expert", "expert.toml"]
    assert main([command, *rest]) == 130
    assert capsys.readouterr().err == "Stopped. Started again, it goes on from here.\n"


def test_a_video_that_kills_its_process_is_left_out_and_the_others_are_not(data, talking, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_hands, "_serve", dying_hands.serve)
    put(data / "m" / "deadly.mp4", talking)
    sources, said = run(data, tmp_path, workers=1)
    assert sources == ["0/good.mp4", "z/good.mp4"]
    assert said == {"m/deadly.mp4": "the process that read it ended (signal 9)."}
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_video_that_never_ends_is_left_out_and_the_others_are_not(data, talking, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_hands, "_serve", dying_hands.serve)
    monkeypatch.setattr(prepare_hands, "SILENT_SECONDS", 6.0)
    put(data / "m" / "endless.mp4", talking)
    sources, said = run(data, tmp_path, workers=2)
    assert sources == ["0/good.mp4", "z/good.mp4"]
    assert "no sign of life" in said["m/endless.mp4"]


def test_a_process_without_a_sign_of_life_is_ended_and_its_video_is_known(data, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_hands, "_serve", sleeping_hand.serve)
    monkeypatch.setattr(prepare_hands, "SILENT_SECONDS", 0.5)
    (task,) = plan_tasks(find_videos(data), tmp_path / "out", SETTINGS)
    hand = prepare_hands.Hand(prepare_hands.portable(quiet_runtime(tmp_path)))
    hand.give(task, {})
    while (answer := hand.take()) is None:
        time.sleep(0.05)
    assert answer.place == 1
    assert "no sign of life" in answer.why
    assert not multiprocessing.active_children()


def test_a_stop_does_not_wait_for_a_process_that_hangs(data, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_hands, "_serve", sleeping_hand.serve)
    tasks = plan_tasks(find_videos(data), tmp_path / "out", SETTINGS)
    asked: list[int] = []
    runtime = quiet_runtime(tmp_path, cancelled=lambda: asked.append(1) or len(asked) == 3)
    with pytest.raises(Cancelled):
        prepare(tasks, runtime, 2)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_run_that_was_killed_is_finished_without_doubles_and_with_the_same_bytes(talking, tmp_path):
    for number in range(5):
        put(tmp_path / "data" / f"{number}.mp4", talking)
    put(tmp_path / "data" / "2a.mp4", b"")
    settings = PrepareSettings(**{**vars(SETTINGS), "per_shard": 1})
    tasks = plan_tasks(find_videos(tmp_path / "data"), tmp_path / "whole", settings)
    prepare(tasks, quiet_runtime(tmp_path))
    order = [sys.executable, "-m", "lipsync_core", "prepare", "data", "-o", "out", "--per-shard", "1", "--workers", "2"]
    place = {**os.environ, "SD_LIPSYNC_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(Path(__file__).parents[1])}
    first = subprocess.Popen([*order, *FLAGS, "--offline"], cwd=tmp_path, env=place, stdout=subprocess.DEVNULL)
    while not list((tmp_path / "out").glob("*.json")):
        assert first.poll() is None
        time.sleep(0.05)
    workers = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert psutil.wait_procs(workers, timeout=30)[1] == []  # they follow
    done = subprocess.run([*order, *FLAGS, "--offline"], cwd=tmp_path, env=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("5 clips in 6 shards; 1 left out.")
    kept = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("whole", "out")]
    assert kept[0] == kept[1]
    names = [clip.name for clip in read_index(tmp_path / "out")]
    assert len(names) == len(set(names)) == 5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not MAKER.exists() or shutil.which("ffmpeg") is None, reason="../shared/cases or ffmpeg is missing")
def test_every_odd_file_of_the_cases_is_said_and_no_good_video_is_lost(data, tmp_path, monkeypatch):
    (data / "odd").mkdir()
    monkeypatch.setattr(sys, "argv", ["make_cases", str(data / "odd")])
    spec = importlib.util.spec_from_file_location("make_cases", MAKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in (*VIDEOS, *SOUNDS):
        module.CASES[name](name)
    wanted = {name for name in (*VIDEOS, *SOUNDS) if Path(name).suffix in ENDINGS}
    for path in (data / "odd").iterdir():  # what the cases are made of
        if path.name not in (*VIDEOS, *SOUNDS):
            path.unlink()
    sources, said = run(data, tmp_path)
    assert sources == ["0/good.mp4", "z/good.mp4"]
    assert set(said) == {f"odd/{name}" for name in wanted}
    assert find_videos(data).others == len(VIDEOS) + len(SOUNDS) - len(wanted)
