"""What the tests of the WebUI door share."""

import base64
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEMO = Path(__file__).resolve().parents[1] / "models" / "demo"


def encoded(path: Path) -> dict[str, str]:
    """A file as an upload."""
    return {"data": base64.b64encode(path.read_bytes()).decode()}


@dataclass(frozen=True)
class Answer:
    """status: of HTTP. body: what came back, as text."""

    status: int
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Calls a server. url: its address. user: "name:password", or nobody."""

    url: str
    user: str = ""

    def get(self, path: str, **headers: str) -> Answer:
        return self.call(path, None, headers)

    def post(self, path: str, value: Any, **headers: str) -> Answer:
        return self.call(path, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})

    def call(self, path: str, content: bytes | None, headers: dict[str, str]) -> Answer:
        wanted = dict(headers)
        if self.user:
            wanted["Authorization"] = f"Basic {base64.b64encode(self.user.encode()).decode()}"
        request = urllib.request.Request(self.url + path, content, wanted)
        try:
            with urllib.request.urlopen(request, timeout=240) as answer:
                return Answer(answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode())
