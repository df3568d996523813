"""Requests that nobody with good intentions sends: refused, logged, and nothing outside the folders is opened."""

import base64
import json
import logging
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from local_server import FaultServer
from modules import shared
from webui_parts import DEMO, encoded

GENERATE, DETECT = "/lipsync/v1/generate", "/lipsync/v1/detect"
GETS = ["/lipsync/v1/models", "/lipsync/v1/status", "/lipsync/v1/schema"]
ALL = [("post", GENERATE), ("post", DETECT), *(("get", route) for route in GETS)]
JSON = {"Content-Type": "application/json"}


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


@pytest.fixture(autouse=True)
def every_refusal_is_logged(caplog):
    """What a test in this file gets refused must stand in the log."""
    caplog.set_level(logging.WARNING, "lipsync")
    return caplog


def refused(answer, status: int, caplog=None) -> str:
    """The sentence of a refusal; it has the form that is promised."""
    assert answer.status_code == status, answer.text[:500]
    told = answer.json()
    assert set(told) == {"error", "detail"}
    assert told["error"].isidentifier()
    assert told["detail"][-1] == "."
    if caplog is not None:
        assert f"refused ({status})" in caplog.text
        assert all(record.getMessage().isprintable() for record in caplog.records)
    return told["detail"]


# ------------------------------------------------------------------------------------------------ who


@pytest.mark.parametrize(("method", "route"), ALL)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("me", "wrong"),
        basic("you", "secret"),
        basic("", ""),
        basic("me", "sécret"),
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe").decode()},
        {"Authorization": "Bearer secret"},
        {"Authorization": "Basic"},
    ],
    ids=["none", "password", "user", "empty", "accent", "no base64", "no text", "bearer", "bare"],
)
def test_with_api_auth_no_route_answers_a_stranger(start, caplog, method, route, headers):
    client = start(api_auth="me:secret")
    answer = getattr(client, method)(route, headers=headers)
    refused(answer, 401, caplog)
    assert answer.headers["www-authenticate"] == "Basic"


def test_the_hosts_own_users_may_come_in(start):
    client = start(api_auth="me:secret, you:pass:word")
    for user in (("me", "secret"), ("you", "pass:word")):
        for route in GETS:
            assert client.get(route, headers=basic(*user)).status_code == 200
        assert client.post(GENERATE, headers=basic(*user), json={}).status_code == 422


@pytest.mark.parametrize(("headers", "status"), [({}, 401), ({**basic("me", "secret"), "Origin": "http://x"}, 403)])
def test_nothing_of_the_body_is_read_before_it_is_clear_who_asks(start, monkeypatch, headers, status):
    from lipsync_webui import api_guard

    monkeypatch.setattr(api_guard, "read_body", None)
    client = start(api_auth="me:secret")
    refused(client.post(GENERATE, headers={**JSON, **headers}, content=b"{}"), status)


def test_the_documentation_asks_for_the_password(start):
    client = start(api_auth="me:secret")
    described = client.get("/openapi.json").json()
    assert all(described["paths"][route][method]["security"] for method, route in ALL)


# ------------------------------------------------------------------------------------------------ from where


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"face=x&speech=y"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x\r\n\r\n--x--"),
        ({"Content-Type": "text/plain"}, b'{"face": {"file": "demo/portrait.png"}}'),
        ({"Content-Type": "text/plain; application/json"}, b"{}"),
        ({"Content-Type": ""}, b"{}"),
    ],
)
@pytest.mark.parametrize("route", [GENERATE, DETECT])
def test_what_a_form_of_another_site_can_post_is_refused(client, caplog, route, headers, content):
    assert "application/json" in refused(client.post(route, headers=headers, content=content), 415, caplog)


