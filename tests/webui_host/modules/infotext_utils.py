"""The send-to buttons: what is registered, and the binding that kills a host when its tab is not there."""

from dataclasses import dataclass
from typing import Any

paste_fields: dict[str, dict[str, Any]] = {}
registered_param_bindings: list["ParamBinding"] = []


@dataclass
class ParamBinding:
    paste_button: Any
    tabname: str
    source_text_component: Any = None
    source_image_component: Any = None
    source_tabname: str | None = None
    override_settings_component: Any = None
    paste_field_names: Any = None


def add_paste_fields(tabname: str, init_img: Any, fields: Any, override_settings_component: Any = None) -> None:
    paste_fields[tabname] = {"init_img": init_img, "fields": fields}


def register_paste_params_button(params: ParamBinding) -> None:
    registered_param_bindings.append(params)


def connect_paste_params_buttons() -> None:
    for binding in registered_param_bindings:
        paste_fields[binding.tabname]["init_img"]  # KeyError: the whole WebUI does not start


def parse_generation_parameters(text: str) -> dict[str, str]:
    return {}
