"""The command: flags, exit codes, folders, and what it prints."""

import json
import os
from pathlib import Path

import pytest
from demo_media import BOX, quiet_runtime, short_voice, small_portrait

from lipsync_core import __main__ as command
from lipsync_core import cli
from lipsync_core.batch import pairs
from lipsync_core.cli_options import given_options
from lipsync_core.errors import InputError, UsageError
from lipsync_core.options import LipSyncOptions, knobs
from lipsync_core.progress import Bars

QUICK = ["--box", BOX, "--preset", "ultrafast", "--offline", "--device", "cpu"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SD_LIPSYNC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(command.StopSignal, "install", lambda self: None)  # the test runner's signals stay its own


@pytest.fixture
def media(tmp_path):
    small_portrait(tmp_path / "face.png")
    short_voice(tmp_path / "voice.wav", 0.3)
    return tmp_path


def lipsync(*words):
    return command.main([str(word) for word in words])


def parsed(*words):
    return given_options(command.build_parser().parse_args(["sync", "f.png", "v.wav", "-o", "o.mp4", *words]))


def test_one_command_makes_a_video_and_says_so(media, capsys):
    assert lipsync("sync", media / "face.png", media / "voice.wav", "-o", media / "out.mp4", *QUICK) == 0
    said = capsys.readouterr().out
    assert "8 frames" in said
    assert "puppet on cpu" in said
    assert (media / "out.mp4").stat().st_size > 1000


def test_without_a_voice_a_portrait_idles(media, capsys):
    assert lipsync("sync", media / "face.png", "-o", media / "out.mp4", "--idle", "0.4", *QUICK) == 0
    assert "10 frames" in capsys.readouterr().out
    assert lipsync("sync", media / "face.png", "-o", media / "other.mp4", *QUICK) == 2


def test_the_report_is_written_as_json(media):
    report = media / "report.json"
    lipsync("sync", media / "face.png", media / "voice.wav", "-o", media / "o.mp4", "--report", report, *QUICK)
    facts = json.loads(report.read_text())
    assert facts["frames"] == 8
    assert facts["faces"] == 1


@pytest.mark.parametrize("name", sorted(knobs()))
def test_every_option_is_a_flag_with_help(name, capsys):
    with pytest.raises(SystemExit) as end:
        lipsync("sync", "--help")
    assert end.value.code == 0
    assert f"--{name.replace('_', '-')}" in capsys.readouterr().out


def test_flags_left_out_mean_the_defaults():
    assert parsed() == LipSyncOptions()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--pads", "1", "20", "3", "4"], {"pad_top": 1, "pad_bottom": 20, "pad_left": 3, "pad_right": 4}),
        (["--box", "10", "90", "20", "80"], {"box": "20,10,80,90"}),
        (["--box", "-1", "-1", "-1", "-1"], {}),
        (["--box", "20,10,80,90"], {"box": "20,10,80,90"}),
        (["--crop", "0", "-1", "0", "-1"], {"crop": "0,-1,0,-1"}),
        (["--rotate"], {"rotate": 90}),
        (["--rotate", "180"], {"rotate": 180}),
        (["--static", "True"], {"static": True}),
        (["--static", "False"], {"static": False}),
        (["--static"], {"static": True}),
        (["--nosmooth"], {"smoothing": 0.0}),
        (["--resize_factor", "2"], {"resize_factor": 2}),
        (["--wav2lip_batch_size", "64"], {"batch_size": 64}),
        (["--face_det_batch_size", "4"], {}),
        (["--fps", "30"], {"fps": "30"}),
        (["--checkpoint_path", "c.pth"], {"checkpoint": "c.pth"}),
        (["--no-gate"], {"gate": False}),
        (["--input_yaw", "-20", "30", "10"], {"yaw": "-20,30,10"}),
        (["--yaw", "0,30"], {"yaw": "0,30"}),
        (["--yaw=-20,30"], {"yaw": "-20,30"}),
        (["--ref_eyeblink", "a.mp4", "--ref_pose", "b.mp4"], {"blink_video": "a.mp4", "pose_video": "b.mp4"}),
        (
            ["--size", "512", "--pose_style", "45", "--expression_scale", "1.3"],
            {"head_size": "512", "pose_style": 45, "expression_scale": 1.3},
        ),
        (["--preprocess", "crop", "--still"], {"preprocess": "crop", "still": True}),
    ],
)
def test_the_originals_flags_mean_what_they_meant(words, expected):
    assert parsed(*words) == LipSyncOptions(**expected)


