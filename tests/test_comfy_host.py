"""The pack in a real ComfyUI: loaded from folders with awkward names, driven over HTTP as the page drives it.

Switched on by COMFYUI_DIR, see comfy_host.py; example_workflows/ are run by test_comfy_workflows_host.py.
"""

import os
import time
from pathlib import Path

import av
import pytest
import torch
from comfy_host import DEMO, RefusedError, comfy, needs_host
from demo_media import short_voice
from safetensors.torch import save_file
from test_comfy_schemas import IDS

from lipsync_core.networks.wav2lip import Generator, layout_96

pytestmark = [needs_host, pytest.mark.timeout(900)]

CHECKPOINT = "random.safetensors"
BLUEPRINT = "Lip Sync Step by Step"
STOP_SECONDS = 0.5
FOLDERS = ["sd-lipsync", "my.lip sync"]


@pytest.fixture(scope="module", params=FOLDERS)
def host(request, tmp_path_factory):
    base = tmp_path_factory.mktemp("comfy")
    torch.manual_seed(0)
    (base / "models/lipsync").mkdir(parents=True)
    save_file(Generator(layout_96(quarter=True)).state_dict(), str(base / "models/lipsync" / CHECKPOINT))
    (base / "input").mkdir()
    short_voice(base / "input/short.wav", 1.0)
    moving_portrait(base / "input/clip.mp4", 15, (480, 480))
    moving_portrait(base / "input/silent.mp4", 3, (64, 64))
    with comfy(base, request.param) as running:
        yield running


def moving_portrait(path, frames, size):
    """Our portrait, silent, filling a video of this size."""
    from PIL import Image

    with Image.open(DEMO / "portrait.png") as portrait:
        picture = portrait.convert("RGB").resize(size)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for _ in range(frames):
            out.mux(stream.encode(av.VideoFrame.from_image(picture)))
        out.mux(stream.encode(None))
    return path


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


PICTURE = {"1": node("LoadImage", image="portrait.png"), "2": node("LoadAudio", audio="short.wav")}
VIDEO = {"1": node("LoadVideo", file="clip.mp4"), "2": node("LoadAudio", audio="short.wav")}
HERO = {
    "source": ["1", 0], "audio": ["2", 0], "model": "auto", "quality": "fast", "enhance_strength": 0.8,
    "which_face": "largest", "fit": "loop", "filename_prefix": "lipsync/test", "save_output": True,
}  # fmt: skip
STEPS = {
    "3": node(
        "LipSyncDetectFaces", source=["1", 0], detector="cascade", face_threshold=0.5, max_faces=1, detect_every=5
    ),
    "4": node(
        "LipSyncAdjustFaces", faces=["3", 0], pad_top=0, pad_bottom=10, pad_left=0, pad_right=0, smoothing=0.2,
        no_face="keep", max_gap=10,
    ),
    "5": node("LipSyncLoadModel", model_name=CHECKPOINT, strength=1.0),
    "6": node("LipSyncMel", audio=["2", 0], fps=25.0, mel_offset_ms=0.0, gate=True),
    "7": node(
        "LipSyncGenerate", lipsync_model=["5", 0], source=["1", 0], faces=["4", 0], mel=["6", 0], fit="loop"
    ),
    "8": node("LipSyncMouthMask", faces=["7", 1], mask="mouth", grow=0.0, feather=0.08),
    "9": node(
        "LipSyncBlendVideo", source=["1", 0], audio=["2", 0], crops=["7", 0], faces=["7", 1], mask=["8", 0],
        paste="feather", colour_match=1.0, filename_prefix="lipsync/steps", save_output=True, label="auto",
    ),
}  # fmt: skip


def hero(sources=PICTURE, **changed):
    return {**sources, "9": node("LipSyncVideo", **{**HERO, **changed})}


def version(host):
    words = host.get("/system_stats")["system"]["comfyui_version"].split(".")
    return tuple(int(word) for word in words[:3])


