"""The API as its users call it: every route, both ways of giving files, what comes back."""

import base64
import io
import json
from pathlib import Path

import av
import pytest
from modules import progress, script_callbacks, shared
from PIL import Image
from webui_parts import DEMO, encoded

from lipsync_core.options import knobs

ROUTES = {
    "/lipsync/v1/generate": "post",
    "/lipsync/v1/detect": "post",
    "/lipsync/v1/models": "get",
    "/lipsync/v1/status": "get",
    "/lipsync/v1/schema": "get",
}


def frames_of(video: bytes) -> tuple[int, int, int, bool]:
    """Frames, width, height, and whether there is sound."""
    with av.open(io.BytesIO(video)) as container:
        frames = list(container.decode(video=0))
        return len(frames), frames[0].width, frames[0].height, bool(container.streams.audio)


def test_every_route_stands_in_the_documentation(client):
    paths = client.get("/openapi.json").json()["paths"]
    for route, method in ROUTES.items():
        assert paths[route][method]["tags"] == ["Lip Sync"]
        assert paths[route][method]["summary"]
    assert client.get("/docs").status_code == 200


def test_the_documentation_holds_every_setting_with_its_range(client):
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    options = schemas["GenerateRequest"]["properties"]["options"]["properties"]
    assert set(options) == set(knobs())
    assert (options["strength"]["minimum"], options["strength"]["maximum"]) == (0.0, 2.0)
    assert options["no_face"]["enum"] == ["keep", "hold", "interpolate", "stop"]
    assert options["mask_file"]["type"] == "object"


def test_without_api_there_are_no_routes(start):
    client = start(api=False, nowebui=False)
    assert client.get("/lipsync/v1/status").status_code == 404


def test_nowebui_brings_the_routes_too(start):
    assert start(api=False, nowebui=True).get("/lipsync/v1/status").status_code == 200


def test_status_tells_the_limits_and_no_path(client, data_dir):
    told = client.get("/lipsync/v1/status")
    assert told.json()["folders"] == ["input", "output", "demo"]
    assert (told.json()["device"], told.json()["busy"], told.json()["waiting"]) == ("cpu", False, 0)
    assert (told.json()["max_mb"], told.json()["max_seconds"]) == (128, 600)
    assert str(data_dir) not in told.text


def test_the_limits_are_those_of_the_settings_section(client):
    from lipsync_webui import settings

    settings.add()
    before = client.get("/lipsync/v1/status").json()
    shared.opts.lipsync_api_max_mb, shared.opts.lipsync_api_max_seconds = 7.0, 30.0  # the host keeps floats
    after = client.get("/lipsync/v1/status").json()
    assert (before["max_mb"], before["max_seconds"]) == (128, 600)
    assert (after["max_mb"], after["max_seconds"]) == (7, 30)


def test_models_tells_what_is_ready(client, data_dir):
    told = client.get("/lipsync/v1/models").json()
    engines = {row["name"]: row for row in told["engines"]}
    assert engines["puppet"]["ready"] is True
    assert engines["wav2lip"]["ready"] is False
    assert "yunet" in [row["name"] for row in told["checkpoints"]]
    assert {"cascade", "yunet"} <= {row["name"] for row in told["detectors"]}
    assert str(data_dir) not in json.dumps(told)


def test_schema_tells_every_setting(client):
    told = client.get("/lipsync/v1/schema").json()
    rows = {row["name"]: row for row in told["settings"]}
    assert set(rows) == set(knobs())
    assert rows["feather"]["low"] == 0.0
    assert rows["feather"]["high"] == 0.5
    assert rows["mask_file"]["type"] == "file"
    assert rows["checkpoint"]["type"] == "string"
    assert [row["group"] for row in told["settings"]] == sorted(
        (row["group"] for row in told["settings"]), key=told["groups"].index
    )


def test_a_portrait_and_a_voice_become_a_video(client, request_body, data_dir, tmp_path):
    answer = client.post("/lipsync/v1/generate", json=request_body())
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert frames_of(base64.b64decode(told["video"])) == (10, 384, 384, True)
    assert told["file"] is None
    assert told["info"].startswith("Engine: auto")
    assert (told["report"]["frames"], told["report"]["engine"]) == (10, "puppet")
    assert str(tmp_path) not in answer.text.replace(told["video"], "")
    assert not (data_dir / "outputs").exists()
    assert shared.state.job == ""
    assert len(progress.finished_tasks) > 0


def test_uploads_give_the_same_video_as_names(client, request_body):
    named = client.post("/lipsync/v1/generate", json=request_body()).json()
    uploads = request_body(face=encoded(DEMO / "portrait.png"), speech=encoded(DEMO / "voice.wav"))
    sent = client.post("/lipsync/v1/generate", json=uploads).json()
    with av.open(io.BytesIO(base64.b64decode(named["video"]))) as one:
        first = [frame.to_ndarray() for frame in one.decode(video=0)]
    with av.open(io.BytesIO(base64.b64decode(sent["video"]))) as two:
        second = [frame.to_ndarray() for frame in two.decode(video=0)]
    assert all((a == b).all() for a, b in zip(first, second, strict=True))


