"""The API on real hosts, started twice each: with the page and a password, and without the page."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from webui_real import VARIABLES, WebUI, checkout

ME = "me:secret"
GENERATE, DETECT = "/lipsync/v1/generate", "/lipsync/v1/detect"
GETS = ("/lipsync/v1/models", "/lipsync/v1/status", "/lipsync/v1/schema")
ALL = (*GETS, GENERATE, DETECT)
A_SECOND = {
    "face": {"file": "demo/portrait.png"},
    "speech": {"file": "demo/voice.wav"},
    "options": {"speech_end": 1.0, "resize_factor": 2, "detector": "cascade"},
}
FACES = {"face": {"file": "demo/portrait.png"}, "options": {"detector": "cascade"}}
STARTS = {"page": ("--api", "--api-auth", ME), "nowebui": ("--nowebui", "--api", "--server-name", "127.0.0.1")}

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module", params=VARIABLES)
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    """A host with its page and a password."""
    checkout(request.param)
    with WebUI(request.param, tmp_path_factory.mktemp("guarded"), "--api", "--api-auth", ME) as webui:
        yield webui


@pytest.fixture(scope="module", params=VARIABLES)
def headless(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebUI]:
    """A host without its page and without a password."""
    checkout(request.param)
    arguments = ("--nowebui", "--api", "--server-name", "127.0.0.1")
    with WebUI(request.param, tmp_path_factory.mktemp("headless"), *arguments) as webui:
        yield webui


def frames_of(video: str) -> int:
    with av.open(io.BytesIO(base64.b64decode(video))) as container:
        assert container.streams.audio
        return sum(1 for _ in container.decode(video=0))


def test_without_the_password_every_route_is_closed(guarded):
    for route in ALL:
        for user in ("", "me:wrong"):
            answer = guarded.get(route, user=user) if route in GETS else guarded.post(route, A_SECOND, user=user)
            assert (answer.status, answer.json["error"]) == (401, "Unauthorized")
    assert guarded.get("/sdapi/v1/options").status == 401  # as the host's own
    assert "/lipsync/v1/generate from 127.0.0.1 refused (401)" in guarded.log


def test_with_the_password_every_route_answers(guarded):
    for route in GETS:
        assert guarded.get(route, user=ME).status == 200
    assert guarded.get("/lipsync/v1/status", user=ME).json["host"].lower() == guarded.kind
    made = guarded.post(GENERATE, A_SECOND, user=ME)
    assert made.status == 200, made.body[:500]
    assert frames_of(made.json["video"]) == 25
    assert len(guarded.post(DETECT, FACES, user=ME).json["faces"]) == 1


def test_a_saved_video_lies_in_the_hosts_output_folder(guarded):
    made = guarded.post(GENERATE, {**A_SECOND, "save_video": True, "send_video": False}, user=ME).json
    path = guarded.data / "outputs" / "lipsync" / Path(made["file"]).relative_to("output")
    with av.open(str(path)) as container:
        assert "Engine: auto" in container.metadata["parameters"]
    assert (
        guarded.post(DETECT, {"face": {"file": made["file"]}, **{"options": FACES["options"]}}, user=ME).status == 200
    )


def test_the_routes_stand_in_the_documentation(guarded):
    described = guarded.get("/openapi.json", user=ME).json["paths"]
    assert set(ALL) <= set(described)
    assert guarded.get("/docs", user=ME).status == 200


def test_the_api_works_without_the_page(headless):
    for route in GETS:
        assert headless.get(route).status == 200
    assert frames_of(headless.post(GENERATE, A_SECOND).json["video"]) == 25
    assert len(headless.post(DETECT, FACES).json["faces"]) == 1
    assert set(ALL) <= set(headless.get("/openapi.json").json["paths"])


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "input/../config.json", "demo/../../install.py", "http://127.0.0.1:1/x", "concat:a|b"]
)
def test_paths_and_urls_are_refused_on_a_real_host(headless, name):
    assert headless.post(DETECT, {"face": {"file": name}}).status in (403, 404)
    assert headless.post(GENERATE, {**A_SECOND, "options": {"mask_file": {"file": name}}}).status in (403, 404)
    assert "refused (403)" in headless.log


def test_other_sites_are_refused_on_a_real_host(headless):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert headless.call(GENERATE, b"face=x", form).status == 415
    assert headless.post(DETECT, FACES, headers={"Origin": "https://evil.example"}).status == 403
    assert headless.get("/lipsync/v1/status", headers={"Host": "evil.example"}).status == 403


def test_too_much_and_nonsense_are_refused_on_a_real_host(headless):
    playlist = base64.b64encode(b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n").decode()
    refused = headless.post(DETECT, {"face": {"data": playlist}})
    assert (refused.status, "playlist" in refused.json["detail"]) == (422, True)
    assert headless.post(GENERATE, {**A_SECOND, "options": {"strength": "x"}}).status == 422
    assert headless.call(GENERATE, b"{", {"Content-Type": "application/json"}).status == 422
    shown = str(headless.data)
    assert shown not in refused.body
