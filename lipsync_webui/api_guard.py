"""What stands before every API route: who asks, from where, how much. Nothing of a body is read before that is clear.

The host protects its own routes with --api-auth, and none of an extension's.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import secrets
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from fastapi.security import HTTPBasic

from .api_errors import RefusedError, printable

log = logging.getLogger("lipsync")
_basic = HTTPBasic(auto_error=False)
_READ_SECONDS = 300.0  # for a whole body; a client that dribbles is let go


@dataclass(frozen=True)
class Door:
    """Who may come in.

    users: name -> password of --api-auth, empty for everybody. origins, origin_pattern: of --cors-allow-origins and
    its regex, pages of other sites that may call. public: the host is meant to be reached under other names than
    localhost (--listen, --share, ...). max_body: bytes of a request.
    """

    users: dict[str, str] = field(default_factory=dict)
    origins: tuple[str, ...] = ()
    origin_pattern: str = ""
    public: bool = False
    max_body: int = 128 << 20


def users_of(text: str | None) -> dict[str, str]:
    """--api-auth "name:password,other:secret" -> name -> password."""
    pairs = (entry.strip().split(":", 1) for entry in (text or "").split(",") if entry.strip())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


async def admit(request: Request, door: Door) -> None:
    """Let a request pass, or raise `RefusedError`: 401, 403, 413 or 415."""
    await _check_user(request, door)
    _check_site(request, door)
    if request.method == "POST":
        _check_body(request, door)


async def _check_user(request: Request, door: Door) -> None:
    if not door.users:
        return
    try:
        given = await _basic(request)
    except HTTPException:  # not even base64
        given = None
    name, password = (given.username, given.password) if given else ("", "")
    fits = [
        secrets.compare_digest(name.encode(), known.encode())
        & secrets.compare_digest(password.encode(), secret.encode())
        for known, secret in door.users.items()
    ]
    if not any(fits):
        raise RefusedError(
            401, "Unauthorized", "This server was started with --api-auth. Send its user and password (HTTP Basic)."
        )


def _check_site(request: Request, door: Door) -> None:
    """Pages of other sites may not use the browser of somebody who has this server open."""
    origin = request.headers.get("origin", "")
    own = request.headers.get("host", "")
    if origin and not _is_known(origin, door):
        if not _is_page_of(origin, own):
            raise RefusedError(
                403, "CrossSite", f"Pages of {printable(origin)} may not call this. --cors-allow-origins allows them."
            )
    elif not origin and request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise RefusedError(403, "CrossSite", "Other sites may not call this. --cors-allow-origins allows them.")
    if (
        not door.users
        and not door.public
        and not _is_local(own)
        and not _is_known(f"{request.scope['scheme']}://{own}", door)
    ):
        raise RefusedError(
            403,
            "UnknownHost",
            f"'{printable(own)}' is not how this server is called. Use http://127.0.0.1 and its port, start it with "
            "--api-auth, or name it in --cors-allow-origins.",
        )


def _is_page_of(origin: str, host: str) -> bool:
    scheme, _, place = origin.lower().partition("://")
    return scheme in ("http", "https") and place == host.lower()


def _is_known(origin: str, door: Door) -> bool:
    pattern = door.origin_pattern
    return origin in door.origins or "*" in door.origins or bool(pattern and re.fullmatch(pattern, origin))


def _is_local(host: str) -> bool:
    """True for localhost and for addresses: only a name can be made to lead here by somebody else's DNS."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _check_body(request: Request, door: Door) -> None:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise RefusedError(
            415, "NotJson", "Send JSON, with the header 'Content-Type: application/json'. Files go into it as base64."
        )
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > door.max_body:
        raise too_large(door)


def too_large(door: Door) -> RefusedError:
    return RefusedError(
        413,
        "TooLarge",
        f"The request is larger than {door.max_body >> 20} MB. Put large files into the folder 'input' of the server "
        "and name them, or raise the limit in Settings > Lip Sync.",
    )


async def read_body(request: Request, door: Door, seconds: float = _READ_SECONDS) -> bytes:
    """The body, whatever length it claims. Raises `RefusedError` 413, and 408 when it does not arrive."""

    async def read() -> bytes:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > door.max_body:
                raise too_large(door)
        return bytes(body)

    try:
        return await asyncio.wait_for(read(), seconds)
    except asyncio.TimeoutError:  # not the built-in one before Python 3.11
        raise RefusedError(408, "TooSlow", f"The request did not arrive within {seconds:g} s. Send it again.") from None


def with_body(request: Request, body: bytes) -> Request:
    """The same request, whose body has been read."""
    sent = False

    async def receive() -> dict[str, object]:
        nonlocal sent
        if sent:
            return dict(await request.receive())
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(request.scope, receive)


def log_refusal(request: Request, status: int, sentence: str) -> None:
    """One line for the console: who was refused what."""
    client = request.client.host if request.client else "?"
    log.warning(
        "API: %s %s from %s refused (%d): %s",
        request.method,
        printable(request.scope["path"]),
        client,
        status,
        sentence,
    )
