"""An hour at the NTSC rates: picture and sound of the finished file end together."""

from fractions import Fraction

import av
import numpy as np
import pytest

from lipsync_core.timing import frames_for
from lipsync_core.types import FrameBatch
from lipsync_core.video.writer import AudioSource, Clip, Encoding, open_writer

HOUR = 3600


@pytest.mark.slow
@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(30000, 1001)], ids=str)
def test_an_hour_drifts_by_less_than_a_frame(tmp_path, fps):
    sound = tmp_path / "hour.flac"
    with av.open(str(sound), "w") as out:
        stream = out.add_stream("flac", rate=16000, layout="mono")
        second = (np.sin(np.arange(16000) / 20) * 8000).astype(np.int16)[None]
        for _ in range(HOUR):
            frame = av.AudioFrame.from_ndarray(second, "s16", "mono")
            frame.sample_rate = 16000
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    total = frames_for(Fraction(HOUR), fps)
    still = np.zeros((512, 32, 32, 3), np.uint8)
    clip = Clip(32, 32, fps, total)
    with open_writer(tmp_path / "hour.mp4", clip, AudioSource(sound), None, Encoding(preset="ultrafast")) as writer:
        for first in range(0, total, len(still)):
            writer.write(FrameBatch(first, still[: total - first]))
    with av.open(str(tmp_path / "hour.mp4")) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        last = max(packet.pts for packet in container.demux(video) if packet.pts is not None)
        assert video.frames == total
        assert abs(last * video.time_base - (total - 1) / fps) < 1 / (2 * fps)
        lengths = [stream.duration * stream.time_base for stream in (video, audio)]
    assert abs(lengths[0] - HOUR) < 1 / fps
    assert abs(lengths[1] - HOUR) < 1 / fps + Fraction(1024, 16000)
