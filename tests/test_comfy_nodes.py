"""Every node run over a stand-in of ComfyUI, with the types as they really arrive. tests/test_comfy_host.py does the
same in a real one."""

import io
import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from comfy_standin import (
    ProgressBar,
    Stopped,
    VideoFromComponents,
    VideoFromFile,
    defaults_of,
    run,
    standin,
    tone,
)
from demo_media import BOX, DEMO, decoded, portrait_video, small_portrait
from PIL import Image
from safetensors.torch import save_file

QUICK = {"box": BOX, "quality": "fast"}


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = small_portrait(tmp_path_factory.mktemp("face") / "face.png")
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).float()[None] / 255


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return VideoFromFile(str(portrait_video(tmp_path_factory.mktemp("clip") / "clip.mp4", 12)))


@pytest.fixture(scope="module")
def checkpoint(world):
    from lipsync_core.networks.wav2lip import Generator, layout_96

    torch.manual_seed(0)
    save_file(Generator(layout_96(quarter=True)).state_dict(), str(world.base / "models/lipsync/random.safetensors"))
    return "random.safetensors"


def hero(world, source, audio=None, **given):
    return run(world, "LipSyncVideo", source=source, audio=audio or tone(0.4), **{**QUICK, **given})


def file_of(output):
    return Path(output[0].get_stream_source())


# ------------------------------------------------------------------------------------------------- the hero


def test_a_picture_and_a_voice_give_a_file_that_is_shown_and_chained(world, picture):
    made = hero(world, picture)
    path = file_of(made)
    assert path.is_relative_to(world.base / "output" / "lipsync")
    assert len(decoded(path)) == 10
    assert made.ui["images"][0]["filename"] == path.name
    assert made[1].clip.tracks


def test_without_saving_it_goes_to_the_temporary_folder(world, picture):
    made = hero(world, picture, save_output=False)
    assert file_of(made).parent == world.base / "temp"
    assert made.ui["images"][0]["type"] == "temp"


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images.half(),
        lambda images: torch.cat([images, torch.ones_like(images[..., :1])], dim=-1),
        lambda images: images * 1.5 - 0.2,
        lambda images: images[0],
        lambda images: images.expand(3, -1, -1, -1),
    ],
    ids=["float16", "RGBA", "outside 0 to 1", "one without a batch", "several that share memory"],
)
def test_pictures_may_arrive_in_any_form_and_stay_as_they_were(world, picture, change):
    images = change(picture)
    before = images.clone()
    assert len(decoded(file_of(hero(world, images)))) == 10
    assert torch.equal(images, before)


class LazySound(Mapping):
    """Sound that is decoded when it is first asked for, as some packs hand it over."""

    def __init__(self, sound):
        self._sound = sound

    def __getitem__(self, name):
        return self._sound[name]

    def __iter__(self):
        return iter(self._sound)

    def __len__(self):
        return len(self._sound)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: LazySound(a),
        lambda a: {**a, "waveform": (a["waveform"] * 32767).to(torch.int16)},
        lambda a: {**a, "waveform": a["waveform"].half()},
        lambda a: {**a, "waveform": a["waveform"].expand(2, 2, -1)},
        lambda a: {**a, "waveform": a["waveform"].expand(1, 6, -1)},
        lambda a: {**a, "waveform": a["waveform"][0]},
    ],
    ids=["lazy Mapping", "int16", "float16", "batch of stereo", "six channels", "without a batch"],
)
def test_sound_may_arrive_in_any_form(world, picture, change):
    made = hero(world, picture, change(tone(0.4)))
    report = made.ui["lipsync_report"][0]
    assert report["frames"] == 10
    assert max(report["peaks"]) == pytest.approx(0.4, abs=0.03)


def test_a_video_keeps_its_rate_and_loops_under_a_longer_voice(world, clip):
    made = hero(world, clip, tone(0.8))
    with av.open(str(file_of(made))) as out:
        assert (out.streams.video[0].frames, out.streams.video[0].average_rate) == (20, 25)


def test_a_video_in_memory_is_read_too(world, clip):
    data = io.BytesIO(Path(clip.get_stream_source()).read_bytes())
    assert len(decoded(file_of(hero(world, VideoFromFile(data))))) == 10
    assert not list((world.base / "temp").glob("*.video"))


