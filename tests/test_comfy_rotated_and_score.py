"""Nodes over the stand-in of ComfyUI: a finished video is scored, and one that a phone took lying comes out upright."""

import struct

import av
import numpy as np
import pytest
import torch
from comfy_standin import VideoFromFile, run
from demo_media import BOX, SIZE, decoded, short_voice, small_portrait
from PIL import Image

from lipsync_core.audio.read import read_speech

TALL = (SIZE + 32, SIZE)  # height, width


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    """AUDIO, the first words of the demo's voice."""
    samples = np.concatenate(list(read_speech(short_voice(tmp_path_factory.mktemp("voice") / "v.wav", 0.6))))
    return {"waveform": torch.from_numpy(samples)[None, None], "sample_rate": 16000}


@pytest.fixture(scope="module")
def tall(tmp_path_factory):
    """(H, W, 3) our portrait with some grey under it."""
    canvas = np.full((*TALL, 3), 90, np.uint8)
    with Image.open(small_portrait(tmp_path_factory.mktemp("face") / "face.png")) as picture:
        canvas[:SIZE] = np.asarray(picture.convert("RGB"))
    return canvas


def hero(world, source, voice):
    return run(world, "LipSyncVideo", source=source, audio=voice, box=BOX, quality="fast", blink=0.0, sway=0.0)


def lying(path, upright):
    """A video as a phone writes it: its pixels lie on their side, its header says how to turn them."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "4", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = upright.shape[0], upright.shape[1], "yuv420p"
        for _ in range(8):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.rot90(upright)), "rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44
    data[place : place + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return VideoFromFile(str(path))


def test_a_video_that_was_taken_lying_speaks_upright(world, tall, voice, tmp_path):
    made = hero(world, lying(tmp_path / "phone.mp4", tall), voice)
    frames = decoded(made[0].get_stream_source())
    assert frames.shape[1:3] == TALL
    eyes = slice(10, 60)
    assert np.abs(frames[0][eyes].astype(int) - tall[eyes]).mean() < 6
    assert len(made[1].clip.tracks) == 1


@pytest.mark.parametrize("protocol", ["tracked", "whole"])
def test_a_finished_video_is_scored(world, tall, voice, protocol, monkeypatch):
    made = hero(world, torch.from_numpy(tall).float()[None] / 255, voice)
    torch.manual_seed(0)
    judge = world.part("lipsync_core.networks.syncnet_v2").SyncNetV2().eval()
    monkeypatch.setattr(world.part("nodes.score"), "load_network", lambda *_: judge)
    asked = {"video": made[0], "network": "syncnet", "protocol": protocol, "box": BOX}
    distance, confidence, offset, report = run(world, "LipSyncScore", **asked).args
    assert distance > 0
    assert confidence >= 0
    assert -15 <= offset <= 15
    assert f"LSE-D {protocol}: {distance:.3f}" in report


def test_a_score_without_its_network_says_how_to_get_it(world, tall, voice):
    made = hero(world, torch.from_numpy(tall).float()[None] / 255, voice)
    with pytest.raises(world.part("lipsync_core.errors").WeightsError, match=r"Missing weights: syncnet_v2\."):
        run(world, "LipSyncScore", video=made[0])
