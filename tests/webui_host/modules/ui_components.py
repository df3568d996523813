"""The host's own components, as plain ones of the gradio that is here."""

import gradio as gr


def ToolButton(value: str = "", *, tooltip: str | None = None, **more) -> gr.Button:  # noqa: N802 - a class there
    return gr.Button(value, **more)


def ResizeHandleRow(**more) -> gr.Row:  # noqa: N802
    more.pop("equal_height", None)
    return gr.Row(**more)
