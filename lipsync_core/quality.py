"""Three words for how much time a result may take, each a set of options. A host's own settings go over them."""

from __future__ import annotations

from typing import Any

QUALITIES: dict[str, dict[str, Any]] = {
    "fast": {"detect_every": 10, "preset": "ultrafast"},
    "balanced": {},
    "best": {"detect_every": 1, "paste": "pyramid", "preset": "medium"},
}
USUAL = "balanced"
