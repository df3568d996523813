"""What the page asks the server for, and what nodes hand to the page. The nodes work without any of it.

Routes (also under /api):
    GET  /lipsync/weights
        {"folder": "models/lipsync",
         "items": [{"name", "file", "engine", "size" or null, "licence", "licence_url", "page", "needs_ack",
                    "here", "downloadable"}],
         "acknowledged": [names whose licence was accepted before]}
    POST /lipsync/weights/get   {"name": "...", "accept_licence": true}
        202 {"started": true}; 4xx {"error": "sentence"}. Accepting is remembered in the user's folder, so it is asked
        once. Progress comes as the event
    event "lipsync.weights"
        {"name", "done", "total" (bytes), "state": "running" | "done" | "failed" | "cancelled", "error": null or text}
    POST /lipsync/weights/cancel   {"name": "..."}   stops a download; it goes on from there the next time.

`ui` of the nodes:
    Detect Faces: "lipsync_faces": [{"image": {"filename", "subfolder", "type"}, "width", "height", "frame",
        "boxes": [[x1, y1, x2, y2, score], ...] in px of the frame, "chosen": [numbers of boxes that go on]}]
    Lip Sync Video, Animate Portrait, Blend Faces into Video: "images", "animated" (the player) and
        "lipsync_report": [{"seconds", "fps", "frames", "peaks": [0..1, at most 600], "gate": [0 or 1, as many],
        "no_face": [[first, last], ...], "engine", "text"}]
A node whose checkpoint is missing fails with a message that begins "Missing weights: <name of the catalogue>."
"""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import folder_paths
from aiohttp import web
from server import PromptServer

from ..lipsync_core import weights
from ..lipsync_core.errors import Cancelled, LipSyncError, WeightsError
from ..lipsync_core.runtime import Runtime
from ..lipsync_core.weights.catalogue import Entry
from ..lipsync_core.weights.download import sources
from ..lipsync_core.weights.find import find
from .host import model_dirs

_EVENT = "lipsync.weights"


@dataclass
class Downloads:
    """One thread for each file that is being fetched."""

    running: dict[str, threading.Event] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, name: str) -> bool:
        """False when it is running already."""
        with self.lock:
            if name in self.running:
                return False
            stop = self.running[name] = threading.Event()
        threading.Thread(target=self._fetch, args=(name, stop), name=f"lipsync-get-{name}", daemon=True).start()
        return True

    def cancel(self, name: str) -> bool:
        stop = self.running.get(name)
        if stop is not None:
            stop.set()
        return stop is not None

    def _fetch(self, name: str, stop: threading.Event) -> None:
        def progress(stage: str, done: int, total: int) -> None:
            _tell(name, "running", done, total)

        runtime = Runtime(model_dirs=model_dirs(), progress=progress, cancelled=stop.is_set)
        try:
            weights.get(name, runtime, accept_licence=True)
            _tell(name, "done", 1, 1)
        except Cancelled:
            _tell(name, "cancelled", 0, 0)
        except LipSyncError as error:
            _tell(name, "failed", 0, 0, str(error))
        finally:
            self.running.pop(name, None)


def _tell(name: str, state: str, done: int, total: int, error: str | None = None) -> None:
    PromptServer.instance.send_sync(
        _EVENT, {"name": name, "done": done, "total": total, "state": state, "error": error}
    )


# ---------------------------------------------------------------------------------------------------- what is there


def describe() -> dict[str, Any]:
    """The answer of GET /lipsync/weights."""
    runtime = Runtime(model_dirs=model_dirs())
    items = [_item(entry, runtime) for entry in weights.entries(runtime).values()]
    return {"folder": str(model_dirs()[0]), "items": items, "acknowledged": sorted(acknowledged())}


def _item(entry: Entry, runtime: Runtime) -> dict[str, Any]:
    best = next((file for file in entry.files if file.urls), entry.main)
    return {
        "name": entry.name,
        "file": best.file,
        "engine": entry.engine,
        "size": best.size,
        "licence": entry.licence,
        "licence_url": entry.licence_url,
        "page": entry.page or (best.urls[0] if best.urls else ""),
        "needs_ack": entry.needs_ack,
        "here": find(entry, runtime) is not None,
        "downloadable": bool(sources(entry, runtime)),
    }


# ---------------------------------------------------------------------------------------------------- licences


def _licences_file() -> Path:
    return Path(folder_paths.get_user_directory()) / "lipsync_licences.json"


def acknowledged() -> set[str]:
    """Names of weights whose licence was accepted on this server."""
    try:
        return set(json.loads(_licences_file().read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return set()


def acknowledge(name: str) -> None:
    """Remember it; a folder that cannot be written to only means being asked again."""
    names = sorted(acknowledged() | {name})
    try:
        _licences_file().parent.mkdir(parents=True, exist_ok=True)
        _licences_file().write_text(json.dumps(names), encoding="utf-8")
    except OSError:
        return


# ---------------------------------------------------------------------------------------------------- routes


def add_routes() -> None:
    """Called once, before the server starts. Without a server (tests) there is nothing to add them to."""
    server = getattr(PromptServer, "instance", None)
    if server is None:
        return
    downloads = Downloads()

    @server.routes.get("/lipsync/weights")
    async def list_weights(request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(describe))

    @server.routes.post("/lipsync/weights/get")
    async def get_weights(request: web.Request) -> web.Response:
        return await _answer(request, lambda name, body: _get(downloads, name, bool(body.get("accept_licence"))))

    @server.routes.post("/lipsync/weights/cancel")
    async def cancel_weights(request: web.Request) -> web.Response:
        return await _answer(request, lambda name, body: {"cancelled": downloads.cancel(name)})


async def _answer(request: web.Request, work: Any) -> web.Response:
    """Run `work` with the body of a request; what the user can act on becomes 400 and its sentence."""
    try:
        body = await request.json()
        name = str(body["name"])
    except (ValueError, KeyError, TypeError):
        return web.json_response({"error": 'The body must be {"name": "..."}.'}, status=400)
    try:
        return web.json_response(await asyncio.to_thread(work, name, body), status=202)
    except LipSyncError as error:
        return web.json_response({"error": str(error)}, status=400)


def _get(downloads: Downloads, name: str, accepted: bool) -> dict[str, Any]:
    runtime = Runtime(model_dirs=model_dirs())
    known = weights.entries(runtime)
    if name not in known:
        raise WeightsError(f"There are no weights named '{name}'. Known: {', '.join(known)}.")
    entry = known[name]
    if entry.needs_ack and not accepted and name not in acknowledged():
        raise WeightsError(
            f"{entry.main.file}: its licence limits what it may be used for: {entry.licence}. Accept it."
        )
    if entry.needs_ack:
        acknowledge(name)
    return {"started": downloads.start(name)}
