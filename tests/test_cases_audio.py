import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from lipsync_core.audio.read import listen, probe_audio
from lipsync_core.errors import InputError

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def cases(tmp_path_factory):
    """The sound files of ../shared/cases, made once."""
    if not (SHARED / "cases" / "make_cases.py").exists() or shutil.which("ffmpeg") is None:
        pytest.skip("../shared/cases or the ffmpeg program that makes them is not here")
    folder = tmp_path_factory.mktemp("cases")
    argv, sys.argv = sys.argv, ["make_cases", str(folder)]
    try:
        spec = importlib.util.spec_from_file_location("make_cases", SHARED / "cases" / "make_cases.py")
        maker = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(maker)
    finally:
        sys.argv = argv
    return folder, maker.CASES


def outcomes():
    spec = importlib.util.spec_from_file_location("cases_audio", Path(__file__).with_name("cases_audio.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CASES


SLOW = [pytest.param(name, marks=pytest.mark.slow) if "3h" in name else name for name in outcomes()]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the maker leaves its files open
@pytest.mark.parametrize("name", SLOW)
def test_odd_sound_files_give_what_the_table_says(cases, name):
    folder, makers = cases
    try:
        makers[name](name)
    except RuntimeError as error:  # this ffmpeg lacks the codec
        pytest.skip(f"the case cannot be made here: {error}")
    outcome = outcomes()[name]
    if isinstance(outcome, str):
        with pytest.raises(InputError, match=outcome) as caught:
            listen(folder / name)
        assert str(caught.value).startswith(name)
        return
    seconds, words = outcome
    info = probe_audio(folder / name) if seconds > 1000 else listen(folder / name).info
    assert info.seconds == pytest.approx(seconds, abs=0.045)  # older FFmpeg drops a last, broken packet
    assert any(words in note for note in info.notes) if words else info.notes == ()


def test_every_sound_case_has_its_line_in_the_table(cases):
    _, makers = cases
    assert {name for name in makers if name.startswith("A")} == set(outcomes())
