"""The API on real hosts, started twice each: with the page and a password, and without the page."""

import base64
import io
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from real_webui import ROOT, RealHost, checkout, running, wait
from webui_parts import Client

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

pytestmark = pytest.mark.timeout(900)


def started(name: str, folder: Path, *arguments: str) -> Any:
    if checkout(name) is None:
        pytest.skip(f"{name.upper()}_DIR does not name a checkout of {name}: its API is not tried")
    return running(name, folder / "data", ROOT, *arguments)


@pytest.fixture(scope="module", params=["A1111", "Forge"])
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHost]:
    """A host with its page and a password."""
    with started(request.param, tmp_path_factory.mktemp("guarded"), "--api-auth", ME) as host:
        yield host


@pytest.fixture(scope="module", params=["A1111", "Forge"])
def headless(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHost]:
    """A host without its page and without a password."""
    folder = tmp_path_factory.mktemp("headless")
    with started(request.param, folder, "--nowebui", "--server-name", "127.0.0.1") as host:
        wait(lambda: is_open(host), 60, "the server without a page")
        yield host


def is_open(host: RealHost) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(host.url.rsplit(":", 1)[1]))) == 0


def frames_of(video: str) -> int:
    with av.open(io.BytesIO(base64.b64decode(video))) as container:
        assert container.streams.audio
        return sum(1 for _ in container.decode(video=0))


def test_without_the_password_every_route_is_closed(guarded):
    for route in ALL:
        for user in ("", "me:wrong"):
            stranger = Client(guarded.url, user)
            answer = stranger.get(route) if route in GETS else stranger.post(route, A_SECOND)
            assert (answer.status, answer.json["error"]) == (401, "Unauthorized")
    assert Client(guarded.url).get("/sdapi/v1/options").status == 401  # as the host's own
    assert "/lipsync/v1/generate from 127.0.0.1 refused (401)" in guarded.log


def test_with_the_password_every_route_answers(guarded):
    for route in GETS:
        assert Client(guarded.url, ME).get(route).status == 200
    assert Client(guarded.url, ME).get("/lipsync/v1/status").json["host"] == guarded.name
    made = Client(guarded.url, ME).post(GENERATE, A_SECOND)
    assert made.status == 200, made.body[:500]
    assert frames_of(made.json["video"]) == 25
    assert len(Client(guarded.url, ME).post(DETECT, FACES).json["faces"]) == 1


def test_a_saved_video_lies_in_the_hosts_output_folder(guarded):
    made = Client(guarded.url, ME).post(GENERATE, {**A_SECOND, "save_video": True, "send_video": False}).json
    path = guarded.data / "outputs" / "lipsync" / Path(made["file"]).relative_to("output")
    with av.open(str(path)) as container:
        assert "Engine: auto" in container.metadata["parameters"]
    assert (
        Client(guarded.url, ME).post(DETECT, {"face": {"file": made["file"]}, **{"options": FACES["options"]}}).status
        == 200
    )


def test_the_routes_stand_in_the_documentation(guarded):
    described = Client(guarded.url, ME).get("/openapi.json").json["paths"]
    assert set(ALL) <= set(described)
    assert Client(guarded.url, ME).get("/docs").status == 200


def test_a_request_shows_in_the_hosts_progress_and_stops_with_its_interrupt(guarded):
    client, answers = Client(guarded.url, ME), []
    slow = {**A_SECOND, "options": {"detector": "cascade"}, "save_video": True}
    before = guarded.results()
    thread = threading.Thread(target=lambda: answers.append(client.post(GENERATE, slow)))
    thread.start()
    wait(lambda: client.get("/sdapi/v1/progress").json["progress"] > 0.25, 120, "a quarter of the work")
    assert "lipsync-generate" in client.get("/sdapi/v1/progress").json["state"]["job"]
    client.post("/sdapi/v1/interrupt", {})
    thread.join(60)
    assert [(answer.status, answer.json["error"]) for answer in answers] == [(409, "Cancelled")]
    assert guarded.results() == before
    assert client.get("/lipsync/v1/status").json["busy"] is False


def test_the_api_works_without_the_page(headless):
    for route in GETS:
        assert Client(headless.url).get(route).status == 200
    assert frames_of(Client(headless.url).post(GENERATE, A_SECOND).json["video"]) == 25
    assert len(Client(headless.url).post(DETECT, FACES).json["faces"]) == 1
    assert set(ALL) <= set(Client(headless.url).get("/openapi.json").json["paths"])


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "input/../config.json", "demo/../../install.py", "http://127.0.0.1:1/x", "concat:a|b"]
)
def test_paths_and_urls_are_refused_on_a_real_host(headless, name):
    assert Client(headless.url).post(DETECT, {"face": {"file": name}}).status in (403, 404)
    assert Client(headless.url).post(GENERATE, {**A_SECOND, "options": {"mask_file": {"file": name}}}).status in (
        403,
        404,
    )
    assert "refused (403)" in headless.log


def test_other_sites_are_refused_on_a_real_host(headless):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert Client(headless.url).call(GENERATE, b"face=x", form).status == 415
    assert Client(headless.url).post(DETECT, FACES, Origin="https://evil.example").status == 403
    assert Client(headless.url).get("/lipsync/v1/status", Host="evil.example").status == 403


def test_too_much_and_nonsense_are_refused_on_a_real_host(headless):
    playlist = base64.b64encode(b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n").decode()
    refused = Client(headless.url).post(DETECT, {"face": {"data": playlist}})
    assert (refused.status, "playlist" in refused.json["detail"]) == (422, True)
    assert Client(headless.url).post(GENERATE, {**A_SECOND, "options": {"strength": "x"}}).status == 422
    assert Client(headless.url).call(GENERATE, b"{", {"Content-Type": "application/json"}).status == 422
    shown = str(headless.data)
    assert shown not in refused.body