def test_a_data_uri_is_an_upload(client):
    uri = f"data:image/png;base64,{encoded(DEMO / 'portrait.png')['data']}"
    answer = client.post("/lipsync/v1/detect", json={"face": {"data": uri}, "options": {"detector": "cascade"}})
    assert (answer.status_code, len(answer.json()["faces"])) == (200, 1)


def test_a_saved_video_has_a_name_that_can_be_used_again(client, request_body, data_dir):
    answer = client.post("/lipsync/v1/generate", json=request_body(save_video=True, send_video=False))
    told = answer.json()
    assert told["video"] is None
    folder, day, name = told["file"].split("/")
    assert (folder, name) == ("output", "00000-api.mp4")
    assert (data_dir / "outputs" / "lipsync" / day / name).is_file()
    seen = client.post(
        "/lipsync/v1/detect", json={"face": {"file": told["file"]}, "frame": 9, "options": {"detector": "cascade"}}
    )
    assert (seen.json()["width"], len(seen.json()["faces"])) == (384, 1)


def test_a_file_in_the_input_folder_is_found_by_its_name(client, data_dir, request_body):
    folder = data_dir / "inputs" / "lipsync" / "my voices"
    folder.mkdir()
    (folder / "anna é.wav").write_bytes((DEMO / "voice.wav").read_bytes())
    answer = client.post("/lipsync/v1/generate", json=request_body(speech={"file": "input/my voices/anna é.wav"}))
    assert answer.status_code == 200, answer.text


def test_another_input_folder_may_be_named_at_the_start(start, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "face.png").write_bytes((DEMO / "portrait.png").read_bytes())
    client = start(lipsync_input_dir=str(tmp_path / "elsewhere"))
    body = {"face": {"file": "input/face.png"}, "options": {"detector": "cascade"}}
    assert client.post("/lipsync/v1/detect", json=body).status_code == 200


def test_detect_gives_boxes_landmarks_and_a_picture(client):
    body = {"face": {"file": "demo/portrait.png"}, "send_preview": True, "options": {"detector": "cascade"}}
    told = client.post("/lipsync/v1/detect", json=body).json()
    assert (told["width"], told["height"], told["detector"]) == (768, 768, "cascade")
    (face,) = told["faces"]
    left, top, right, bottom = face["box"]
    assert 0 <= left < right <= 768
    assert len(face["landmarks"]) == 5
    assert all(left < x < right and top < y < bottom for x, y in face["landmarks"])
    picture = Image.open(io.BytesIO(base64.b64decode(told["preview"])))
    assert picture.getcolors(1 << 24) is not None
    assert (64, 220, 96) in {colour for _, colour in picture.getcolors(1 << 24)}


def test_a_frame_that_is_not_there_is_refused(client):
    answer = client.post("/lipsync/v1/detect", json={"face": {"file": "demo/portrait.png"}, "frame": 3})
    assert answer.status_code == 422
    assert "there is no frame 3" in answer.json()["detail"]


def test_a_mask_is_sent_as_a_file_under_its_settings_name(client, request_body, tmp_path):
    Image.new("L", (384, 384), 255).save(tmp_path / "mask.png")
    options = {**request_body()["options"], "mask": "user", "mask_file": encoded(tmp_path / "mask.png")}
    answer = client.post("/lipsync/v1/generate", json=request_body(options=options))
    assert answer.status_code == 200, answer.text
    assert "Mask file: mask_file" in answer.json()["info"]


def test_a_missing_checkpoint_says_how_to_get_it(client, request_body):
    shared.opts.lipsync_offline = True
    answer = client.post("/lipsync/v1/generate", json=request_body(options={"checkpoint": "wav2lip_gan"}))
    assert (answer.status_code, answer.json()["error"]) == (409, "WeightsError")
    assert "licence" in answer.json()["detail"] or "http" in answer.json()["detail"]


def test_an_interrupt_ends_the_run_and_leaves_nothing(client, request_body, data_dir, monkeypatch):
    from lipsync_webui import job_state

    real = job_state.show_progress

    def interrupting(stage, done, total):
        real(stage, done, total)
        if stage == "render":
            shared.state.interrupt()

    monkeypatch.setattr(job_state, "show_progress", interrupting)
    answer = client.post("/lipsync/v1/generate", json=request_body(save_video=True))
    assert (answer.status_code, answer.json()["error"]) == (409, "Cancelled")
    assert [path for path in (data_dir / "outputs").rglob("*") if path.is_file()] == []


def test_reload_ui_mounts_the_routes_on_the_new_server(start):
    start()
    script_callbacks.clear_callbacks()
    assert start().get("/lipsync/v1/status").status_code == 200


@pytest.mark.parametrize("route", [route for route, method in ROUTES.items() if method == "get"])
def test_answers_are_not_kept_and_not_guessed_at(client, route):
    headers = client.get(route).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_nothing_of_a_request_stays_on_the_disk(client, request_body, tmp_path, monkeypatch):
    import tempfile

    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    body = request_body(face=encoded(DEMO / "portrait.png"), options={"speech_end": 0.2, "detector": "cascade"})
    assert client.post("/lipsync/v1/generate", json=body).status_code == 200
    assert client.post("/lipsync/v1/generate", json={**body, "speech": {"data": "AAAA"}}).status_code == 422
    assert list(Path(place).iterdir()) == []
