"""The tab is built and its buttons do what they say, in A1111's gradio and in Forge's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import gradio as gr
import pytest
from modules import infotext_utils, script_callbacks, shared
from PIL import Image

from lipsync_core.options import GROUPS, defaults, knobs
from lipsync_webui import after, asked, guard, presets, register, send_to, tab, widgets

DEMO = Path(__file__).resolve().parents[2] / "models" / "demo"


@pytest.fixture
def host_buttons():
    """What the host makes before our tab: a gallery and its last button, in each of three tabs."""
    send_to.forget()
    after.BOXES.clear()
    with gr.Blocks() as page:
        for name in ("txt2img", "img2img", "extras"):
            send_to.after_component(gr.Gallery(), elem_id=f"{name}_gallery")
            with gr.Row():
                send_to.after_component(gr.Button("📐"), elem_id=f"{name}_send_to_extras")
    return page


def configuration(blocks):
    return blocks.get_config_file()


def ids_of(blocks):
    return [part["props"].get("elem_id") for part in configuration(blocks)["components"]]


def test_the_tab_has_a_widget_for_every_option(host_buttons):
    ids = ids_of(tab.build())
    assert [name for name in knobs() if f"lipsync_{name}" not in ids] == []
    assert {"lipsync_generate", "lipsync_interrupt", "lipsync_skip", "lipsync_status", "lipsync_result"} <= set(ids)


def test_no_two_parts_share_an_id_and_all_are_ours(host_buttons):
    ids = [name for name in ids_of(tab.build()) if name]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if "lipsync" not in name] == []


def test_no_two_remembered_widgets_share_a_label(host_buttons):
    """The host remembers values by label in ui-config.json: two of one name would overwrite each other."""
    kinds = (gr.Slider, gr.Radio, gr.Checkbox, gr.Textbox, gr.Number, gr.Dropdown)
    parts = [part for part in tab.build().blocks.values() if type(part) in kinds]
    labels = [part.label for part in parts if part.label and not getattr(part, "do_not_save_to_config", False)]
    assert sorted({label for label in labels if labels.count(label) > 1}) == []
    assert "Quality (crf)" in labels


def test_what_belongs_to_one_picture_is_not_remembered(host_buttons):
    by_id = {part.elem_id: part for part in tab.build().blocks.values()}
    for name in ("box", "face_point", "crop", "speech_start", "checkpoint", "faces_folder"):
        assert by_id[f"lipsync_{name}"].do_not_save_to_config, name


def test_every_group_of_options_is_shown_in_order():
    shown = widgets.groups()
    assert set(shown) == {knobs()[name].group for name in knobs() if name not in widgets.IN_SPEECH}
    assert set(shown) <= set(GROUPS)
    assert shown.index("Engine") < shown.index("Face") < shown.index("Blend") < shown.index("Output")
    assert shown[-1] == "Performance"


def test_a_new_option_shows_up_by_itself(monkeypatch):
    from lipsync_core.knobs import Knob

    rule = Knob("Sparkle", "How much.", "Sparkles", low=0.0, high=1.0, step=0.1)
    monkeypatch.setattr(widgets, "knobs", lambda: {"sparkle": rule})
    monkeypatch.setattr(widgets, "defaults", lambda: {"sparkle": 0.5})
    monkeypatch.setattr(widgets, "GROUPS", (*GROUPS, "Sparkles"))
    assert widgets.groups() == ["Sparkles"]
    with gr.Blocks():
        made = widgets.build_group("Sparkles")["sparkle"]
    assert (made.label, made.value, made.maximum, made.elem_id) == ("Sparkle", 0.5, 1.0, "lipsync_sparkle")


def test_the_buttons_of_three_tabs_are_bound_once_the_tab_stands(host_buttons):
    assert infotext_utils.registered_param_bindings == []
    tab.build()
    to_us = [row for row in infotext_utils.registered_param_bindings if row.tabname == "lipsync"]
    assert [row.source_tabname for row in to_us] == ["txt2img", "img2img", "extras"]
    from_us = {row.tabname for row in infotext_utils.registered_param_bindings} - {"lipsync"}
    assert from_us == {"img2img", "extras"}
    infotext_utils.add_paste_fields("img2img", None, None)
    infotext_utils.add_paste_fields("extras", None, None)
    infotext_utils.connect_paste_params_buttons()


def test_a_tab_that_fails_binds_nothing_and_says_why(host_buttons, monkeypatch):
    guard.FAILURES.clear()
    monkeypatch.setattr(widgets, "build_group", lambda name: 1 / 0)
    ((blocks, title, name),) = register.ui_tabs()
    guard.FAILURES.clear()
    assert (title, name) == ("Lip Sync", "lipsync")
    text = json.dumps(configuration(blocks), default=str)
    assert "could not load the tab" in text
    assert "ZeroDivisionError: division by zero" in text
    assert infotext_utils.registered_param_bindings == []


def test_a_part_that_fails_leaves_the_others(monkeypatch):
    from lipsync_webui import settings

    def broken():
        raise ImportError("No module named 'nothing'")

    monkeypatch.setattr(settings, "register", broken)
    assert register.register() is after.AnimateAfterGeneration
    assert [failure.what for failure in guard.FAILURES] == ["the settings"]
    ((blocks, _, _),) = register.ui_tabs()
    guard.FAILURES.clear()
    assert "could not load the settings" in json.dumps(configuration(blocks), default=str)
    assert "lipsync_generate" in ids_of(blocks)


def test_buttons_are_not_shown_where_they_would_lead_nowhere():
    send_to.forget()
    shared.opts.hidden_tabs = ["Lip Sync"]
    with gr.Blocks() as page:
        send_to.after_component(gr.Gallery(), elem_id="txt2img_gallery")
        send_to.after_component(gr.Button("x"), elem_id="txt2img_send_to_extras")
    assert "txt2img_send_to_lipsync" not in ids_of(page)
    tab.build()
    assert infotext_utils.registered_param_bindings == []


def test_the_values_of_the_widgets_become_options():
    values = dict(defaults())
    values |= {"seed": 7.0, "batch_size": 4.0, "strength": 1, "box": "1,2,30,40", "mask_file": None, "crf": None}
    got = asked.read([0, None, None, "", "", "", 0, None, None, None, False, ".mp4", *values.values()]).options
    assert (got.seed, got.batch_size, got.strength, got.box, got.mask_file) == (7, 4, 1.0, "1,2,30,40", "")
    assert got.crf == defaults()["crf"]
    assert isinstance(got.seed, int)
    assert isinstance(got.strength, float)


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_a_preset_sets_values_that_the_options_take(preset):
    from lipsync_core.options import from_mapping

    assert from_mapping(presets.values_of(preset))
    assert list(presets.values_of(preset)) == presets.touched()


def request(tmp_path, **given):
    fields = {
        "source_tab": 0, "image": Image.open(DEMO / "portrait.png"), "video": None, "faces_folder": "",
        "voices_folder": "", "results_folder": "", "speech_tab": 0, "sound": str(DEMO / "voice.wav"),
        "microphone": None, "file": None, "own_sound": False, "container": ".mp4",
    }  # fmt: skip
    options = {**defaults(), "speech_end": 0.4, "detector": "cascade", "resize_factor": 2, "preset": "ultrafast"}
    fields |= {name: given.pop(name) for name in list(given) if name in fields}
    return [*fields.values(), *{**options, **given}.values()]


def generate(values):
    from modules import call_queue

    from lipsync_webui import run

    return call_queue.wrap_gradio_gpu_call(run.generate, extra_outputs=run.NOTHING)("task(x)", *values)


def test_generate_gives_a_video_its_last_frame_its_settings_and_a_log(tmp_path):
    video, frame, text, shown, log = generate(request(tmp_path, seed=3))
    assert Path(video).name == "00000-portrait.mp4"
    assert frame.size == (384, 384)
    assert text.startswith("Engine: auto, Seed: 3, ")
    assert text.split(",")[0] in shown
    assert "10 frames, 0.40 s at 25 fps, 384x384; 1 face" in log


def test_generate_says_what_is_missing_in_words(tmp_path):
    assert "No speech is given" in generate(request(tmp_path, sound=None))[-1]
    assert "No picture is given" in generate(request(tmp_path, image=None))[-1]
    assert "No video is given" in generate(request(tmp_path, source_tab=1))[-1]
    assert "must be a folder of the machine" in generate(request(tmp_path, source_tab=2, faces_folder="/no/such"))[-1]
    assert "Lip strength is 9" in generate(request(tmp_path, strength=9.0))[-1]


def test_a_folder_makes_a_video_for_each_and_goes_on_after_a_failure(tmp_path):
    faces = tmp_path / "faces"
    faces.mkdir()
    with Image.open(DEMO / "portrait.png") as portrait:
        portrait.resize((256, 256)).save(faces / "anna.png")
    Image.new("RGB", (64, 64)).save(faces / "nobody.png")
    values = request(
        tmp_path, source_tab=2, faces_folder=str(faces), results_folder=str(tmp_path / "out"), resize_factor=1,
        container=".mkv",
    )  # fmt: skip
    video, *_, log = generate(values)
    assert Path(video) == tmp_path / "out" / "anna.mkv"
    assert "1 of 2 videos made" in log
    assert "<b>nobody.png</b>: failed: " in log


def test_skip_leaves_one_out_and_interrupt_ends_the_batch(tmp_path, monkeypatch):
    from lipsync_core.errors import Cancelled
    from lipsync_webui import run

    faces = tmp_path / "faces"
    faces.mkdir()
    for name in "abcd":
        (faces / f"{name}.png").write_bytes(b"x")
    asked_for = []

    def make(job, options):
        asked_for.append(job[0].name)
        assert not shared.state.skipped
        if len(asked_for) == 3:
            shared.state.interrupt()
        else:
            shared.state.skip()
        raise Cancelled("Stopped. Nothing was written.")

    monkeypatch.setattr(run, "make", make)
    log = generate(request(tmp_path, source_tab=2, faces_folder=str(faces)))[-1]
    assert asked_for == ["a.png", "b.png", "c.png"]
    assert "0 of 4 videos made" in log
    assert "<b>a.png</b>: skipped" in log


def test_folders_are_refused_where_the_host_hides_them(tmp_path):
    shared.cmd_opts.hide_ui_dir_config = True
    assert "switched off" in generate(request(tmp_path, source_tab=2, faces_folder=str(DEMO)))[-1]


def test_an_interrupted_run_leaves_nothing(tmp_path, data_dir, monkeypatch):
    from lipsync_webui import job_state

    monkeypatch.setattr(job_state, "begin_items", lambda count: shared.state.interrupt())
    assert "Stopped" in generate(request(tmp_path))[-1]
    assert not [path for path in (data_dir / "outputs").rglob("*") if path.is_file()]


def test_one_frame_shows_faces_mask_and_result(tmp_path):
    from modules import call_queue

    from lipsync_webui import looking

    preview = call_queue.wrap_gradio_gpu_call(looking.preview, extra_outputs=looking.NOTHING)
    pictures, faces, text = preview("task(x)", 0, *request(tmp_path, sound=None))
    assert [words.split(" at ")[0] for _, words in pictures] == ["Mask", "Result"]
    assert {picture.size for picture, _ in pictures} == {(384, 384)}
    assert "1 face found" in text
    assert "demo's voice" in text
    found = json.loads(faces)
    assert (found["width"], found["height"], found["chosen"]) == (384, 384, [0])
    left, top, right, bottom = found["boxes"][0]
    assert 80 < left < right < 300
    assert 40 < top < bottom < 300
    assert found["url"].startswith("data:image/jpeg;base64,/9j/")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ('{"point": [100.4, 80]}', ["point", "100,80", ""]),
        ('{"box": [10, 20.2, 30, 40.9]}', ["largest", "", "10,20,30,41"]),
        ("{}", ["largest", "", ""]),
    ],
)
def test_a_face_that_is_clicked_becomes_options(choice, expected):
    from lipsync_webui import looking

    assert [update["value"] for update in looking.choose_face(choice)] == expected


@pytest.mark.parametrize("text", ["", "no json", "[1]", '{"point": "x"}', '{"box": [{}]}'])
def test_a_choice_that_makes_no_sense_changes_nothing(text):
    from lipsync_webui import looking

    assert all("value" not in update for update in looking.choose_face(text))


def test_settings_come_back_from_a_result(tmp_path):
    from lipsync_webui import wiring

    video, *_ = generate(request(tmp_path, seed=3))
    assert wiring.text_of(video).startswith("Engine: auto, Seed: 3")
    assert wiring.text_of(None) == ""
    assert "README.md: " in wiring.text_of(str(DEMO / "README.md"))
    assert "carries no settings" in wiring.text_of(str(DEMO / "voice.wav"))


def test_a_licence_is_shown_before_the_download_and_has_to_be_accepted():
    from lipsync_webui import download

    assert "personal, research and non-commercial use only" in download.ask("wav2lip_gan")[1]
    box, text = download.start("wav2lip_gan", False)
    assert "accept the licence first" in text
    assert box["visible"] is True


class Processed:
    """What the host hands to scripts when its images are done: a grid, then the images."""

    def __init__(self, picture):
        self.images, self.index_of_first_image = [Image.new("RGB", (8, 8)), picture], 1
        self.all_seeds, self.comments = [42], ""


@pytest.fixture
def script():
    made = after.AnimateAfterGeneration()
    with gr.Blocks():
        made.ui(False)
    return made


@pytest.fixture
def small_settings():
    return "Engine: puppet, Speech until: 0.4, Face detector: cascade, Shrink input: 2"


def test_every_finished_image_speaks(script, small_settings, data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(DEMO))
    with Image.open(DEMO / "portrait.png") as picture:
        done = Processed(picture.convert("RGB"))
    script.postprocess(None, done, True, str(DEMO / "voice.wav"), small_settings)
    (made,) = (path for path in (data_dir / "outputs").rglob("*") if path.is_file())
    assert made.name == "00000-seed-42.mp4"
    assert f"saved {made}" in done.comments


def test_a_voice_that_the_page_did_not_upload_is_refused(script, small_settings, monkeypatch, tmp_path):
    """The host's own API hands arguments of scripts through: it must not become a way to read any file."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    done = Processed(Image.new("RGB", (8, 8)))
    script.postprocess(None, done, True, str(DEMO / "voice.wav"), small_settings)
    assert "must be uploaded on the page" in done.comments


