"""One GET, on a thread of its own, so that a server that says nothing cannot hold up the stop button.

urllib.request because it knows proxies, NO_PROXY and chunked bodies, and lets the redirects be ours. pooch, whose
downloader was looked at first, can neither resume, nor stop, nor notice a stall, nor refuse a redirect.
"""

from __future__ import annotations

import http.client
import os
import queue
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any

from ..runtime import Runtime

_BLOCK = 1 << 16  # bytes
_TICK_S = 0.1  # between two looks at the stop button
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TRY_LATER = (408, 425, 429, 500, 502, 503, 504)
_AGENT = "sd-lipsync (+https://github.com/sd-lipsync/sd-lipsync)"


@dataclass(frozen=True)
class Policy:
    """How patient a download is. Seconds, unless it says otherwise.

    stall_bytes: a second, over stall_s; slower is treated as a broken connection. tries: in a row without a byte.
    wait_s: before the second try, doubled each time up to longest_wait_s. loopback_http: http:// to this very
    machine is fine (tests); nothing else ever is.
    """

    connect_s: float = 10.0
    read_s: float = 30.0
    stall_s: float = 60.0
    stall_bytes: int = 1024
    tries: int = 5
    wait_s: float = 1.0
    longest_wait_s: float = 120.0
    redirects: int = 5
    loopback_http: bool = False


QUICK = Policy(connect_s=3.0, read_s=10.0, stall_s=10.0, tries=1)  # for what is nice to have: give up soon


class Refused(Exception):  # noqa: N818 - says what the server did, and never reaches a user
    """This address will not give the file; try the next one."""


class TryLater(Exception):  # noqa: N818
    """The same address may give it in a moment; `after_s` is what the server asked for."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


class StartOver(Exception):  # noqa: N818
    """What was downloaded before cannot be continued."""


@dataclass(frozen=True)
class Answer:
    """The status line and headers of a response."""

    status: int
    headers: Message

    def number(self, name: str) -> int | None:
        """A header that is a whole number, None when it is missing or something else."""
        text = str(self.headers.get(name, "")).strip()
        return int(text) if text.isdecimal() else None


def check_url(url: str, policy: Policy) -> None:
    """https, or http to this machine where the policy says so."""
    parts = urllib.parse.urlsplit(url)
    loopback = policy.loopback_http and parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not (parts.scheme == "https" and parts.hostname) and not loopback:
        raise Refused(f"{url} is not an https address")


@contextmanager
def get(
    url: str, headers: dict[str, str], policy: Policy, runtime: Runtime
) -> Iterator[tuple[Answer, Iterator[bytes]]]:
    """The answer and the blocks of its body. Raises Refused, TryLater, StartOver, and Cancelled within 0.5 s."""
    check_url(url, policy)
    worker = _Worker(url, headers, policy)
    worker.start()
    try:
        answer = worker.next(runtime)
        if not isinstance(answer, Answer):
            raise TryLater("the server sent nothing")
        yield answer, _blocks(worker, policy, runtime)
    finally:
        worker.abandon()


def _blocks(worker: _Worker, policy: Policy, runtime: Runtime) -> Iterator[bytes]:
    since, count = time.monotonic(), 0

    def watch() -> None:
        nonlocal since, count
        if time.monotonic() - since < policy.stall_s:
            return
        if count < policy.stall_bytes * policy.stall_s:
            raise TryLater(f"nothing came for {policy.stall_s:g} s")
        since, count = time.monotonic(), 0

    while True:
        block = worker.next(runtime, watch)
        if not isinstance(block, bytes):
            return
        count += len(block)
        yield block


class _Worker(threading.Thread):
    """Puts an Answer, then blocks, then None into its queue; or an exception, which ends it."""

    def __init__(self, url: str, headers: dict[str, str], policy: Policy) -> None:
        super().__init__(name="lipsync-download", daemon=True)
        self._request = urllib.request.Request(url, headers={"User-Agent": _AGENT, **headers})
        self._policy = policy
        self._queue: queue.Queue[Answer | bytes | Exception | None] = queue.Queue(maxsize=16)
        self._abandoned = threading.Event()
        self._sockets: list[socket.socket] = []

    def run(self) -> None:
        try:
            with _opener(self._policy, self._sockets).open(self._request, timeout=self._policy.connect_s) as response:
                self._put(Answer(response.status, response.headers))
                while not self._abandoned.is_set():
                    block = response.read1(_BLOCK)
                    if not block:
                        break
                    self._put(block)
            self._put(None)
        except urllib.error.HTTPError as error:
            with error:
                self._put(_of_status(error))
        except (Refused, TryLater) as error:
            self._put(error)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._put(_of_connection(error))

    def next(self, runtime: Runtime, watch: Any = None) -> Answer | bytes | None:
        """What comes next, looking at the stop button while it does not come."""
        while True:
            runtime.check()
            if watch is not None:
                watch()
            try:
                item = self._queue.get(timeout=_TICK_S)
            except queue.Empty:
                continue
            if isinstance(item, Exception):
                raise item
            return item

    def abandon(self) -> None:
        """Cut the connection, so that the thread ends now and not when the server feels like it."""
        self._abandoned.set()
        for connection in list(self._sockets):
            with suppress(OSError, ValueError):
                connection.shutdown(socket.SHUT_RDWR)
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        self.join(timeout=_TICK_S)

    def _put(self, item: Answer | bytes | Exception | None) -> None:
        while not self._abandoned.is_set():
            try:
                return self._queue.put(item, timeout=_TICK_S)
            except queue.Full:
                continue


def _opener(policy: Policy, sockets: list[socket.socket]) -> urllib.request.OpenerDirector:
    """Only http and https, proxies of the environment, our redirects: no file:, ftp: or data: handler is there."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _redirects(policy),
        _Http(policy, sockets),
        _Https(policy, sockets),
    ):
        opener.add_handler(handler)
    return opener


