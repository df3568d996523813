"""The door of ComfyUI. The command and the WebUI do not pass through here.

Nothing is imported before ComfyUI asks: pytest imports this file too, in some of its modes as a package.
"""

from __future__ import annotations

from typing import Any

WEB_DIRECTORY = "./js"


def comfy_entrypoint() -> Any:
    """What ComfyUI calls when it loads the pack: the extension with its list of nodes."""
    from .nodes import extension

    return extension()
