"""What goes in and out of the API, in the words that pydantic 1 (A1111) and pydantic 2 (Forge) share."""

from __future__ import annotations

from typing import Any

from pydantic import VERSION, BaseModel, Field, StrictBool, StrictStr, conint

from .api_schema import json_schema


def _documented(schema: dict[str, Any]) -> dict[str, Any]:
    """Keywords that put a schema into /docs."""
    return schema if VERSION.startswith("1.") else {"json_schema_extra": schema}


FrameNumber: Any = conint(strict=True, ge=0, le=100_000)  # pydantic 1 has no bounds for StrictInt
_OPTIONS: Any = Field(
    default_factory=dict,
    title="Settings",
    description="Those that differ from their default. GET /lipsync/v1/schema lists them with label and help.",
    **_documented({"type": "object", **json_schema(), "example": {"strength": 1.2, "no_face": "hold"}}),
)


class FileInput(BaseModel, extra="forbid"):
    """One file: its content, or its name in a folder of the server that the API may read."""

    data: StrictStr | None = Field(default=None, description="The file's content in base64, or as a data URI of it.")
    file: StrictStr | None = Field(default=None, description="FOLDER/NAME; GET /lipsync/v1/status lists the folders.")


class GenerateRequest(BaseModel, extra="forbid"):
    """Make a face speak."""

    face: FileInput = Field(description="A picture or video with a face.")
    speech: FileInput = Field(description="A sound file, or a video whose sound is used.")
    options: Any = _OPTIONS
    send_video: StrictBool = Field(default=True, description="Send the video back in base64.")
    save_video: StrictBool = Field(default=False, description="Keep the video in the server's output folder.")


class GenerateResponse(BaseModel):
    """A finished video."""

    video: str | None = Field(default=None, description="The MP4 file in base64, when send_video was true.")
    file: str | None = Field(default=None, description="Its name on the server, when save_video was true.")
    info: str = Field(description="Engine and settings, as they stand in the file.")
    report: dict[str, Any] = Field(description="What was done: frames, seconds, faces, speed, warnings.")


class DetectRequest(BaseModel, extra="forbid"):
    """Find the faces of one frame."""

    face: FileInput = Field(description="A picture or video.")
    frame: FrameNumber = Field(default=0, description="Which frame of a video, from 0.")
    options: Any = _OPTIONS
    send_preview: StrictBool = Field(default=False, description="Send the frame with the boxes drawn, as a PNG.")


class Face(BaseModel):
    """One face. All in pixels of the frame."""

    box: list[float] = Field(description="x1, y1, x2, y2; right and bottom exclusive.")
    score: float = Field(description="How sure the detector is, 0 to 1.")
    landmarks: list[list[float]] = Field(description="Left eye, right eye, nose tip, left and right mouth corner.")


class DetectResponse(BaseModel):
    """The faces of one frame, the surest first."""

    width: int
    height: int
    detector: str
    faces: list[Face]
    warnings: list[str]
    preview: str | None = Field(default=None, description="The frame with the boxes, a PNG in base64.")


class Engine(BaseModel):
    """What moves the mouth."""

    name: str
    label: str
    licence: str
    needs_weights: bool
    ready: bool = Field(description="False: a checkpoint is missing.")


class Checkpoint(BaseModel):
    """One checkpoint that is known."""

    name: str
    engine: str
    licence: str
    state: str = Field(description="ready, damaged or missing.")
    size: int | None = Field(default=None, description="Bytes.")


class Detector(BaseModel):
    """A face detector."""

    name: str
    label: str
    licence: str


class ModelsResponse(BaseModel):
    """What is there to choose from."""

    engines: list[Engine]
    checkpoints: list[Checkpoint]
    detectors: list[Detector]


class StatusResponse(BaseModel):
    """The state of the server."""

    version: str
    host: str = Field(description="A1111 or Forge.")
    device: str
    precision: str
    busy: bool = Field(description="A job of the host is running, ours or another.")
    waiting: int = Field(description="Requests of this API that run or wait.")
    folders: list[str] = Field(description="Where files may be named in, as in 'input/portrait.png'.")
    max_mb: int = Field(description="Largest request in MB (2^20 bytes).")
    max_seconds: int = Field(description="Longest speech.")


class Setting(BaseModel):
    """One setting of `options`."""

    name: str
    type: str = Field(description="boolean, integer, number, string, or file: {data} or {file}.")
    default: Any = None
    label: str
    help: str
    group: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: list[str]
    unit: str
    advanced: bool


class SchemaResponse(BaseModel):
    """Every setting, in the order of the tab."""

    groups: list[str]
    settings: list[Setting]


class ErrorResponse(BaseModel):
    """Why a request was not served."""

    error: str = Field(description="One word, for programs.")
    detail: str = Field(description="What happened and what to do, for people.")