def test_a_trimmed_video_is_read_inside_its_window_only(world, clip, monkeypatch):
    trimmed = VideoFromFile(clip.get_stream_source(), start=0.2, length=0.16)
    with world.part("nodes.host").opened(trimmed) as source:
        assert source.frame_count == 4
        frames = np.concatenate([batch.pixels for batch in source.batches(4, "cut", 3)])
    with world.part("nodes.host").opened(clip) as source:
        whole = np.concatenate([batch.pixels for batch in source.batches(12, "cut", 5)])
    assert (frames == whole[5:9]).all()


def test_a_video_made_of_pictures_is_used_without_encoding_it(world, picture):
    video = VideoFromComponents(picture.expand(6, -1, -1, -1), Fraction(12))
    made = hero(world, video, tone(0.5))
    with av.open(str(file_of(made))) as out:
        assert (out.streams.video[0].frames, out.streams.video[0].average_rate) == (6, 12)


def test_workflow_and_prompt_are_in_the_file(world, picture):
    node = type("Asked", (world.nodes["LipSyncVideo"],), {})
    node.hidden = type("Hidden", (), {"prompt": {"1": {}}, "extra_pnginfo": {"workflow": {"nodes": [7]}}})
    made = node.execute(**{**defaults_of(node), "source": picture, "audio": tone(0.4), **QUICK})
    with av.open(str(file_of(made))) as out:
        assert json.loads(out.metadata["workflow"]) == {"nodes": [7]}
        assert json.loads(out.metadata["prompt"]) == {"1": {}}


def test_metadata_can_be_switched_off(tmp_path, picture):
    with standin(tmp_path, metadata_off=True) as other:
        hidden = type("Hidden", (), {"prompt": {"1": {}}, "extra_pnginfo": {"workflow": {}}})
        assert other.part("nodes.result").workflow_tags(hidden) == ()


def test_the_bar_rises_to_its_end_and_shows_a_picture(world, picture):
    ProgressBar.told.clear()
    hero(world, picture)
    values = [value for value, _, _ in ProgressBar.told]
    assert values == sorted(values)
    assert values[-1] == 1000
    assert any(preview for _, _, preview in ProgressBar.told)


def test_stop_leaves_no_file_behind(world, picture):
    before = set(world.base.rglob("*.*"))
    world.looks, world.stop_after = 0, 6
    with pytest.raises(Stopped):
        hero(world, picture, tone(2.0))
    world.stop_after = -1
    assert {path for path in world.base.rglob("*.*") if path.is_file()} <= before


def test_a_mask_says_what_is_replaced(world, picture):
    mask = torch.zeros(1, *picture.shape[1:3])
    mask[:, :12, :12] = 1
    made = hero(world, picture, user_mask=mask, blink=0.0, sway=0.0, crf=1)
    frames = decoded(file_of(made)).astype(int)
    assert np.abs(frames - frames[:1])[:, 16:, 16:].max() < 12, "nothing moves where the mask is black"


# ------------------------------------------------------------------------------------------------- the steps


def chain(world, source, checkpoint, **more):
    """Detect, calm, load, hear, generate."""
    faces = run(world, "LipSyncDetectFaces", source=source, box=BOX)[0]
    faces = run(world, "LipSyncAdjustFaces", faces=faces)[0]
    model = run(world, "LipSyncLoadModel", model_name=checkpoint)[0]
    mel = run(world, "LipSyncMel", audio=tone(0.4))[0]
    made = run(world, "LipSyncGenerate", lipsync_model=model, source=source, faces=faces, mel=mel, **more)
    return made[0], made[1], model


def test_the_chain_of_steps_gives_what_the_hero_gives(world, clip, checkpoint):
    crops, faces, model = chain(world, clip, checkpoint)
    by_steps = run(world, "LipSyncBlendVideo", source=clip, audio=tone(0.4), crops=crops, faces=faces, crf=1)
    at_once = hero(world, clip, lipsync_model=model, crf=1, quality="balanced")
    one, other = decoded(file_of(by_steps)).astype(int), decoded(file_of(at_once)).astype(int)
    assert one.shape == other.shape
    assert np.abs(one - other).mean() < 0.6