@pytest.mark.parametrize(("method", "route"), ALL)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:7861"},
        {"Origin": "http://127.0.0.1:7860.evil.example"},
        {"Origin": "127.0.0.1:7860"},
        {"Origin": "http://[::1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_pages_of_other_sites_are_refused(client, caplog, method, route, headers):
    refused(getattr(client, method)(route, headers={**headers, **JSON}), 403, caplog)


def test_the_servers_own_page_may_call(client):
    own = {"Origin": "http://127.0.0.1:7860", "Sec-Fetch-Site": "same-origin"}
    assert client.get("/lipsync/v1/status", headers=own).status_code == 200


@pytest.mark.parametrize(
    "arguments",
    [
        {"cors_allow_origins": "https://a.example, https://b.example"},
        {"cors_allow_origins_regex": r"https://\w\.example"},
    ],
)
def test_pages_that_the_host_was_told_to_allow_may_call(start, arguments):
    client = start(**arguments)
    assert client.get("/lipsync/v1/status", headers={"Origin": "https://b.example"}).status_code == 200
    refused(client.get("/lipsync/v1/status", headers={"Origin": "https://b.example.evil"}), 403)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil", "[::1", ""]
)
def test_a_name_that_someone_elses_dns_points_here_is_refused(client, caplog, host):
    assert "--api-auth" in refused(client.get("/lipsync/v1/status", headers={"Host": host}), 403, caplog)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.1:7860", "[::1]:7860", "192.168.1.5:7860"])
def test_addresses_and_localhost_are_never_someone_elses(client, host):
    assert client.get("/lipsync/v1/status", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "arguments", [{"listen": True}, {"share": True}, {"server_name": "0.0.0.0"}, {"ngrok": "token"}]
)
def test_a_server_that_is_meant_for_others_may_have_a_name(start, arguments):
    assert start(**arguments).get("/lipsync/v1/status", headers={"Host": "studio.example"}).status_code == 200


# ------------------------------------------------------------------------------------------------ how much


def test_a_request_that_says_it_is_too_large_is_not_read(client, caplog):
    answer = client.post(GENERATE, headers={**JSON, "Content-Length": str(129 << 20)}, content=b"{}")
    assert "128 MB" in refused(answer, 413, caplog)


def test_a_request_that_does_not_say_how_large_it_is_is_read_no_further_than_the_limit(client, caplog):
    shared.opts.lipsync_api_max_mb = 1
    sent = 0

    def pieces():
        nonlocal sent
        for _ in range(64):
            sent += 1 << 18
            yield b" " * (1 << 18)

    assert "1 MB" in refused(client.post(GENERATE, headers=JSON, content=pieces()), 413, caplog)


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "ten"])
def test_a_length_that_is_no_number_is_refused(client, length):
    refused(client.post(GENERATE, headers={**JSON, "Content-Length": length}, content=b"{}"), 413)


def test_a_body_that_does_not_arrive_is_waited_for_no_longer_than_the_limit():
    import asyncio

    from lipsync_webui.api_errors import RefusedError
    from lipsync_webui.api_guard import Door, read_body

    class Dribbling:
        async def stream(self):
            while True:
                await asyncio.sleep(0.01)
                yield b" "

    with pytest.raises(RefusedError, match="did not arrive within 0.1 s") as caught:
        asyncio.run(read_body(Dribbling(), Door(), seconds=0.1))
    assert caught.value.status == 408


def test_speech_over_the_limit_is_refused(client, request_body, caplog):
    shared.opts.lipsync_api_max_seconds = 2
    assert "longer than 2 s" in refused(client.post(GENERATE, json=request_body()), 413, caplog)


def test_speech_that_hides_how_long_it_is_is_refused_while_it_is_heard(client, request_body, monkeypatch):
    from lipsync_webui import api_check

    shared.opts.lipsync_api_max_seconds = 2
    monkeypatch.setattr(api_check, "open_track", lambda path: type("Track", (), {"seconds": 0})())
    body = request_body(options={"detector": "cascade"})
    assert "longer than 2 s" in refused(client.post(GENERATE, json=body), 413)


def test_more_requests_than_the_server_can_hold_are_told_to_come_back(client, request_body, monkeypatch):
    from lipsync_webui import api_facts, api_work

    monkeypatch.setattr(api_work, "limits", lambda: api_facts.Limits(max_waiting=0))
    answer = client.post(GENERATE, json=request_body())
    refused(answer, 429)
    assert int(answer.headers["retry-after"]) > 0


