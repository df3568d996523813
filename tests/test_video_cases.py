"""The odd video files of ../shared/cases, each against its line in the table, and a few that are made by hand."""

import importlib.util
import shutil
import struct
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import psutil
import pytest

from lipsync_core.errors import InputError
from lipsync_core.media import open_media
from lipsync_core.video.decode import Health, decode
from lipsync_core.video.reader import VideoReader

SHARED = Path(__file__).parents[1].parent / "shared" / "cases" / "make_cases.py"


def load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CASES = load("cases_video", Path(__file__).with_name("cases_video.py")).CASES


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """The folder of the cases, and what makes each of them."""
    if not SHARED.exists() or shutil.which("ffmpeg") is None:
        pytest.skip("../shared/cases or the ffmpeg program that makes them is not here")
    folder = tmp_path_factory.mktemp("cases")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["make_cases", str(folder)])
        return folder, load("make_cases", SHARED).CASES


# What makes the cases leaves its files open, and takes seconds for the largest.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if "8192" in n else n for n in CASES])
def test_odd_video_files_give_what_the_table_says(cases, name):
    folder, makers = cases
    try:
        makers[name](name)
    except RuntimeError as error:
        pytest.skip(f"this ffmpeg cannot make the case: {error}")
    expected = CASES[name]
    if isinstance(expected, str):
        with pytest.raises(InputError) as caught:
            VideoReader(folder / name)
        assert str(caught.value).startswith(f"{name}: ")
        assert expected in str(caught.value)
        return
    frames, fps, width, height, note = expected
    with VideoReader(folder / name) as reader:
        pixels = np.concatenate([batch.pixels for batch in reader.batches(16)])
    least, most = frames if isinstance(frames, tuple) else (frames, frames)
    assert least <= len(pixels) <= most
    assert pixels.shape[1:] == (height, width, 3)
    assert reader.fps == fps
    assert (reader.info.width, reader.info.height) == (width, height)
    if note is None:
        assert reader.notes == ()
    else:
        assert any(note in line for line in reader.notes)


def test_every_video_case_has_its_line_in_the_table(cases):
    _, makers = cases
    assert {name for name in makers if name[0] in "VG"} == set(CASES)


def box(kind: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I4s", 8 + len(data), kind) + data


FTYP = box(b"ftyp", b"isom\0\0\2\0isomiso2")


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    before = psutil.Process().memory_info().rss
    with pytest.raises(InputError) as caught:
        VideoReader(path)
    assert psutil.Process().memory_info().rss - before < 512 << 20
    return str(caught.value)


@pytest.mark.timeout(5)
def test_a_file_of_a_hundred_thousand_streams_is_refused(tmp_path):
    handler = box(b"hdlr", bytes(8), b"vide", bytes(13))
    track = box(b"trak", box(b"tkhd", bytes(84)), box(b"mdia", box(b"mdhd", bytes(24)), handler))
    assert "clip.mp4: " in refused(
        tmp_path / "clip.mp4", FTYP + box(b"moov", box(b"mvhd", bytes(100)), track * 100_000)
    )


@pytest.mark.timeout(5)
def test_a_table_that_claims_more_than_there_is_is_refused(tmp_path):
    sizes = box(b"stsz", bytes(8), struct.pack(">I", 0x3FFFFFFF), bytes(4000))
    handler = box(b"hdlr", bytes(8), b"vide", bytes(13))
    entry = box(b"avc1", bytes(6), b"\0\1", bytes(16), struct.pack(">HH", 64, 48), bytes(50))
    table = box(b"stbl", box(b"stsd", bytes(4), b"\0\0\0\1", entry), sizes)
    track = box(b"trak", box(b"tkhd", bytes(84)), box(b"mdia", box(b"mdhd", bytes(24)), handler, box(b"minf", table)))
    assert "clip.mp4: " in refused(tmp_path / "clip.mp4", FTYP + box(b"moov", box(b"mvhd", bytes(100)), track))


@pytest.mark.timeout(5)
def test_boxes_nested_ten_thousand_deep_are_refused(tmp_path):
    nested = b""
    for _ in range(10_000):
        nested = struct.pack(">I4s", 8 + len(nested), b"moov") + nested
    assert "clip.mp4: " in refused(tmp_path / "clip.mp4", FTYP + nested)


def test_a_picture_track_that_calls_itself_sound_is_no_video(write_video):
    path = write_video("clip.mp4", 5)
    path.write_bytes(path.read_bytes().replace(b"vide", b"soun"))
    with pytest.raises(InputError, match="has sound but no picture"):
        VideoReader(path)


def test_a_first_packet_that_is_broken_costs_only_itself(write_video, number_on):
    path = write_video("clip.mp4", 20, options={"x264-params": "keyint=5:min-keyint=5:scenecut=0:bframes=0"})
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : start + 60] = b"\xff" * 60
    path.write_bytes(data)
    with VideoReader(path) as reader:
        numbers = [number_on(row) for batch in reader.batches(8) for row in batch.pixels]
    assert numbers[-15:] == list(range(5, 20))
    assert any("damaged" in note for note in reader.notes)


def test_a_stream_that_appears_on_the_way_is_passed_over(write_video):
    class Stumbling:
        """A container that fails now and then, as PyAV's does on packets of streams that it does not know."""

        def __init__(self, container):
            self.container, self.packets = container, 0

        def demux(self, stream):
            for packet in self.container.demux(stream):
                yield packet
                self.packets += 1
                if self.packets % 7 == 0:
                    raise IndexError("list index out of range")

    health = Health()
    with open_media(write_video("clip.ts", 30, container="mpegts")) as container:
        frames = list(decode(Stumbling(container), container.streams.video[0], health))
    assert len(frames) == 30
    assert health.read_failures == 4


def test_an_encrypted_video_is_known_even_where_its_bytes_happen_to_decode(tmp_path):
    from conftest import write_video

    data = write_video(tmp_path / "plain.mp4", 5).read_bytes()
    # The sample entry says that it is protected; the samples themselves are in the clear.
    entry = data.index(b"avc1", data.index(b"stsd"))
    (tmp_path / "locked.mp4").write_bytes(data[:entry] + b"encv" + data[entry + 4 :])
    with pytest.raises(InputError, match="locked.mp4: .*encrypted"):
        VideoReader(tmp_path / "locked.mp4")
