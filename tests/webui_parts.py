"""What the tests of the WebUI door share."""

import base64
from pathlib import Path

DEMO = Path(__file__).resolve().parents[1] / "models" / "demo"


def encoded(path: Path) -> dict[str, str]:
    """A file as an upload."""
    return {"data": base64.b64encode(path.read_bytes()).decode()}