def _redirects(policy: Policy) -> urllib.request.HTTPRedirectHandler:
    class Redirects(urllib.request.HTTPRedirectHandler):
        max_redirections = policy.redirects

        def redirect_request(
            self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
        ) -> urllib.request.Request | None:
            try:
                check_url(newurl, policy)
            except Refused:
                fp.close()
                raise
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    return Redirects()


class _Http(urllib.request.HTTPHandler):
    def __init__(self, policy: Policy, sockets: list[socket.socket]) -> None:
        super().__init__()
        self._connection = _tracked(http.client.HTTPConnection, policy, sockets)

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, req)


class _Https(urllib.request.AbstractHTTPHandler):
    """Not HTTPSHandler, which reads all certificates even when only http is spoken."""

    def __init__(self, policy: Policy, sockets: list[socket.socket]) -> None:
        super().__init__()
        self._connection = _tracked(http.client.HTTPSConnection, policy, sockets)

    def https_request(self, request: urllib.request.Request) -> urllib.request.Request:
        return self.do_request_(request)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection, req, context=_tls())


def _tracked(base: Any, policy: Policy, sockets: list[socket.socket]) -> Any:
    """The connection class, with a patience of its own for reading, and a list of sockets that can be cut."""

    class Tracked(base):  # type: ignore[misc]
        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(policy.read_s)
            sockets.append(self.sock)

    return Tracked


def _tls() -> ssl.SSLContext:
    """The system's certificates, or those of REQUESTS_CA_BUNDLE; certifi's where Python came without any."""
    context = ssl.create_default_context(cafile=os.environ.get("REQUESTS_CA_BUNDLE") or None)
    if not context.cert_store_stats()["x509_ca"]:
        with suppress(ImportError):
            import certifi

            context.load_verify_locations(certifi.where())
    return context


def _of_status(error: urllib.error.HTTPError) -> Exception:
    if error.code == 416:
        return StartOver("the server cannot continue")
    if error.code in _TRY_LATER:
        return TryLater(f"the server answered {error.code} {error.reason}", _retry_after(error.headers))
    if 300 <= error.code < 400:
        return Refused("the server redirects in a circle, too often, or to what is not an https address")
    return Refused(f"the server answered {error.code} {error.reason}")


def _of_connection(error: Exception) -> Exception:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return Refused(f"the server's certificate is not trusted ({getattr(reason, 'verify_message', reason)})")
    if isinstance(reason, socket.gaierror):  # a name that is unknown now stays unknown for the next seconds
        return Refused("there is no connection to it, or the name is unknown")
    if isinstance(error, (ValueError, http.client.InvalidURL)):
        return Refused(f"the address is not understood ({error})")
    return TryLater(f"the connection failed ({str(reason) or type(reason).__name__})")


def _retry_after(headers: Any) -> float | None:
    text = str(headers.get("Retry-After", "")).strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError, IndexError):
        return None
