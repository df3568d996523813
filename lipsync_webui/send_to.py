"""The "Send to Lip Sync" buttons of txt2img, img2img and Extras."""

from __future__ import annotations

from typing import Any

from modules import script_callbacks, shared
from modules.ui_components import ToolButton

from . import TITLE, host

try:
    from modules import infotext_utils
except ImportError:  # A1111 before 1.8, and forks of it
    from modules import generation_parameters_copypaste as infotext_utils

_TABS = ("txt2img", "img2img", "extras")
# Filled while the host builds its page, and emptied before it builds the next one ("Reload UI").
_galleries: dict[str, Any] = {}
_buttons: dict[str, Any] = {}


def register() -> None:
    script_callbacks.on_before_ui(forget)
    script_callbacks.on_after_component(after_component)


def forget() -> None:
    _galleries.clear()
    _buttons.clear()


def tab_hidden() -> bool:
    """True where the user hid our tab: the host builds it, but does not put it on the page."""
    return TITLE in getattr(shared.opts, "hidden_tabs", [])


def wanted() -> bool:
    """Not where the user hid the tab or the buttons: they would lead nowhere."""
    return host.setting("send_to", True) and not tab_hidden()


def after_component(component: Any, **words: Any) -> None:
    """The host's row of buttons is still open when its last button was made: ours goes beside it."""
    tab, _, part = str(words.get("elem_id") or "").partition("_")
    if tab not in _TABS:
        return
    if part == "gallery":
        _galleries[tab] = component
    elif part == "send_to_extras" and wanted():
        _buttons[tab] = ToolButton(
            "🗣️", elem_id=f"{tab}_send_to_lipsync", tooltip=f"Send image to the {TITLE} tab."
        )  # fmt: skip


def bind(image: Any) -> None:
    """Let the buttons fill `image`. Only once the tab stands: a binding without its target stops the whole host."""
    if tab_hidden():
        return
    infotext_utils.add_paste_fields("lipsync", image, None)
    for tab, button in _buttons.items():
        send(button, "lipsync", _galleries[tab], tab)


def send(button: Any, to: str, image: Any, source: str | None = None) -> None:
    """Let a button send an image to a tab of the host."""
    if tab_hidden():
        return
    infotext_utils.register_paste_params_button(
        infotext_utils.ParamBinding(
            paste_button=button, tabname=to, source_tabname=source, source_image_component=image
        )
    )
