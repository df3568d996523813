"""What the tab's buttons do."""

from __future__ import annotations

from typing import Any

import gradio as gr
from modules import call_queue, util

from lipsync_core.errors import LipSyncError
from lipsync_core.infotext import read_infotext, read_infotext_of, write_infotext
from lipsync_core.options import defaults, from_mapping, knobs

from . import after, compat, download, host, installed, looking, presets, run, send_to, status, widgets
from .parts import Tab


def connect(tab: Tab) -> None:
    """Every event of the tab. The send-to buttons last: from then on the host counts on the tab."""
    _tabs(tab)
    _status(tab)
    _presets(tab)
    _restore(tab)
    _run(tab)
    _results(tab)
    send_to.bind(tab.inputs["image"])


def _tabs(tab: Tab) -> None:
    """Which of the tabs of Source and Speech is in front."""
    for number, name in enumerate(("tab_image", "tab_video", "tab_folder")):
        tab.inputs[name].select(fn=lambda number=number: number, inputs=[], outputs=[tab.inputs["source_tab"]])
    for number, name in enumerate(("tab_sound", "tab_microphone", "tab_file")):
        tab.inputs[name].select(fn=lambda number=number: number, inputs=[], outputs=[tab.inputs["speech_tab"]])


def _status(tab: Tab) -> None:
    card = tab.status
    shown = [card["card"], card["name"], *(tab.options[name] for name in widgets.CHECKPOINTS)]
    card["check"].click(fn=look_again, inputs=[], outputs=shown)
    card["ask"].click(
        fn=download.ask,
        inputs=[card["name"]],
        outputs=[card["licence_box"], card["licence"], card["accepted"]],
    )
    card["cancel"].click(fn=lambda: gr.update(visible=False), inputs=[], outputs=[card["licence_box"]])
    card["download"].click(
        fn=download.start, inputs=[card["name"], card["accepted"]], outputs=[card["licence_box"], card["licence"]]
    ).then(fn=look_again, inputs=[], outputs=shown)


def look_again() -> list[Any]:
    """The card, what can be downloaded, and which checkpoints there are."""
    offered = status.downloadable()
    return [
        status.card_html(),
        gr.update(choices=offered, value=offered[0] if offered else None),
        *(gr.update(choices=["", *installed.checkpoint_names(what)]) for what in widgets.CHECKPOINTS.values()),
    ]


def _presets(tab: Tab) -> None:
    names = presets.touched()
    tab.inputs["preset"].change(
        fn=lambda preset: [gr.update(value=value) for value in presets.values_of(preset).values()],
        inputs=[tab.inputs["preset"]],
        outputs=[tab.options[name] for name in names],
    )


def _restore(tab: Tab) -> None:
    restorable = [name for name in knobs() if not widgets.takes_file(name)]
    outputs = [tab.options[name] for name in restorable]

    def fill(text: str) -> list[Any]:
        values = defaults() | read_infotext(text or "")
        for name, purpose in widgets.CHECKPOINTS.items():
            if values[name] not in installed.checkpoint_names(purpose):
                values[name] = ""
        return [gr.update(value=values[name]) for name in restorable]

    tab.inputs["restore_file"].change(
        fn=text_of, inputs=[tab.inputs["restore_file"]], outputs=[tab.inputs["restore_text"]]
    )
    tab.inputs["restore"].click(fn=fill, inputs=[tab.inputs["restore_text"]], outputs=outputs)
    tab.results["keep"].click(fn=fill, inputs=[tab.results["text"]], outputs=outputs)


def text_of(file: Any) -> str:
    """The settings that a video carries, or why there are none."""
    path = compat.path_of(file)
    if path is None:
        return ""
    try:
        return read_infotext_of(path) or f"{path.name} carries no settings of Lip Sync."
    except LipSyncError as error:
        return str(error)


def _run(tab: Tab) -> None:
    results = tab.results
    results["generate"].click(
        fn=call_queue.wrap_gradio_gpu_call(run.generate, extra_outputs=run.NOTHING),
        inputs=[results["task"], *tab.asked()],
        outputs=[results[name] for name in ("video", "frame", "text", "infotext", "log")],
        show_progress=False,
        **compat.js("submit_lipsync"),
    )
    results["preview"].click(
        fn=call_queue.wrap_gradio_gpu_call(looking.preview, extra_outputs=looking.NOTHING),
        inputs=[results["task"], results["preview_at"], *tab.asked()],
        outputs=[results["preview_gallery"], results["faces"], results["log"]],
        show_progress=False,
        **compat.js("submit_lipsync"),
    ).then(fn=None, inputs=[results["faces"]], outputs=None, **compat.js("lipsync_show_faces"))
    results["choice"].change(
        fn=looking.choose_face,
        inputs=[results["choice"]],
        outputs=[tab.options[name] for name in ("which_face", "face_point", "box")],
        show_progress=False,
    )


def _results(tab: Tab) -> None:
    results = tab.results
    results["open"].click(fn=open_folder, inputs=[], outputs=[])
    results["again"].click(
        fn=lambda video: video,
        inputs=[results["video"]],
        outputs=[tab.inputs["video"]],
    ).then(fn=None, inputs=None, outputs=None, **compat.js("lipsync_show_source_video"))
    send_to.send(results["to_img2img"], "img2img", results["frame"])
    send_to.send(results["to_extras"], "extras", results["frame"])
    boxes = list(after.BOXES.values())
    if boxes:  # the page presses this hidden button when the tab is left
        results["remember"].click(
            fn=lambda *values: [settings_line(values)] * len(boxes),
            inputs=list(tab.options.values()),
            outputs=boxes,
            show_progress=False,
        )


def settings_line(values: Any) -> str:
    """The tab's options as text, for 'Animate after generation'."""
    try:
        return write_infotext(from_mapping(widgets.option_values(knobs(), values)))
    except LipSyncError as error:
        return str(error)


def open_folder() -> None:
    if not host.argument("hide_ui_dir_config"):
        folder = host.output_dir()
        folder.mkdir(parents=True, exist_ok=True)
        util.open_folder(str(folder))
