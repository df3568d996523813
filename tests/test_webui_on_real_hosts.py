"""The tab inside a real A1111 and a real Forge, in a headless browser.

Runs for each host whose checkout is named by A1111_DIR or FORGE_DIR (its Python: `venv/` inside it, or A1111_PYTHON,
FORGE_PYTHON). They are started on the CPU, without a checkpoint, with a data folder of their own.
"""

import importlib.util
import shutil
import time
import wave

import pytest
from real_webui import DEMO, ROOT, Page, answers, browser, checkout, running, wait

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module", params=["A1111", "Forge"])
def host(request, tmp_path_factory):
    need(request.param)
    with running(request.param, tmp_path_factory.mktemp(request.param) / "data") as started:
        yield started


def need(name):
    if checkout(name) is None:
        pytest.skip(f"{name.upper()}_DIR does not name a checkout of {name}: nothing is tried on a real one")
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed: the pages of real hosts are not tried")


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def page(host, chromium):
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    yield Page(context.new_page(), host)
    context.close()


@pytest.fixture(scope="module")
def short_voice(tmp_path_factory):
    """The demo's first 1.2 seconds."""
    path = tmp_path_factory.mktemp("voice") / "short voice.wav"
    with wave.open(str(DEMO / "voice.wav")) as whole, wave.open(str(path), "wb") as part:
        part.setparams(whole.getparams())
        part.writeframes(whole.readframes(int(1.2 * whole.getframerate())))
    return path


def test_the_host_starts_with_the_tab_and_no_complaint(host, page):
    page.open_tab()
    assert "Ready: engine puppet" in page.text("#lipsync_status")
    assert page.text("#lipsync_failed") == ""
    for sign in ("Error executing callback", "Error loading script", "Error calling"):
        assert sign not in host.log
    assert not [error for error in page.errors if "lipsync" in error.lower()]


@pytest.mark.parametrize("tab", ["txt2img", "img2img", "extras"])
def test_every_gallery_has_a_button_that_sends_to_lip_sync(page, tab):
    assert page.page.locator(f"#{tab}_send_to_lipsync").count() == 1


def test_a_portrait_and_a_voice_become_a_video_that_plays(host, page, short_voice):
    page.open_tab()
    page.give(DEMO / "portrait.png", short_voice)
    log = page.generate()
    assert "30 frames, 1.20 s at 25 fps, 768x768; 1 face" in log
    played = page.plays()
    assert (played["width"], played["height"], played["ready"]) == (768, 768, 4)
    assert played["at"] > 0.1
    assert abs(played["seconds"] - 1.2) < 0.1
    assert [path.name for path in host.results()] == ["00000-portrait.mp4"]
    assert page.text("#html_info_lipsync").startswith("Engine: auto, Version: sd-lipsync")


def test_a_result_becomes_the_source_video_and_speaks_again(host, page):
    page.page.click("#lipsync_use_as_source")
    page.page.wait_for_selector("#lipsync_video video", timeout=30_000)
    page.page.wait_for_timeout(1500)
    assert "30 frames, 1.20 s at 25 fps" in page.generate()
    assert "portrait" in host.results()[-1].name
    page.page.locator("#lipsync_source button").first.click()


def test_weights_come_after_their_licence_was_shown_and_accepted(page):
    page.page.click("#lipsync_weights .label-wrap")
    page.page.click("#lipsync_weights_ask")
    page.page.wait_for_selector("#lipsync_licence_accepted", state="visible")
    assert "personal, research and non-commercial use only" in page.text("#lipsync_licence")
    page.page.click("#lipsync_weights_download")
    wait(lambda: "accept the licence first" in page.text("#lipsync_licence"), 20, "the refusal")
    page.page.click("#lipsync_licence_accepted input")
    page.page.click("#lipsync_weights_download")
    wait(
        lambda: "offline mode is on" in page.text("#lipsync_licence"),
        30,
        "what to do by hand, as the tests are offline",
    )
    page.page.click("#lipsync_weights_cancel")
    page.page.wait_for_selector("#lipsync_licence_accepted", state="hidden")


def test_one_frame_is_previewed_with_its_face_and_mask(page):
    page.open_tab()
    page.page.click("#lipsync_preview")
    page.finish()
    assert page.page.locator("#lipsync_preview_gallery img").count() >= 2
    assert "1 face found" in page.text("#html_log_lipsync")


def test_a_face_is_chosen_by_a_click_on_the_preview(page):
    canvas = page.page.locator("#lipsync_picker canvas")
    canvas.click()
    wait(lambda: page.value("#lipsync_which_face input") == "point", 10, "the way to choose")
    across, down = map(int, page.value("#lipsync_face_point textarea, #lipsync_face_point input").split(","))
    assert 300 < across < 470
    assert 250 < down < 450
    page.page.click("#lipsync_picker button")
    wait(lambda: page.value("#lipsync_which_face input") == "largest", 10, "the automatic choice")


