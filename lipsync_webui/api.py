"""The routes under /lipsync/v1: what they take and give, and who may call them. `api_work` does what they say.

They are there with --api and with --nowebui, are covered by --api-auth, and stand in /docs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPBasic
from starlette.exceptions import HTTPException  # FastAPI's own is one of these, and not all are its own

from lipsync_core.errors import LipSyncError

from . import TITLE, api_facts, api_guard, api_work, host
from . import api_models as models
from .api_errors import Answer, RefusedError, answer_to, printable
from .guard import attempt

PREFIX = "/lipsync/v1"
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
_MORE_HEADERS = {401: {"WWW-Authenticate": "Basic"}, 429: {"Retry-After": "30"}}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": models.ErrorResponse} for code in (401, 403, 404, 409, 413, 415, 422, 429, 503)
}


def register() -> None:
    """Ask the host to be told when its server runs."""
    from modules import script_callbacks

    script_callbacks.on_app_started(lambda demo, app: attempt("the API", lambda: mount(app)))


def mount(app: FastAPI) -> None:
    """Add the routes, if the host was started with an API."""
    if host.argument("api") or host.argument("nowebui"):
        app.include_router(make_router(api_work.WaitingRoom()))


def make_router(waiting: api_work.WaitingRoom) -> APIRouter:
    login = [Depends(HTTPBasic(auto_error=False))] if api_facts.door().users else []  # for /docs; the route decides
    router = APIRouter(prefix=PREFIX, route_class=GuardedRoute, tags=[TITLE], dependencies=login, responses=_REFUSALS)

    # Not `async`: each runs on a thread of its own and the host's event loop stays free.
    @router.post("/generate", response_model=models.GenerateResponse, summary="Make a face speak")
    def generate(request: models.GenerateRequest) -> models.GenerateResponse:
        return api_work.generate(request, waiting)

    @router.post("/detect", response_model=models.DetectResponse, summary="Find the faces of a frame")
    def detect(request: models.DetectRequest) -> models.DetectResponse:
        return api_work.detect(request, waiting)

    @router.get("/models", response_model=models.ModelsResponse, summary="Engines, checkpoints, detectors")
    def what_is_there() -> models.ModelsResponse:
        return api_facts.what_is_there()

    @router.get("/status", response_model=models.StatusResponse, summary="State, folders and limits of the server")
    def status() -> models.StatusResponse:
        return api_facts.status(waiting.count)

    @router.get("/schema", response_model=models.SchemaResponse, summary="Every setting")
    def schema() -> models.SchemaResponse:
        return api_facts.schema()

    return router


class GuardedRoute(APIRoute):
    """A route that looks who asks before it reads what they ask, and answers every error as JSON."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        serve = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await _serve(serve, request)
            except (RefusedError, LipSyncError) as error:
                answer = answer_to(error, api_facts.places())
            except RequestValidationError as error:
                answer = Answer(422, "WrongRequest", _words(error))
            except HTTPException as error:
                answer = Answer(error.status_code, "WrongRequest", f"{error.detail}. Examples are in /docs.")
            except Exception as error:
                api_guard.log.exception("API: %s failed", printable(request.scope["path"]))
                answer = Answer(500, type(error).__name__, "This is a fault of the extension. The console says more.")
            if answer.status != 500:
                api_guard.log_refusal(request, answer.status, answer.sentence)
            return JSONResponse(answer.body, answer.status, {**_HEADERS, **_MORE_HEADERS.get(answer.status, {})})

        return handle


async def _serve(serve: Callable[[Request], Any], request: Request) -> Response:
    door = api_facts.door()
    await api_guard.admit(request, door)
    if request.method == "POST":
        request = api_guard.with_body(request, await api_guard.read_body(request, door))
    response: Response = await serve(request)
    response.headers.update(_HEADERS)
    return response


def _words(error: RequestValidationError) -> str:
    """What pydantic 1 or 2 has to say, as one sentence without the client's own data."""
    rows = []
    for row in error.errors()[:5]:
        place = ".".join(str(step) for step in row["loc"][1:] if not isinstance(step, int)) or "the body"
        rows.append(f"{printable(place)}: {row['msg']}")
    return f"{'; '.join(rows)}. Examples are in /docs, all settings at {PREFIX}/schema."
