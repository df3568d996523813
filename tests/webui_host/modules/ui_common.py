"""Small parts of the host's page."""

import gradio as gr


def create_refresh_button(refresh_component, refresh_method, refreshed_args, elem_id) -> gr.Button:
    button = gr.Button("refresh", elem_id=elem_id)

    def refresh():
        refresh_method()
        given = refreshed_args() if callable(refreshed_args) else refreshed_args
        return gr.update(**(given or {}))

    button.click(fn=refresh, inputs=[], outputs=[refresh_component])
    return button


def open_folder(folder: str, images=None, index=None) -> None:
    """The host opens its file manager here."""
