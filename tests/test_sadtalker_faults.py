"""Every failure of the paper's program that is known, one test each that shows it gone; docs/sadtalker.md lists them.

What concerns the published landmark networks is in test_wflw.py, what concerns the files in test_sadtalker_load.py.
"""

import io
import random
import subprocess
import sys
import tokenize
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from demo_media import BOX, decoded, portrait_video, quiet_runtime, short_voice
from PIL import Image
from sadtalker_world import BLINK_WAY, SOURCE, StubParts, curve, portrait, speech, use_stub, wishes

import lipsync_core
from lipsync_core.audio.mel import mel_spectrogram
from lipsync_core.engines.base import Driving, Portrait
from lipsync_core.engines.sadtalker.align import align
from lipsync_core.engines.sadtalker.drive import coefficients
from lipsync_core.engines.sadtalker.framing import frame_head
from lipsync_core.engines.sadtalker.motion import angle_curve, blinks
from lipsync_core.engines.sadtalker.portrait import read
from lipsync_core.errors import InputError, LipSyncError, UsageError
from lipsync_core.options import LipSyncOptions, knobs
from lipsync_core.pipeline import lipsync
from lipsync_core.runtime import Runtime

FACE = np.array([[450, 400], [550, 400], [500, 460], [460, 510], [540, 510]], np.float32)
POSE, EXPRESSION = slice(64, 70), slice(0, 64)
QUICK = {"engine": "sadtalker", "box": BOX, "preset": "ultrafast", "crf": 1, "label": "off"}


@pytest.fixture
def parts(monkeypatch):
    stub = StubParts()
    use_stub(monkeypatch, stub)
    return stub


@pytest.fixture
def face(tmp_path):
    return portrait(tmp_path / "face.png")


@pytest.fixture
def voice(tmp_path):
    return short_voice(tmp_path / "voice.wav", 0.4)


def run(face, voice, tmp_path, **options):
    out = tmp_path / "out.mp4"
    return lipsync(face, voice, out, LipSyncOptions(**{**QUICK, **options}), quiet_runtime(tmp_path), overwrite=True)


# ------------------------------------------------------------------------------------------------ face and crop


@pytest.mark.parametrize("picture", [(900, 2000), (2000, 900)])
def test_the_lower_edge_of_the_crop_is_held_against_the_height(picture):
    """It was held against the width: a tall picture lost the chin, a wide one read beyond its edge."""
    low = FACE + np.array([0, picture[1] - 700], np.float32)
    bottom = frame_head("full", low, picture, 256).box_xyxy[3]
    reach = low[3, 1] + 100
    assert min(reach, picture[1]) <= bottom <= picture[1]


def test_the_wide_crop_keeps_its_own_shape():
    """The size of the narrow square was written down for it, so the result was stretched."""
    framing = frame_head("extcrop", FACE + np.array([0, 380], np.float32), (1000, 1000), 256)
    left, top, right, bottom = framing.box_xyxy
    assert framing.size[1] / framing.size[0] == pytest.approx((bottom - top) / (right - left), abs=0.01)


def test_a_large_picture_is_pasted_where_it_was_cut(parts, tmp_path, voice):
    """A picture that was shrunk before the crop was pasted at the shrunk place."""
    big = portrait(tmp_path / "big.png", (2560, 2560))
    still = {"still": True, "blink": 0.0, "strength": 0.0, "expression_scale": 0.0, "colour_match": 0.0}
    run(big, voice, tmp_path, box="800,520,1800,2000", crf=12, speech_end=0.08, **still)
    frame = decoded(tmp_path / "out.mp4")[0].astype(int)
    with Image.open(big) as picture:
        own = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(frame - own).mean() < 6
    shifted = np.roll(own, 40, axis=1)
    assert np.abs(frame - own).mean() < 0.5 * np.abs(frame - shifted).mean()


def test_a_picture_without_a_face_is_refused_in_words(parts, tmp_path, voice):
    """`raise` of a bare string ended in a TypeError, and the second search in an IndexError."""
    Image.new("RGB", (96, 96), (90, 90, 90)).save(tmp_path / "grey.png")
    with pytest.raises(InputError, match="no face found in the picture"):
        run(tmp_path / "grey.png", voice, tmp_path, box="", detector="cascade")


