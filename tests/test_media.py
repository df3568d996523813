"""Opening media safely, saying what is wrong with it, and output that appears whole or not at all."""

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import wave
from pathlib import Path

import pytest

from lipsync_core.diagnosis import cause_of_failure, codec_tag, looks_like_text
from lipsync_core.errors import InputError, OutputError
from lipsync_core.media import (
    atomic_output,
    check_output_path,
    content_hash,
    open_media,
    output_error,
    shown_name,
    sweep_parts,
)

AWKWARD_NAMES = [
    "two words.wav",
    "'\"$(id);&|.wav",
    "-i.wav",
    "100%03d.wav",
    "line\nbreak.wav",
    "\N{GRINNING FACE}.wav",
    "\N{RIGHT-TO-LEFT OVERRIDE}vaw.wav",
    "e\N{COMBINING ACUTE ACCENT}.wav",
    "a:b.wav",
    "concat:x.wav",
    "http:x.wav",
    "[1]*?.wav",
    "dot. ",
    "n" * 251 + ".wav",
    os.fsdecode(b"\xff\xfe.wav"),
]


def write_wav(path: Path, samples: int = 800) -> Path:
    with wave.open(os.fspath(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(2 * samples))
    return path


@pytest.mark.parametrize("name", AWKWARD_NAMES, ids=ascii)
def test_a_file_opens_whatever_its_name(tmp_path, name, monkeypatch):
    write_wav(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    with open_media(name) as container:
        assert container.streams.audio[0].rate == 16000


@pytest.mark.parametrize("name", AWKWARD_NAMES, ids=ascii)
def test_an_output_can_have_any_name(tmp_path, name):
    with atomic_output(tmp_path / name) as part:
        part.write_bytes(b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb\x1b[31m.mp4", r"a\nb\x1b[31m.mp4"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}4pm.exe", r"\u202e4pm.exe"),
        (os.fsdecode(b"\xff.mp4"), r"\xff.mp4"),
        ("über \N{GRINNING FACE}.mp4", "über \N{GRINNING FACE}.mp4"),
        ("\ud800.mp4", r"\ud800.mp4"),
    ],
)
def test_names_are_printed_without_control_characters(name, shown):
    assert shown_name("/somewhere/" + name) == shown


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty (0 bytes)"),
        (b"hello this is not a video\n" * 50, "looks like text"),
        ("Grüße".encode() * 2000, "looks like text"),
        (bytes(range(128, 256)) * 50, "not a media file we know"),
        (b"#EXTM3U\n#EXTINF:1,\nsecret.ts\n", "playlist"),
        (b"ffconcat version 1.0\nfile secret.mp4\n", "playlist"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "playlist"),
        (b"[playlist]\nFile1=a.mp3\n", "playlist"),
        (b'<?xml version="1.0"?><MPD></MPD>', "playlist"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG picture"),
        (b"\0\0\0\x18ftypheic" + bytes(50), "Convert it to PNG or JPEG"),
        (b"MThd" + bytes(50), "MIDI"),
        (b"PK\x03\x04" + bytes(50), "ZIP"),
        (b"\0\0\0\x18ftypisom" + bytes(16) + b"\0\0\1\0mdat", "incomplete (it has no index)"),
        (b"\0\0\0\x18ftypisom" + bytes(16) + b"\0\0\1\0moov" + bytes(20), "incomplete (it has no index)"),
        (b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x03moov" + bytes(20), "incomplete"),
        (b"\x1aE\xdf\xa3" + bytes(50), "damaged"),
    ],
)
def test_the_error_says_what_the_file_is_instead(tmp_path, content, words):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        open_media(path)
    assert str(caught.value).startswith("clip.mp4: ")
    assert words in str(caught.value)
    assert "Errno" not in str(caught.value)


FTYP = b"\0\0\0\x10ftypisom\0\0\0\0"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (FTYP + b"\0\0\0\x10moovencvaaaa", "encrypted (DRM)"),
        (FTYP + b"\0\0\0\x10moovaaaaaaaa", "damaged"),
        (FTYP + b"\0\0\0\x00moovaaaa", "damaged"),
        (FTYP + b"\0\0\0\x01free\0\0\0\0\0\0\0\x10\0\0\0\x0bmoovaaa", "damaged"),
        (FTYP + b"\0\0\0\x04free", "incomplete"),
    ],
)
def test_the_index_of_an_mp4_tells_why_it_does_not_decode(tmp_path, content, words):
    (tmp_path / "clip.mp4").write_bytes(content)
    assert words in cause_of_failure(tmp_path / "clip.mp4")


