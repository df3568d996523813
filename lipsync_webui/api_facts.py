"""What the API tells of the server: its folders and limits, what is installed, which settings there are."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from modules import shared

from lipsync_core import __version__, weights
from lipsync_core.engines import ENGINES
from lipsync_core.face.detectors import DETECTORS
from lipsync_core.options import GROUPS, LipSyncOptions
from lipsync_core.runtime import Runtime, default_model_dir

from . import api_models as models
from . import host
from .api_errors import RefusedError
from .api_guard import Door, users_of
from .api_schema import settings

_LOOPBACK = ("", "127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Limits:
    """max_mb: of a request, 2^20 bytes. max_seconds: of the speech. max_waiting: requests that run or wait."""

    max_mb: int = 128
    max_seconds: int = 600
    max_waiting: int = 8


def limits() -> Limits:
    """From Settings > Lip Sync."""
    default = Limits()
    return Limits(
        host.setting("api_max_mb", default.max_mb),
        host.setting("api_max_seconds", default.max_seconds),
        default.max_waiting,
    )


def door() -> Door:
    """Who may come in, by the host's command line."""
    named = host.argument("cors_allow_origins") or ""
    public = any(host.argument(flag) for flag in ("listen", "share", "ngrok"))
    return Door(
        users_of(host.argument("api_auth")),
        tuple(origin.strip() for origin in named.split(",") if origin.strip()),
        host.argument("cors_allow_origins_regex") or "",
        public or (host.argument("server_name") or "") not in _LOOPBACK,
        limits().max_mb << 20,
    )


def folders() -> dict[str, Path]:
    """Name -> folder in which a request may name files."""
    named = host.argument("lipsync_input_dir")
    own = Path(named).expanduser().absolute() if named else host.data_dir() / "inputs" / "lipsync"
    return {"input": own, "output": host.output_dir(), "demo": default_model_dir() / "demo"}


def places() -> dict[str, Path]:
    """Name -> folder of the server that no answer may give away."""
    return {
        **folders(),
        **{f"models{number or ''}": folder for number, folder in enumerate(host.model_dirs())},
        "data": host.data_dir(),
        "temporary": Path(tempfile.gettempdir()),
        "extension": Path(__file__).resolve().parents[1],
        "home": Path.home(),
    }


def status(waiting: int) -> models.StatusResponse:
    runtime, bounds = host.make_runtime(LipSyncOptions()), limits()
    return models.StatusResponse(
        version=__version__,
        host="Forge" if host.is_forge() else "A1111",
        device=runtime.device,
        precision=runtime.precision,
        busy=bool(shared.state.job),
        waiting=waiting,
        folders=list(folders()),
        max_mb=bounds.max_mb,
        max_seconds=bounds.max_seconds,
    )


def what_is_there() -> models.ModelsResponse:
    runtime = host.make_runtime(LipSyncOptions())
    rows = weights.list_weights(runtime)
    return models.ModelsResponse(
        engines=[_engine(name, runtime) for name, _ in ENGINES.items()],
        checkpoints=[
            models.Checkpoint(name=row.name, engine=row.engine, licence=row.licence, state=row.state, size=row.size)
            for row in rows
        ],
        detectors=[
            models.Detector(name=name, label=spec.label, licence=spec.licence) for name, spec in DETECTORS.items()
        ],
    )


def _engine(name: str, runtime: Runtime) -> models.Engine:
    spec = ENGINES[name]
    return models.Engine(
        name=name,
        label=spec.label,
        licence=spec.licence,
        needs_weights=spec.needs_weights,
        ready=not spec.needs_weights or bool(weights.present(name, runtime)),
    )


def schema() -> models.SchemaResponse:
    return models.SchemaResponse(groups=list(GROUPS), settings=[models.Setting(**row) for row in settings()])


def queue_full(most: int) -> RefusedError:
    return RefusedError(429, "Busy", f"{most} requests run or wait already. Try again when one is done.")
