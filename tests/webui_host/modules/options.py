"""Settings: rows with a section, values that exist once a row was added."""

from typing import Any


class OptionInfo:
    def __init__(self, default=None, label="", component=None, component_args=None, section=None, **more: Any):
        self.default = default
        self.label = label
        self.component = component
        self.component_args = component_args
        self.section = section
        self.more = more
        self.restrict_api = more.get("restrict_api", False)
        self.comment_after = ""

    def info(self, text: str) -> "OptionInfo":
        self.comment_after += f"<span class='info'>({text})</span>"
        return self

    def html(self, text: str) -> "OptionInfo":
        self.comment_after += text
        return self

    def needs_reload_ui(self) -> "OptionInfo":
        return self.info("requires Reload UI")

    def needs_restart(self) -> "OptionInfo":
        return self.info("requires restart")


class Options:
    """Values by attribute; a name without a row or value is no attribute, as in the host."""

    def __init__(self) -> None:
        self.__dict__["data_labels"] = {}
        self.__dict__["data"] = {
            "live_previews_enable": True,
            "live_previews_image_format": "png",
            "hidden_tabs": [],
            "temp_dir": "",
            "interrupt_after_current": True,
            "save_to_dirs": True,
        }

    def add_option(self, key: str, info: OptionInfo) -> None:
        self.data_labels[key] = info
        self.data.setdefault(key, info.default)

    def __getattr__(self, name: str) -> Any:
        if name in self.data:
            return self.data[name]
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self.data[name] = value

    def get_default(self, key: str) -> Any:
        return self.data_labels[key].default