def test_looking_for_the_cause_survives_a_file_that_is_gone(tmp_path):
    assert "cannot be read" in cause_of_failure(tmp_path / "gone.mp4")
    assert codec_tag(tmp_path / "gone.mp4") == ""


def test_text_cut_inside_a_character_is_still_text():
    assert looks_like_text("Grüße".encode()[:3])
    assert not looks_like_text(b"\xff\xfe\x00" * 30)


def test_what_is_not_a_file_is_refused_at_once(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    expected = {
        tmp_path / "folder.mp4": "folder",
        tmp_path / "dangling.mp4": "points to a file that does not exist",
        tmp_path / "loop.mp4": "leads back to itself",
        tmp_path / "missing.mp4": "no such file",
        tmp_path / ("x" * 300): "too long",
        Path("/dev/zero"): "device or a pipe",
        Path("nul\0.mp4"): "not a file name",
    }
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo.mp4")
        expected[tmp_path / "fifo.mp4"] = "device or a pipe"
    for path, words in expected.items():
        with pytest.raises(InputError, match=words):
            open_media(path)


def test_a_file_one_may_not_read_is_refused_with_the_reason(tmp_path, monkeypatch):
    path = write_wav(tmp_path / "secret.wav")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="not allowed to read"):
        open_media(path)


def test_a_server_opens_fewer_formats_than_a_user(tmp_path):
    path = tmp_path / "voice.aiff"
    header = b"FORM\0\0\0\x3aAIFFCOMM\0\0\0\x12\0\1\0\0\0\x08\0\x10\x40\x0c\xfa\0\0\0\0\0\0\0"
    path.write_bytes(header + b"SSND\0\0\0\x18" + bytes(8) + bytes(16))
    with open_media(path, wide=True) as container:
        assert container.format.name == "aiff"
    with pytest.raises(InputError, match="not supported"):
        open_media(path, wide=False)


@pytest.mark.parametrize("name", ["list.m3u8", "upload.mp4", "list.ffconcat"])
def test_a_playlist_opens_neither_a_second_file_nor_a_connection(tmp_path, name):
    write_wav(tmp_path / "secret.wav")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        for text in (
            f"#EXTM3U\n#EXTINF:1,\n{address}\n",
            "#EXTM3U\n#EXTINF:1,\nsecret.wav\n",
            "ffconcat version 1.0\nfile secret.wav\n",
            f"ffconcat version 1.0\nfile {address}\n",
        ):
            (tmp_path / name).write_text(text)
            with pytest.raises(InputError, match="playlist"):
                open_media(tmp_path / name)
        with pytest.raises(TimeoutError):
            server.accept()


def test_protocol_strings_are_names_of_files_that_do_not_exist():
    for text in (
        "concat:a|b",
        "http://127.0.0.1/a.mp4",
        "pipe:0",
        "data:text/plain,x",
        "subfile,,start,0,end,9,,:/etc",
    ):
        with pytest.raises(InputError, match="no such file"):
            open_media(text)


def test_the_hash_is_of_the_content_not_of_the_name(tmp_path):
    one, two = write_wav(tmp_path / "1.wav"), write_wav(tmp_path / "2.wav")
    assert content_hash(one) == content_hash(two)
    assert len(content_hash(one)) == 64
    write_wav(two, samples=801)
    assert content_hash(one) != content_hash(two)


def test_an_output_appears_only_when_it_is_whole(tmp_path):
    final = tmp_path / "out.mp4"
    with atomic_output(final) as part:
        part.write_bytes(b"whole")
        assert part.parent == tmp_path
        assert not final.exists()
    assert final.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [final]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failed_output_leaves_the_old_file_and_nothing_else(tmp_path, failure):
    final = tmp_path / "out.mp4"
    final.write_bytes(b"old")

    def fail() -> None:
        with atomic_output(final) as part:
            part.write_bytes(b"half")
            raise failure

    with pytest.raises(failure):
        fail()
    assert final.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [final]


def test_a_failure_at_the_rename_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="no space is left"), atomic_output(tmp_path / "out.mp4") as part:
        part.write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077], ids=oct)
