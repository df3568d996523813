"""Names and uploads of the API: nothing but files inside its folders is ever reachable. Needs no gradio."""

import base64
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsync_core.errors import InputError, UsageError, WeightsError
from lipsync_core.options import LipSyncOptions, knobs
from lipsync_webui.api_errors import RefusedError, answer_to, printable, without_paths
from lipsync_webui.api_files import GivenFile, Inbox, decoded, named_file, parse_given
from lipsync_webui.api_schema import json_schema, read_options, takes_file
from lipsync_webui.api_schema import settings as rows

HOSTILE = [
    "/etc/passwd",
    "input//etc/passwd",
    "input/../secret.txt",
    "input/sub/../../secret.txt",
    "input/./face.png",
    "../secret.txt",
    "..",
    "input/..",
    "input/...",
    "input/.hidden",
    "input/~root/x",
    "~/x",
    "input\\..\\secret.txt",
    "\\\\host\\share\\x",
    "//host/share/x",
    "C:\\x.png",
    "C:/x.png",
    "input/C:/x.png",
    "file:///etc/passwd",
    "http://127.0.0.1/x.mp4",
    "https://example.org/x.mp4",
    "data:image/png;base64,AAAA",
    "concat:input/face.png|/etc/passwd",
    "subfile,,start,0,end,9,,:/etc/passwd",
    "pipe:0",
    "input/pipe:0",
    "input/face.png\0.txt",
    "input/face\n.png",
    "input/\u202egnp.face",
    "input/ face.png",
    "input/face.png ",
    "input/face.png.",
    "input/CON",
    "input/nul.png",
    "input/" + "a" * 300,
    "input/" + "a/" * 600,
    "/dev/fd/3",
    "",
]


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """An input folder beside a secret, with links that lead out of it and back into it."""
    (tmp_path / "secret.txt").write_text("secret")
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    (root / "face.png").write_bytes(b"face")
    (root / "sub" / "voice é.wav").write_bytes(b"voice")
    (root / ".hidden").write_text("hidden")
    (root / "out").symlink_to(tmp_path)
    (root / "secret").symlink_to(tmp_path / "secret.txt")
    (root / "again.png").symlink_to(root / "face.png")
    (tmp_path / "in-evil").mkdir()
    (tmp_path / "in-evil" / "x.png").write_bytes(b"x")
    (root / "near").symlink_to(tmp_path / "in-evil")
    os.mkfifo(root / "pipe")
    return {"input": root}


def test_a_name_in_a_folder_is_found(folders):
    assert named_file("input/face.png", folders) == folders["input"].resolve() / "face.png"
    assert named_file("input/sub/voice é.wav", folders).read_bytes() == b"voice"
    assert named_file("input/again.png", folders).read_bytes() == b"face"


def test_the_folder_itself_may_be_a_link(folders, tmp_path):
    (tmp_path / "linked").symlink_to(folders["input"])
    assert named_file("input/face.png", {"input": tmp_path / "linked"}).read_bytes() == b"face"


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_name_is_refused(folders, name):
    with pytest.raises(RefusedError) as refused:
        named_file(name, folders)
    assert refused.value.status in (403, 404)
    assert all(sign.isprintable() for sign in str(refused.value))


@pytest.mark.parametrize("name", ["input/out/secret.txt", "input/secret", "input/near/x.png"])
def test_a_link_that_leads_out_is_refused(folders, name):
    with pytest.raises(RefusedError, match="leads out of the folder 'input'") as refused:
        named_file(name, folders)
    assert refused.value.status == 403


@pytest.mark.parametrize(
    "name", ["input", "input/", "input/sub", "input/none.png", "input/pipe", "other/face.png", "x"]
)
def test_what_is_no_file_is_not_found(folders, name):
    with pytest.raises(RefusedError) as refused:
        named_file(name, folders)
    assert refused.value.status in (403, 404)


parts = st.one_of(
    st.sampled_from(["input", "in", "out", "secret", "secret.txt", "sub", "..", ".", "", "near", "x.png", "face.png"]),
    st.text(max_size=12),
)
names = st.one_of(
    st.lists(parts, max_size=6).map("/".join),
    st.lists(parts, max_size=6).map(lambda some: "input/" + "\\".join(some)),
    st.text(max_size=60),
    st.builds(lambda name: "input/" + name, st.text(max_size=40)),
)


@given(name=names)
@settings(max_examples=600, deadline=None)
def test_no_name_whatever_leaves_the_folder(name):
    with tempfile.TemporaryDirectory() as place:
        top = Path(place)
        (top / "secret.txt").write_text("secret")
        (top / "in" / "sub").mkdir(parents=True)
        (top / "in" / "face.png").write_bytes(b"face")
        (top / "in" / "out").symlink_to(top)
        (top / "in" / "secret").symlink_to(top / "secret.txt")
        try:
            path = named_file(name, {"input": top / "in"})
        except RefusedError:
            return
        assert (top / "in").resolve() in path.parents
        assert path.read_bytes() == b"face"


@given(content=st.binary(min_size=1, max_size=400), uri=st.booleans())
def test_an_upload_comes_back_byte_for_byte(content, uri):
    text = base64.b64encode(content).decode()
    assert decoded("face", f"data:audio/x-wav;base64,{text}" if uri else text, 1 << 20) == content


@given(text=st.text(max_size=200))
def test_any_text_is_an_upload_or_is_refused(text):
    with suppress(RefusedError):
        assert decoded("face", text, 1 << 20)