def test_nothing_happens_where_it_is_off(script):
    done = Processed(Image.new("RGB", (8, 8)))
    script.postprocess(None, done, False, None, "")
    assert done.comments == ""


def test_the_settings_section_says_where_files_go_and_cannot_be_moved_by_the_api():
    from lipsync_webui import settings

    settings.register()
    script_callbacks.run("ui_settings")
    rows = shared.opts.data_labels
    assert rows["lipsync_output_dir"].restrict_api
    assert rows["lipsync_models_dir"].restrict_api
    assert {row.section for name, row in rows.items() if name.startswith("lipsync_")} == {("lipsync", "Lip Sync")}


def test_where_packages_are_missing_the_tab_stands_and_names_them():
    """As after a first start with --skip-install: what the hosts do not bring is not there."""
    code = (
        "import sys\n"
        "for name in ('av', 'librosa', 'pooch'): sys.modules[name] = None\n"
        "from lipsync_webui import guard, register\n"
        "script = register.register()\n"
        "((blocks, _, _),) = register.ui_tabs()\n"
        "print(blocks.get_config_file())\n"
        "assert script and {row.what for row in guard.FAILURES} <= {'the API'}, guard.FAILURES\n"
    )
    words = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Packages are missing" in done.stdout
    assert "pip install av librosa pooch" in done.stdout