def test_the_umask_decides_who_may_read_the_result(tmp_path, mask):
    before = os.umask(mask)
    try:
        with atomic_output(tmp_path / "out.mp4") as part:
            part.write_bytes(b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.mp4").stat().st_mode) == 0o666 & ~mask


def test_of_two_runs_to_one_name_the_first_wins(tmp_path):
    final = tmp_path / "out.mp4"

    def race() -> None:
        with atomic_output(final, overwrite=False) as part:
            part.write_bytes(b"second")
            with atomic_output(final, overwrite=False) as other:
                other.write_bytes(b"first")

    with pytest.raises(OutputError, match="already exists"):
        race()
    assert final.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [final]


def test_a_disk_without_hard_links_can_be_written_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    final = tmp_path / "out.mp4"
    with atomic_output(final, overwrite=False) as part:
        part.write_bytes(b"x")
    assert final.read_bytes() == b"x"
    with pytest.raises(OutputError, match="already exists"), atomic_output(final, overwrite=False):
        pass


def test_parts_of_dead_processes_are_swept_and_no_others(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = tmp_path / f".out.mp4.0123abcd.{int(dead.stdout)}.part"
    mine = tmp_path / f".out.mp4.0123abcd.{os.getpid()}.part"
    foreign = tmp_path / "download.part"
    for path in (left, mine, foreign):
        path.write_bytes(b"x")
    with atomic_output(tmp_path / "new.mp4") as busy:
        old = time.time() - 3600
        os.utime(busy, (old, old))
        assert sweep_parts(tmp_path) == [left]
        assert busy.exists()
    assert sorted(tmp_path.iterdir()) == sorted([mine, foreign, tmp_path / "new.mp4"])


def test_an_old_part_with_a_reused_process_number_is_swept(tmp_path):
    part = tmp_path / f".out.mp4.0123abcd.{os.getpid()}.part"
    part.write_bytes(b"x")
    os.utime(part, (time.time() - 3600,) * 2)
    assert sweep_parts(tmp_path) == [part]
    assert sweep_parts(tmp_path / "no such folder") == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_after_a_kill_the_next_start_removes_the_part(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from lipsync_core.media import atomic_output\n"
        "with atomic_output(Path(sys.argv[1])) as part:\n"
        "    part.write_bytes(b'half'); print('ready', flush=True); time.sleep(60)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, os.fspath(tmp_path / "out.mp4")],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"ready\n"
        assert sweep_parts(tmp_path) == []
        child.send_signal(signal.SIGKILL)
        child.wait()
    (part,) = tmp_path.iterdir()
    assert sweep_parts(tmp_path) == [part]
    assert list(tmp_path.iterdir()) == []


def test_where_the_result_may_go_is_known_before_the_work(tmp_path):
    made = check_output_path(tmp_path / "new" / "deep" / "out.MP4")
    assert made.parent.is_dir()
    assert list(made.parent.iterdir()) == []
    with pytest.raises(OutputError, match=r"\.mp4, \.mov, \.mkv, \.webm"):
        check_output_path(tmp_path / "out.avi")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(OutputError, match="folder"):
        check_output_path(tmp_path / "folder.mp4", overwrite=True)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"out\.mp4: "):
        check_output_path(tmp_path / "file" / "out.mp4")
    with pytest.raises(OutputError, match="too long"):
        check_output_path(tmp_path / ("x" * 300 + ".mp4"))


def test_an_existing_result_is_kept_unless_the_user_says_so(tmp_path):
    path = write_wav(tmp_path / "out.mp4")
    with pytest.raises(OutputError, match="already exists"):
        check_output_path(path)
    assert check_output_path(path, overwrite=True) == path
    assert path.stat().st_size > 44


def test_a_file_that_is_read_is_never_written(tmp_path):
    face = write_wav(tmp_path / "face.mp4")
    (tmp_path / "soft.mp4").symlink_to(face)
    os.link(face, tmp_path / "hard.mp4")
    for out in ("face.mp4", "soft.mp4", "hard.mp4"):
        with pytest.raises(OutputError, match="files that are read"):
            check_output_path(tmp_path / out, inputs=[tmp_path / "voice.wav", face], overwrite=True)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_found_before_the_work(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match="not allowed to write"):
        check_output_path(tmp_path / "out.mp4")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space is left"),
        (errno.EFBIG, "larger than"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "not allowed"),
        (errno.ENOENT, "no folder"),
        (errno.EIO, "could not be written"),
    ],
)
def test_write_errors_say_what_to_do(number, words):
    message = str(output_error(OSError(number, "words of the system"), "/films/out.mp4"))
    assert message.startswith("out.mp4: ")
    assert words in message


def test_threads_write_side_by_side(tmp_path):
    def write(number):
        with atomic_output(tmp_path / f"{number}.mp4") as part:
            part.write_bytes(bytes([number]))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry.read_bytes() for entry in tmp_path.iterdir()) == [bytes([n]) for n in range(8)]