def made_by(host, prompt):
    """The file that node 9 wrote, checked to be a video of 25 frames with sound."""
    done = host.run(prompt)
    assert done.status == "success", done.error
    path = host.file(done.outputs["9"]["images"][0])
    with av.open(str(path)) as out:
        assert out.streams.video[0].frames == 25
        assert len(out.streams.audio) == 1
        tags = {name.lower() for name in out.metadata}
    assert {"prompt", "workflow", "digitalsourcetype"} <= tags
    return done


# ------------------------------------------------------------------------------------------------- it works


def test_every_node_is_there_whatever_the_folder_is_called(host):
    info = host.get("/object_info")
    assert set(IDS) <= set(info)
    log = (host.base / "log.txt").read_text(errors="replace")
    assert "IMPORT FAILED" not in log


def test_the_blueprint_is_offered_where_blueprints_are_known(host):
    if version(host) < (0, 3, 67):  # it came with that version
        return
    offered = host.get("/global_subgraphs")
    (number,) = [number for number, row in offered.items() if row["name"] == BLUEPRINT]
    assert "LipSyncGenerate" in host.get(f"/global_subgraphs/{number}")["data"]


@pytest.mark.parametrize("model", ["auto", "puppet", CHECKPOINT])
@pytest.mark.parametrize("sources", [PICTURE, VIDEO], ids=["picture", "video"])
def test_two_wires_and_run_give_a_file(host, sources, model):
    done = made_by(host, hero(sources, model=model))
    report = done.outputs["9"]["lipsync_report"][0]
    assert report["frames"] == 25
    assert len(report["peaks"]) == len(report["gate"])


def test_a_portrait_is_animated(host):
    portrait = node(
        "LipSyncPortrait", image=["1", 0], audio=["2", 0], engine="puppet", quality="fast", blink=1.0, sway=1.0,
        strength=1.0, enhance_strength=0.8, seed=3, fps=25.0, filename_prefix="lipsync/portrait", save_output=True,
    )  # fmt: skip
    made_by(host, {**PICTURE, "9": portrait})


@pytest.mark.parametrize("model", ["puppet", CHECKPOINT])
def test_the_steps_give_a_file_and_faces_to_click(host, model):
    loader = node("LipSyncLoadModel", model_name=model, strength=1.0)
    done = made_by(host, {**VIDEO, **STEPS, "5": loader})
    shown = done.outputs["3"]["lipsync_faces"][0]
    assert len(shown["boxes"]) == 1
    assert host.file(shown["image"]).is_file()


def test_pictures_in_memory_are_blended_and_a_fitted_video_is_saved(host):
    prompt = {
        **VIDEO,
        **{name: STEPS[name] for name in "34567"},
        "10": node("GetVideoComponents", video=["1", 0]),
        "11": node("RepeatImageBatch", image=["10", 0], amount=2),
        "12": node(
            "LipSyncBlendImages", images=["11", 0], crops=["7", 0], faces=["7", 1], paste="pyramid", colour_match=1.0,
            label="auto",
        ),
        "13": node("PreviewImage", images=["12", 0]),
        "14": node("LipSyncFit", source=["1", 0], audio=["2", 0], fit="pingpong"),
        "15": node("SaveVideo", video=["14", 0], filename_prefix="fit", format="auto", codec="auto"),
        "16": node("CreateVideo", images=["10", 0], fps=25.0),
        "9": node("LipSyncVideo", **{**HERO, "source": ["16", 0], "save_output": False}),
    }  # fmt: skip
    done = made_by(host, prompt)
    assert len(done.outputs["13"]["images"]) == 25
    with av.open(str(host.file(done.outputs["15"]["images"][0]))) as out:
        assert out.streams.video[0].frames == 25


def test_a_trimmed_video_speaks_from_its_window(host):
    if "Video Slice" not in host.get("/object_info"):  # came with 0.13.1: before it there is nothing to get wrong
        assert version(host) < (0, 13, 1)
        return
    rules = host.get("/object_info")["Video Slice"]["input"]["required"]
    given = {name: rule[1].get("default") for name, rule in rules.items()}
    given |= {"video": ["1", 0], "start_time": 0.2, "duration": 0.2}
    done = host.run({**hero(VIDEO, source=["3", 0], fit="cut"), "3": node("Video Slice", **given)})
    assert done.status == "success", done.error
    assert done.outputs["9"]["lipsync_report"][0]["frames"] == 5