def test_requests_wait_for_each_other_and_leave_the_room_again(client, request_body):
    answers = []
    body = request_body(options={"speech_end": 0.2, "detector": "cascade"})
    threads = [threading.Thread(target=lambda: answers.append(client.post(GENERATE, json=body))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert client.get("/lipsync/v1/status").json()["waiting"] == 0


# ------------------------------------------------------------------------------------------------ what


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"face": NaN}',
        b'{"face": {"file": "demo/portrait.png"}, "speech": 1e999}',
        b"1" * 10_000,
        b'{"face": {"file": "\\ud800"}, "speech": {"file": "demo/voice.wav"}}',
    ],
    ids=lambda content: content[:20].decode("latin-1"),
)
def test_json_that_is_none_is_refused_in_a_sentence(client, content, caplog):
    answer = client.post(GENERATE, headers=JSON, content=content)
    assert answer.status_code in (400, 403, 422)
    refused(answer, answer.status_code, caplog)


@pytest.mark.parametrize(
    "fields",
    [
        {"face": "/etc/passwd"},
        {"face": ["demo/portrait.png"]},
        {"face": {"file": 3}},
        {"face": {"data": None, "file": None}},
        {"face": {"path": "/etc/passwd"}},
        {"face": {"file": "demo/portrait.png", "url": "http://x"}},
        {"face": None},
        {"options": []},
        {"options": "x"},
        {"options": {"strength": "1"}},
        {"options": {"strength": 99}},
        {"options": {"gate": 1}},
        {"options": {"seed": 1.5}},
        {"options": {"engine": "other"}},
        {"options": {"engine": None}},
        {"options": {"speed": 1}},
        {"options": {"fps": "1e9"}},
        {"options": {"device": "nonsense"}},
        {"options": {"box": "1,2"}},
        {"options": {"mask_file": "/etc/passwd"}},
        {"options": {"output_audio": {"file": 1}}},
        {"send_video": "yes"},
        {"save_video": 1},
        {"send_video": False},
        {"extra": 1},
        {"output": "/etc/cron.d/x"},
    ],
    ids=str,
)
def test_fields_of_a_wrong_kind_are_refused_by_name(client, request_body, caplog, fields):
    said = refused(client.post(GENERATE, json=request_body(**fields)), 422, caplog)
    assert len(said) < 1500


@pytest.mark.parametrize("frame", [-1, 10**9, 10**30, 1.5, "0", True, None])
def test_a_frame_that_cannot_be_is_refused(client, frame):
    refused(client.post(DETECT, json={"face": {"file": "demo/portrait.png"}, "frame": frame}), 422)