@pytest.mark.parametrize("box", ["-40,-30,60,90", "90,60,180,190"])
def test_a_face_that_reaches_beyond_the_picture_is_read(parts, tmp_path, voice, box):
    """Negative box coordinates cut an empty or a wrong piece out of the picture."""
    assert run(portrait(tmp_path / "face.png"), voice, tmp_path, box=box).frames == 10


def test_a_head_at_the_border_of_the_picture_is_pasted(parts, tmp_path, voice):
    """The Poisson paste ended in an assertion where its box touched the border."""
    report = run(portrait(tmp_path / "face.png"), voice, tmp_path, preprocess="extfull", box="0,0,128,128")
    assert report.frames == 10


def test_the_paste_does_not_darken_or_bleed(parts, tmp_path, voice):
    """The Poisson paste took its colours from whatever lies along the box's border."""
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[:, 64:] = (250, 40, 40)
    with Image.open(portrait(tmp_path / "face.png")) as head:
        picture[30:100, 36:92] = np.asarray(head)[30:100, 36:92]
    Image.fromarray(picture).save(tmp_path / "half.png")
    still = {"still": True, "blink": 0.0, "strength": 0.0, "expression_scale": 0.0}
    run(tmp_path / "half.png", voice, tmp_path, **still)
    frame = decoded(tmp_path / "out.mp4")[-1].astype(int)
    assert abs(frame[50:80, 50:80].mean() - picture[50:80, 50:80].mean()) < 4


def test_where_the_face_lies_is_plain_numbers():
    """An array within an array ended the program with numpy 1.24 and newer."""
    placement = align(torch.zeros(1, 3, 256, 256), FACE / 4)[1]
    assert [type(value) for value in (placement.scale, placement.x, placement.y)] == [float] * 3
    assert placement.row().dtype == np.float32


def test_the_crop_of_512_is_told_to_the_network_as_one_of_256():
    """The mapping network of the full modes was trained with crops of 256, and got twice the numbers with 512."""
    picture = np.random.default_rng(0).integers(0, 255, (900, 1000, 3), dtype=np.uint8)
    rows = [
        read(Portrait(picture, FACE, np.zeros(4, np.float32)), "full", StubParts(size=side)).placement.row()
        for side in (256, 512)
    ]
    assert np.allclose(rows[0], rows[1], rtol=0.01, atol=0.6)


# ------------------------------------------------------------------------------------------------ sound and curves


def test_the_mel_does_not_depend_on_the_version_of_librosa():
    """Padding at the ends and the resampler changed with librosa 0.9 and 0.10; both are fixed here."""
    tone = np.sin(np.arange(16000) * 0.05).astype(np.float32)
    padded = np.concatenate([np.zeros(800, np.float32), tone])
    assert np.abs(mel_spectrogram(padded)[:, 4:] - mel_spectrogram(tone))[:, 3:].max() < 1e-4


def test_the_end_of_the_speech_is_not_cut_off(parts, face, tmp_path):
    """Up to 40 ms were dropped, picture and sound."""
    assert run(face, short_voice(tmp_path / "v.wav", 0.43), tmp_path).frames == 11


def test_an_idle_mouth_hears_silence(parts, face, tmp_path, monkeypatch):
    """Idling heard mel 0, which is loud noise; silence is -4."""
    heard = []
    true = StubParts.express

    def listen(self, mel, reference, blink):
        heard.append(mel)
        return true(self, mel, reference, blink)

    monkeypatch.setattr(StubParts, "express", listen)
    run(face, tmp_path / "none.wav", tmp_path, idle=1.0)
    assert all((mel == -4).all() for mel in heard)


@pytest.mark.parametrize("frames", [11, 15, 20])
def test_a_short_clip_can_blink(frames):
    """No clip of 20 frames or less ever did."""
    assert any(blinks(frames, seed, 2.0).any() for seed in range(60))


def test_blinks_and_pose_come_from_the_seed():
    """They came from generators that nobody seeded: no run could be repeated."""
    first = curve(seed=1)
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    assert np.array_equal(first, curve(seed=1))