def test_the_puppets_crops_carry_what_it_changed(world, clip):
    crops, faces, _ = chain(world, clip, "puppet")
    assert faces.crops.alpha.shape == tuple(crops.shape[:3])
    assert faces.crops.alpha.any()
    video = run(world, "LipSyncBlendVideo", source=clip, audio=tone(0.4), crops=crops, faces=faces)
    assert video.ui["lipsync_report"][0]["engine"] == "puppet"


def test_a_models_network_is_lent_to_the_host_and_called_back(world, clip, checkpoint):
    world.placed.clear()
    crops, _, model = chain(world, clip, checkpoint)
    assert model.patcher.model.training is False
    assert world.placed.count(model.patcher) == 2, "when it was loaded, and before it ran"
    assert crops.dtype == torch.float32
    assert crops.shape[0] == 10
    assert 0 <= float(crops.min()) <= float(crops.max()) <= 1


def test_images_change_inside_the_mask_and_nowhere_else(world, picture, checkpoint):
    crops, faces, _ = chain(world, picture, checkpoint)
    made = run(world, "LipSyncBlendImages", images=picture, crops=crops, faces=faces, label="off")
    images, mask = made[0], made[1]
    assert images.shape[0] == mask.shape[0] == 10
    outside = mask == 0
    assert torch.equal(images[outside], picture.expand(10, -1, -1, -1)[outside])
    assert 0.005 < float(mask.mean()) < 0.3


def test_weights_that_ask_for_a_label_get_one_and_the_puppet_none(world, picture, checkpoint):
    corner = (slice(None), slice(-14, None), slice(0, 40))
    labelled = []
    for name in (checkpoint, "puppet"):
        crops, faces, _ = chain(world, picture, name)
        made = run(world, "LipSyncBlendImages", images=picture, crops=crops, faces=faces)
        labelled.append(bool(made[1][corner].any()))
    assert labelled == [True, False]


def test_a_mouth_mask_is_as_large_as_the_crops_and_limits_the_paste(world, picture, checkpoint):
    crops, faces, _ = chain(world, picture, checkpoint)
    mask = run(world, "LipSyncMouthMask", faces=faces, mask="mouth")[0]
    assert mask.shape == crops.shape[:3]
    wide = run(world, "LipSyncMouthMask", faces=faces, mask="lower_face", grow=0.1)[0]
    assert 0 < float(mask.mean()) < float(wide.mean()) < 1


