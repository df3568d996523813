"""What the nodes look like, over a stand-in of ComfyUI: no host is needed."""

import ast
import re
from pathlib import Path

import pytest
from comfy_standin import PACK, Input, standin

from lipsync_core.options import knobs

IDS = (
    "LipSyncVideo", "LipSyncPortrait", "LipSyncLoadModel", "LipSyncDetectFaces", "LipSyncSelectFace",
    "LipSyncAdjustFaces", "LipSyncMel", "LipSyncGenerate", "LipSyncEnhance", "LipSyncMouthMask", "LipSyncBlendImages",
    "LipSyncBlendVideo", "LipSyncFit", "LipSyncScore",
)  # fmt: skip
OUTPUT_NODES = ("LipSyncVideo", "LipSyncPortrait", "LipSyncBlendVideo")


@pytest.fixture(scope="module", params=["0.33.0", "0.3.64"])
def world(request, tmp_path_factory):
    with standin(tmp_path_factory.mktemp("comfy"), new=request.param == "0.33.0") as found:
        yield found


@pytest.fixture(params=IDS)
def schema(request, world):
    return world.nodes[request.param].define_schema()


def test_the_pack_has_these_nodes_and_no_others(world):
    assert set(world.nodes) == set(IDS)


def test_class_and_id_are_one_name(schema, request):
    assert schema.node_id == request.node.callspec.params["schema"]


def test_names_are_for_people_and_the_category_is_ours(schema):
    assert re.fullmatch(r"[A-Z][\w ()]+", schema.display_name)
    assert schema.category.split("/")[0] == "lipsync"
    assert len(schema.description) > 40
    assert schema.description.endswith(".")


def test_every_input_and_output_has_a_name_and_a_tooltip(schema):
    for each in schema.inputs:
        assert each.display_name, each.id
        assert len(each.tooltip) > 8, each.id
    for each in schema.outputs:
        assert each.display_name, each.id
        assert len(each.tooltip) > 8, each.id


def test_ids_are_snake_case_and_no_output_is_called_like_an_input(schema):
    inputs, outputs = [each.id for each in schema.inputs], [each.id for each in schema.outputs]
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in [*inputs, *outputs])
    assert len(set(inputs)) == len(inputs)
    assert not set(inputs) & set(outputs), "0.3.64 refuses this"


def test_widgets_that_are_options_keep_their_range_words_and_default(schema):
    for each in schema.inputs:
        rule = knobs().get(each.id)
        if rule is None or not isinstance(each, Input) or each.default is None:
            continue
        assert each.display_name.startswith(rule.label)
        if rule.high is not None and not rule.choices:
            assert each.max == rule.high
            assert each.min in (rule.low, 0), each.id
        if rule.choices and each.options:
            assert set(each.options) <= set(rule.choices)
            assert each.default in each.options


def test_folded_widgets_are_optional_and_folded_on_both_versions(schema):
    for each in schema.inputs:
        if each.advanced:
            assert each.optional, each.id
    named = [each.id for each in schema.inputs if each.advanced]
    if schema.node_id == "LipSyncVideo":
        assert {"fps", "pad_top", "crf", "seed"} <= set(named)


def test_nodes_that_write_files_are_output_nodes(schema):
    assert bool(schema.is_output_node) == (schema.node_id in OUTPUT_NODES)


def test_new_versions_find_nodes_by_other_words(schema):
    if hasattr(schema, "search_aliases"):
        assert {"lip sync", "wav2lip", "dub"} <= set(schema.search_aliases)


def test_execute_is_short_enough_to_read():
    for path in (PACK / "nodes").glob("*.py"):
        for found in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(found, ast.FunctionDef) and found.name == "execute":
                first, last = found.body[0].lineno, found.body[-1].end_lineno or 0
                assert last - first + 1 < 10, f"{path.name}:{found.lineno}"


def test_inside_the_pack_every_import_of_ours_is_relative():
    words = re.compile(r"^\s*(from|import) (nodes|lipsync_core|lipsync_webui|scripts)\b", re.MULTILINE)
    for path in Path(PACK / "nodes").glob("*.py"):
        assert not words.search(path.read_text(encoding="utf-8")), path.name


def test_what_can_be_chosen_as_model_needs_no_file(world):
    names = world.nodes["LipSyncLoadModel"].define_schema().inputs[0].options
    assert names[:2] == ["auto", "puppet"]
    assert "wav2lip_gan.pth" in names
    assert not {"s3fd.pth", "syncnet_v2.model"} & set(names)
