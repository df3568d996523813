"""What a host can do beside `lipsync`: prepare parts, watch, add tags, write without anybody speaking."""

from fractions import Fraction

import av
import pytest
from demo_media import BOX, decoded, portrait_video, quiet_runtime, short_voice, small_portrait

from lipsync_core import assembly
from lipsync_core.assembly import Job, Take
from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import analyse, render, run
from lipsync_core.runtime import Runtime
from lipsync_core.video.encode import Clip
from lipsync_core.video.encoders import Encoding

OPTIONS = LipSyncOptions(box=BOX, preset="ultrafast", batch_size=4)


@pytest.fixture
def job(tmp_path):
    source = assembly.open_face(small_portrait(tmp_path / "face.png"), OPTIONS)
    return Job(source, short_voice(tmp_path / "voice.wav"), tmp_path / "out.mp4", tags=(("workflow", '{"nodes": []}'),))


def test_tags_of_the_host_are_in_the_file_beside_our_marks(job, tmp_path):
    run(job, OPTIONS, quiet_runtime(tmp_path))
    with av.open(str(job.output)) as container:
        assert container.metadata["workflow"] == '{"nodes": []}'
        assert "DigitalSourceType" in container.metadata


def test_a_host_is_shown_one_finished_frame_of_each_batch(job, tmp_path):
    shown = []
    report = run(job, OPTIONS, Runtime(preview=shown.append))
    assert len(shown) == -(-report.frames // 4)
    assert shown[0].shape == (report.height, report.width, 3)


def test_the_report_says_when_somebody_speaks(job, tmp_path):
    report = run(job, OPTIONS, quiet_runtime(tmp_path))
    assert report.speech
    assert all(0 <= start < end <= report.seconds + 0.1 for start, end in report.speech)


def test_faces_and_engine_that_are_there_are_not_looked_for_again(job, tmp_path, monkeypatch):
    runtime = quiet_runtime(tmp_path)
    faces = analyse(job.source, 20, OPTIONS, runtime)
    chosen = assembly.choose(OPTIONS, runtime)
    monkeypatch.setattr(assembly, "searching", None)
    monkeypatch.setattr(assembly, "choose", None)
    ready = Job(job.source, job.speech, job.output, faces=faces, chosen=chosen)
    assert run(ready, OPTIONS, runtime).frames == 20


def test_with_nobody_speaking_the_source_is_written_as_long_as_the_take(tmp_path):
    video = portrait_video(tmp_path / "face.mp4", 5)
    source = assembly.open_face(video, LipSyncOptions())
    out = tmp_path / "longer.mp4"
    take = Take(out, Clip(source.width, source.height, Fraction(25), 12), None, None, Encoding(18, "ultrafast"), "hold")
    render(source, [], take, quiet_runtime(tmp_path))
    assert len(decoded(out)) == 12