def test_a_blink_video_does_not_bring_its_mouth():
    """The video's whole expression was taken, mouth and brows included."""
    seen = np.random.default_rng(0).normal(0, 1, (40, 70)).astype(np.float32)
    plain, followed = curve(), curve(driving=Driving(blink=seen))
    difference = (followed - plain)[:, EXPRESSION]
    along = difference @ BLINK_WAY / (BLINK_WAY @ BLINK_WAY)
    assert np.allclose(difference, along[:, None] * BLINK_WAY, atol=1e-5)


def test_a_pose_video_is_not_added_to_made_up_motion():
    """It was: a head that held still in the video moved all the same."""
    held = np.repeat(SOURCE[None], 30, axis=0)
    followed = curve(driving=Driving(pose=held))
    assert np.allclose(followed[:, POSE], SOURCE[POSE], atol=1e-6)


def test_the_head_does_not_jump_every_32_frames():
    """Each window of 1.28 s had a latent of its own, put end to end."""
    parts = StubParts()
    latents = []
    true = parts.pose
    parts.pose = lambda heard, reference, latent, style: latents.append(latent) or true(heard, reference, latent, style)
    rows = coefficients(wishes(speech(20.0)), parts)[:, POSE]
    assert len({latent.tobytes() for latent in latents}) == 1
    assert np.abs(np.diff(rows, axis=0)).max() < 0.06


@pytest.mark.parametrize("frames", [1, 2])
def test_one_or_two_frames_are_a_clip(frames):
    """The smoothing filter was longer than its data."""
    assert np.isfinite(curve(speech(frames / 25))).all()


def test_the_last_pose_style_is_45():
    """The sliders went to 46, which is out of range."""
    knob = knobs()["pose_style"]
    assert (knob.low, knob.high) == (0, 45)
    assert np.isfinite(curve(pose_style=45)).all()
    with pytest.raises(UsageError, match="Pose style is 46"):
        LipSyncOptions(pose_style=46)


def test_equal_angles_do_not_divide_by_zero():
    with np.errstate(all="raise"):
        assert (angle_curve((5, 5, 5), 20) == 5).all()


def test_still_works_with_every_framing(parts, face, voice, tmp_path):
    """It was meant for `full` alone, and the others lost the portrait's placement."""
    for mode in ("full", "extfull", "crop", "extcrop", "resize"):
        run(face, voice, tmp_path, preprocess=mode, still=True, blink=0.0, strength=0.0)
        frames = decoded(tmp_path / "out.mp4").astype(int)
        assert np.abs(frames - frames[:1]).max() <= 4, mode


def test_frames_stay_in_order_whatever_the_batch(parts, face, voice, tmp_path):
    """Frames were cut into as many blocks as the batch is large, and padded with the last one."""
    rows = []
    for size in (1, 4, 7):
        run(face, voice, tmp_path, batch_size=size, roll="0,40")
        rows.append(decoded(tmp_path / "out.mp4").astype(int))
    assert all(np.abs(row - rows[0]).max() <= 2 for row in rows)


# ------------------------------------------------------------------------------------------------ the result


def test_a_size_that_16_does_not_divide_is_kept(parts, tmp_path, voice):
    """The writer rescaled the frames to multiples of 16 without a word."""
    face = portrait(tmp_path / "face.png", (130, 138))
    report = run(face, voice, tmp_path)
    assert (report.width, report.height) == (130, 138)


@pytest.mark.parametrize("rate", [22050, 48000])
def test_the_sound_is_not_brought_down_to_16_khz(parts, face, tmp_path, rate):
    run(face, short_voice(tmp_path / "v.wav", 0.4, rate), tmp_path)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio[0].rate == rate


