"""The whole way from a face and a voice to a video."""

import json
from dataclasses import asdict, replace
from fractions import Fraction

import av
import numpy as np
import pytest
from demo_media import BOX, SIZE, decoded, portrait_video, quiet_runtime, short_voice, small_portrait, sound_seconds
from PIL import Image

from lipsync_core import assembly, pipeline
from lipsync_core.errors import Cancelled, InputError, OutOfMemoryError, OutputError, UsageError
from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import lipsync
from lipsync_core.types import Rendered

QUICK = {"box": BOX, "preset": "ultrafast"}


@pytest.fixture
def portrait(tmp_path):
    return small_portrait(tmp_path / "face.png")


@pytest.fixture
def voice(tmp_path):
    return short_voice(tmp_path / "voice.wav")


def run(face, voice, tmp_path, **options):
    out = tmp_path / "out.mp4"
    runtime = quiet_runtime(tmp_path)
    report = lipsync(face, voice, out, LipSyncOptions(**{**QUICK, **options}), runtime, overwrite=True)
    return out, report


def test_a_portrait_and_a_voice_become_a_video_as_long_as_the_voice(portrait, voice, tmp_path):
    out, report = run(portrait, voice, tmp_path)
    with av.open(str(out)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert video.codec_context.name == "h264"
        assert audio.codec_context.name == "aac"
        assert video.frames == 20
        assert video.average_rate == 25
    assert abs(sound_seconds(out) - 0.8) <= 0.08
    assert (report.frames, report.fps, report.width, report.height) == (20, "25", SIZE, SIZE)
    assert report.engine == "puppet"
    assert report.stage_seconds.keys() == {"listen", "analyse", "load", "render"}
    json.dumps(asdict(report))


def test_the_mouth_moves_and_far_away_nothing_does(portrait, voice, tmp_path):
    out, _ = run(portrait, voice, tmp_path, blink=0.0, sway=0.0, crf=1)
    frames = decoded(out).astype(int)
    change = np.abs(frames - frames[:1]).max(axis=(0, 3))
    assert change[70:90, 50:80].max() > 40, "the mouth"
    assert change[:12].max() < 12, "the top of the picture"


def test_the_same_seed_gives_the_same_frames_and_another_does_not(portrait, tmp_path):
    voice = short_voice(tmp_path / "long.wav", 2.0)
    first, again, other = (
        decoded(run(portrait, voice, tmp_path, seed=seed)[0]).copy() for seed in (3, 3, 4)
    )  # fmt: skip
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("batch_size", [1, 7])
def test_the_batch_size_changes_nothing(portrait, voice, tmp_path, batch_size):
    whole = decoded(run(portrait, voice, tmp_path)[0])
    parts = decoded(run(portrait, voice, tmp_path, batch_size=batch_size)[0])
    assert (np.abs(whole.astype(int) - parts) <= 2).all()


@pytest.mark.parametrize("fps", ["24000/1001", "30000/1001", "50"])
def test_the_result_has_the_rate_that_was_asked_for(portrait, voice, tmp_path, fps):
    out, report = run(portrait, voice, tmp_path, fps=fps)
    with av.open(str(out)) as container:
        assert container.streams.video[0].average_rate == Fraction(fps)
    assert report.fps == fps
    assert 0 <= report.frames / Fraction(fps) - Fraction(8, 10) < 1 / Fraction(fps)


def test_a_video_shorter_than_the_voice_is_looped_or_cut(voice, tmp_path):
    clip = portrait_video(tmp_path / "clip.mp4", 8)
    assert run(clip, voice, tmp_path)[1].frames == 20
    assert run(clip, voice, tmp_path, fit="pingpong")[1].frames == 20
    assert run(clip, voice, tmp_path, fit="cut")[1].frames == 8


def test_frames_without_a_face_are_left_alone_and_reported(voice, tmp_path):
    clip = portrait_video(tmp_path / "clip.mp4", 20, empty=(8, 9, 10, 11))
    out, report = run(clip, voice, tmp_path, box="", detector="cascade", detect_every=1, crf=1)
    assert report.frames_without_face == [(8, 11)]
    assert report.frames_left_unchanged == 4
    assert np.abs(decoded(out)[9].astype(int) - 90).max() <= 3


def test_frames_without_a_face_stop_the_run_where_the_user_says_so(voice, tmp_path):
    clip = portrait_video(tmp_path / "clip.mp4", 20, empty=(8, 9, 10, 11))
    with pytest.raises(InputError, match="8-11"):
        run(clip, voice, tmp_path, box="", detector="cascade", detect_every=1, no_face="stop")


def test_no_face_at_all_is_an_error_that_offers_the_box(voice, tmp_path):
    Image.new("RGB", (96, 96), (90, 90, 90)).save(tmp_path / "grey.png")
    with pytest.raises(InputError, match="no face found in the picture.*box"):
        run(tmp_path / "grey.png", voice, tmp_path, box="", detector="cascade")
    assert not (tmp_path / "out.mp4").exists()


def test_the_voice_that_drives_need_not_be_the_sound_that_is_kept(portrait, voice, tmp_path):
    other = short_voice(tmp_path / "other.wav", 0.8, rate=16000)
    out, report = run(portrait, voice, tmp_path, output_audio=str(other))
    assert report.frames == 20
    assert abs(sound_seconds(out) - 0.8) <= 0.08


def test_a_part_of_the_voice_can_be_chosen(portrait, tmp_path):
    voice = short_voice(tmp_path / "long.wav", 2.0)
    assert run(portrait, voice, tmp_path, speech_start=0.5, speech_end=1.5)[1].frames == 25


def test_the_first_frame_of_a_video_can_be_a_portrait(voice, tmp_path):
    clip = portrait_video(tmp_path / "clip.mp4", 5)
    assert run(clip, voice, tmp_path, static=True)[1].frames == 20


def test_a_users_mask_limits_what_changes(portrait, voice, tmp_path):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[64:100, 44:84] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    out, _ = run(
        portrait, voice, tmp_path, mask="user", mask_file=str(tmp_path / "mask.png"), feather=0.0, crf=1, sway=0.0
    )
    change = np.abs(np.diff(decoded(out).astype(int), axis=0)).max(axis=(0, 3))
    assert change[70:90, 50:80].max() > 20
    assert change[:50].max() < 15


def test_a_mask_can_stand_for_the_face_box(portrait, voice, tmp_path):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[26:100, 40:90] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    by_mask = run(portrait, voice, tmp_path, box="", detector="box", mask_file=str(tmp_path / "mask.png"))
    assert (decoded(by_mask[0]) == decoded(run(portrait, voice, tmp_path)[0])).all()
    Image.fromarray(mask * 0).save(tmp_path / "mask.png")
    with pytest.raises(UsageError, match="black everywhere"):
        run(portrait, voice, tmp_path, box="", detector="box", mask_file=str(tmp_path / "mask.png"))


def test_the_label_can_be_asked_for(portrait, voice, tmp_path):
    plain = decoded(run(portrait, voice, tmp_path, crf=1)[0])[0].astype(int)
    labelled = decoded(run(portrait, voice, tmp_path, crf=1, label="on")[0])[0].astype(int)
    assert np.abs(plain - labelled)[-16:, :70].max() > 40


def test_the_faces_of_a_file_are_remembered_by_its_content(voice, tmp_path, monkeypatch):
    clip = portrait_video(tmp_path / "clip.mp4", 6)
    first = run(clip, voice, tmp_path, box="", detector="cascade")[1]
    renamed = clip.rename(tmp_path / "renamed.mp4")
    monkeypatch.setattr(pipeline, "track_faces", None)  # would be called again
    second = run(renamed, voice, tmp_path, box="", detector="cascade")[1]
    assert second.frames_without_face == first.frames_without_face
    with pytest.raises(TypeError):
        run(renamed, voice, tmp_path, box="", detector="cascade", cache=False)


def test_every_face_can_speak(voice, tmp_path):
    one = Image.open(small_portrait(tmp_path / "face.png"))
    pair = Image.new("RGB", (2 * SIZE, SIZE))
    pair.paste(one, (0, 0))
    pair.paste(one, (SIZE, 0))
    one.close()
    pair.save(tmp_path / "two.png")
    options = {"box": "", "detector": "cascade", "blink": 0.0, "sway": 0.0, "crf": 1}
    out, report = run(tmp_path / "two.png", voice, tmp_path, which_face="all", **options)
    assert report.faces == 2
    change = np.abs(np.diff(decoded(out).astype(int), axis=0)).max(axis=(0, 3))
    left, right = change[70:90, 50:80].max(), change[70:90, SIZE + 50 : SIZE + 80].max()
    assert min(left, right) > 25
    out, _ = run(tmp_path / "two.png", voice, tmp_path, which_face="right", **options)
    change = np.abs(np.diff(decoded(out).astype(int), axis=0)).max(axis=(0, 3))
    assert change[70:90, 50:80].max() < 12
    assert change[70:90, SIZE + 50 : SIZE + 80].max() > 25


def test_stopping_leaves_nothing_behind(portrait, voice, tmp_path):
    asked = []
    runtime = quiet_runtime(tmp_path, cancelled=lambda: len(asked) > 1, progress=lambda *row: asked.append(row))
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(Cancelled):
        lipsync(portrait, voice, tmp_path / "out.mp4", LipSyncOptions(**QUICK, batch_size=2), runtime)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_existing_result_is_not_replaced_unless_asked(portrait, voice, tmp_path):
    out = tmp_path / "out.mp4"
    out.write_bytes(b"precious")
    with pytest.raises(OutputError, match="--overwrite"):
        lipsync(portrait, voice, out, LipSyncOptions(**QUICK), quiet_runtime(tmp_path))
    assert out.read_bytes() == b"precious"


@pytest.mark.parametrize("which", ["face.png", "voice.wav"])
def test_an_input_is_never_the_output(portrait, voice, tmp_path, which):
    link = tmp_path / "link.mp4"
    link.symlink_to(tmp_path / which)
    with pytest.raises(OutputError, match="one of the files that are read"):
        lipsync(portrait, voice, link, LipSyncOptions(**QUICK), quiet_runtime(tmp_path), overwrite=True)


def test_a_failed_run_leaves_the_old_result(portrait, tmp_path):
    out = tmp_path / "out.mp4"
    out.write_bytes(b"old")
    (tmp_path / "broken.wav").write_bytes(b"not audio" * 100)
    with pytest.raises(InputError, match="broken.wav"):
        lipsync(
            portrait, tmp_path / "broken.wav", out, LipSyncOptions(**QUICK), quiet_runtime(tmp_path), overwrite=True
        )
    assert out.read_bytes() == b"old"


class Greedy:
    """An engine's performance that runs out of memory above two rows."""

    def __init__(self, least=2):
        self.sizes, self.least = [], least

    def render(self, faces):
        self.sizes.append(len(faces))
        if len(faces) > self.least:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
        return Rendered(1 - faces.crops)


@pytest.mark.parametrize("least", [2, 0])
def test_running_out_of_memory_halves_the_batch_and_keeps_what_is_done(portrait, voice, tmp_path, monkeypatch, least):
    greedy = Greedy(least)
    real = assembly.choose

    def choose(options, runtime):
        chosen = real(options, runtime)
        monkeypatch.setattr(type(chosen.engine), "listen", lambda self, speech: greedy)
        return chosen

    monkeypatch.setattr(assembly, "choose", choose)
    options = {"mask": "box", "batch_size": 8}
    if least == 0:
        with pytest.raises(OutOfMemoryError, match="not even one frame"):
            run(portrait, voice, tmp_path, **options)
        assert not (tmp_path / "out.mp4").exists()
        return
    _, report = run(portrait, voice, tmp_path, **options)
    assert report.batch_size == 2
    assert greedy.sizes[:3] == [8, 4, 2]
    assert report.frames == 20


def test_strict_makes_a_repair_an_error(portrait, tmp_path):
    loud = tmp_path / "loud.wav"
    with av.open(str(loud), "w") as out:
        stream = out.add_stream("pcm_f32le", rate=16000, layout="mono")
        samples = np.sin(np.arange(8000) / 10, dtype=np.float32)[None] * 30
        frame = av.AudioFrame.from_ndarray(samples.astype(np.float32), "flt", "mono")
        frame.sample_rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    assert any("too loud" in text for text in run(portrait, loud, tmp_path)[1].warnings)
    with pytest.raises(InputError, match="--strict"):
        run(portrait, loud, tmp_path, strict=True)


def test_the_puppet_takes_no_checkpoint(portrait, voice, tmp_path):
    with pytest.raises(UsageError, match="takes no checkpoint"):
        run(portrait, voice, tmp_path, engine="puppet", checkpoint=str(portrait))


def test_a_host_is_shown_finished_frames_while_it_runs(portrait, voice, tmp_path):
    shown = []
    runtime = replace(quiet_runtime(tmp_path), preview=lambda frame: shown.append(frame.copy()))
    lipsync(portrait, voice, tmp_path / "out.mp4", LipSyncOptions(**QUICK, batch_size=8), runtime)
    assert [frame.shape for frame in shown] == [(SIZE, SIZE, 3)] * 3
    assert np.abs(shown[0].astype(int) - shown[-1]).max() > 20, "not the picture that went in"
