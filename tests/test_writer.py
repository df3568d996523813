import hashlib
import os
import subprocess
import sys
import textwrap
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lipsync_core.errors import Cancelled, InputError, OutputError
from lipsync_core.sound import open_track
from lipsync_core.types import FrameBatch
from lipsync_core.video.check import check_written
from lipsync_core.video.writer import AudioSource, Clip, Encoding, open_writer

RATES = [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60)]
FAST = Encoding(crf=18, preset="ultrafast")


def cards(count, width=64, height=48, first=0):
    """Frames of which each has its own brightness."""
    levels = 16 + (np.arange(first, first + count) * 37 % 200)
    return np.broadcast_to(levels[:, None, None, None].astype(np.uint8), (count, height, width, 3)).copy()


def write(path, count=10, fps=Fraction(25), size=(64, 48), audio=None, batch=4, **options):
    clip = Clip(*size, fps, count)
    with open_writer(path, clip, audio, encoding=options.pop("encoding", FAST), **options) as writer:
        for first in range(0, count, batch):
            writer.write(FrameBatch(first, cards(min(batch, count - first), *size, first)))
    return writer


def pictures(path):
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.video[0]))
        return frames, [frame.pts * frame.time_base for frame in frames]


def rgb(frame):
    """(H, W, 3) by the equations of BT.709, limited range, and not by the library that wrote it."""
    planes = frame.to_ndarray().astype(float)
    height, width = frame.height, frame.width
    chroma = planes[height:].reshape(2, height // 2, width // 2).repeat(2, 1).repeat(2, 2)
    luma, blue, red = (planes[:height] - 16) / 219, (chroma[0] - 128) / 224, (chroma[1] - 128) / 224
    r, b = luma + 1.5748 * red, luma + 1.8556 * blue
    g = (luma - 0.2126 * r - 0.0722 * b) / 0.7152
    return 255 * np.stack([r, g, b], axis=-1)


def sound(path):
    """(rate, (channels, n) samples) from the start of the picture on."""
    pieces = list(open_track(path).pieces())
    return pieces[0].rate, np.concatenate([piece.samples for piece in pieces], axis=1)


def sound_file(path, codec, rate=48000, seconds=2.0, layout="mono", click=None, late=None):
    """A tone, or a click at a second. late: begin this many seconds after a picture that is there then."""
    count = round(rate * seconds)
    samples = (0.3 * np.sin(2 * np.pi * 440 * np.arange(count) / rate)).astype(np.float32)
    if click is not None:
        samples = np.zeros(count, np.float32)
        samples[round(click * rate) : round(click * rate) + rate // 200] = 0.9 * np.hanning(rate // 200)
    with av.open(str(path), "w") as out:
        picture = None if late is None else out.add_stream("mpeg4", rate=25, width=32, height=32)
        stream = out.add_stream(codec, rate=rate, layout=layout)
        for index in range(50 if picture else 0):
            frame = av.VideoFrame(32, 32, "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(picture.encode(frame))
        form = stream.codec_context.format.name
        resampler = av.AudioResampler(form, layout, rate, stream.codec_context.frame_size or 1024)
        planes = np.repeat(samples[None], stream.layout.nb_channels, 0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), "fltp", layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), round((late or 0) * rate)
        for ready in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(ready))
        for ending in [picture, stream] if picture else [stream]:
            out.mux(ending.encode(None))
    return path


def packets_of(path):
    with av.open(str(path)) as container:
        return [hashlib.md5(bytes(p)).hexdigest() for p in container.demux(container.streams.audio[0]) if p.size]


@pytest.mark.parametrize("fps", RATES, ids=str)
@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv"])
def test_frame_count_rate_and_times_come_back_exactly(tmp_path, fps, extension):
    path = tmp_path / f"out.{extension}"
    write(path, 33, fps)
    frames, times = pictures(path)
    assert len(frames) == 33
    fineness = Fraction(1, 1000) if extension == "mkv" else Fraction(0)  # Matroska counts milliseconds
    assert all(abs(time - index / fps) <= fineness for index, time in enumerate(times))
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == fps
        assert abs(Fraction(container.duration, 1_000_000) - 33 / fps) < 1 / fps


def test_frames_come_back_in_their_order(tmp_path):
    write(tmp_path / "out.mp4", 30)
    levels = [frame.to_ndarray(format="gray").mean() for frame in pictures(tmp_path / "out.mp4")[0]]
    expected = cards(30)[:, 0, 0, 0].astype(float)
    assert np.corrcoef(levels, expected)[0, 1] > 0.999


@pytest.mark.parametrize(
    "colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 150, 120), (90, 60, 160)]
)
def test_flat_colours_survive_the_way_there_and_back(tmp_path, colour):
    path = tmp_path / "out.mp4"
    frames = np.broadcast_to(np.array(colour, np.uint8), (5, 48, 64, 3)).copy()
    with open_writer(path, Clip(64, 48, Fraction(25)), encoding=FAST) as writer:
        writer.write(FrameBatch(0, frames))
    assert np.abs(rgb(pictures(path)[0][2]) - frames[0]).mean() <= 2


def test_the_file_says_bt709_limited_and_yuv420p(tmp_path):
    write(tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        assert tuple(map(int, tags)) == (1, 1, 1, 1)
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")


def test_a_player_can_begin_before_the_whole_file_is_there(tmp_path):
    write(tmp_path / "out.mp4")
    whole = (tmp_path / "out.mp4").read_bytes()
    assert whole.index(b"moov") < whole.index(b"mdat")


def test_odd_sizes_are_padded_by_one_and_not_stretched(tmp_path):
    path = tmp_path / "out.mkv"
    frame = np.random.default_rng(0).integers(60, 200, (25, 33, 1), np.uint8).repeat(3, -1)
    frame = np.kron(frame[::5, ::3], np.ones((5, 3, 1), np.uint8))
    with open_writer(path, Clip(33, 25, Fraction(25)), encoding=Encoding(crf=1, preset="ultrafast")) as writer:
        writer.write(FrameBatch(0, frame[None]))
    (decoded,) = (rgb(shown) for shown in pictures(path)[0])
    assert decoded.shape == (26, 34, 3)
    assert np.abs(decoded[:25, :33] - frame).mean() < 4
    assert np.abs(decoded[25, :33] - frame[24]).mean() < 4


def test_a_lower_crf_makes_a_larger_file(tmp_path):
    sizes = []
    noise = np.random.default_rng(0).integers(0, 256, (6, 48, 64, 3), np.uint8)
    for crf in (10, 40):
        path = tmp_path / f"{crf}.mp4"
        with open_writer(path, Clip(64, 48, Fraction(25)), encoding=Encoding(crf, "ultrafast")) as writer:
            writer.write(FrameBatch(0, noise))
        sizes.append(path.stat().st_size)
    assert sizes[0] > 2 * sizes[1]


def test_webm_is_vp9(tmp_path):
    write(tmp_path / "out.webm", 5)
    with av.open(str(tmp_path / "out.webm")) as container:
        assert container.streams.video[0].codec_context.name in ("vp9", "libvpx-vp9")


def test_an_encoder_without_crf_gets_a_bit_rate(tmp_path):
    write(tmp_path / "out.mp4", 5, encoding=Encoding(codec="mpeg4"))
    assert len(pictures(tmp_path / "out.mp4")[0]) == 5


# --------------------------------------------------------------------------------------------------- sound


@pytest.mark.parametrize(
    ("source", "codec", "target"),
    [("a.m4a", "aac", "mp4"), ("a.m4a", "aac", "mov"), ("a.m4a", "aac", "mkv"), ("a.mp3", "libmp3lame", "mp4"),
     ("a.mka", "ac3", "mp4"), ("a.m4a", "alac", "mp4"), ("a.ogg", "libopus", "mp4"), ("a.ogg", "libopus", "webm"),
     ("a.flac", "flac", "mkv")],
)  # fmt: skip
def test_the_sound_is_copied_unchanged_where_the_container_takes_it(tmp_path, source, codec, target):
    original = sound_file(tmp_path / source, codec)
    out = tmp_path / f"out.{target}"
    assert write(out, 50, audio=AudioSource(original)).audio_copied
    copied, packets = packets_of(out), packets_of(original)
    assert set(copied) <= set(packets)
    assert len(packets) - len(copied) <= 2  # priming, or the packet past the end
    assert abs(sound(out)[1].shape[1] / sound(out)[0] - 2) <= 0.04


def test_uncompressed_sound_stays_uncompressed_in_mov(tmp_path):
    original = sound_file(tmp_path / "a.wav", "pcm_s16le")
    assert write(tmp_path / "out.mov", 50, audio=AudioSource(original)).audio_copied
    assert np.array_equal(sound(tmp_path / "out.mov")[1], sound(original)[1])


@pytest.mark.parametrize(("source", "codec"), [("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.wav", "pcm_f32le")])
@pytest.mark.parametrize(("rate", "layout"), [(16000, "mono"), (44100, "stereo"), (22050, "mono"), (48000, "5.1")])
def test_other_sound_becomes_aac_at_the_rate_and_channels_of_the_source(tmp_path, source, codec, rate, layout):
    original = sound_file(tmp_path / source, codec, rate, layout=layout)
    assert not write(tmp_path / "out.mp4", 50, audio=AudioSource(original)).audio_copied
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.sample_rate) == ("aac", rate)
        assert stream.layout.nb_channels == {"mono": 1, "stereo": 2, "5.1": 6}[layout]
        assert stream.duration * stream.time_base == 2


def test_a_rate_that_aac_has_not_is_resampled(tmp_path):
    original = sound_file(tmp_path / "a.wav", "pcm_s16le", 192000)
    write(tmp_path / "out.mp4", 50, audio=AudioSource(original))
    assert sound(tmp_path / "out.mp4")[0] == 48000


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize(
    ("source", "codec", "rate"),
    [
        ("a.m4a", "aac", 44100),
        ("a.mp3", "libmp3lame", 44100),
        ("a.ogg", "libopus", 48000),
        ("a.wav", "pcm_s16le", 16000),
    ],
)
@pytest.mark.parametrize("start", [Fraction(0), Fraction(3, 10)])
def test_sound_keeps_its_place_against_the_picture(tmp_path, extension, source, codec, rate, start):
    original = sound_file(tmp_path / source, codec, rate, click=1.0)
    out = tmp_path / f"out.{extension}"
    write(out, 30, audio=AudioSource(original, start=start))
    found, samples = sound(out)
    assert abs(np.abs(samples[0]).argmax() / found - (1.0025 - float(start))) < 0.003


@pytest.mark.parametrize("codec", ["ac3", "flac"])  # copied, encoded
def test_sound_that_starts_after_its_picture_still_does(tmp_path, codec):
    film = sound_file(tmp_path / "film.mkv", codec, click=0.5, late=0.7)
    assert write(tmp_path / "out.mp4", 68, audio=AudioSource(film)).audio_copied == (codec == "ac3")
    rate, samples = sound(tmp_path / "out.mp4")
    assert abs(np.abs(samples[0]).argmax() / rate - 1.2025) < 0.008  # AC-3 has a delay of its own


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
@pytest.mark.parametrize("frames", [20, 50, 80])
def test_sound_and_picture_end_within_one_frame(tmp_path, codec, frames):
    original = sound_file(tmp_path / ("a.m4a" if codec == "aac" else "a.wav"), codec, 44100)
    write(tmp_path / "out.mp4", frames, audio=AudioSource(original))
    rate, samples = sound(tmp_path / "out.mp4")
    assert abs(samples.shape[1] / rate - frames / 25) <= 0.04


def test_sound_of_unknown_length_is_cut_with_the_picture(tmp_path):
    original = sound_file(tmp_path / "a.wav", "pcm_s16le", 16000, 3)
    with open_writer(tmp_path / "out.mp4", Clip(64, 48, Fraction(25)), AudioSource(original), encoding=FAST) as writer:
        writer.write(FrameBatch(0, cards(25)))
    rate, samples = sound(tmp_path / "out.mp4")
    assert samples.shape[1] == rate


def test_sound_far_too_loud_is_turned_down_and_no_numbers_are_silence(tmp_path):
    original = sound_file(tmp_path / "a.wav", "pcm_f32le", 16000)
    data = bytearray(original.read_bytes())
    start = data.index(b"data") + 8
    samples = np.frombuffer(bytes(data[start:]), "<f4") * 50
    samples[10:20] = np.nan
    data[start:] = samples.astype("<f4").tobytes()
    original.write_bytes(bytes(data))
    write(tmp_path / "out.mp4", 50, audio=AudioSource(original))
    _, decoded = sound(tmp_path / "out.mp4")
    middle = decoded[0, 2000:-2000]
    assert np.isfinite(middle).all()
    assert 0.6 < np.sqrt((middle**2).mean()) < 0.8  # still a sine, of full height


def test_a_source_without_sound_is_an_input_error(tmp_path):
    write(tmp_path / "silent.mp4")
    with pytest.raises(InputError, match="no sound track"):
        write(tmp_path / "out.mp4", audio=AudioSource(tmp_path / "silent.mp4"))
    assert [p.name for p in tmp_path.iterdir()] == ["silent.mp4"]


# ------------------------------------------------------------------------------------ whole or not at all


def write_cards(path, clip, frames):
    with open_writer(path, clip, encoding=FAST) as writer:
        for _ in range(10):
            writer.write(FrameBatch(0, frames))


def write_then_raise(path, error, audio=None):
    with open_writer(path, Clip(64, 48, Fraction(25)), audio, encoding=FAST) as writer:
        writer.write(FrameBatch(0, cards(20)))
        raise error


@pytest.mark.parametrize("error", [Cancelled("Stopped."), KeyboardInterrupt(), RuntimeError("bug")])
def test_nothing_is_left_when_the_work_is_broken_off(tmp_path, error):
    original = sound_file(tmp_path / "a.m4a", "aac")
    with pytest.raises(type(error)):
        write_then_raise(tmp_path / "out.mp4", error, AudioSource(original))
    assert [p.name for p in tmp_path.iterdir()] == ["a.m4a"]
    assert not any(thread.name == "lipsync-encode" for thread in threading.enumerate())


def test_an_old_result_stays_when_the_new_one_fails(tmp_path):
    (tmp_path / "out.mp4").write_bytes(b"old")
    with pytest.raises(RuntimeError):
        write_then_raise(tmp_path / "out.mp4", RuntimeError())
    assert (tmp_path / "out.mp4").read_bytes() == b"old"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@pytest.mark.parametrize("name", ["http:x.mp4", "-out.mp4", "100 %d [1].mp4", "über 嘴.mp4"])
def test_a_name_is_never_taken_for_something_else(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write(name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_clip_without_frames_is_an_error(tmp_path):
    with (
        pytest.raises(OutputError, match="no frames"),
        open_writer(tmp_path / "out.mp4", Clip(64, 48, Fraction(25))),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_frame_of_another_size_is_our_bug_and_comes_back_from_the_thread(tmp_path):
    small = Clip(64, 48, Fraction(25))
    with pytest.raises(ValueError, match="the clip is 64x48"):
        write_cards(tmp_path / "out.mp4", small, cards(1, 32, 32))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there are no resource limits on Windows")
def test_a_full_disk_is_an_output_error_and_leaves_nothing(tmp_path):
    script = textwrap.dedent("""
        import resource, sys
        from fractions import Fraction
        import numpy as np
        from lipsync_core.errors import OutputError
        from lipsync_core.types import FrameBatch
        from lipsync_core.video.writer import Clip, Encoding, open_writer

        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        noise = np.random.default_rng(0).integers(0, 256, (10, 240, 320, 3), np.uint8)
        try:
            with open_writer(sys.argv[1], Clip(320, 240, Fraction(25)), encoding=Encoding(10, "ultrafast")) as writer:
                for first in range(0, 100, 10):
                    writer.write(FrameBatch(first, noise))
        except OutputError as error:
            print(error)
    """)
    path = tmp_path / "out" / "big.mp4"
    path.parent.mkdir()
    command = [sys.executable, "-c", script, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=True)
    assert "big.mp4" in done.stdout
    assert "larger than this disk or user may hold" in done.stdout
    assert done.stderr == ""
    assert list(path.parent.iterdir()) == []


def test_a_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError):
        write(tmp_path / "nowhere" / "out.mp4")


def test_a_file_with_too_few_frames_is_not_accepted(tmp_path):
    write(tmp_path / "out.mp4", 10)
    write(tmp_path / "out.mkv", 10)
    for name in ("out.mp4", "out.mkv"):
        check_written(tmp_path / name, tmp_path / name, 10, Fraction(25))
        with pytest.raises(OutputError, match="10 of 12 frames"):
            check_written(tmp_path / name, tmp_path / name, 12, Fraction(25))