# ------------------------------------------------------------------------------------------------- manners


def test_stop_acts_within_half_a_second_and_leaves_no_half_file(host):
    made_by(host, hero())
    before = written(host)
    number = host.start(hero(audio=["3", 0], seed=7) | {"3": node("LoadAudio", audio="voice.wav")})
    time.sleep(2.5)
    stopped = time.monotonic()
    host.post("/interrupt", {"prompt_id": number})
    done = host.wait(number)
    waited = time.monotonic() - stopped
    assert done.kind == "interrupted", done.error
    assert waited < STOP_SECONDS + float(os.environ.get("LIPSYNC_SLOW_MACHINE", "0"))
    assert written(host) <= before


def written(host):
    """Files that a run has made, finished or not."""
    folders = ("lipsync", "temp")
    return {path for path in host.base.rglob("*") if path.is_file() and path.parent.name in folders}


def test_weights_are_listed_and_a_licence_is_asked_for_once(host):
    listed = host.get("/lipsync/weights")
    rows = {row["name"]: row for row in listed["items"]}
    assert rows["wav2lip_gan"]["needs_ack"]
    assert not rows["wav2lip_gan"]["here"]
    assert Path(listed["folder"]) == host.base / "models/lipsync"
    assert listed["acknowledged"] == []

    with pytest.raises(RefusedError, match="licence"):
        host.post("/lipsync/weights/get", {"name": "wav2lip_gan"})
    with pytest.raises(RefusedError, match="no weights named"):
        host.post("/lipsync/weights/get", {"name": "../../etc/passwd", "accept_licence": True})


def test_two_prompts_at_once_do_not_share_a_name(host):
    numbers = [host.start(hero(seed=seed)) for seed in (1, 2)]
    files = [host.file(host.wait(number).outputs["9"]["images"][0]) for number in numbers]
    assert len(set(files)) == 2


# ------------------------------------------------------------------------------------------------- bad use


GREY = node("EmptyImage", width=256, height=256, batch_size=1, color=8421504)
SILENT = {"3": node("LoadVideo", file="silent.mp4"), "4": node("GetVideoComponents", video=["3", 0])}
NOTHING = {"3": node("EmptyAudio", duration=0.0, sample_rate=44100, channels=1)}
FPS30 = node("LipSyncMel", audio=["2", 0], fps=30.0, mel_offset_ms=0.0, gate=True)
SMALL = node("ImageScale", image=["20", 0], upscale_method="bilinear", width=64, height=64, crop="disabled")
BLEND = node(
    "LipSyncBlendImages", images=["21", 0], crops=["7", 0], faces=["7", 1], paste="feather", colour_match=1.0,
    label="auto",
)  # fmt: skip
BAD = {
    "no face": (hero({**PICTURE, "1": GREY}, detector="cascade"), ["no face found in the picture", "threshold"]),
    "silent video": (hero(audio=["4", 1]) | SILENT, ["no sound track", "Load Audio"]),
    "empty audio": (hero(audio=["3", 0]) | NOTHING, ["no sound"]),
    "missing weights": (
        hero(model="wav2lip_gan.pth"), ["Missing weights: wav2lip_gan.", "models/lipsync", "https://", "Licence"],
    ),
    "images of another size": (
        {**VIDEO, **{name: STEPS[name] for name in "34567"}, "20": node("GetVideoComponents", video=["1", 0]),
         "21": SMALL, "22": BLEND, "9": node("PreviewImage", images=["22", 0])},
        ["480x480", "64x64"],
    ),
    "mel of another rate": ({**VIDEO, **STEPS, "6": FPS30}, ["30 frames a second", "has 25", "to 25"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_use_gets_a_sentence_that_says_what_to_do(host, case):
    prompt, words = BAD[case]
    done = host.run(prompt)
    assert done.status == "error"
    assert done.kind.endswith("Error")
    for word in words:
        assert word in done.error, done.error