def test_the_settings_of_a_result_are_restored_from_its_file(host, page, short_voice):
    page.open_tab()
    seed = page.page.locator("#lipsync_seed input")
    seed.fill("4711")
    seed.press("Tab")
    page.generate()
    newest = host.results()[-1]
    seed.fill("1")
    seed.press("Tab")
    page.page.click("#lipsync_restore .label-wrap")
    page.page.set_input_files("#lipsync_restore_file input[type=file]", newest)
    wait(lambda: "Seed: 4711" in page.value("#lipsync_restore_text textarea"), 20, "the settings of the file")
    page.page.click("#lipsync_restore_apply")
    wait(lambda: page.value("#lipsync_seed input") == "4711", 20, "the seed to come back")


def test_interrupt_ends_a_run_within_a_batch_and_leaves_nothing(host, page):
    page.open_tab()
    page.give_voice(DEMO / "voice.wav")
    before = host.results()
    page.page.click("#lipsync_generate")
    wait(lambda: "Rendering" in page.progress(), 60, "the run to render")
    page.page.wait_for_selector("#lipsync_gallery .livePreview img", timeout=30_000)
    start = time.monotonic()
    page.page.click("#lipsync_interrupt")
    assert "Stopped" in page.finish(30)
    assert time.monotonic() - start < 12, "one batch, and what the page takes to notice"
    assert host.results() == before


def test_a_missing_voice_is_said_in_words(page):
    page.load()
    page.open_tab()
    page.page.set_input_files("#lipsync_image input[type=file]", DEMO / "portrait.png")
    page.page.wait_for_selector("#lipsync_image img")
    page.page.wait_for_timeout(1000)
    assert "No speech is given. Drop a sound file under Speech" in page.generate()


def test_an_image_of_txt2img_is_sent_to_the_tab_and_speaks(host, page, short_voice):
    page.load()
    _make_image(page)
    page.page.click("#txt2img_send_to_lipsync")
    page.page.wait_for_selector("#lipsync_image img", timeout=30_000)
    page.page.wait_for_selector("#lipsync_generate", state="visible")
    page.give_voice(short_voice)
    assert "30 frames" in page.generate()


def test_every_finished_image_speaks_where_it_was_asked_to(host, page, short_voice):
    page.load()
    page.page.click("#lipsync_after_txt2img .label-wrap, #lipsync_after_txt2img > button")
    page.page.set_input_files("#lipsync_after_txt2img_voice input[type=file]", short_voice)
    page.page.wait_for_timeout(2500)
    before = host.results()
    _make_image(page)
    wait(lambda: "Lip Sync: saved" in page.text("#html_log_txt2img"), 60, "the line about the video")
    (made,) = set(host.results()) - set(before)
    assert made.name.endswith("-seed-7.mp4")


def _make_image(page):
    page.page.evaluate("switch_to_txt2img()")
    page.page.click("#txt2img_generate")
    page.page.wait_for_selector("#txt2img_gallery img", timeout=60_000)
    page.page.wait_for_timeout(1500)


def test_reload_ui_brings_the_tab_back_working(host, page, short_voice):
    starts = host.log.count("Startup time")
    page.page.click("#footer a:has-text('Reload UI')")
    wait(lambda: host.log.count("Startup time") > starts, 90, "the second start")
    wait(lambda: answers(host.url) == 200, 30, "the page")
    page.load()
    page.open_tab()
    assert page.page.locator("#txt2img_send_to_lipsync").count() == 1
    page.give(DEMO / "portrait.png", short_voice)
    assert "30 frames" in page.generate()
    assert "Error executing callback" not in host.log


@pytest.mark.parametrize(("name", "broken"), [("A1111", "host"), ("Forge", "tab")])
def test_what_breaks_at_load_is_said_in_the_tab_and_the_host_starts(name, broken, tmp_path, request):
    need(name)
    extension = tmp_path / "broken"
    keep = shutil.ignore_patterns(".git", ".venv*", "tests", "docs", "out", "__pycache__")
    shutil.copytree(ROOT, extension, ignore=keep)
    part = extension / "lipsync_webui" / f"{broken}.py"
    part.write_text(part.read_text(encoding="utf-8") + '\nraise RuntimeError("broken on purpose")\n', encoding="utf-8")
    chromium = request.getfixturevalue("chromium")  # only now: where nothing is tried, none is started
    with running(name, tmp_path / "data", extension) as started:
        page = Page(chromium.new_page(), started)
        page.page.click("#tabs button:has-text('Lip Sync')")
        wait(lambda: "broken on purpose" in page.text("#tab_lipsync"), 20, "the reason")
        assert page.page.locator("#txt2img_generate").count() == 1