def test_a_mask_can_follow_the_lips_of_a_face_mesh(world, picture, checkpoint):
    _, faces, _ = chain(world, picture, checkpoint)
    left, top, right, bottom = (float(edge) for edge in BOX.split(","))
    lips = np.array([[0.4, 0.75], [0.6, 0.75], [0.5, 0.7], [0.5, 0.8]]) * [right - left, bottom - top] + [left, top]
    face = {"bbox_xyxy": [left, top, right, bottom], "landmarks_xy": lips, "score": 1.0}
    mesh = {"frames": [[face]], "connection_sets": {"lips": [(0, 2), (2, 1), (1, 3), (3, 0)]}}
    mask = run(world, "LipSyncMouthMask", faces=faces, landmarks=mesh)[0]
    side = mask.shape[-1]
    assert mask[0, round(0.69 * side), side // 2] > 0.5
    assert mask[0, : side // 3].max() == 0


def test_the_hosts_own_boxes_stand_for_our_faces(world, clip, checkpoint):
    left, top, right, bottom = (float(edge) for edge in BOX.split(","))
    box = {"x": left, "y": top, "width": right - left, "height": bottom - top, "label": "face", "score": 0.9}
    model = run(world, "LipSyncLoadModel", model_name=checkpoint)[0]
    mel = run(world, "LipSyncMel", audio=tone(0.4))[0]
    for boxes in (box, [box], [[box]], [[box]] * 12):
        made = run(world, "LipSyncGenerate", lipsync_model=model, source=clip, faces=boxes, mel=mel)
        assert made[0].shape[0] == 10


def test_detect_shows_a_picture_with_boxes_to_click(world, clip):
    made = run(world, "LipSyncDetectFaces", source=clip, box=BOX)
    shown = made.ui["lipsync_faces"][0]
    with Image.open(world.base / "temp" / shown["image"]["filename"]) as saved:
        assert saved.size == (shown["width"], shown["height"])
    assert shown["boxes"][0][:4] == pytest.approx([float(edge) for edge in BOX.split(",")], abs=1)
    assert shown["chosen"] == [0]
    assert made[2] == 1
    assert len(made[1]) == 12


def test_one_of_two_faces_goes_on(world, picture):
    host, side = world.part("nodes.faces"), picture.shape[2]
    tracks = world.part("lipsync_core.types").FaceTrack
    boxes = [np.tile(np.array(box, np.float32), (3, 1)) for box in ([5, 5, 45, 55], [60, 5, 120, 75])]
    seen = np.ones(3, bool)
    made = [tracks(box, np.zeros((3, 5, 2), np.float32), seen, seen) for box in boxes]
    clip = world.part("lipsync_core.face.track").ClipFaces(tuple(made), np.zeros(0, np.int64), 3, side, side)
    searched = world.part("lipsync_core.face.policy").Searched("clip", Fraction(25), "auto", 0.5)
    faces = world.part("nodes.types").Faces(clip, Fraction(25), searched)
    for which, left in (("largest", 60), ("left", 5), ("right", 60)):
        chosen = run(world, "LipSyncSelectFace", faces=faces, which_face=which)[0]
        assert chosen.clip.tracks[0].boxes_xyxy[0, 0] == left
    options = world.part("lipsync_core.options").LipSyncOptions(face_point="20,20")
    assert host._chosen(clip, options, 1) == [0]


def test_the_face_that_a_reference_shows_goes_on(world, portraits, monkeypatch):
    both, left, right = portraits
    faces = run(world, "LipSyncDetectFaces", source=both, detector="cascade", max_faces=2)[0]
    assert len(faces.clip.tracks) == 2
    with pytest.raises(Exception, match=r"^Missing weights: sface\.\n"):
        run(world, "LipSyncSelectFace", faces=faces, reference=left, source=both)
    persons = world.part("lipsync_core.persons")
    monkeypatch.setattr(persons.weights, "require", lambda name, runtime: None)
    monkeypatch.setattr(persons, "face_describer", lambda path: colour_at_the_nose)
    for reference, number in ((left, 0), (right, 1)):
        chosen = run(world, "LipSyncSelectFace", faces=faces, which_face="right", reference=reference, source=both)[0]
        assert np.array_equal(chosen.clip.tracks[0].boxes_xyxy, faces.clip.tracks[number].boxes_xyxy)
    with pytest.raises(Exception, match="Connect what the faces were found in"):
        run(world, "LipSyncSelectFace", faces=faces, reference=left)
    with pytest.raises(Exception, match="Connect the same picture or video"):
        run(world, "LipSyncSelectFace", faces=faces, reference=left, source=left)


def colour_at_the_nose(picture, landmarks):
    x, y = landmarks[2].astype(int)
    colour = picture[y, x].astype(np.float32)
    return colour / np.linalg.norm(colour)


@pytest.fixture
def portraits():
    """Our portrait in red and in blue side by side, each alone."""
    with Image.open(DEMO / "portrait.png") as portrait:
        face = torch.from_numpy(np.asarray(portrait.convert("RGB").resize((320, 320)), np.float32) / 255)
    red, blue = (face * torch.tensor(tint) for tint in ([1.0, 0.4, 0.4], [0.4, 0.4, 1.0]))
    return torch.cat([red, blue], dim=1)[None], red[None], blue[None]


def test_long_gaps_stay_as_they_are_and_short_ones_are_bridged(world, picture):
    tracks = world.part("lipsync_core.types").FaceTrack
    found = np.ones(40, bool)
    found[5:8] = found[15:35] = False
    boxes = np.tile(np.array([10, 10, 60, 70], np.float32), (40, 1))
    track = tracks(boxes, np.zeros((40, 5, 2), np.float32), found, np.ones(40, bool))
    clip = world.part("lipsync_core.face.track").ClipFaces((track,), np.zeros(0, np.int64), 40, 128, 128)
    searched = world.part("lipsync_core.face.policy").Searched("clip", Fraction(25), "auto", 0.5)
    faces = world.part("nodes.types").Faces(clip, Fraction(25), searched)
    calmed = run(world, "LipSyncAdjustFaces", faces=faces, no_face="interpolate", max_gap=10)[0]
    speaks = calmed.clip.tracks[0].found
    assert speaks[5:8].all()
    assert not speaks[15:35].any()


def test_a_video_is_made_as_long_as_a_sound(world, clip):
    made = run(world, "LipSyncFit", source=clip, audio=tone(0.8), fit="pingpong")
    frames = decoded(file_of(made)).astype(int)
    assert len(frames) == 20
    assert np.abs(frames[12] - frames[10]).mean() < 3, "it plays back"


class Descriptor:
    """An UPSCALE_MODEL as spandrel hands it over."""

    def __init__(self, kind):
        self.architecture = type("Architecture", (), {"id": kind})
        self.model = torch.nn.Identity()
        self.supports_bfloat16 = True


class InvertingGfpgan(torch.nn.Module):
    """Like GFPGAN's: takes and gives -1 to 1, and says what came in."""

    def forward(self, faces, return_rgb, randomize_noise):
        assert float(faces.min()) < -0.5
        assert not return_rgb
        assert not randomize_noise
        return (-faces, [])


def test_an_enhancer_gets_what_its_network_was_trained_on(world, picture):
    enhancer = Descriptor("GFPGAN")
    enhancer.model = InvertingGfpgan()
    crops = picture[:, :64, :64].expand(2, -1, -1, -1)
    whole = run(world, "LipSyncEnhance", crops=crops, enhancer=enhancer, enhance_strength=1.0)[0]
    none = run(world, "LipSyncEnhance", crops=crops, enhancer=enhancer, enhance_strength=0.0)[0]
    assert whole.shape == (2, 512, 512, 3)
    assert torch.allclose(whole, 1 - none, atol=0.02)


def test_a_connected_enhancer_sharpens_the_hero_and_keeps_its_precision(world, clip, checkpoint):
    enhancer = Descriptor("GFPGAN")
    enhancer.model = InvertingGfpgan()
    enhancer.model.weight = torch.nn.Parameter(torch.zeros(1))
    plain, sharp = (
        decoded(file_of(hero(world, clip, model=checkpoint, crf=1, **more))).astype(int)
        for more in ({}, {"enhancer": enhancer, "enhance_strength": 1.0})
    )
    assert np.abs(plain - sharp).max() > 20
    assert enhancer.model.weight.dtype == torch.float32
    assert any(patcher.model is enhancer.model for patcher in world.placed)


# ------------------------------------------------------------------------------------------------- what goes wrong


def refusal(world, call):
    with pytest.raises(world.part("lipsync_core.errors").LipSyncError) as raised:
        call()
    return str(raised.value)


def test_no_face_is_said_with_the_ways_out(world):
    grey = torch.full((1, 128, 128, 3), 0.5)
    words = refusal(world, lambda: hero(world, grey, box="", detector="cascade"))
    assert "no face found in the picture" in words
    assert "threshold" in words


def test_no_sound_is_said(world, picture):
    words = refusal(world, lambda: run(world, "LipSyncVideo", source=picture, audio=None, **QUICK))
    assert "no sound track" in words
    empty = {"waveform": torch.zeros(1, 1, 0), "sample_rate": 16000}
    assert "holds no sound" in refusal(world, lambda: hero(world, picture, empty))


def test_a_missing_checkpoint_names_itself_file_folder_and_page(world, picture):
    words = refusal(world, lambda: hero(world, picture, model="wav2lip_gan.pth"))
    assert words.startswith("Missing weights: wav2lip_gan.\n")
    assert str(world.base / "models" / "lipsync") in words
    assert "https://" in words


def test_a_detector_that_is_not_here_is_offered_too(world, picture):
    words = refusal(world, lambda: run(world, "LipSyncDetectFaces", source=picture, detector="yunet"))
    assert words.startswith("Missing weights: yunet.\n")


def test_a_model_that_is_gone_from_the_folder_is_said(world, picture):
    assert "other.safetensors is not in" in refusal(world, lambda: hero(world, picture, model="other.safetensors"))


def test_faces_of_another_size_are_refused(world, picture, clip):
    faces = run(world, "LipSyncDetectFaces", source=clip, box=BOX)[0]
    words = refusal(world, lambda: hero(world, picture[:, :64, :64], faces=faces, box=""))
    assert "64x64" in words
    assert "same picture or video" in words


def test_images_of_another_size_than_the_faces_are_refused(world, picture, checkpoint):
    crops, faces, _ = chain(world, picture, checkpoint)
    small = picture[:, :64, :64]
    words = refusal(world, lambda: run(world, "LipSyncBlendImages", images=small, crops=crops, faces=faces))
    assert "64x64" in words


def test_faces_without_crops_and_too_few_crops_are_refused(world, picture, checkpoint):
    crops, faces, _ = chain(world, picture, checkpoint)
    plain = run(world, "LipSyncDetectFaces", source=picture, box=BOX)[0]
    words = refusal(world, lambda: run(world, "LipSyncMouthMask", faces=plain))
    assert "Run Lip Sync Model" in words
    words = refusal(world, lambda: run(world, "LipSyncBlendImages", images=picture, crops=crops[:3], faces=faces))
    assert "3 crops for faces on 10 frames" in words


def test_a_mel_of_another_rate_is_refused_with_the_right_one(world, clip, checkpoint):
    faces = run(world, "LipSyncDetectFaces", source=clip, box=BOX)[0]
    model = run(world, "LipSyncLoadModel", model_name=checkpoint)[0]
    mel = run(world, "LipSyncMel", audio=tone(0.4), fps=30.0)[0]
    words = refusal(
        world, lambda: run(world, "LipSyncGenerate", lipsync_model=model, source=clip, faces=faces, mel=mel)
    )
    assert "to 25" in words


def test_what_would_not_fit_into_memory_is_refused_with_the_node_that_does(world, picture, checkpoint, monkeypatch):
    crops, faces, _ = chain(world, picture, checkpoint)
    memory = world.part("nodes.memory")
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: type("Free", (), {"available": 1 << 20}))
    words = refusal(world, lambda: run(world, "LipSyncBlendImages", images=picture, crops=crops, faces=faces))
    assert "Blend Faces into Video" in words
    assert "GB are free" in words


def test_an_upscaler_is_no_face_restorer(world, picture):
    words = refusal(world, lambda: run(world, "LipSyncEnhance", crops=picture, enhancer=Descriptor("ESRGAN")))
    assert "ESRGAN, which is no face restorer" in words


def test_a_name_that_leads_out_of_the_output_folder_is_refused(world, picture):
    assert "filename_prefix" in refusal(world, lambda: hero(world, picture, filename_prefix="../../elsewhere"))


def test_an_enhancer_is_loaded_only_where_it_is_connected_and_wanted(world):
    asked = world.nodes["LipSyncVideo"].check_lazy_status
    assert asked(enhance_strength=0.5, enhancer=None) == ["enhancer"]
    assert asked(enhance_strength=0.0, enhancer=None) == []
    assert asked(enhance_strength=0.5) == []


@pytest.mark.parametrize("name", ["/etc/hostname", "../output/x.mp4", "..", "a/../../b.mp4"])
@pytest.mark.parametrize("widget", ["drive_video", "pose_video", "blink_video"])
def test_a_workflow_names_no_file_outside_the_input_folder(world, picture, widget, name):
    with pytest.raises(world.part("lipsync_core.errors").InputError, match="only files of the input folder"):
        run(world, "LipSyncPortrait", image=picture, audio=tone(0.4), **{widget: name})


def test_full_frames_go_one_by_one_where_no_network_gains_from_more(world):
    size = world.part("nodes.host").batch_size
    assert size(0, (1920, 1080), network=True) == 2
    assert size(0, (1920, 1080), network=False) == 1
    assert size(0, (512, 512), network=False) == 4
    assert size(7, (1920, 1080), network=False) == 7
