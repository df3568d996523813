"""The Lip Sync tab: what is where. Left what goes in, right what comes out; `wiring.py` says what the buttons do."""

from __future__ import annotations

import gradio as gr
from modules import shared, ui_toprow
from modules.ui_components import ResizeHandleRow, ToolButton

from lipsync_core.options import knobs

from . import compat, presets, status, widgets, wiring
from .parts import Tab
from .widgets import Widgets

CONTAINERS = (".mp4", ".mkv", ".webm")  # the endings of lipsync_core.media, which loads PyAV, that a page may offer


def build() -> gr.Blocks:
    """Lay the tab out and connect it."""
    with gr.Blocks(analytics_enabled=False) as blocks:
        with ResizeHandleRow(equal_height=False, variant="compact", elem_id="lipsync_columns"):
            with gr.Column(variant="compact", elem_id="lipsync_settings"):
                card, inputs, options = _left()
            with gr.Column(variant="compact", elem_id="lipsync_results"):
                results = _right()
        tab = Tab(card, inputs, {name: options[name] for name in knobs()}, results)
        wiring.connect(tab)
    return blocks


def _left() -> tuple[Widgets, Widgets, Widgets]:
    card = _status_card()
    inputs = _source()
    speech, options = _speech()
    inputs |= speech
    inputs["preset"] = gr.Radio(
        list(presets.PRESETS), value="Balanced", label="Preset", elem_id="lipsync_preset_choice",
        info="Sets a few of the options below at once.",
    )  # fmt: skip
    for name in widgets.groups():
        with widgets.group_box(name):
            if name == "Output":
                inputs["container"] = gr.Radio(
                    list(CONTAINERS), value=CONTAINERS[0], label="File format", elem_id="lipsync_container",
                    info="MP4 plays everywhere.",
                )  # fmt: skip
            options |= widgets.build_group(name)
    inputs |= _restore()
    return card, inputs, options


def _status_card() -> Widgets:
    offered = status.downloadable()
    made: Widgets = {"card": gr.HTML(status.card_html(), elem_id="lipsync_status")}
    with gr.Accordion("Get weights", open=False, elem_id="lipsync_weights"), gr.Row(elem_id="lipsync_weights_row"):
        made["name"] = compat.volatile(
            gr.Dropdown(
                offered, value=offered[0] if offered else None, label="Weights to download",
                elem_id="lipsync_weights_name",
            )
        )  # fmt: skip
        made["ask"] = gr.Button("Download…", elem_id="lipsync_weights_ask", scale=0, min_width=120)
        made["check"] = ToolButton("🔄", elem_id="lipsync_check_again", tooltip="Look again for weights and packages.")
    with gr.Group(visible=False, elem_id="lipsync_licence") as made["licence_box"]:
        made["licence"] = gr.HTML()
        made["accepted"] = compat.volatile(
            gr.Checkbox(False, label="I have read the licence and accept it", elem_id="lipsync_licence_accepted")
        )
        with gr.Row():
            made["download"] = gr.Button("Download", variant="primary", elem_id="lipsync_weights_download")
            made["cancel"] = gr.Button("Cancel", elem_id="lipsync_weights_cancel")
    return made


def _source() -> Widgets:
    hidden = {"visible": not shared.cmd_opts.hide_ui_dir_config}
    made: Widgets = {"source_tab": gr.Number(value=0, visible=False)}
    with gr.Tabs(elem_id="lipsync_source"):
        with gr.TabItem("Image", id="image", elem_id="lipsync_source_image") as made["tab_image"]:
            made["image"] = gr.Image(
                label="Portrait", type="pil", image_mode="RGBA", interactive=True, elem_id="lipsync_image",
                height=320, **compat.sources("upload"),
            )  # fmt: skip
        with gr.TabItem("Video", id="video", elem_id="lipsync_source_video") as made["tab_video"]:
            made["video"] = gr.Video(
                label="Video", interactive=True, elem_id="lipsync_video", height=320, **compat.sources("upload")
            )
        with gr.TabItem("Batch folder", id="folder", elem_id="lipsync_source_folder", **hidden) as made["tab_folder"]:
            for name, label, hint in _FOLDERS:
                made[name] = compat.volatile(
                    gr.Textbox(label=label, placeholder=hint, elem_id=f"lipsync_{name}", **hidden)
                )
    return made


_FOLDERS = (
    ("faces_folder", "Folder with faces", "A folder of the machine that runs the WebUI: pictures and videos."),
    ("voices_folder", "Folder with voices", "Paired by name (anna.png, anna.wav). Empty: all speak what is below."),
    ("results_folder", "Folder for the results", "Empty: a new folder beside the other results."),
)


