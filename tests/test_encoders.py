import os
from fractions import Fraction

import av
import numpy as np
import pytest

from lipsync_core.errors import OutputError
from lipsync_core.video import encoders
from lipsync_core.video.encoders import Encoding, choose_encoder


def test_another_h264_encoder_takes_over_with_a_note(monkeypatch):
    monkeypatch.setattr(encoders, "_opens", lambda codec: codec == "libopenh264")
    chosen = choose_encoder(Encoding(crf=23), ".mp4", 40_000, Fraction(25))
    assert chosen.codec == "libopenh264"
    assert chosen.bit_rate == 100_000
    assert "libx264 is not available" in chosen.note


def test_no_encoder_at_all_is_an_output_error(monkeypatch):
    monkeypatch.setattr(encoders, "_opens", lambda codec: False)
    with pytest.raises(OutputError, match=r"no encoder for \.webm"):
        choose_encoder(Encoding(), ".webm", 1, Fraction(1))


def test_an_encoder_that_is_not_built_in_or_has_no_hardware_does_not_open():
    assert not encoders._opens("no_such_codec")
    assert encoders._opens("libx264")
    assert encoders._opens("mpeg4")


def packets(options, width=160, height=120):
    """The bytes that x264 makes of a picture that moves."""
    texture = (
        np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    )
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.thread_count, context.options = Fraction(1, 25), 3, options
    made = []
    for shift in range(40):
        window = np.ascontiguousarray(texture[shift : shift + height, 2 * shift : 2 * shift + width])
        frame = av.VideoFrame.from_ndarray(window, "rgb24").reformat(format="yuv420p")
        frame.pts = shift
        made += context.encode(frame)
    return [bytes(packet) for packet in (*made, *context.encode(None))]


def test_what_saves_x264_memory_makes_no_larger_file():
    options = choose_encoder(Encoding(), ".mp4", 1, Fraction(1)).options
    thrifty = options["x264-params"].partition(":")[0]
    usual = {name: value for name, value in options.items() if name != "x264-params"}
    saved, before = packets({**usual, "x264-params": thrifty}), packets(usual)
    assert len(saved) == len(before)
    assert sum(map(len, saved)) == pytest.approx(sum(map(len, before)), rel=0.01)


@pytest.mark.parametrize(("cores", "said"), [(2, "sync-lookahead=0"), (16, "sync-lookahead=0:threads=6")])
def test_x264_takes_few_threads_however_many_cores_there_are(monkeypatch, cores, said):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert choose_encoder(Encoding(), ".mp4", 1, Fraction(1)).options["x264-params"] == said


@pytest.mark.parametrize("preset", encoders._PRESETS)
def test_the_larger_the_frame_the_fewer_of_them_x264_holds(preset):
    frames = []
    for pixels in (640 * 480, 1280 * 720, 1920 * 1080, 3840 * 2160):
        said = choose_encoder(Encoding(preset=preset), ".mp4", pixels, Fraction(25)).options["x264-params"]
        words = dict(word.split("=") for word in said.split(":"))
        frames.append(int(words.get("rc-lookahead", encoders._PRESETS[preset][0])))
        assert ("sliced-threads" in words) == (pixels > 1_500_000)
    assert frames == sorted(frames, reverse=True)
    assert frames[2] <= 5
    assert frames[3] <= 2


@pytest.mark.parametrize("preset", ["ultrafast", "veryfast", "medium"])
def test_a_large_frame_is_encoded_as_well_with_less_memory(preset):
    large = choose_encoder(Encoding(preset=preset), ".mp4", 1920 * 1080, Fraction(25)).options
    usual = {**large, "x264-params": "sync-lookahead=0"}
    saved, before = packets(large, 640, 480), packets(usual, 640, 480)
    assert len(saved) == len(before)
    assert sum(map(len, saved)) <= 1.1 * sum(map(len, before))
