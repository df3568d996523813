"""The video reader: every frame once, upright, in its right colours, through damage, in constant memory."""

import os
import random
import struct
import threading
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from PIL import Image

from lipsync_core.errors import InputError, LipSyncError
from lipsync_core.timing import source_indices
from lipsync_core.video import clip as clip_module
from lipsync_core.video import reader as reader_module
from lipsync_core.video.clip import probe
from lipsync_core.video.colour import tone_map
from lipsync_core.video.reader import VideoReader


def whole(path, size=16, **options):
    """All frames of a video, and its reader, closed."""
    with VideoReader(path, **options) as reader:
        frames = [row for batch in reader.batches(size) for row in batch.pixels]
    return frames, reader


# ------------------------------------------------------------------------------------------------- time


@pytest.mark.parametrize("size", [1, 7, 100])
def test_every_frame_comes_once_whatever_the_size_of_the_batch(write_video, number_on, size):
    with VideoReader(write_video("clip.mp4", 30)) as reader:
        batches = list(reader.batches(size))
    assert [batch.first for batch in batches] == list(range(0, 30, size))
    assert [number_on(row) for batch in batches for row in batch.pixels] == list(range(30))
    assert all(batch.pixels.flags.writeable and batch.pixels.dtype == np.uint8 for batch in batches)


@pytest.mark.parametrize("rate", ["24000/1001", "25", "30000/1001", "50", "60000/1001"])
@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
def test_a_constant_rate_is_kept_exactly(write_video, number_on, rate, kind):
    path = write_video(f"clip.{kind}", 70, rate=Fraction(rate), container={"mkv": "matroska", "ts": "mpegts"}.get(kind))
    frames, reader = whole(path)
    assert reader.fps == Fraction(rate)
    assert [number_on(row) for row in frames] == list(range(70))
    assert reader.frame_count == 70
    assert reader.notes == ()


def test_a_variable_rate_becomes_constant_by_frame_time(write_video, number_on):
    times = [0, 40, 80, 400, 410, 420, 460, 500, 900]
    frames, _ = whole(write_video("clip.mkv", 9, times_ms=times), fps=Fraction(25))
    expected = [max(i for i, t in enumerate(times) if t <= slot * 40 + 1) for slot in range(23)]
    assert [number_on(row) for row in frames][:23] == expected


def test_the_users_rate_decides(write_video, number_on):
    path = write_video("clip.mp4", 20, rate=50)
    assert [number_on(row) for row in whole(path, fps=Fraction(25))[0]] == list(range(0, 20, 2))
    info = probe(path, Fraction(100))
    assert (info.fps, info.frame_count, info.seconds) == (100, 40, 0.4)


def test_a_late_start_is_remembered_and_not_filled(write_video, number_on):
    path = write_video("clip.mkv", 10, times_ms=[5000 + 40 * index for index in range(10)])
    frames, reader = whole(path)
    assert [number_on(row) for row in frames] == list(range(10))
    assert reader.start == 5


def test_frames_without_time_stamps_are_counted(write_video, number_on):
    frames, reader = whole(write_video("clip.h264", 20, container="h264"))
    assert [number_on(row) for row in frames] == list(range(20))
    assert any("no time stamps" in note for note in reader.notes)


def test_too_few_or_too_many_frames_a_second_are_changed_and_said(write_video, number_on):
    frames, reader = whole(write_video("slow.mp4", 3, rate=2))
    assert (reader.fps, len(frames)) == (24, 36)
    assert any("too few for lips" in note for note in reader.notes)
    frames, reader = whole(write_video("fast.mkv", 40, rate=500))
    assert reader.fps == Fraction(500, 3)
    assert [number_on(row) for row in frames][:4] == [0, 3, 6, 9]


def test_a_file_that_knows_no_rate_is_measured_and_else_25_is_assumed(write_video, monkeypatch):
    path = write_video("clip.mp4", 20, rate=30)
    unknown = type("Stream", (), {"average_rate": None, "base_rate": None, "index": 0})()
    notes: list[str] = []
    assert clip_module._rate(path, unknown, "clip.mp4", notes, True) == 30
    assert notes == []
    raw = write_video("clip.h264", 5, container="h264")
    assert clip_module._rate(raw, unknown, "clip.h264", notes, True) == 25
    assert "assumed" in notes[0]


