"""The catalogue that ships, the user's own, and the weights commands."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest
import torch
from safetensors.torch import save_file

from lipsync_core import weights
from lipsync_core.errors import WeightsError
from lipsync_core.runtime import Runtime
from lipsync_core.weights import catalogue

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "weights"

OLD_TORCH = tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 10)


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """The catalogue that ships, in a folder of its own, with nothing downloaded."""
    monkeypatch.delenv("SD_LIPSYNC_MODELS", raising=False)
    monkeypatch.delenv("SD_LIPSYNC_WEIGHTS_MIRROR", raising=False)
    monkeypatch.setenv("SD_LIPSYNC_OFFLINE", "1")
    (tmp_path / "shipped").mkdir()
    shutil.copy(ROOT / "models" / "catalogue.json", tmp_path / "shipped")
    monkeypatch.setattr(catalogue, "default_model_dir", lambda: tmp_path / "shipped")
    return Runtime(model_dirs=(tmp_path / "models",), cache_dir=tmp_path / "cache")


def edit(runtime: Runtime, change: Callable[[dict], None]) -> None:
    path = catalogue.catalogue_path()
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_the_catalogue_that_ships_is_sound() -> None:
    entries = weights.entries(Runtime())
    wanted = {"wav2lip", "wav2lip_gan", "lipsync_expert", "visual_quality_disc", "s3fd", "syncnet_v2", "yunet"}
    assert wanted <= set(entries)
    for entry in entries.values():
        assert entry.licence, entry.name
        assert entry.page or any(file.urls for file in entry.files), entry.name
        for file in entry.files:
            assert file.hash_source in ("official", "third-party")
            assert all(urlsplit(url).scheme == "https" for url in file.urls)
    assert all(entry.needs_ack for entry in entries.values() if "non-commercial" in entry.licence)
    assert not entries["yunet"].needs_ack
    assert entries["yunet"].main.size == 232_589
    assert entries["yunet"].main.hash_source == "official"


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/weights is not here")
def test_the_real_yunet_is_recognised_by_its_hash(runtime: Runtime) -> None:
    runtime.model_dirs[0].mkdir()
    shutil.copy(SHARED / "face_detection_yunet_2026may.onnx", runtime.model_dirs[0])
    found = weights.locate("yunet", runtime)
    assert found is not None
    assert found.name == "face_detection_yunet_2026may.onnx"


def test_folders_are_the_hosts_then_the_environments_then_ours(
    tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SD_LIPSYNC_MODELS", os.pathsep.join([str(tmp_path / "x"), "", str(tmp_path / "models")]))
    names = [folder.name for folder in weights.folders(runtime)]
    assert names == ["models", "x", "shipped"]
    assert weights.folders(Runtime())[0] == tmp_path / "x"


def test_a_wrong_name_gets_the_nearest_one(runtime: Runtime) -> None:
    with pytest.raises(WeightsError, match="Did you mean 'wav2lip_gan'"):
        weights.locate("wav2lip-gan", runtime)
    with pytest.raises(WeightsError, match="Known: wav2lip_gan, wav2lip,"):
        weights.require("zzz", runtime)


def test_offline_text_tells_everything(runtime: Runtime) -> None:
    with pytest.raises(WeightsError) as caught:
        weights.require("yunet", runtime)
    assert str(caught.value) == (
        "face_detection_yunet_2023mar.onnx: is not on this machine and could not be downloaded (offline mode is on).\n"
        "Get it (232589 bytes, sha256 8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4) from "
        "https://huggingface.co/opencv/face_detection_yunet/resolve/3cc26e7f1014a5ee5d74a42acee58bafc9d0a310/"
        "face_detection_yunet_2023mar.onnx\n"
        f"and put it at {runtime.model_dirs[0] / 'face_detection_yunet_2023mar.onnx'}, then run again.\n"
        "Or let it be done: lipsync weights get yunet. Check: lipsync weights verify.\n"
        "Licence: MIT https://github.com/opencv/opencv_zoo/blob/main/models/face_detection_yunet/LICENSE"
    )


def test_a_file_without_an_address_names_the_page_and_the_way_by_hand(runtime: Runtime) -> None:
    with pytest.raises(WeightsError, match=r"no address that serves it directly") as caught:
        weights.get("wav2lip", runtime, accept_licence=True)
    assert "https://drive.google.com/drive/folders/" in str(caught.value)
    assert "lipsync weights add wav2lip.pth" in str(caught.value)


@pytest.mark.skipif(OLD_TORCH, reason="below torch 2.10 no pickle of the user's own is opened")
def test_the_user_pins_a_file_and_finds_it_by_name(tmp_path: Path, runtime: Runtime) -> None:
    mine = tmp_path / "My Voice (v2).pth"
    torch.save({"state_dict": {"w": torch.ones(2, 3)}}, mine)
    asked = []

    def recognise(shapes: dict[str, tuple[int, ...]]) -> tuple[str, str]:
        asked.append(dict(shapes))
        return "wav2lip", "96"

    entry = weights.add(mine, runtime, recognise=recognise)
    assert asked == [{"w": (2, 3)}]
    assert (entry.name, entry.engine, entry.variant) == ("my_voice_v2", "wav2lip", "96")
    assert weights.locate("my_voice_v2", runtime) == mine
    assert weights.load_state_dict(mine, runtime)["w"].shape == (2, 3)
    assert weights.present("wav2lip", runtime) == [("my_voice_v2", tmp_path / "My Voice (v2).safetensors")]
    row = next(row for row in weights.list_weights(runtime) if row.name == "my_voice_v2")
    assert (row.engine, row.state) == ("wav2lip", "ready")
    mine.unlink()
    (tmp_path / "My Voice (v2).safetensors").unlink()
    assert weights.locate("my_voice_v2", runtime) is None
    with pytest.raises(WeightsError, match=re.escape(f"My Voice (v2).pth: is not at {mine}, or has changed.")):
        weights.require("my_voice_v2", runtime)


def test_pinning_twice_leaves_one_row_and_another_file_of_the_name_gets_its_own(
    tmp_path: Path, runtime: Runtime
) -> None:
    def pin(folder: str, value: float) -> str:
        path = tmp_path / folder / "net.safetensors"
        path.parent.mkdir(exist_ok=True)
        save_file({"a": torch.full((2,), value)}, path)
        return weights.add(path, runtime, recognise=lambda shapes: None).name

    assert pin("one", 1) == pin("one", 1) == "net"
    other = pin("two", 2)
    assert re.fullmatch("net_[0-9a-f]{8}", other)
    assert [entry.name for entry in catalogue.user_entries(runtime)] == ["net", other]
    assert catalogue.user_entries(runtime)[0].engine == "unknown"


@pytest.mark.skipif(OLD_TORCH, reason="below torch 2.10 no pickle of the user's own is opened")
def test_the_name_of_a_shipped_entry_is_not_taken_by_another_file(tmp_path: Path, runtime: Runtime) -> None:
    path = tmp_path / "wav2lip.pth"
    torch.save({"a": torch.ones(1)}, path)
    assert weights.add(path, runtime, recognise=lambda shapes: None).name.startswith("wav2lip_")
    assert weights.locate("wav2lip", runtime) is None


def test_official_content_in_another_place_is_found_under_its_official_name(tmp_path: Path, runtime: Runtime) -> None:
    path = tmp_path / "elsewhere.onnx"
    path.write_bytes(b"the detector")
    sha256 = hashlib.sha256(b"the detector").hexdigest()
    rows = {"sha256": sha256, "size": 12}
    edit(runtime, lambda all: next(row for row in all["entries"] if row["name"] == "yunet").update(rows))
    assert weights.add(path, runtime).name == "yunet"
    assert weights.locate("yunet", runtime) == path
    assert sum(row.name == "yunet" for row in weights.list_weights(runtime)) == 1


def test_a_path_inside_the_folder_is_kept_relative(runtime: Runtime) -> None:
    path = runtime.model_dirs[0] / "sub" / "net.safetensors"
    path.parent.mkdir(parents=True)
    save_file({"a": torch.ones(1)}, path)
    weights.add(path, runtime, recognise=lambda shapes: None)
    rows = json.loads((runtime.model_dirs[0] / "user_catalogue.json").read_text())["entries"]
    assert [row["path"] for row in rows] == ["sub/net.safetensors"]
    assert weights.locate("net", runtime) == path
    assert [file.name for file in runtime.model_dirs[0].glob("*.part") if "lock" not in file.name] == []


def test_the_engine_table_says_what_a_file_is(
    tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Spec:
        def __init__(self, key: str) -> None:
            self.detect = lambda shapes: "v1" if key in shapes else None

    engines = ModuleType("lipsync_core.engines")
    monkeypatch.setitem(sys.modules, "lipsync_core.engines", engines)
    path = tmp_path / "net.safetensors"
    save_file({"a": torch.ones(1)}, path)
    assert weights.add(path, runtime).engine == "unknown"
    monkeypatch.setattr(engines, "ENGINES", {"one": Spec("x"), "two": Spec("a")}, raising=False)
    assert weights.add(path, runtime).engine == "two"
    save_file({"b": torch.ones(1)}, path)
    assert weights.add(path, runtime).engine == "unknown"


@pytest.mark.parametrize("content", ["{", "[]", '{"entries": 3}', '{"entries": [{"name": "x"}]}', '{"entries": [3]}'])
def test_a_damaged_catalogue_of_the_user_is_named(content: str, runtime: Runtime) -> None:
    runtime.model_dirs[0].mkdir()
    (runtime.model_dirs[0] / "user_catalogue.json").write_text(content)
    with pytest.raises(WeightsError, match=r"user_catalogue.json: .*(Repair|Remove)"):
        weights.list_weights(runtime)


@pytest.mark.parametrize(
    "row", [{"file": "../x"}, {"file": ".x"}, {"sha256": "12"}, {"sha256": "g" * 64}, {"size": 0}, {"format": "exe"}]
)
def test_a_mistake_of_ours_in_the_catalogue_is_a_value_error(row: dict[str, object], runtime: Runtime) -> None:
    edit(runtime, lambda content: content["entries"][0].update(row))
    with pytest.raises(ValueError, match="the catalogue"):
        weights.entries(runtime)


def test_add_and_convert_refuse_what_is_no_file(tmp_path: Path, runtime: Runtime) -> None:
    for work in (weights.add, weights.convert):
        with pytest.raises(WeightsError, match="is not a file"):
            work(tmp_path, runtime)


def test_a_folder_that_takes_no_catalogue_is_reported(tmp_path: Path, runtime: Runtime) -> None:
    (tmp_path / "models").write_text("in the way")
    path = tmp_path / "net.safetensors"
    save_file({"a": torch.ones(1)}, path)
    with pytest.raises(WeightsError, match="then run again"):
        weights.add(path, runtime, recognise=lambda shapes: None)


@pytest.mark.skipif(OLD_TORCH, reason="below torch 2.10 no pickle of the user's own is opened")
def test_verify_reads_every_byte_whatever_was_remembered(tmp_path: Path, runtime: Runtime) -> None:
    path = tmp_path / "net.pth"
    torch.save({"a": torch.ones(4)}, path)
    weights.add(path, runtime, recognise=lambda shapes: None)

    def state() -> tuple[str, Path | None]:
        row = next(row for row in weights.verify(runtime) if row.name == "net")
        return row.state, row.path

    assert state() == ("ready", path)
    converted = weights.convert(path, runtime)
    assert state() == ("ready", converted)
    converted.write_bytes(converted.read_bytes()[:-1] + b"x")
    assert state() == ("ready", path)
    path.write_bytes(b"?" + path.read_bytes()[1:])
    assert state()[0] == "damaged"
    rows = {row.name: row.state for row in weights.list_weights(runtime)}
    assert (rows["net"], rows["yunet"]) == ("damaged", "missing")


def test_the_table_has_a_line_for_every_entry(runtime: Runtime) -> None:
    lines = weights.as_text(weights.list_weights(runtime)).splitlines()
    assert len(lines) == len(weights.entries(runtime)) + 1
    yunet = next(line for line in lines if line.startswith("yunet"))
    assert yunet.split()[:5] == ["yunet", "face", "0.2", "missing", "MIT"]
    assert next(line for line in lines if line.startswith("lipsync_expert")).split()[2] == "?"


def test_importing_the_weights_loads_no_torch_and_opens_nothing() -> None:
    code = (
        "import sys, builtins, socket\n"
        "socket.socket.connect = None\n"
        "import lipsync_core.weights\n"
        "assert not {'torch', 'pooch', 'requests', 'safetensors'} & set(sys.modules), 'heavy'\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
