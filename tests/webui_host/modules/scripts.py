"""Always-on scripts."""

from typing import Any

AlwaysVisible = object()


class PostprocessImageArgs:
    def __init__(self, image, index: int = 0):
        self.image, self.index = image, index


class Script:
    name: str | None = None
    section: str | None = None
    is_txt2img = is_img2img = False
    tabname: str | None = None

    def title(self) -> str:
        raise NotImplementedError

    def show(self, is_img2img: bool) -> Any:
        return True

    def ui(self, is_img2img: bool) -> list:
        return []

    def elem_id(self, item_id: str) -> str:
        return f"script_{'img2img' if self.is_img2img else 'txt2img'}_{type(self).__name__.lower()}_{item_id}"