# ------------------------------------------------------------------------------------------------- fits


@pytest.mark.parametrize("fit", ["loop", "pingpong", "hold", "cut"])
@pytest.mark.parametrize("kind", ["mp4", "mkv", "h264"])
@pytest.mark.parametrize("piece", [1, 1 << 30], ids=["pieces", "at once"])
def test_a_short_video_is_made_as_long_as_the_fit_says(write_video, number_on, monkeypatch, fit, kind, piece):
    monkeypatch.setattr(reader_module, "BACKWARDS_BYTES", piece)
    container = {"mkv": "matroska", "h264": "h264"}.get(kind)
    path = write_video(f"clip.{kind}", 21, options={"bf": "3", "g": "6"}, container=container)
    with VideoReader(path) as reader:
        batches = list(reader.frames(75, fit, 10))
    numbers = [number_on(row) for batch in batches for row in batch.pixels]
    expected = list(range(21)) if fit == "cut" else source_indices(fit, 0, 75, 21).tolist()
    assert numbers == expected
    assert batches[-1].first + len(batches[-1]) == len(expected)


@pytest.mark.parametrize("fit", ["loop", "pingpong", "hold", "cut"])
def test_a_result_shorter_than_the_video_is_its_beginning(write_video, number_on, fit):
    with VideoReader(write_video("clip.mp4", 30)) as reader:
        numbers = [number_on(row) for batch in reader.frames(12, fit, 5) for row in batch.pixels]
    assert numbers == list(range(12))


@pytest.mark.parametrize("fit", ["loop", "pingpong", "hold"])
def test_one_frame_is_a_still_picture(write_video, fit):
    with VideoReader(write_video("clip.mp4", 1)) as reader:
        assert sum(len(batch) for batch in reader.frames(40, fit, 16)) == 40


def test_a_search_that_lands_too_late_falls_back_to_reading_from_the_start(write_video, number_on, monkeypatch):
    path = write_video("clip.mp4", 30, options={"g": "5"})
    monkeypatch.setattr(reader_module, "BACKWARDS_BYTES", 1)
    monkeypatch.setattr(reader_module, "_SEARCH_EARLIER", (Fraction(-3),))
    with VideoReader(path) as reader:
        numbers = [number_on(row) for batch in reader.frames(70, "pingpong", 10) for row in batch.pixels]
    assert numbers == source_indices("pingpong", 0, 70, 30).tolist()


def test_a_picture_lasts_as_long_as_it_has_to(tmp_path):
    Image.new("RGB", (60, 40), (10, 200, 30)).save(tmp_path / "face.png")
    with VideoReader(tmp_path / "face.png") as reader:
        assert (reader.info.is_image, reader.fps, reader.width, reader.height) == (True, None, 60, 40)
        assert [len(batch) for batch in reader.batches(8)] == [1]
        batches = list(reader.frames(20, "loop", 8))
    assert [(batch.first, len(batch)) for batch in batches] == [(0, 8), (8, 8), (16, 4)]
    assert (np.concatenate([batch.pixels for batch in batches]) == (10, 200, 30)).all()
    batches[0].pixels[:] = 0
    assert (batches[1].pixels == (10, 200, 30)).all()
    with VideoReader(tmp_path / "face.png", max_side=30) as reader:
        (batch,) = reader.batches(4)
    assert batch.pixels.shape == (1, 20, 30, 3)


def test_an_unknown_fit_is_our_mistake(write_video):
    with VideoReader(write_video("clip.mp4", 3)) as reader, pytest.raises(ValueError, match="fit must be"):
        reader.frames(3, "stretch", 1)


# ------------------------------------------------------------------------------------------------- geometry

ORIENTATIONS = {
    (1, 0, 0, 1): lambda p: p,
    (-1, 0, 0, 1): lambda p: p[:, ::-1],
    (1, 0, 0, -1): lambda p: p[::-1],
    (-1, 0, 0, -1): lambda p: p[::-1, ::-1],
    (0, 1, -1, 0): lambda p: np.rot90(p, -1),
    (0, -1, 1, 0): lambda p: np.rot90(p),
    (0, 1, 1, 0): lambda p: p.transpose(1, 0, 2),
    (0, -1, -1, 0): lambda p: np.rot90(p, 2).transpose(1, 0, 2),
}