def _speech() -> tuple[Widgets, Widgets]:
    made: Widgets = {"speech_tab": gr.Number(value=0, visible=False)}
    with gr.Tabs(elem_id="lipsync_speech"):
        with gr.TabItem("Speech", id="sound", elem_id="lipsync_speech_sound") as made["tab_sound"]:
            made["sound"] = gr.Audio(
                label="Speech", type="filepath", elem_id="lipsync_sound", interactive=True, **compat.sources("upload")
            )
        with gr.TabItem("Microphone", id="microphone", elem_id="lipsync_speech_mic") as made["tab_microphone"]:
            made["microphone"] = gr.Audio(
                label="Recording", type="filepath", elem_id="lipsync_microphone", interactive=True,
                **compat.sources("microphone"),
            )  # fmt: skip
        with gr.TabItem("Any file", id="file", elem_id="lipsync_speech_file") as made["tab_file"]:
            made["file"] = gr.File(label="Any sound or video file", elem_id="lipsync_file", height=120)
    made["own_sound"] = compat.volatile(
        gr.Checkbox(False, label="Use the source video's own sound", elem_id="lipsync_own_sound")
    )
    with gr.Accordion("Trim", open=False, elem_id="lipsync_trim"):
        options = widgets.build_rows(name for name in widgets.IN_SPEECH if name in knobs())
    return made, options


def _restore() -> Widgets:
    with gr.Accordion("Restore settings", open=False, elem_id="lipsync_restore"):
        file = gr.File(label="A video that was made here", elem_id="lipsync_restore_file", height=100)
        text = compat.volatile(
            gr.Textbox(
                label="Settings as text", lines=2, elem_id="lipsync_restore_text", placeholder="Engine: puppet, ..."
            )
        )
        button = gr.Button("Fill the settings in", elem_id="lipsync_restore_apply")
    return {"restore_file": file, "restore_text": text, "restore": button}


def _right() -> Widgets:
    top = ui_toprow.Toprow(is_compact=True, is_img2img=False, id_part="lipsync")
    top.create_inline_toprow_image()
    made: Widgets = {"generate": top.submit, "task": gr.Textbox(visible=False)}
    with gr.Row(elem_id="lipsync_preview_row"):
        made["preview"] = gr.Button("Preview one frame", elem_id="lipsync_preview")
        made["preview_at"] = compat.volatile(
            gr.Number(0, label="at second (0: an open mouth)", elem_id="lipsync_preview_at", minimum=0)
        )
    with gr.Column(variant="panel", elem_id="lipsync_results_panel"):
        with gr.Group(elem_id="lipsync_gallery_container"), gr.Column(elem_id="lipsync_gallery"):
            made["video"] = gr.Video(label="Result", interactive=False, elem_id="lipsync_result", show_label=False)
        _buttons(made)
        made["infotext"] = gr.HTML(elem_id="html_info_lipsync", elem_classes="infotext")
        made["text"] = gr.Textbox(visible=False, elem_id="generation_info_lipsync")
        made["log"] = gr.HTML(elem_id="html_log_lipsync", elem_classes="html-log")
        gr.HTML("<div id='lipsync_picker'></div>", elem_id="lipsync_picker_box")
        made["preview_gallery"] = gr.Gallery(
            label="Preview of one frame", columns=2, object_fit="contain", height="auto",
            elem_id="lipsync_preview_gallery",
        )  # fmt: skip
        made["faces"] = gr.Textbox(visible=False, elem_id="lipsync_faces_found")
        # The page writes into this one, so it has to be there, if unseen.
        made["choice"] = compat.volatile(gr.Textbox("", show_label=False, elem_id="lipsync_choice"))
    return made


def _buttons(made: Widgets) -> None:
    with gr.Row(elem_id="image_buttons_lipsync", elem_classes="image-buttons"):
        made["open"] = ToolButton(
            "📂", elem_id="lipsync_open_folder", visible=not shared.cmd_opts.hide_ui_dir_config,
            tooltip="Open the folder of the results.",
        )  # fmt: skip
        made["to_img2img"] = ToolButton(
            "🖼️", elem_id="lipsync_send_to_img2img", tooltip="Send the last frame to the img2img tab."
        )
        made["to_extras"] = ToolButton(
            "📐", elem_id="lipsync_send_to_extras", tooltip="Send the last frame to the Extras tab."
        )
        made["again"] = ToolButton("♻️", elem_id="lipsync_use_as_source", tooltip="Use the result as the source video.")
        made["keep"] = ToolButton("↙️", elem_id="lipsync_read_last", tooltip="Fill in the settings of this result.")
    made["frame"] = gr.Image(type="pil", visible=False, elem_id="lipsync_last_frame", interactive=False)
    made["remember"] = gr.Button(visible=False, elem_id="lipsync_remember")