NAMES = [
    "/etc/passwd",
    "input/../../../etc/passwd",
    "demo/../../requirements.txt",
    "demo/..",
    "output//etc/passwd",
    "input\\..\\x",
    "C:\\Windows\\win.ini",
    "/windows/win.ini",
    "\\\\host\\share\\x",
    "//host/share/x",
    "http://127.0.0.1:9/x.mp4",
    "file:///etc/passwd",
    "concat:demo/portrait.png|/etc/passwd",
    "pipe:0",
    "/dev/fd/3",
    "/dev/zero",
    "input/%2e%2e/x",
    "input/..%c0%afx",
    "input/x\0.png",
    "models/wav2lip.safetensors",
    "extension/install.py",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("field", ["face", "speech", "options.mask_file", "options.output_audio"])
def test_no_path_and_no_url_is_opened(client, request_body, caplog, name, field):
    option = field.removeprefix("options.")
    fields = {field: {"file": name}} if option == field else {"options": {option: {"file": name}}}
    answer = client.post(GENERATE, json=request_body(**fields))
    assert answer.status_code in (403, 404)
    refused(answer, answer.status_code, caplog)


@pytest.mark.parametrize("where", ["data", "file"])
def test_an_address_is_never_called(client, request_body, where):
    with FaultServer() as server:
        url = server.serve("portrait.png", (DEMO / "portrait.png").read_bytes())
        for field in ("face", "speech"):
            refused(client.post(GENERATE, json=request_body(**{field: {where: url}})), 403)
        refused(client.post(DETECT, json={"face": {where: url}}), 403)
        assert server.log == []


def test_a_link_in_the_input_folder_that_leads_out_is_refused(client, data_dir, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes((DEMO / "portrait.png").read_bytes())
    (data_dir / "inputs" / "lipsync" / "link.png").symlink_to(secret)
    (data_dir / "inputs" / "lipsync" / "away").symlink_to(tmp_path)
    for name in ("input/link.png", "input/away/secret.png"):
        assert "leads out" in refused(client.post(DETECT, json={"face": {"file": name}}), 403)


class Canary:
    """A pipe that knows whether somebody tried to read it."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path, self.touched, self._stop = path, False, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._stop.is_set():
            with suppress(OSError):  # ENXIO: nobody reads
                os.close(os.open(self.path, os.O_WRONLY | os.O_NONBLOCK))
                self.touched = True
            time.sleep(0.001)

    def __enter__(self) -> "Canary":
        self._thread.start()
        return self

    def __exit__(self, *rest: object) -> None:
        self._stop.set()
        self._thread.join()


def test_the_canary_notices_a_reader(tmp_path):
    with Canary(tmp_path / "pipe") as canary:
        handle = os.open(canary.path, os.O_RDONLY | os.O_NONBLOCK)
        time.sleep(0.1)
        os.close(handle)
    assert canary.touched


PLAYLISTS = {
    "hls.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
    "master.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n",
    "concat.mp4": "ffconcat version 1.0\nfile {target}\n",
    "dash.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    "<Representation><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "call.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    "list.pls": "[playlist]\nFile1={target}\nNumberOfEntries=1\n",
    "picture.svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="{target}"/></svg>',
    "page.html": '<html><img src="{target}"></html>',
}


@pytest.mark.parametrize("name", PLAYLISTS)
@pytest.mark.parametrize("how", ["upload", "name"])
@pytest.mark.parametrize("field", ["face", "speech"])
def test_a_playlist_opens_neither_a_file_nor_a_connection(client, request_body, data_dir, name, how, field):
    folder = data_dir / "inputs" / "lipsync"
    with FaultServer() as server, Canary(folder / "secret.mp4") as canary:
        url = server.serve("secret.ts", b"x")
        for target in (str(canary.path), canary.path.name, url):
            (folder / name).write_text(PLAYLISTS[name].format(target=target))
            value = encoded(folder / name) if how == "upload" else {"file": f"input/{name}"}
            assert refused(client.post(GENERATE, json=request_body(**{field: value})), 422)
        assert server.log == []
    assert not canary.touched


@pytest.mark.parametrize("ending", [".avi", ".ts", ".flv"])
def test_kinds_that_a_server_does_not_open_are_refused(client, data_dir, write_video, ending):
    path = write_video(f"clip{ending}", 3, codec="mpeg4" if ending == ".avi" else "libx264")
    path.rename(data_dir / "inputs" / "lipsync" / f"clip{ending}")
    clip = {"file": f"input/clip{ending}"}
    refused(client.post(DETECT, json={"face": clip}), 422)
    refused(client.post(DETECT, json={"face": {"file": "demo/portrait.png"}, "options": {"output_audio": clip}}), 422)


def test_a_checkpoint_is_never_a_path(client, request_body, tmp_path):
    evil = tmp_path / "evil.pth"
    evil.write_bytes(b"x")
    for name in (str(evil), "../evil.pth", "file:x", "input/evil.pth"):
        refused(client.post(GENERATE, json=request_body(options={"checkpoint": name})), 403)


def test_a_fault_of_ours_gives_nothing_away(client, request_body, monkeypatch, caplog):
    from lipsync_webui import api_work

    def broken(*rest, **more):
        raise RuntimeError("/srv/secret/path and a token")

    monkeypatch.setattr(api_work, "lipsync", broken)
    answer = client.post(GENERATE, json=request_body())
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "RuntimeError" in caplog.text
    assert shared.state.job == ""


texts = st.one_of(st.sampled_from(NAMES), st.text(max_size=40))
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["data", "file", "face", "options", "mask_file", "checkpoint"]), inner, max_size=3
        ),
    ),
    max_leaves=8,
)


@given(
    body=st.fixed_dictionaries(
        {"face": anything, "speech": anything}, optional={"options": anything, "frame": anything}
    )
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_request_whatever_is_a_fault_of_ours(client, body):
    for route in (GENERATE, DETECT):
        answer = client.post(route, headers=JSON, content=json.dumps(body))
        assert 400 <= answer.status_code < 500
        assert set(answer.json()) == {"error", "detail"}
