"""Downloads against a server on this machine that breaks in every way that servers break."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import urllib.error
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lipsync_core import weights
from lipsync_core.errors import WeightsError
from lipsync_core.runtime import Runtime
from lipsync_core.weights import http as get_once
from lipsync_core.weights.http import Refused, TryLater
from tests.local_server import Body, Drop, Fault, FaultServer, IgnoreRange, Stall, Status, WrongRange
from tests.weights_world import DATA, FAST, SHA, bare_machine, fetch, flipped, leftovers, ship

Known = Callable[..., None]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    return bare_machine(tmp_path, monkeypatch)


@pytest.fixture
def known(tmp_path: Path, runtime: Runtime) -> Known:
    """Write the catalogue: net.onnx is at these addresses."""
    return lambda *urls, **changes: ship(tmp_path, urls=urls, **changes)


def test_a_file_arrives_whole_with_the_rights_that_the_umask_gives(
    server: FaultServer, runtime: Runtime, known: Known
) -> None:
    known(server.serve("a", DATA))
    old = os.umask(0o027)
    try:
        path = weights.get("net", runtime, policy=FAST)
    finally:
        os.umask(old)
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o777 == 0o640 or os.name == "nt"
    assert leftovers(runtime) == ["net.onnx"]
    assert weights.get("net", runtime, policy=FAST) == path
    assert len(server.requests("a")) == 1


def test_a_file_that_is_here_is_not_fetched_and_a_missing_one_is_none(
    server: FaultServer, runtime: Runtime, known: Known
) -> None:
    known(server.serve("a", DATA))
    assert weights.locate("net", runtime) is None
    assert server.log == []
    path = weights.locate("net", runtime, download=True, policy=FAST)
    assert path is not None
    assert weights.locate("net", runtime) == path
    assert weights.require("net", runtime) == path


FAULTS: dict[str, tuple[Fault, ...]] = {
    "the line drops every 64 KiB": tuple(Drop(65536) for _ in range(6)),
    "the server restarts from zero at every resume": (Drop(65536), IgnoreRange(), Drop(1000), IgnoreRange()),
    "206 starts elsewhere": (Drop(65536), WrongRange()),
    "206 without having been asked": (WrongRange(0), WrongRange(3)),
    "416": (Drop(65536), Status(416)),
    "429 with Retry-After in seconds": (Status(429, {"Retry-After": "0"}),),
    "503 with Retry-After as a date": (Status(503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),),
    "503 with nonsense in Retry-After": (Status(503, {"Retry-After": "soon"}),),
    "500 twice": (Status(500), Status(502)),
    "silence in the middle": (Stall(65536),),
    "silence before the first byte": (Stall(0),),
    "nothing but a closed connection": (Drop(0), Drop(0)),
    "no length, and short": (Body(DATA[:1000], length=None),),
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
def test_a_download_gets_over(faults: tuple[Fault, ...], server: FaultServer, runtime: Runtime, known: Known) -> None:
    known(server.serve("a", DATA, *faults))
    assert fetch(runtime) == DATA
    assert leftovers(runtime) == ["net.onnx"]


def test_every_drop_is_continued_where_it_dropped(server: FaultServer, runtime: Runtime, known: Known) -> None:
    known(server.serve("a", DATA, *(Drop(65536) for _ in range(6))), size=None)
    assert fetch(runtime) == DATA
    assert server.sent("a") == len(DATA)


HOPELESS: dict[str, tuple[Fault, str]] = {
    "one wrong byte": (Body(flipped(123_456)), "not the published file"),
    "a short body that says so": (Body(DATA[:-1]), "offers 399999 bytes"),
    "a long body that says so": (Body(DATA + b"x"), "offers 400001 bytes"),
    "a long body that does not say so": (Body(DATA + b"x" * 70_000, length=None), "more than the 400000 bytes"),
    "404": (Status(404), "404"),
    "403": (Status(403), "403"),
    "a web page": (Body(b"<!DOCTYPE html><p>Virus scan", "text/html; charset=utf-8"), "web page"),
    "a web page in disguise": (Body(b"\n <HTML>" + DATA, length=400_000), "web page"),
    "a git LFS pointer": (Body(b"version https://git-lfs.github.com/spec/v1\noid", length=400_000), "git LFS"),
    "a redirect to http elsewhere": (Status(302, {"Location": "http://example.invalid/x"}), "not an https address"),
    "a redirect to a file of this machine": (Status(302, {"Location": "file:///etc/passwd"}), "not an https address"),
    "an answer that is none": (Status(204), "204"),
}


@pytest.mark.parametrize(("fault", "reason"), HOPELESS.values(), ids=HOPELESS.keys())
def test_a_bad_place_is_left_for_the_next_one(
    fault: Fault, reason: str, server: FaultServer, runtime: Runtime, known: Known
) -> None:
    known(server.serve("bad", DATA, fault), server.serve("good", DATA))
    assert fetch(runtime) == DATA
    assert (len(server.requests("bad")), len(server.requests("good"))) == (1, 1)


@pytest.mark.parametrize(("fault", "reason"), HOPELESS.values(), ids=HOPELESS.keys())
def test_the_only_place_being_bad_ends_in_a_text_that_helps(
    fault: Fault, reason: str, server: FaultServer, runtime: Runtime, known: Known
) -> None:
    url = server.serve("bad", DATA, fault)
    known(url)
    with pytest.raises(WeightsError) as caught:
        fetch(runtime)
    text = str(caught.value)
    assert reason in text
    for needed in ("net.onnx", "400000 bytes", SHA, url, str(runtime.model_dirs[0]), "lipsync weights get net"):
        assert needed in text
    assert "Errno" not in text
    assert leftovers(runtime) == []


def test_three_errors_in_a_row_are_the_end(server: FaultServer, runtime: Runtime, known: Known) -> None:
    known(server.serve("a", DATA, Status(500), Status(500), Status(500)))
    with pytest.raises(WeightsError, match="500"):
        fetch(runtime)
    assert len(server.requests("a")) == 3


def test_a_redirect_loop_ends_and_five_redirects_are_followed(
    server: FaultServer, runtime: Runtime, known: Known
) -> None:
    for number in range(6):
        server.serve(f"r{number}", b"", Status(302, {"Location": f"/r{number + 1}"}))
    server.serve("r5", DATA)
    known(f"{server.url}/r0")
    assert fetch(runtime) == DATA
    runtime.model_dirs[0].joinpath("net.onnx").unlink()
    known(server.serve("loop", b"", *(Status(302, {"Location": "/loop"}) for _ in range(20))))
    with pytest.raises(WeightsError, match="redirects in a circle"):
        fetch(runtime)
    assert len(server.requests("loop")) <= 6


def test_plain_http_is_never_spoken_to_another_machine_nor_here_without_leave(
    server: FaultServer, runtime: Runtime, known: Known
) -> None:
    known(server.serve("a", DATA), "http://example.invalid/a", "ftp://example.invalid/a", "file:///etc/hosts")
    with pytest.raises(WeightsError, match="not an https address"):
        fetch(runtime, replace(FAST, loopback_http=False))
    assert server.log == []


def test_a_server_that_does_not_speak_tls_is_reported(server: FaultServer, runtime: Runtime, known: Known) -> None:
    known(server.serve("a", DATA).replace("http://", "https://"))
    with pytest.raises(WeightsError, match="connection failed"):
        fetch(runtime, replace(FAST, tries=1))
    assert leftovers(runtime) == []


def test_an_address_that_nobody_answers_is_reported(runtime: Runtime, known: Known) -> None:
    with FaultServer() as gone:
        url = gone.serve("a", DATA)
    known(url)
    with pytest.raises(WeightsError, match="connection failed"):
        fetch(runtime, replace(FAST, tries=2))


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ssl.SSLCertVerificationError(1, "bad"), Refused, "certificate is not trusted"),
        (urllib.error.URLError(ssl.SSLCertVerificationError(1, "bad")), Refused, "certificate is not trusted"),
        (urllib.error.URLError(socket.gaierror(-2, "Name or service not known")), Refused, "name is unknown"),
        (http.client.InvalidURL("a space"), Refused, "not understood"),
        (http.client.IncompleteRead(b""), TryLater, "connection failed"),
        (TimeoutError(), TryLater, "TimeoutError"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_final_and_what_may_pass(error: Exception, kind: type[Exception], words: str) -> None:
    found = get_once._of_connection(error)
    assert type(found) is kind
    assert words in str(found)


def test_certificates_of_the_environment_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert get_once._tls().verify_mode == ssl.CERT_REQUIRED
    assert get_once._tls().check_hostname
    bundle = tmp_path / "empty.pem"
    bundle.write_text("")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with pytest.raises(ssl.SSLError):
        get_once._tls()


def test_a_proxy_of_the_environment_is_used(
    server: FaultServer, runtime: Runtime, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    server.serve("through", DATA)
    known("http://localhost:9/through")
    assert fetch(runtime) == DATA
    assert server.log[0].path == "http://localhost:9/through"


def test_offline_means_no_connection_and_says_how_to_get_the_file(
    server: FaultServer, runtime: Runtime, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(server.serve("a", DATA))
    for name in ("SD_LIPSYNC_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, "1")
        with pytest.raises(WeightsError, match="offline mode is on"):
            weights.require("net", runtime, policy=FAST)
        monkeypatch.delenv(name)
    still = replace(runtime, offline=True)
    assert weights.locate("net", still, download=True, policy=FAST) is None
    assert server.log == []


def test_what_would_be_nice_to_have_is_a_note_when_it_fails(
    server: FaultServer, runtime: Runtime, known: Known
) -> None:
    known(server.serve("a", DATA, Status(404)))
    assert weights.locate("net", runtime, download=True, policy=FAST) is None
    assert "net.onnx: could not be downloaded" in runtime.notes[0]


def test_a_licence_that_asks_for_a_yes_gets_asked(server: FaultServer, runtime: Runtime, known: Known) -> None:
    known(server.serve("a", DATA), needs_ack=True, licence="research only", licence_url="https://example.org/l")
    assert weights.locate("net", runtime, download=True, policy=FAST) is None
    with pytest.raises(WeightsError, match="--accept-licence"):
        weights.require("net", runtime, policy=FAST)
    with pytest.raises(WeightsError, match=r"research only \(https://example.org/l\)"):
        weights.get("net", runtime, policy=FAST)
    assert server.log == []
    assert weights.get("net", runtime, accept_licence=True, policy=FAST).is_file()


def test_a_mirror_folder_serves_without_a_connection(
    tmp_path: Path, runtime: Runtime, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    known()
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "net.onnx").write_bytes(DATA)
    monkeypatch.setenv("SD_LIPSYNC_WEIGHTS_MIRROR", str(mirror))
    assert fetch(replace(runtime, offline=True)) == DATA
    runtime.model_dirs[0].joinpath("net.onnx").unlink()
    (mirror / "net.onnx").write_bytes(flipped(3))
    with pytest.raises(WeightsError, match="not the published file"):
        fetch(runtime)
    (mirror / "net.onnx").unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        fetch(runtime)


def test_a_mirror_address_comes_first(
    server: FaultServer, runtime: Runtime, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(server.serve("official", DATA))
    server.serve("mirror/net.onnx", DATA)
    monkeypatch.setenv("SD_LIPSYNC_WEIGHTS_MIRROR", f"{server.url}/mirror/")
    assert fetch(runtime) == DATA
    assert server.requests("official") == []
