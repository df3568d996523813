import json
import stat
import struct
import sys
import types
from contextlib import nullcontext
from fractions import Fraction

import av
import numpy as np
import pytest

from lipsync_core.errors import InputError
from lipsync_core.types import FrameBatch
from lipsync_core.video import c2pa, identity
from lipsync_core.video.provenance import COMPOSITE, Provenance, read_provenance
from lipsync_core.video.writer import Clip, Encoding, open_writer
from lipsync_core.video.xmp import append_xmp, read_xmp

MADE = Provenance(engine="wav2lip", weights="deadbeef", label=True)


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    """No test touches the settings of who runs it."""
    for name in ("XDG_CONFIG_HOME", "APPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "settings"))


@pytest.fixture
def without_c2pa(monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", None)


def write(path, provenance=MADE):
    frames = np.random.default_rng(0).integers(0, 256, (5, 48, 64, 3), np.uint8)
    with open_writer(path, Clip(64, 48, Fraction(25)), None, provenance, Encoding(18, "ultrafast")) as writer:
        writer.write(FrameBatch(0, frames))
    return writer


def decoded(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "webm"])
def test_every_container_says_that_ai_made_it(tmp_path, extension, without_c2pa):
    path = tmp_path / f"out.{extension}"
    assert write(path).notes == ()
    found = read_provenance(path)
    assert found.made_with_ai
    assert found.source_type == COMPOSITE
    assert found.tool == "sd-lipsync"
    assert found.details["engine"] == "wav2lip"
    assert found.details["weights"] == "deadbeef"
    assert found.details["label"] == "on"
    assert found.xmp == (extension in ("mp4", "mov"))
    assert found.signature == ""


def test_nothing_is_said_when_nothing_is_asked_for(tmp_path, without_c2pa):
    write(tmp_path / "out.mp4", None)
    assert not read_provenance(tmp_path / "out.mp4").made_with_ai


def test_the_tags_say_it_in_words_too(tmp_path, without_c2pa):
    write(tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.metadata["comment"].startswith("Made with AI")
        assert container.metadata["description"] == container.metadata["comment"]


def test_no_folder_and_no_user_is_named(tmp_path, monkeypatch, without_c2pa):
    monkeypatch.setenv("USER", "hidden-user")
    folder = tmp_path / "secret-folder"
    folder.mkdir()
    write(folder / "secret-name.mp4")
    content = (folder / "secret-name.mp4").read_bytes()
    assert not any(word in content for word in (b"secret", b"hidden-user", str(tmp_path).encode()))


def test_the_marks_do_not_touch_the_picture(tmp_path, without_c2pa):
    write(tmp_path / "marked.mp4")
    write(tmp_path / "plain.mp4", None)
    assert decoded(tmp_path / "marked.mp4") == decoded(tmp_path / "plain.mp4")


def test_a_copy_without_its_tags_carries_no_mark(tmp_path, without_c2pa):
    write(tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as source, av.open(str(tmp_path / "copy.mp4"), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    assert not read_provenance(tmp_path / "copy.mp4").made_with_ai


def test_what_is_no_media_file_has_no_provenance_to_read(tmp_path):
    (tmp_path / "words.mp4").write_text("hello " * 100)
    with pytest.raises(InputError, match=r"words\.mp4"):
        read_provenance(tmp_path / "words.mp4")


def test_tags_of_others_that_are_no_json_are_left_alone(tmp_path, without_c2pa):
    for number, text in enumerate(["not json", "[1]"]):
        path = tmp_path / f"{number}.mkv"
        with av.open(str(path), "w") as out:
            out.metadata["sd_lipsync"] = text
            stream = out.add_stream("mpeg4", rate=25)
            stream.width = stream.height = 32
            out.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
            out.mux(stream.encode(None))
        assert read_provenance(path).details == {}


# ----------------------------------------------------------------------------------------------------- XMP


def box(kind, content):
    return struct.pack(">I4s", 8 + len(content), kind) + content


def test_xmp_is_found_behind_other_boxes_of_both_sizes(tmp_path):
    path = tmp_path / "a.mp4"
    large = struct.pack(">I4sQ", 1, b"mdat", 16 + 5) + b"12345"
    path.write_bytes(box(b"ftyp", b"isom") + large + box(b"uuid", bytes(16)))
    append_xmp(path, COMPOSITE, "tool <1>", 'words & "more"')
    assert read_xmp(path) == COMPOSITE


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\0", box(b"ftyp", b"isom"), b"\0\0\0\2ftyp" + bytes(40), b"\xff\xff\xff\xffmdat",
     box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + b"<not xml"),
     box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + b"<a/>"),
     box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')],
)  # fmt: skip
def test_a_file_without_good_xmp_gives_nothing(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    assert read_xmp(path) == ""


def test_the_source_type_may_be_an_element(tmp_path):
    path = tmp_path / "a.mp4"
    packet = (
        b'<a xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"><i:DigitalSourceType>x</i:DigitalSourceType></a>'
    )
    path.write_bytes(box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + packet))
    assert read_xmp(path) == "x"


# ---------------------------------------------------------------------------------------------------- C2PA


class FakeError(Exception):
    pass


MARK = b"FAKE-C2PA"


class FakeHandle:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


class FakeBuilder(FakeHandle):
    """Signing appends the manifest."""

    def __init__(self, manifest, context):
        self.manifest = manifest

    def sign(self, signer, kind, source, target):
        content = json.dumps(self.manifest).encode()
        target.write(source.read() + struct.pack(">I4s", 8 + len(MARK + content), b"free") + MARK + content)


class FailingBuilder(FakeBuilder):
    def sign(self, signer, kind, source, target):
        raise FakeError("no luck")


class FakeReader(FakeHandle):
    """Reading finds it again."""

    def __init__(self, text):
        self.text = text

    def json(self):
        return self.text

    @classmethod
    def try_create(cls, kind, file, context):
        _, found, content = file.read().partition(MARK)
        if not found:
            return None
        if content.endswith(b"!"):
            raise FakeError("damaged")
        state = "Invalid" if b"tampered" in content else "Valid"
        manifest = json.loads(content.replace(b"tampered", b""))
        return cls(json.dumps({"active_manifest": "a", "manifests": {"a": manifest}, "validation_state": state}))


def fake_package(builder=FakeBuilder):
    """As much of c2pa-python as is called."""
    settings = types.SimpleNamespace(from_dict=lambda values: values)
    signer = types.SimpleNamespace(from_info=nullcontext)
    return types.SimpleNamespace(
        C2paError=FakeError, C2paSignerInfo=lambda *parts: parts, Context=lambda values: values, Settings=settings,
        Signer=signer, Builder=builder, Reader=FakeReader,
    )  # fmt: skip


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", fake_package())
    monkeypatch.setattr(c2pa, "load_identity", lambda: identity.Identity(b"chain", b"key", b"es256"))


def test_a_result_is_signed_and_the_signature_read(tmp_path, fake):
    write(tmp_path / "out.mp4")
    found = read_provenance(tmp_path / "out.mp4")
    assert found.signature == "valid"
    assert c2pa.read_signature(tmp_path / "out.mp4").source_type == COMPOSITE
    assert found.xmp
    assert len(decoded(tmp_path / "out.mp4")) == 5
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_matroska_cannot_be_signed(tmp_path, fake):
    write(tmp_path / "out.mkv")
    assert read_provenance(tmp_path / "out.mkv").signature == ""


@pytest.mark.parametrize("damage", [b"tampered", b"!"])
def test_a_tampered_file_reads_as_invalid(tmp_path, fake, damage):
    write(tmp_path / "out.mp4")
    with (tmp_path / "out.mp4").open("ab") as file:
        file.write(damage)
    assert c2pa.read_signature(tmp_path / "out.mp4").state == "invalid"


def test_an_unsigned_file_has_no_signature(tmp_path, fake):
    write(tmp_path / "out.mp4", None)
    assert c2pa.read_signature(tmp_path / "out.mp4").state == ""


def test_a_manifest_without_actions_has_no_source_type():
    assert c2pa._signature({"validation_state": "Trusted"}) == c2pa.Signature("valid")
    store = {"active_manifest": "a", "manifests": {"a": {"assertions": [{"data": {"actions": [{}]}}]}}}
    assert c2pa._signature(store) == c2pa.Signature("invalid")


def test_a_failed_signature_costs_the_result_nothing_but_a_note(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", fake_package(FailingBuilder))
    monkeypatch.setattr(c2pa, "load_identity", lambda: identity.Identity(b"chain", b"key", b"es256"))
    writer = write(tmp_path / "out.mp4")
    assert "no C2PA signature (no luck)" in writer.notes[0]
    assert len(decoded(tmp_path / "out.mp4")) == 5
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_a_package_that_cannot_be_kept_off_the_network_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", types.SimpleNamespace())
    assert write(tmp_path / "out.mp4").notes == ()


def test_the_key_is_made_once_and_read_by_its_owner_only(tmp_path):
    pytest.importorskip("cryptography", reason="comes with c2pa-python (extra c2pa)")
    first, second = identity.load_identity(), identity.load_identity()
    assert first == second
    assert first.algorithm == b"es256"
    assert first.chain.count(b"BEGIN CERTIFICATE") == 2
    if sys.platform != "win32":
        assert stat.S_IMODE(identity.identity_path().stat().st_mode) == 0o600


def test_a_file_without_a_key_is_not_taken_for_an_identity():
    identity.identity_path().parent.mkdir(parents=True)
    identity.identity_path().write_text("nothing")
    with pytest.raises(ValueError, match=r"c2pa\.pem must hold one private key"):
        identity.load_identity()


@pytest.mark.parametrize(
    ("platform", "part"), [("linux", "settings"), ("darwin", "Application Support"), ("win32", "settings")]
)
def test_the_settings_lie_where_the_system_wants_them(monkeypatch, platform, part):
    monkeypatch.setattr(sys, "platform", platform)
    assert part in str(identity.identity_path())
    assert identity.identity_path().parts[-2:] == ("sd-lipsync", "c2pa.pem")


def test_the_real_package_signs_and_finds_tampering(tmp_path):
    pytest.importorskip("c2pa", reason="c2pa-python is not installed (extra c2pa)")
    plain, signed = tmp_path / "plain.mp4", tmp_path / "signed.mp4"
    write(plain, None)
    assert write(signed).notes == ()
    found = read_provenance(signed)
    assert (found.signature, found.source_type, found.xmp) == ("valid", COMPOSITE, True)
    assert decoded(signed) == decoded(plain)
    content = bytearray(signed.read_bytes())
    content[content.index(b"mdat") + 200] ^= 1
    signed.write_bytes(content)
    assert c2pa.read_signature(signed).state == "invalid"