@pytest.mark.parametrize("matrix", ORIENTATIONS, ids=str)
def test_turned_and_mirrored_videos_come_upright(write_video, matrix):
    corner = np.full((48, 64, 3), 40, np.uint8)
    corner[:16, :16] = 230
    corner[32:, :16] = 140
    path = write_video("clip.mp4", 3, picture=lambda _: corner)
    plain = whole(path)[0][0]
    data = bytearray(path.read_bytes())
    a, b, c, d = (value * 65536 for value in matrix)
    place = data.index(b"tkhd") + 44
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    frames, reader = whole(path)
    expected = ORIENTATIONS[matrix](plain)
    assert (reader.height, reader.width) == expected.shape[:2]
    assert np.abs(frames[0].astype(int) - expected).max() <= 3


@pytest.mark.parametrize(
    ("aspect", "width", "height"), [(Fraction(16, 11), 93, 48), (Fraction(1, 2), 64, 96), (Fraction(1, 99), 64, 48)]
)
def test_pixels_become_square(write_video, aspect, width, height):
    def setup(stream):
        stream.codec_context.sample_aspect_ratio = aspect

    frames, reader = whole(write_video("clip.mp4", 3, setup=setup))
    assert frames[0].shape == (height, width, 3)
    assert (reader.info.width, reader.info.height) == (width, height)


@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv420p", "bgr0"])
def test_odd_sizes_are_kept(write_video, number_on, pix_fmt):
    frames, _ = whole(write_video("clip.mkv", 5, size=(101, 77), codec="ffv1", pix_fmt=pix_fmt))
    assert frames[0].shape == (77, 101, 3)
    assert [number_on(row) for row in frames] == list(range(5))


def test_the_analysis_may_ask_for_small_frames(write_video, number_on):
    path = write_video("clip.mp4", 5, size=(320, 200))
    frames, reader = whole(path, max_side=64)
    assert frames[0].shape == (40, 64, 3)
    assert reader.scale == 0.2
    assert (reader.info.width, reader.info.height) == (320, 200)
    assert [number_on(row) for row in frames] == list(range(5))
    assert whole(path, max_side=1000)[1].scale == 1.0


# ------------------------------------------------------------------------------------------------- colour

KR_KB = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}
PATCHES = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).repeat(8, 0).repeat(8, 1)


def to_yuv(rgb, matrix: int, full: bool, size=(64, 48)) -> av.VideoFrame:
    """The definition of Y'CbCr, with chroma of one 8x8 patch."""
    kr, kb = KR_KB[matrix]
    red, green, blue = (rgb[..., channel] / 255 for channel in range(3))
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    scale, offset, chroma_scale = (255, 0, 255) if full else (219, 16, 224)
    planes = [luma * scale + offset, *(plane[::2, ::2] * chroma_scale + 128 for plane in chroma)]
    frame = av.VideoFrame(*size, "yuv420p")
    for plane, values in zip(frame.planes, planes, strict=True):
        padded = np.zeros((plane.height, plane.line_size), np.uint8)
        padded[:, : plane.width] = np.rint(values).clip(0, 255)
        plane.update(padded.tobytes())
    return frame


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [1, 5, 9])
def test_colours_are_right_for_every_matrix_and_range(write_video, matrix, full):
    def setup(stream):
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = 2 if full else 1

    def picture(_):
        frame = to_yuv(PATCHES, matrix, full)
        frame.color_range, frame.colorspace = (2 if full else 1), matrix
        return frame

    frames, _ = whole(write_video("clip.mkv", 2, codec="ffv1", picture=picture, setup=setup))
    assert np.abs(frames[0].astype(int) - PATCHES).mean() <= 2


