"""What ComfyUI shows of the nodes beside their code: help pages, translations, example workflows. No host is needed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from comfy_standin import Input, standin
from comfy_workflow import NOTES, WIDGET_TYPES, Json, extra_values

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / "example_workflows").glob("*.json"))
BLUEPRINTS = sorted((ROOT / "subgraphs").glob("*.json"))
LANGUAGES = ("zh", "ja", "ko")
SCRIPT = {"zh": r"[\u4e00-\u9fff]", "ja": r"[\u3040-\u30ff\u4e00-\u9fff]", "ko": r"[\uac00-\ud7a3]"}
SAME_EVERYWHERE = ("LSE-D", "LSE-C")
# Nodes of ComfyUI that the workflows use: type -> how many values it saves. The real host checks the rest.
HOST_VALUES = {
    "AudioAdjustVolume": 1, "AudioConcat": 1, "AudioMerge": 1, "CLIPLoader": 3, "CLIPTextEncode": 1,
    "CheckpointLoaderSimple": 1, "CreateVideo": 1, "EmptyHunyuanLatentVideo": 4, "EmptyLatentImage": 3,
    "KSampler": 7, "LoadAudio": 3, "LoadVideo": 2, "ModelSamplingSD3": 1, "SaveVideo": 3, "UNETLoader": 2,
    "UpscaleModelLoader": 1, "VAEDecode": 0, "VAELoader": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with standin(tmp_path_factory.mktemp("comfy")) as world:
        yield {name: node.define_schema() for name, node in world.nodes.items()}


def texts(language: str) -> Json:
    return json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))


def test_every_node_has_a_help_page_and_no_page_is_left_over(schemas: Any) -> None:
    pages = {page.stem: page.read_text(encoding="utf-8") for page in (ROOT / "js" / "docs").glob("*.md")}
    assert set(pages) == set(schemas)
    for name, page in pages.items():
        assert page.startswith(f"# {schemas[name].display_name}\n"), name
        assert len(page) > 150, name


def test_a_help_page_names_inputs_as_the_node_does(schemas: Any) -> None:
    """A label that a page shows in its table must be on the node."""
    for name, schema in schemas.items():
        labels = {re.sub(r" \(.*\)$", "", each.display_name or "") for each in schema.inputs}
        page = (ROOT / "js" / "docs" / f"{name}.md").read_text(encoding="utf-8")
        table = page.split("| input | |\n|---|---|\n")[1].split("\n\n")[0] if "| input | |" in page else ""
        for row in table.splitlines():
            for label in re.split(r",| \.\.\. ", row.split("|")[1]):
                assert label.strip() in labels, f"{name}: {label}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_covers_every_node_input_and_output(schemas: Any, language: str) -> None:
    found = texts(language)
    assert set(found) == set(schemas)
    for name, schema in schemas.items():
        assert set(found[name]["inputs"]) == {each.id for each in schema.inputs}, name
        assert set(found[name]["outputs"]) == {str(index) for index in range(len(schema.outputs))}, name


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_is_in_its_language(language: str) -> None:
    def sentences(value: Any) -> list[str]:
        return [value] if isinstance(value, str) else [each for row in value.values() for each in sentences(row)]

    for text in sentences(texts(language)):
        assert text in SAME_EVERYWHERE or re.search(SCRIPT[language], text), text


def nodes_of(path: Path) -> list[Json]:
    return json.loads(path.read_text(encoding="utf-8"))["nodes"]


def test_the_six_chains_are_there_each_with_a_picture() -> None:
    assert [path.name[0] for path in WORKFLOWS] == list("123456")
    for path in WORKFLOWS:
        picture = path.with_suffix(".jpg")
        assert picture.is_file(), path.stem
        assert picture.read_bytes()[:3] == b"\xff\xd8\xff"
        assert picture.stat().st_size <= 300_000


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_uses_inputs_that_exist(schemas: Any, path: Path) -> None:
    for node in nodes_of(path):
        if node["type"] in schemas:
            schema = schemas[node["type"]]
            assert {each["name"] for each in node["inputs"]} <= {each.id for each in schema.inputs}
            assert [each["name"] for each in node["outputs"]] == [each.display_name for each in schema.outputs]
        else:
            assert node["type"] in {*HOST_VALUES, *NOTES}, node["type"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_saves_one_value_for_each_widget(schemas: Any, path: Path) -> None:
    for node in nodes_of(path):
        if node["type"] in NOTES:
            continue
        count = len(node["widgets_values"])
        if node["type"] in schemas:
            assert count == widget_count(schemas[node["type"]]), node["type"]
        else:
            assert count == HOST_VALUES[node["type"]], node["type"]


def widget_count(schema: Any) -> int:
    widgets = [each for each in schema.inputs if isinstance(each, Input) and each.io_type in WIDGET_TYPES]
    return sum(1 + extra_values(each.id, {}) for each in widgets)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_wires_of_a_workflow_fit_at_both_ends(path: Path) -> None:
    workflow = json.loads(path.read_text(encoding="utf-8"))
    nodes = {node["id"]: node for node in workflow["nodes"]}
    assert workflow["links"]
    for number, origin, out, target, into, kind in workflow["links"]:
        output, socket = nodes[origin]["outputs"][out], nodes[target]["inputs"][into]
        assert number in output["links"]
        assert socket["link"] == number
        assert kind in str(output["type"])
        assert {"*", *str(socket["type"]).split(",")} & {str(kind)}, socket


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_file_that_must_be_downloaded_says_from_where(path: Path) -> None:
    for node in nodes_of(path):
        for value in node["widgets_values"]:
            if isinstance(value, str) and value.endswith((".safetensors", ".pth")):
                rows = {row["name"]: row for row in node["properties"]["models"]}
                assert rows[value]["url"].startswith("https://")
                assert rows[value]["directory"]


def test_the_blueprint_is_one_node_made_of_ours(schemas: Any) -> None:
    (path,) = BLUEPRINTS
    blueprint = json.loads(path.read_text(encoding="utf-8"))
    (inner,) = blueprint["definitions"]["subgraphs"]
    assert [node["type"] for node in blueprint["nodes"]] == [inner["id"]]
    ours = [node["type"] for node in inner["nodes"]]
    assert len(ours) > 3
    assert set(ours) <= set(schemas)
