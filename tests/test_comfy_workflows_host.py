"""Every example workflow through POST /prompt of a real ComfyUI on the CPU, with the puppet and with a Wav2Lip
checkpoint of random weights. COMFYUI_DIR switches it on.

A diffusion model does not fit into a test: where a workflow draws its picture, Load Image gives ours instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from comfy_host import DEMO, PACK, Host, comfy, needs_host
from comfy_media import make_media
from comfy_workflow import Json, to_prompt
from PIL import Image
from safetensors.torch import save_file

from lipsync_core.networks.wav2lip import Generator, layout_96

pytestmark = [needs_host, pytest.mark.filterwarnings("ignore")]
WORKFLOWS = sorted((PACK / "example_workflows").glob("*.json"))
RANDOM = "random_wav2lip.safetensors"
MODEL_WIDGETS = {"LipSyncVideo": "model", "LipSyncLoadModel": "model_name"}


@pytest.fixture(scope="module", params=["sd-lipsync", "my.lip sync"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    base = tmp_path_factory.mktemp("workflows") / "base"
    (base / "models" / "lipsync").mkdir(parents=True)
    torch.manual_seed(7)
    save_file(Generator(layout_96(quarter=True)).state_dict(), base / "models" / "lipsync" / RANDOM)
    with comfy(base, request.param) as running:
        make_media(running.base / "input")
        make_clips(running.base / "input")
        yield running


def make_clips(folder: Path) -> None:
    """The files that the workflows name: clip.mp4 and two.mp4, a second long; voice.wav and voice2.wav, shorter."""
    (folder / "short.wav").replace(folder / "voice.wav")
    (folder / "voice2.wav").write_bytes((folder / "voice.wav").read_bytes())
    one = np.asarray(Image.open(DEMO / "portrait.png").convert("RGB").resize((256, 256)))
    for name, pixels in (("clip.mp4", one), ("two.mp4", np.asarray(Image.open(folder / "two.png").resize((512, 256))))):
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = pixels.shape[1], pixels.shape[0], "yuv420p"
            for _ in range(25):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")))
            container.mux(stream.encode())


def runnable(workflow: Json, object_info: Json, model: str) -> Json:
    """The workflow's prompt with `model` chosen everywhere, and without what a diffusion model is needed for."""
    prompt = to_prompt(workflow, object_info)
    for node in prompt.values():
        if node["class_type"] == "VAEDecode":
            node.update(class_type="LoadImage", inputs={"image": "portrait.png"})
        widget = MODEL_WIDGETS.get(node["class_type"])
        if widget:
            node["inputs"][widget] = model
    wanted: dict[str, Json] = {}

    def keep(number: str) -> None:
        if number in wanted:
            return
        wanted[number] = prompt[number]
        for value in prompt[number]["inputs"].values():
            if isinstance(value, list):
                keep(value[0])

    for number, node in prompt.items():
        if object_info[node["class_type"]]["output_node"]:
            keep(number)
    return wanted


@pytest.mark.parametrize("model", ["puppet", RANDOM])
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_and_leaves_a_video_with_sound(host: Host, path: Path, model: str) -> None:
    workflow = json.loads(path.read_text(encoding="utf-8"))
    done = host.run(runnable(workflow, host.get("/object_info"), model))
    assert done.status == "success", done.error
    shown = [row for output in done.outputs.values() for row in output.get("images", []) if row["type"] == "output"]
    videos = [host.file(row) for row in shown if row["filename"].endswith(".mp4")]
    assert videos
    with av.open(str(videos[-1])) as container:
        assert container.streams.audio
        frames = sum(1 for _ in container.decode(video=0))
    seconds = 6 if path.stem.startswith("5") else 3
    rate = 16 if path.stem.startswith("6") else 25
    assert frames == seconds * rate