@pytest.mark.parametrize("text", ["http://127.0.0.1/x", "file:///etc/passwd", "ftp://x", "data:,abc", "concat:a|b"])
def test_an_upload_that_is_an_address_is_refused_as_such(text):
    with pytest.raises(RefusedError, match="is a URL, and the API opens none"):
        decoded("face", text, 1 << 20)


def test_an_upload_over_the_limit_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(base64, "b64decode", None)
    with pytest.raises(RefusedError, match="larger than 1 MB") as refused:
        decoded("face", "A" * 1_500_000, 1 << 20)
    assert refused.value.status == 413


@pytest.mark.parametrize(
    "value", ["/etc/passwd", None, 3, [], {}, {"data": 1}, {"path": "x"}, {"data": "A", "file": "b"}]
)
def test_a_file_of_a_request_is_its_content_or_its_name(value):
    with pytest.raises(RefusedError) as refused:
        parse_given("options.mask_file", value)
    assert refused.value.status == 422
    assert "options.mask_file" in str(refused.value)


def test_uploads_vanish_with_their_request_and_are_called_after_their_field():
    with Inbox({}, 1 << 20) as inbox:
        path = inbox.path("face", GivenFile(data=base64.b64encode(b"x").decode()))
        assert (path.name, path.read_bytes()) == ("face", b"x")
    assert not path.parent.exists()


def weights_nobody_has(name: str) -> Path:
    raise WeightsError(f"There are no weights named '{name}'.")


def no_file(what: str, given: GivenFile) -> Path:
    return Path(f"/tmp/{what}")


def test_options_of_a_request_are_checked_as_everywhere():
    assert read_options({"strength": 1.5, "fit": "cut"}, no_file, weights_nobody_has).strength == 1.5
    for bad in (
        {"strength": 9},
        {"strength": "1"},
        {"strength": float("nan")},
        {"gate": 1},
        {"seed": True},
        {"fit": 0},
    ):
        with pytest.raises(UsageError):
            read_options(bad, no_file, weights_nobody_has)


def test_an_unknown_option_is_refused_by_name():
    with pytest.raises(UsageError, match="There is no setting 'speed'. GET /lipsync/v1/schema lists them all."):
        read_options({"speed": 2}, no_file, weights_nobody_has)


@pytest.mark.parametrize("name", [name for name, rule in knobs().items() if takes_file(rule)])
def test_no_option_takes_a_path_of_the_server(name):
    with pytest.raises(RefusedError):
        read_options({name: "/etc/passwd"}, no_file, weights_nobody_has)
    assert str(getattr(read_options({name: {"file": "input/x"}}, no_file, weights_nobody_has), name)).endswith(name)


WEIGHTS = [name for name, rule in knobs().items() if rule.weights]


def test_every_option_that_means_a_checkpoint_is_known_as_one():
    told = [name for name, rule in knobs().items() if rule.file and "checkpoint" in f"{rule.label} {rule.help}".lower()]
    assert told == WEIGHTS
    assert "checkpoint" in WEIGHTS


@pytest.mark.parametrize("option", WEIGHTS)
@pytest.mark.parametrize("name", ["/etc/passwd", "../x.pth", "a/b", "C:x", "..\\x", ".x", "x\ny"])
def test_a_checkpoint_is_a_name_and_never_a_path(option, name):
    with pytest.raises(RefusedError, match="is no name"):
        read_options({option: name}, no_file, lambda name: Path(name))


@pytest.mark.parametrize("option", WEIGHTS)
@pytest.mark.parametrize("value", [{"data": "AAAA"}, {"file": "input/x.safetensors"}, 1, ["x"]])
def test_a_checkpoint_is_never_sent(option, value):
    with pytest.raises(UsageError, match="must be a name"):
        read_options({option: value}, no_file, weights_nobody_has)


def test_a_checkpoint_that_happens_to_be_a_file_here_is_still_looked_up_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil").write_bytes(b"x")
    with pytest.raises(WeightsError):
        read_options({"checkpoint": "evil"}, no_file, weights_nobody_has)


anything = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()))


@given(values=st.dictionaries(st.sampled_from(sorted(knobs())), anything))
@settings(deadline=None)
def test_any_options_are_taken_or_refused_in_words(values):
    with suppress(UsageError, RefusedError, WeightsError):
        assert isinstance(read_options(values, no_file, weights_nobody_has), LipSyncOptions)


def test_the_schema_holds_every_option_once():
    assert [row["name"] for row in rows()] != []
    assert {row["name"] for row in rows()} == set(json_schema()["properties"]) == set(knobs())


def test_errors_have_a_status_and_give_no_folder_away(tmp_path):
    places = {"data": tmp_path, "models": tmp_path / "models"}
    told = answer_to(WeightsError(f"Put it into {tmp_path / 'models'} or {tmp_path / 'x'}."), places)
    assert (told.status, told.kind, told.sentence) == (409, "WeightsError", "Put it into <models> or <data>/x.")
    assert answer_to(InputError("x."), places).status == 422
    assert answer_to(RefusedError(413, "TooLarge", "x."), places).body == {"error": "TooLarge", "detail": "x."}
    assert without_paths("/", {"root": Path("/")}) == "/"


@given(text=st.text())
def test_what_a_client_says_is_shown_on_one_line(text):
    assert all(sign.isprintable() for sign in printable(text))