def test_the_video_is_encoded_once_and_nothing_lies_beside_it(parts, face, voice, tmp_path, monkeypatch):
    """Temporary videos lay in the working folder, and every step encoded again."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    before = {path.name for path in tmp_path.iterdir()}
    run(face, voice, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} - before - {"cache"} == {"out.mp4"}


@pytest.mark.parametrize("rate", ["24", "30000/1001", "60"])
def test_other_rates_than_25_are_made_of_in_between_poses(parts, face, tmp_path, rate):
    report = run(face, short_voice(tmp_path / "v.wav", 1.0), tmp_path, fps=rate)
    assert report.frames == -(-Fraction(rate) // 1)


# ------------------------------------------------------------------------------------------------ around it


def test_names_with_spaces_quotes_and_capitals_are_names(parts, tmp_path):
    """A shell read them, and an ending in capitals was not known."""
    folder = tmp_path / 'it\'s a $(touch pwned) "folder".v2'
    folder.mkdir()
    face = portrait(folder / "My Face; rm -rf.PNG".replace(".PNG", ".png")).rename(folder / "My Face; echo.PNG")
    voice = short_voice(folder / "a voice & more.wav", 0.2).rename(folder / "a voice & more.WAV")
    assert run(face, voice, folder).frames == 5
    assert not (tmp_path / "pwned").exists()


def test_the_files_that_were_given_stay_where_they_are(parts, face, voice, tmp_path):
    """The caller's picture was moved away."""
    clip = portrait_video(tmp_path / "clip.mp4", 4)
    before = {path: path.read_bytes() for path in (face, voice, clip)}
    run(face, voice, tmp_path, pose_video=str(clip), detector="cascade")
    assert all(path.read_bytes() == content for path, content in before.items())


def test_another_picture_of_the_same_name_is_read_anew(parts, face, voice, tmp_path):
    """Coefficients were kept under the file's name."""
    run(face, voice, tmp_path, box="", detector="cascade")
    first = decoded(tmp_path / "out.mp4")
    with Image.open(face) as picture:
        other = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    other.save(face)
    run(face, voice, tmp_path, box="", detector="cascade")
    second = decoded(tmp_path / "out.mp4")[0].astype(int)
    assert np.abs(second[:, ::-1] - first[0]).mean() < 0.5 * np.abs(second - first[0]).mean()


def test_a_failure_is_one_kind_of_error_that_says_what_to_do(parts, face, tmp_path):
    """Functions returned another number of values where something failed."""
    (tmp_path / "empty.wav").write_bytes(b"")
    with pytest.raises(LipSyncError, match="empty.wav"):
        run(face, tmp_path / "empty.wav", tmp_path)


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    """Models went to the CPU without a word."""
    from lipsync_core.runtime import choose_device

    with pytest.raises(UsageError, match="cannot be used here"):
        choose_device("cuda:77")
    assert Runtime(device="cpu").device == "cpu"


def test_one_loaded_engine_serves_many_portraits(face, tmp_path):
    """Every call loaded all networks again."""
    from lipsync_core.engines.base import EngineSettings
    from lipsync_core.engines.sadtalker.engine import SadTalker

    parts = StubParts()
    engine = SadTalker(parts, EngineSettings(), Runtime(), "64")
    with Image.open(face) as picture:
        pixels = np.asarray(picture)
    landmarks = np.array([[52, 55], [76, 55], [64, 68], [54, 80], [74, 80]], np.float32)
    box = np.array([40, 26, 90, 100], np.float32)
    first, flipped = (
        engine.perform(Portrait(image, landmarks, box), speech(0.4), Driving()).draw(0, 2)
        for image in (pixels, 255 - pixels)
    )
    assert parts.calls["look"] == 2, "each portrait is looked at by itself"
    assert not torch.equal(first, flipped)


_GONE = {"VisibleDeprecationWarning", "ANTIALIAS", "functional_tensor", "system", "popen", "shell"}
_GONE_OF_NUMPY = {("np", "float"), ("np", "int"), ("np", "bool"), ("np", "object")}


def test_nothing_uses_what_newer_numpy_pillow_and_torchvision_took_away_nor_a_shell():
    root = Path(lipsync_core.__file__).parent
    files = [*root.glob("*/sadtalker/*.py"), root / "heads.py", root / "face" / "wflw.py"]
    assert len(files) > 15
    for path in files:
        words = [token.string for token in tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)]
        assert not set(words) & _GONE, path
        dotted = {(a, c) for a, b, c in zip(words, words[1:], words[2:], strict=False) if b == "."}
        assert not dotted & _GONE_OF_NUMPY, path


def test_nothing_is_installed_or_started_when_the_engine_is_imported():
    """The extension ran pip while the page was being built."""
    program = (
        "import subprocess, os, socket\n"
        "subprocess.Popen = os.system = socket.create_connection = None\n"
        "import lipsync_core.engines.sadtalker\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(lipsync_core.__file__).parents[1])