def test_an_untagged_small_video_is_bt601_and_a_large_one_bt709(write_video):
    for size, matrix in (((64, 48), 5), ((1280, 720), 1)):
        rgb = np.broadcast_to(np.array([200, 40, 60]), (size[1], size[0], 3))

        def picture(_, rgb=rgb, matrix=matrix, size=size):
            return to_yuv(rgb, matrix, False, size)

        frames, _ = whole(write_video("clip.mkv", 1, size=size, codec="ffv1", picture=picture))
        assert np.abs(frames[0].astype(int) - rgb).max() <= 3


def test_grey_and_ten_bit_videos_are_read(write_video, number_on):
    for pix_fmt in ("gray", "yuv420p10le", "yuv422p", "bgr0"):
        frames, reader = whole(write_video("clip.mkv", 4, codec="ffv1", pix_fmt=pix_fmt))
        assert [number_on(row) for row in frames] == list(range(4))
        assert {30, 230} >= set(np.unique(frames[1].round(-1)).tolist())
        assert reader.notes == ()


def test_transparent_parts_are_black_and_said(write_video):
    rgba = np.full((48, 64, 4), 200, np.uint8)
    rgba[..., 3] = 255
    rgba[:, :32, 3] = 0

    def picture(_):
        return av.VideoFrame.from_ndarray(rgba, "rgba")

    frames, reader = whole(write_video("clip.mov", 2, codec="qtrle", pix_fmt="argb", picture=picture))
    assert frames[0][:, :32].max() == 0
    assert (frames[0][:, 32:] == 200).all()
    assert reader.notes == ("clip.mov: has transparency and is put on black.",)
    rgba[..., 3] = 255
    assert whole(write_video("clip.mov", 2, codec="qtrle", pix_fmt="argb", picture=picture))[1].notes == ()


def test_interlaced_pictures_are_made_whole(write_video):
    def moving_bar(index):
        fields = np.full((48, 64, 3), 40, np.uint8)
        for field in (0, 1):  # the second field is half a frame later
            left = 8 * index + 4 * field
            fields[field::2, left : left + 12] = 200
        return fields

    def combing(pixels):
        return np.abs(np.diff(pixels[..., 1].astype(int), axis=0)).mean()

    options = {"flags": "+ilme+ildct", "qmin": "1"}
    frames, reader = whole(write_video("clip.mpg", 7, codec="mpeg2video", picture=moving_bar, options=options))
    assert any("deinterlaced" in note for note in reader.notes)
    assert len(frames) == 7
    assert combing(frames[3]) < 0.3 * combing(moving_bar(3))


@pytest.mark.parametrize("transfer", ["PQ", "HLG"])
def test_hdr_is_mapped_to_an_ordinary_screen(transfer):
    grey = np.repeat(np.linspace(0, 65535, 64).astype(np.uint16)[None, :, None], 3, axis=2)
    mapped = tone_map(grey, transfer)[0].astype(int)
    assert mapped[0].tolist() == [0, 0, 0]
    assert mapped[-1].min() >= 250
    assert (np.diff(mapped[:, 0]) >= 0).all()
    assert np.ptp(mapped, axis=1).max() <= 2
    white = {"PQ": 0.5806, "HLG": 0.75}[transfer]  # 203 cd/m2
    assert 225 <= tone_map(np.full((1, 1, 3), round(white * 65535), np.uint16), transfer)[0, 0, 0] <= 250


def test_an_hdr_video_is_recognised_and_said(write_video):
    def setup(stream):
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 9, 16, 9, 1

    frames, reader = whole(write_video("clip.mkv", 2, codec="ffv1", pix_fmt="yuv420p10le", setup=setup))
    assert reader.notes == ("clip.mkv: is HDR (PQ) and is mapped to the colours of an ordinary screen.",)
    assert frames[0].dtype == np.uint8


# ------------------------------------------------------------------------------------------------- damage


def noise(index):
    """A numbered card with noise, so that every frame costs about the same number of bytes."""
    card = np.kron(np.array([(index >> bit) & 1 for bit in range(16)]).reshape(2, 8), np.ones((120, 40))) * 200 + 30
    grain = np.random.default_rng(index).integers(-25, 25, (240, 320, 3))
    return (card[..., None] + grain).clip(0, 255).astype(np.uint8)


