"""Write example_workflows/*.json: `python tests/make_workflows.py http://127.0.0.1:8188`, with the pack loaded there.

A chain is a list of nodes: name, type, place, values that differ from the default, wires. Positions of widgets, types
and defaults come from the host's /object_info, so that a new widget is one run of this script.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comfy_workflow import Json, extra_values, inputs_of, is_widget

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "example_workflows"
VERSION = "0.1.0"
NEWER = {"CreateVideo": ("bit_depth",)}  # widgets that the oldest ComfyUI we support does not have

Wire = tuple[str, int]


@dataclass(frozen=True)
class Node:
    """name: within the chain. at: x, y. size: width, height. values: input -> value. wires: input -> (node, slot)."""

    name: str
    type: str
    at: tuple[int, int]
    size: tuple[int, int] = (315, 100)
    values: dict[str, Any] = field(default_factory=dict)
    wires: dict[str, Wire] = field(default_factory=dict)
    title: str = ""
    models: tuple[tuple[str, str, str], ...] = ()
    mode: int = 0  # 4: bypassed


@dataclass(frozen=True)
class Chain:
    """file: name in example_workflows, as the template browser shows it. note: what to do, on the canvas."""

    file: str
    note: str
    nodes: list[Node]
    note_at: tuple[int, int] = (-420, 0)


def note(chain: Chain, number: int) -> Json:
    return {
        "id": number, "type": "MarkdownNote", "pos": list(chain.note_at), "size": [380, 300], "flags": {}, "order": 0,
        "mode": 0, "inputs": [], "outputs": [], "title": "How to use this", "properties": {},
        "widgets_values": [chain.note], "color": "#432", "bgcolor": "#653",
    }  # fmt: skip


def saved(node: Node, number: int, info: Json) -> Json:
    """The node without its wires."""
    values: list[Any] = []
    sockets = []
    for name, kind, settings in inputs_of(info):
        if not is_widget(kind, settings):
            sockets.append({"name": name, "type": kind, "link": None})
            continue
        if name in NEWER.get(node.type, ()):
            continue
        values.append(node.values.get(name, default_of(kind, settings)))
        values += after_value(name, settings)
    unknown = set(node.values) - {name for name, _, _ in inputs_of(info)}
    assert not unknown, f"{node.type} has no input {unknown}"
    names = zip(info.get("output_name") or info["output"], info["output"], strict=True)
    ours = info["python_module"].startswith("custom_nodes")
    properties: Json = {"Node name for S&R": node.type, "cnr_id": "sd-lipsync" if ours else "comfy-core"}
    if ours:
        properties["ver"] = VERSION
    if node.models:
        properties["models"] = [dict(zip(("name", "url", "directory"), row, strict=True)) for row in node.models]
    result = {
        "id": number, "type": node.type, "pos": list(node.at), "size": list(node.size), "flags": {}, "order": number,
        "mode": node.mode, "inputs": sockets,
        "outputs": [{"name": name, "type": kind, "links": []} for name, kind in names],
        "properties": properties, "widgets_values": values,
    }  # fmt: skip
    return result | ({"title": node.title} if node.title else {})


def default_of(kind: Any, settings: Json) -> Any:
    if "default" in settings:
        return settings["default"]
    options = kind if isinstance(kind, list) else settings.get("options", [])
    if options:
        return options[0]["key"] if isinstance(options[0], dict) else options[0]
    return {"INT": 0, "FLOAT": 0.0, "BOOLEAN": False}.get(str(kind), "")


def after_value(name: str, settings: Json) -> list[Any]:
    """What the page saves after the widget's own value."""
    if settings.get("audio_upload"):
        return [None, ""]
    return [["fixed"], ["image"]][not name.endswith("seed")] if extra_values(name, settings) else []


def build(chain: Chain, object_info: Json) -> Json:
    """The chain as the page saves it."""
    numbers = {node.name: index for index, node in enumerate(chain.nodes, 1)}
    nodes = {node.name: saved(node, numbers[node.name], object_info[node.type]) for node in chain.nodes}
    links: list[list[Any]] = []
    for node in chain.nodes:
        for name, (origin, slot) in node.wires.items():
            sockets = [each["name"] for each in nodes[node.name]["inputs"]]
            place = sockets.index(name)
            output = nodes[origin]["outputs"][slot]
            links.append([len(links) + 1, numbers[origin], slot, numbers[node.name], place, output["type"]])
            output["links"].append(len(links))
            nodes[node.name]["inputs"][place]["link"] = len(links)
    written = [*nodes.values(), note(chain, len(numbers) + 1)]
    return {
        "last_node_id": len(written), "last_link_id": len(links), "nodes": written, "links": links, "groups": [],
        "config": {}, "extra": {"ds": {"scale": 0.8, "offset": [480, 160]}}, "version": 0.4,
    }  # fmt: skip


def main(address: str) -> None:
    from workflow_chains import CHAINS

    with urllib.request.urlopen(f"{address}/object_info") as answer:
        object_info = json.load(answer)
    FOLDER.mkdir(exist_ok=True)
    for chain in CHAINS:
        text = json.dumps(build(chain, object_info), indent=1, ensure_ascii=False)
        (FOLDER / f"{chain.file}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
