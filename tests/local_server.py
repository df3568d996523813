"""A web server on this machine that can be told to misbehave, one fault a request, for tests of downloads.

    with FaultServer() as server:
        url = server.serve("a.bin", data, Drop(after=1000), Status(503))

The first GET of a.bin breaks off after 1000 bytes, the second is answered 503, all later ones are served well: with
ETag, Range and If-Range. `server.log` has a line for every request.
"""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit


@dataclass
class Seen:
    """One request: its path as it came, its headers, and how many bytes of a body were sent."""

    path: str
    headers: dict[str, str]
    sent: int = 0


@dataclass(frozen=True)
class Status:
    """Answer with an error, and headers such as Retry-After or Location."""

    code: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Drop:
    """Promise everything, close after some bytes of this answer."""

    after: int


@dataclass(frozen=True)
class Stall:
    """Promise everything, go silent after some bytes."""

    after: int
    seconds: float = 30.0


@dataclass(frozen=True)
class Slow:
    """Everything, in pieces with pauses between them."""

    pieces: int
    pause: float


@dataclass(frozen=True)
class Body:
    """Other content than the real one, of which `length` is claimed (None: nothing is claimed)."""

    data: bytes
    content_type: str = "application/octet-stream"
    length: int | None = -1


@dataclass(frozen=True)
class IgnoreRange:
    """The whole file with status 200, whatever was asked for."""


@dataclass(frozen=True)
class WrongRange:
    """206 that starts elsewhere."""

    shift: int = 7


Fault = Status | Drop | Stall | Slow | Body | IgnoreRange | WrongRange


class FaultServer:
    """Serves on 127.0.0.1 from `with` to its end; no thread of it is left after that."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.log: list[Seen] = []
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.owner = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve(self, name: str, data: bytes, *faults: Fault) -> str:
        """Put a file up, and return its address. The faults happen in their order, one a request."""
        self.files[f"/{name}"] = data
        self.faults[f"/{name}"] = list(faults)
        return f"{self.url}/{name}"

    def requests(self, name: str) -> list[Seen]:
        return [seen for seen in self.log if urlsplit(seen.path).path == f"/{name}"]

    def sent(self, name: str) -> int:
        return sum(seen.sent for seen in self.requests(name))

    def __enter__(self) -> FaultServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        owner: FaultServer = self.server.owner  # type: ignore[attr-defined]
        self.seen = Seen(self.path, dict(self.headers.items()))
        owner.log.append(self.seen)
        path = urlsplit(self.path).path
        faults = owner.faults.get(path, [])
        fault = faults.pop(0) if faults else None
        self.close_connection = True
        try:
            if path not in owner.files:
                self._head(404, 0)
            else:
                self._answer(owner.files[path], fault)
        except OSError:
            pass  # the client went away, which is what some tests are about

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _answer(self, data: bytes, fault: Fault | None) -> None:
        if isinstance(fault, Status):
            self._head(fault.code, 0, fault.headers)
        elif isinstance(fault, Body):
            length = len(fault.data) if fault.length == -1 else fault.length
            self._head(200, length, {"Content-Type": fault.content_type})
            self._send(fault.data)
        else:
            self._serve(data, fault)

    def _serve(self, data: bytes, fault: Fault | None) -> None:
        etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        start = self._start(data, etag) if not isinstance(fault, IgnoreRange) else 0
        if start >= len(data) > 0:
            return self._head(416, 0)
        if start or isinstance(fault, WrongRange):
            shown = start + (fault.shift if isinstance(fault, WrongRange) else 0)
            span = {"Content-Range": f"bytes {shown}-{len(data) - 1}/{len(data)}", "ETag": etag}
            self._head(206, len(data) - start, span)
        else:
            self._head(200, len(data), {"ETag": etag})
        self._body(data[start:], fault)

    def _body(self, data: bytes, fault: Fault | None) -> None:
        if isinstance(fault, Drop):
            self._send(data[: fault.after])
        elif isinstance(fault, Stall):
            self._send(data[: fault.after])
            self.server.owner.closing.wait(fault.seconds)  # type: ignore[attr-defined]
        elif isinstance(fault, Slow):
            step = -(-len(data) // fault.pieces)
            for place in range(0, len(data), step):
                self._send(data[place : place + step])
                time.sleep(fault.pause)
        else:
            self._send(data)

    def _start(self, data: bytes, etag: str) -> int:
        wanted = self.headers.get("Range", "")
        if not wanted.startswith("bytes=") or self.headers.get("If-Range") != etag:
            return 0
        return int(wanted[len("bytes=") :].rstrip("-"))

    def _send(self, data: bytes) -> None:
        self.seen.sent += len(data)  # before the client can have it, so that a test that has it sees the count
        self.wfile.write(data)
        self.wfile.flush()

    def _head(self, status: int, length: int | None, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, text in {"Content-Type": "application/octet-stream", **(headers or {})}.items():
            self.send_header(name, text)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()