def spoil_packets(path: Path, which: slice) -> None:
    """Overwrite the content of some of the video packets."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for place, size in packets[which]:
        data[place : place + size] = b"\xff" * size
    path.write_bytes(data)


def test_a_file_cut_short_gives_what_is_there_and_says_so(write_video, number_on):
    options = {"movflags": "+faststart"}
    path = write_video(
        "clip.mp4",
        50,
        container_options=options,
        options={"bf": "0", "x264-params": "no-info=1"},
        size=(320, 240),
        picture=noise,
    )
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
    frames, reader = whole(path)
    assert 20 < len(frames) < 48
    assert [number_on(row) for row in frames][:20] == list(range(20))
    assert reader.info.frame_count == 50
    assert reader.frame_count == len(frames)
    assert any("ends early, at" in note and "of 2.0 s" in note for note in reader.notes)


def test_damaged_parts_are_held_and_counted(write_video, number_on):
    path = write_video("clip.mp4", 50, options={"x264-params": "keyint=5:min-keyint=5:scenecut=0:bframes=0"})
    spoil_packets(path, slice(20, 24))
    frames, reader = whole(path)
    assert len(frames) == 50
    numbers = [number_on(row) for row in frames]
    assert numbers[:20] == list(range(20))
    assert numbers[25:] == list(range(25, 50))
    assert any("parts are damaged; the picture before each is held" in note for note in reader.notes)


def test_a_file_of_which_most_is_damaged_is_refused(write_video):
    path = write_video("clip.mp4", 40, options={"g": "1"})
    spoil_packets(path, slice(10, None))
    with pytest.raises(InputError, match=r"clip\.mp4: (2[5-9]|30) of 40 parts could not be decoded"):
        whole(path)


def test_joined_pieces_of_two_sizes_are_shown_one_after_the_other(write_video, number_on):
    one = write_video("one.ts", 20, container="mpegts")
    two = write_video("two.ts", 10, size=(128, 96), container="mpegts")
    one.write_bytes(one.read_bytes() + two.read_bytes())
    frames, reader = whole(one)
    assert [number_on(row) for row in frames] == [*range(20), *range(10)]
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    assert any("changes its size" in note for note in reader.notes)
    assert any("time stamps jump" in note for note in reader.notes)


def test_a_damaged_clock_makes_no_endless_video(write_video, number_on):
    path = write_video("clip.avi", 12, codec="mpeg4")
    data = bytearray(path.read_bytes())
    place = data.index(b"strh") + 28  # scale, rate, start, length
    data[place : place + 16] = struct.pack("<4I", 9_240_577, 25, 0, 0xFF000000)
    path.write_bytes(data)
    frames, reader = whole(path)
    assert [number_on(row) for row in frames] == list(range(12))
    assert reader.info.frame_count <= 12
    assert any("has no frame rate" in note for note in reader.notes)


def test_what_has_no_picture_to_read_is_refused_with_the_reason(write_video, tmp_path, tone):
    sound = write_video("clip.mp4", 3, sound=tone(1))
    with av.open(str(sound)) as source, av.open(str(tmp_path / "sound.mp4"), "w") as out:
        track = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = track
                out.mux(packet)
    (tmp_path / "words.mp4").write_text("not a video\n" * 30)
    for path, words in {
        tmp_path / "sound.mp4": "has sound but no picture",
        tmp_path / "words.mp4": "not a video or picture (it looks like text)",
        write_video("tiny.mkv", 3, size=(16, 16), codec="ffv1"): "16x16 is too small",
        write_video("huge.mkv", 1, size=(4112, 4096), codec="ffv1"): "4112x4096 is larger than 4096x4096",
    }.items():
        with pytest.raises(InputError) as caught:
            VideoReader(path)
        assert str(caught.value).startswith(f"{path.name}: ")
        assert words in str(caught.value)


def test_a_codec_nobody_knows_is_named(write_video):
    path = write_video("clip.mp4", 5)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    with pytest.raises(InputError, match=r"codec 'zzzz' is not supported\. Convert it to H\.264"):
        VideoReader(path)


def test_a_file_replaced_while_it_is_read_ends_in_an_error(write_video, tmp_path, tone):
    path = write_video("clip.mp4", 5)
    with VideoReader(path) as reader:
        write_video("other.mp4", 5, sound=tone(1)).replace(path)
        path.write_bytes(b"gone")
        with pytest.raises(InputError, match=r"clip\.mp4"):
            next(reader.batches(2))


def test_sound_is_noticed(write_video, tone):
    assert probe(write_video("with.mp4", 5, sound=tone(0.2))).has_audio
    assert not probe(write_video("without.mp4", 5)).has_audio


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["mp4", "mkv", "avi", "ts", "gif"])
def test_damage_anywhere_ends_in_frames_or_in_an_error_for_the_user(write_video, kind):
    codec, pix_fmt = {"avi": ("mpeg4", "yuv420p"), "gif": ("gif", "rgb8")}.get(kind, ("libx264", "yuv420p"))
    container = {"mkv": "matroska", "ts": "mpegts"}.get(kind, kind)
    path = write_video(f"clip.{kind}", 12, codec=codec, pix_fmt=pix_fmt, container=container)
    data, dice = path.read_bytes(), random.Random(kind)
    for _ in range(40):
        damaged = bytearray(data)
        for _ in range(dice.choice((1, 4, 30))):
            # Half of the hits go to the headers, where they do most.
            damaged[dice.randrange(len(data) if dice.random() < 0.5 else 600)] = dice.randrange(256)
        path.write_bytes(damaged[: dice.choice((len(data), dice.randrange(1, len(data))))])
        with suppress(LipSyncError), VideoReader(path) as reader:
            for batch in reader.frames(40, "pingpong", 8):
                assert batch.pixels.shape[1:] == (reader.height, reader.width, 3)


# ------------------------------------------------------------------------------------------------- resources


def open_files() -> int:
    return psutil.Process().num_fds() if hasattr(psutil.Process, "num_fds") else len(psutil.Process().open_files())


def test_fifty_readings_leave_no_file_and_no_thread_open(write_video):
    path = write_video("clip.mp4", 20)
    whole(path)
    files, threads = open_files(), threading.active_count()
    for turn in range(50):
        with VideoReader(path) as reader:
            batches = reader.frames(30, "pingpong", 4)
            for _ in range(turn % 5):
                next(batches)
        with suppress(InputError):
            VideoReader(Path(os.devnull))
    assert open_files() <= files
    assert threading.active_count() <= threads


def test_closing_stops_the_decoding_at_once(write_video):
    path = write_video("clip.mp4", 25, size=(640, 480))
    with VideoReader(path) as reader:
        batches = reader.frames(1_000_000, "loop", 4)
        next(batches)
        start = time.perf_counter()
    assert time.perf_counter() - start < 0.5
    assert list(batches) == []


def test_the_reader_holds_few_frames_however_slow_its_consumer(write_video, monkeypatch):
    monkeypatch.setattr(reader_module, "AHEAD_BYTES", 4 * 64 * 48 * 3)
    made = []
    convert = reader_module.Converter.__call__
    monkeypatch.setattr(reader_module.Converter, "__call__", lambda self, frame: made.append(1) or convert(self, frame))
    with VideoReader(write_video("clip.mp4", 60)) as reader:
        batches = reader.batches(8)
        next(batches)
        time.sleep(0.2)
        assert len(made) == 8 + 4


@pytest.mark.parametrize("size", [1, 5])
def test_the_reader_has_the_next_batch_ready_and_no_more(write_video, monkeypatch, size):
    made = []
    convert = reader_module.Converter.__call__
    monkeypatch.setattr(reader_module.Converter, "__call__", lambda self, frame: made.append(1) or convert(self, frame))
    with VideoReader(write_video("clip.mp4", 60)) as reader:
        batches = reader.batches(size)
        next(batches)
        time.sleep(0.2)
        assert len(made) == 2 * size


@pytest.mark.slow
def test_ten_times_the_length_needs_no_more_memory(write_video):
    short, long = (write_video(f"{n}.mp4", n, size=(640, 360), options={"preset": "ultrafast"}) for n in (500, 5000))

    def grown(path: Path) -> int:
        with VideoReader(path) as reader:
            for _ in reader.batches(16):
                pass
        return psutil.Process().memory_info().rss

    grown(short)
    assert grown(long) - grown(short) < 32 << 20
