"""A moving head from portrait to video, with a renderer that moves the crop as the head moves."""

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from demo_media import BOX, SIZE, decoded, portrait_video, quiet_runtime, short_voice, sound_seconds
from PIL import Image
from sadtalker_world import StubParts, portrait, use_stub

from bench.checkpoints import quarter_wav2lip
from lipsync_core import assembly, heads
from lipsync_core.engines.wav2lip import Wav2LipPerformance
from lipsync_core.enhancers.choose import ChosenEnhancer
from lipsync_core.errors import Cancelled, InputError, OutOfMemoryError, UsageError, WeightsError
from lipsync_core.face.landmarks import LandmarkFinder
from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import lipsync
from lipsync_core.preview import preview_frame

QUICK = {"box": BOX, "preset": "ultrafast", "crf": 1, "engine": "sadtalker", "label": "off"}


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
    return short_voice(tmp_path / "voice.wav", 0.8)


def run(face, voice, tmp_path, **options):
    out = tmp_path / "out.mp4"
    report = lipsync(face, voice, out, LipSyncOptions(**{**QUICK, **options}), quiet_runtime(tmp_path), overwrite=True)
    return out, report


def frames_of(*arguments, **options):
    return decoded(run(*arguments, **options)[0]).astype(int)


@pytest.mark.parametrize(
    ("mode", "size"), [("full", (128, 128)), ("extfull", (128, 128)), ("crop", (64, 64)), ("resize", (64, 64))]
)
def test_a_portrait_and_a_voice_become_a_video_of_the_right_size_and_length(parts, face, voice, tmp_path, mode, size):
    out, report = run(face, voice, tmp_path, preprocess=mode)
    with av.open(str(out)) as container:
        video = container.streams.video[0]
        assert (video.width, video.height) == size
        assert video.frames == report.frames == 20
        assert video.average_rate == 25
    assert abs(sound_seconds(out) - 0.8) <= 0.08
    assert report.engine == "sadtalker (64)"
    assert parts.calls["look"] == 1, "the portrait is looked at once"