def test_the_original_spelling_of_a_whole_call_works(media):
    words = ["sync", "--face", media / "face.png", "--audio", media / "voice.wav", "--outfile", media / "o.mp4"]
    assert lipsync(*words, *QUICK) == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["sync", "no.png", "voice.wav", "-o", "o.mp4"], 3, "no.png: there is no such file"),
        (["sync", "face.png", "no.wav", "-o", "o.mp4"], 3, "no.wav: there is no such file"),
        (["sync", "face.png", "voice.wav", "-o", "o.xyz"], 5, "cannot be written as '.xyz'"),
        (["sync", "face.png", "voice.wav", "-o", "face.png"], 5, "face.png"),
        (["sync", "face.png", "voice.wav"], 2, "-o OUT"),
        (["sync", "face.png", "voice.wav", "-o", "o.mp4", "--crf", "99"], 2, r"Quality \(crf\) is 99"),
        (["sync", "face.png", "voice.wav", "-o", "o.mp4", "--device", "cuda:77"], 2, "--device cpu"),
        (["sync", "face.png", "voice.wav", "-o", "o.mp4", "--checkpoint", "wav2lip_gna"], 6, "wav2lip_gna"),
        (["sync", "face.png", "voice.wav", "-o", "o.mp4", "--box", "1,2,3"], 2, "takes 4 numbers"),
        (["sync", "face.png", "voice.wav", "-o", "o.mp4", "--box", "900,900,950,950"], 2, "lies outside the picture"),
        (["inspect", "no.mp4"], 3, "no.mp4: there is no such file"),
        (["weights", "get", "nothing"], 6, "nothing"),
        (["weights", "add", "face.png"], 6, "face.png"),
    ],
)
def test_a_fault_ends_in_one_line_and_its_exit_code(media, monkeypatch, capsys, words, code, said):
    monkeypatch.chdir(media)
    quick = [] if "--box" in words or words[0] != "sync" else ["--box", BOX]
    offline = ["--offline"] if words[0] in ("sync", "weights") else []
    assert lipsync(*words, *quick, *offline) == code
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) <= 6
    import re

    assert re.search(said, err), err


def test_debug_shows_the_traceback(media):
    with pytest.raises(InputError):
        lipsync("--debug", "sync", media / "no.png", media / "voice.wav", "-o", media / "o.mp4")


def test_a_folder_of_voices_makes_a_video_of_each_and_one_failure_is_reported(media, capsys):
    voices = media / "voices"
    voices.mkdir()
    short_voice(voices / "a.wav", 0.2)
    (voices / "b.wav").write_bytes(b"not audio" * 50)
    short_voice(voices / "c.wav", 0.2)
    report = media / "report.json"
    code = lipsync("sync", media / "face.png", voices, "-o", media / "out", "--report", report, *QUICK)
    assert code == 4
    assert sorted(path.name for path in (media / "out").iterdir()) == ["a.mp4", "c.mp4"]
    rows = json.loads(report.read_text())
    assert ["error" in row for row in rows] == [False, True, False]
    assert "2 of 3 videos made" in capsys.readouterr().out


def test_a_folder_that_is_stopped_says_what_had_been_made(media, capsys, monkeypatch):
    voices = media / "voices"
    voices.mkdir()
    for name in ("a", "b", "c"):
        short_voice(voices / f"{name}.wav", 0.2)
    monkeypatch.setattr(command.StopSignal, "wanted", lambda self: (media / "out" / "a.mp4").exists())
    assert lipsync("sync", media / "face.png", voices, "-o", media / "out", *QUICK) == 130
    assert "Stopped. 1 of 3 videos had been made; nothing else was written." in capsys.readouterr().err
    assert [path.name for path in (media / "out").iterdir()] == ["a.mp4"]


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


def test_two_folders_are_paired_by_name(tmp_path):
    faces, voices = (
        touch(tmp_path / "f", "anna.png", "ben.jpg", "eve.png"),
        touch(tmp_path / "v", "ben.wav", "anna.mp3"),
    )
    jobs, many = pairs(faces, voices, tmp_path / "out")
    assert many
    assert [(f.name, v.name, o.name) for f, v, o in jobs] == [
        ("anna.png", "anna.mp3", "anna.mp4"),
        ("ben.jpg", "ben.wav", "ben.mp4"),
    ]


def test_two_folders_without_a_common_name_are_refused(tmp_path):
    with pytest.raises(UsageError, match="paired by file name"):
        pairs(touch(tmp_path / "f", "a.png"), touch(tmp_path / "v", "b.wav"), tmp_path / "out")


def test_a_folder_of_faces_gives_each_its_own_name(tmp_path):
    faces = touch(tmp_path / "f", "a.png", "a.jpg", "b.png", ".hidden.png", "notes.txt")
    jobs, _ = pairs(faces, tmp_path / "v.wav", tmp_path / "out")
    assert [o.name for _, _, o in jobs] == ["a.mp4", "a-2.mp4", "b.mp4"]


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no face in this folder"):
        pairs(touch(tmp_path / "f", "notes.txt"), tmp_path / "v.wav", tmp_path / "out")


def test_folders_need_a_folder_for_the_results(tmp_path):
    with pytest.raises(UsageError, match="must be a folder"):
        pairs(touch(tmp_path / "f", "a.png"), tmp_path / "v.wav", tmp_path / "out.mp4")


def test_inspect_says_what_is_in_a_file(media, capsys):
    assert lipsync("inspect", media / "face.png") == 0
    assert "picture" in capsys.readouterr().out
    assert lipsync("inspect", media / "voice.wav", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "sound"
    assert facts["sound seconds"] == "0.300"


def test_inspect_finds_the_mark_of_a_result(media, capsys):
    lipsync("sync", media / "face.png", media / "voice.wav", "-o", media / "out.mp4", *QUICK)
    lipsync("inspect", media / "out.mp4", "--json")
    facts = json.loads(capsys.readouterr().out.split("\n", 2)[2])
    assert facts["made by AI"].endswith("compositeWithTrainedAlgorithmicMedia")
    assert facts["frames"] == "8"


def test_weights_are_listed_with_their_licences(capsys):
    assert lipsync("weights", "list", "--offline") == 0
    said = capsys.readouterr().out
    assert "wav2lip" in said
    assert "yunet" in said


def test_nothing_to_verify_is_not_a_fault(media, capsys):
    assert lipsync("weights", "verify", "--offline", "--models", media) == 0


def test_a_stop_wish_ends_with_the_signals_code(media, monkeypatch, capsys):
    monkeypatch.setattr(command.StopSignal, "wanted", lambda self: True)
    monkeypatch.setattr(command.StopSignal, "number", 15, raising=False)

    def start(self):
        self.number = 15

    monkeypatch.setattr(command.StopSignal, "__init__", start)
    assert lipsync("sync", media / "face.png", media / "voice.wav", "-o", media / "o.mp4", *QUICK) == 143
    assert "Nothing was written" in capsys.readouterr().err
    assert not (media / "o.mp4").exists()


def test_a_second_signal_does_not_wait():
    stop = command.StopSignal()
    stop._note(2, None)
    assert stop.wanted()
    with pytest.raises(KeyboardInterrupt):
        stop._note(2, None)


def test_without_a_home_the_cache_is_in_the_temporary_folder(monkeypatch):
    for name in ("SD_LIPSYNC_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def nowhere():
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", nowhere)
    assert cli.cache_dir().name == "sd-lipsync"


def test_the_reader_of_the_output_may_go_away(media, monkeypatch, capsys):
    def gone(text):
        raise BrokenPipeError

    monkeypatch.setattr(cli, "_print", gone)
    assert lipsync("inspect", media / "face.png") == 0


def test_bars_show_each_stage_and_stay_silent_when_asked(capsys):
    bars = Bars(shown=True)
    for stage, done, total in (("faces", 0, 2), ("faces", 2, 2), ("render", 0, 0), ("render", 5, 10)):
        bars(stage, done, total)
    said = capsys.readouterr().err
    assert "finding the face" in said
    assert "rendering" in said
    Bars(shown=False)("faces", 1, 2)
    assert capsys.readouterr().err == ""


def test_a_runtime_knows_the_folders_it_was_given(media):
    assert quiet_runtime(media).offline
    arguments = command.build_parser().parse_args(
        ["sync", "f", "a", "-o", "o", "--models", str(media), "--models", str(media / "x"), "--device", "cpu"]
    )
    runtime = cli.make_runtime(arguments, LipSyncOptions(device="cpu"), lambda: False)
    assert runtime.model_dirs[:2] == (media, media / "x")
    assert runtime.precision in ("bf16", "fp32")
    assert os.fspath(runtime.cache_dir or "")