def test_the_same_seed_gives_the_same_frames_and_another_does_not(parts, face, tmp_path):
    voice = short_voice(tmp_path / "long.wav", 1.6)
    first, again, other = (frames_of(face, voice, tmp_path, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_outside_the_head_the_picture_stays(parts, tmp_path, voice):
    wide = Image.new("RGB", (256, 160), (40, 120, 90))
    with Image.open(portrait(tmp_path / "face.png")) as head:
        wide.paste(head, (64, 16))
    wide.save(tmp_path / "wide.png")
    frames = frames_of(tmp_path / "wide.png", voice, tmp_path, box="104,42,154,116", yaw="-20,20")
    moved = np.abs(frames - frames[:1]).max(axis=(0, 3))
    assert moved[60:110, 100:160].max() > 30
    assert moved[:, :50].max() <= 3
    assert moved[:, 210:].max() <= 3


def test_the_paste_has_no_edge(parts, tmp_path, voice):
    """Brightness rises across the picture and the head is tilted: a cut-out rectangle would show along its edge."""
    ramp = np.repeat(np.linspace(0, 250, SIZE).astype(np.uint8)[None, :, None], SIZE, axis=0)
    Image.fromarray(np.repeat(ramp, 3, axis=2)).save(tmp_path / "f.png")

    def edge(**options):
        last = frames_of(tmp_path / "f.png", voice, tmp_path, roll="25", box="50,40,80,80", **options)[-1]
        return max(np.abs(np.diff(last, axis=axis)).max() for axis in (0, 1))

    assert edge(feather=0.0) > 25
    assert edge() < 12


def test_every_rate_has_its_frames_and_the_motion_is_the_same(parts, face, tmp_path):
    voice = short_voice(tmp_path / "long.wav", 1.6)
    slow = frames_of(face, voice, tmp_path, preprocess="crop", fps="25")
    fast, report = run(face, voice, tmp_path, preprocess="crop", fps="50")
    assert report.frames == 80
    assert np.abs(decoded(fast)[::2].astype(int) - slow)[:20].mean() < 1.0
    assert run(face, voice, tmp_path, fps="30000/1001")[1].frames == 48


def test_a_video_is_taken_as_a_portrait_by_its_first_frame(parts, voice, tmp_path):
    clip = portrait_video(tmp_path / "clip.mp4", 9, empty=(1, 2, 3))
    frames = frames_of(clip, voice, tmp_path, still=True, blink=0.0)
    assert len(frames) == 20
    assert frames[2][20:100, 30:100].std() > 20


def test_an_idle_portrait_needs_no_voice_and_moves(parts, face, tmp_path):
    out, report = run(face, tmp_path / "nothing.wav", tmp_path, idle=2.0)
    assert report.frames == 50
    with av.open(str(out)) as container:
        assert not container.streams.audio
    frames = decoded(out).astype(int)
    assert np.abs(frames[-1] - frames[0]).max() > 10


def test_a_video_gives_the_pose_and_is_never_moved_or_changed(parts, face, voice, tmp_path):
    clip = portrait_video(tmp_path / "clip.mp4", 6)
    before = clip.read_bytes()
    plain = frames_of(face, voice, tmp_path)
    followed = frames_of(face, voice, tmp_path, pose_video=str(clip), detector="cascade")
    assert not np.array_equal(plain, followed)
    assert clip.read_bytes() == before
    assert face.is_file()


def test_a_long_video_is_watched_as_long_as_the_voice_and_once(parts, face, tmp_path, monkeypatch):
    voice, clip = short_voice(tmp_path / "v.wav", 0.2), portrait_video(tmp_path / "clip.mp4", 40)
    run(face, voice, tmp_path, pose_video=str(clip), blink_video=str(clip), detector="cascade")
    assert parts.calls["coefficients"] == 1 + 5, "the portrait, and as many frames as the voice has"


def test_a_picture_is_refused_as_a_driving_video(parts, face, voice, tmp_path):
    with pytest.raises(InputError, match="is a picture. A video is needed"):
        run(face, voice, tmp_path, pose_video=str(face), detector="cascade")


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_batch_size_changes_nothing(parts, face, voice, tmp_path, batch_size):
    whole = frames_of(face, voice, tmp_path)
    assert np.abs(whole - frames_of(face, voice, tmp_path, batch_size=batch_size)).max() <= 2


def test_on_a_cpu_a_run_stops_within_one_frame(parts, face, voice, tmp_path):
    drawn = parts.drawn_sizes
    runtime = quiet_runtime(tmp_path, cancelled=lambda: len(drawn) >= 3)
    with pytest.raises(Cancelled):
        lipsync(face, voice, tmp_path / "out.mp4", LipSyncOptions(**QUICK), runtime)
    assert drawn == [1, 1, 1], "two frames, and the portrait at rest, to compare colours"
    assert not (tmp_path / "out.mp4").exists()


def test_running_out_of_memory_is_said(parts, face, voice, tmp_path, monkeypatch):
    def greedy(self, source, neutral, driving):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(StubParts, "draw", greedy)
    with pytest.raises(OutOfMemoryError, match="not even one frame"):
        run(face, voice, tmp_path)


def two_people(tmp_path):
    pair = Image.new("RGB", (2 * SIZE, SIZE))
    with Image.open(portrait(tmp_path / "one.png")) as head:
        pair.paste(head, (0, 0))
        pair.paste(head, (SIZE, 0))
    pair.save(tmp_path / "two.png")
    return tmp_path / "two.png"


def test_several_heads_of_one_picture_move_in_full_mode(parts, voice, tmp_path):
    frames = frames_of(
        two_people(tmp_path), voice, tmp_path, box="", detector="cascade", which_face="all", roll="-15,15", seed=1
    )
    change = np.abs(frames - frames[:1]).max(axis=(0, 3))
    assert min(change[40:100, 40:90].max(), change[40:100, SIZE + 40 : SIZE + 90].max()) > 30


def test_a_mode_that_shows_one_head_refuses_two(parts, voice, tmp_path):
    with pytest.raises(UsageError, match="shows one head, but 2 faces speak"):
        run(two_people(tmp_path), voice, tmp_path, box="", detector="cascade", which_face="all", preprocess="crop")


def test_missing_weights_are_named_with_folder_address_and_licence(face, voice, tmp_path):
    with pytest.raises(WeightsError) as caught:
        run(face, voice, tmp_path)
    text = str(caught.value)
    for part in ("SadTalker_V0.0.2_256.safetensors", "https://github.com/OpenTalker", "non-commercial", "weights get"):
        assert part in text, part


def test_the_label_is_on_where_the_licence_asks_for_it(parts, face, voice, tmp_path):
    plain, labelled = (frames_of(face, voice, tmp_path, label=label)[0] for label in ("off", "auto"))
    assert np.abs(plain - labelled)[-16:, :70].max() > 40


def test_the_sound_keeps_its_own_rate(parts, face, tmp_path):
    voice = short_voice(tmp_path / "voice.wav", 0.8, rate=44100)
    out, _ = run(face, voice, tmp_path)
    with av.open(str(out)) as container:
        assert container.streams.audio[0].rate == 44100


def test_the_frame_rate_is_exact_over_a_long_clip(parts, face, tmp_path):
    voice = short_voice(tmp_path / "voice.wav", 11.0)
    report = run(face, voice, tmp_path, fps="30000/1001", preprocess="crop")[1]
    assert report.frames == -(-11 * Fraction(30000, 1001) // 1)


def test_the_renderers_own_tint_is_taken_out_and_motion_brings_none(parts, face, voice, tmp_path, monkeypatch):
    true = StubParts.draw

    def tinted(self, source, neutral, driving):
        return true(self, source, neutral, driving) * 0.8 + torch.tensor([0.0, 0.08, 0.03]).view(3, 1, 1)

    with Image.open(face) as picture:
        own = np.asarray(picture).astype(int)[40:100, 40:90].mean(axis=(0, 1))
    options = {"blink": 0.0, "strength": 0.0, "sway": 0.0, "expression_scale": 0.0}
    monkeypatch.setattr(StubParts, "draw", tinted)
    off, matched, turned = (
        np.abs(frames_of(face, voice, tmp_path, **options, **more)[-1, 40:100, 40:90].mean(axis=(0, 1)) - own).max()
        for more in ({"colour_match": 0.0}, {}, {"roll": "15"})
    )
    assert off > 12
    assert matched < 4
    assert turned < 9


def test_sharp_lips_follow_the_moving_head(parts, face, voice, tmp_path, monkeypatch):
    seen = []
    true = Wav2LipPerformance.render

    def watched(self, faces):
        seen.append((faces.crops[0].clone(), faces.boxes_xyxy[0], faces.matrices[0]))
        return true(self, faces)

    monkeypatch.setattr(Wav2LipPerformance, "render", watched)
    checkpoint = str(quarter_wav2lip(tmp_path))
    plain = frames_of(face, voice, tmp_path, roll="-12,12", label="off")
    sharp, report = run(face, voice, tmp_path, roll="-12,12", sharp_lips=checkpoint, label="off")
    assert len(seen) == report.frames == 20
    change = np.abs(decoded(sharp).astype(int) - plain).max(axis=(0, 3))
    assert change[70:100, 40:90].max() > 20, "the lips"
    assert change[:40].max() <= 12, "nothing else"
    corners = np.array([-matrix[:, 2] / matrix[[0, 1], [0, 1]] for _, _, matrix in seen])
    assert np.ptp(corners, axis=0).max() > 2, "px that the box moves with the head"


@dataclass(frozen=True)
class Inverter:
    """An enhancer whose work can be seen."""

    seen: list[torch.Tensor]
    name: str = "inverter"
    backend: str = "test"
    precision: str = "fp32"

    def restore(self, faces: torch.Tensor) -> torch.Tensor:
        self.seen.extend(faces.clone())
        return 1 - faces


@pytest.mark.parametrize("sharp", [False, True])
def test_an_enhancer_follows_in_the_same_run(parts, face, voice, tmp_path, monkeypatch, sharp):
    enhancer = Inverter([])
    chosen = ChosenEnhancer("inverter", enhancer)
    lips = str(quarter_wav2lip(tmp_path)) if sharp else ""
    options = {"sharp_lips": lips, "roll": "-14,14", "enhance_region": "face"}
    plain = frames_of(face, voice, tmp_path, **options)
    monkeypatch.setattr(assembly, "choose_an_enhancer", lambda *_: chosen)
    enhanced, report = run(face, voice, tmp_path, **options)
    assert len(enhancer.seen) == report.frames == 20
    change = np.abs(decoded(enhanced).astype(int) - plain).mean(axis=3)
    assert change[:, 60:90, 50:80].mean() > 10, "the face"
    assert change[:, :10].max() < 20, "not the top of the picture"


@pytest.mark.parametrize("mode", ["full", "crop"])
def test_the_face_is_known_to_be_where_the_renderer_takes_it(parts, face, voice, tmp_path, mode, monkeypatch):
    """The landmarks that were told beforehand, against those that are found in the frames that come out."""
    stages = []
    true = heads.set_stage
    monkeypatch.setattr(heads, "set_stage", lambda *words: stages.append(true(*words)) or stages[-1])
    parts.size = 128
    frames = decoded(run(face, voice, tmp_path, preprocess=mode, roll="-14,14", feather=0.02)[0])
    told = stages[0].heads[0].track
    found = np.stack(
        [LandmarkFinder().find(frame, box[None])[0][0] for frame, box in zip(frames, told.boxes_xyxy, strict=True)]
    )
    width = np.median(told.boxes_xyxy[:, 2] - told.boxes_xyxy[:, 0])
    path = (told.landmarks - told.landmarks[:1]) - (found - found[:1])
    assert np.ptp(told.landmarks[:, 0], axis=0).max() > 0.08 * width, "it moves"
    assert np.abs(path).mean() < 0.03 * width


@pytest.mark.parametrize(("mode", "shape"), [("full", (128, 128, 3)), ("crop", (64, 64, 3))])
def test_a_preview_shows_the_moved_head(parts, face, voice, tmp_path, mode, shape):
    options = LipSyncOptions(**QUICK, preprocess=mode, roll="30")
    shown = preview_frame(face, voice, options, quiet_runtime(tmp_path), seconds=0.4)
    assert shown.result.shape == shape
    assert shown.speaking == [True]
    tint = shown.mask[..., 0].astype(int) - shown.mask[..., 1]
    assert tint[60, 64] > tint[3, 3] + 20
    made = frames_of(face, voice, tmp_path, preprocess=mode, roll="30")[10]
    assert np.abs(shown.result.astype(int) - made).mean() < 3, "but for the encoder"
