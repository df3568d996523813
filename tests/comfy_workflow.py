"""ComfyUI workflows as files: what the page reads in them, and the prompt that it makes of them.

A node's widgets are saved by position, in the order of its inputs. A seed has a second value (what happens to it after
a run), and so have uploads; `LoadAudio` has a player besides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Json = dict[str, Any]

WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3")
NOTES = ("MarkdownNote", "Note")
BYPASSED = 4  # a node's mode
_UPLOADS = ("image_upload", "video_upload")


def inputs_of(info: Json) -> Iterator[tuple[str, Any, Json]]:
    """(name, type or list of choices, settings) of a node's inputs, in order. info: its row of /object_info."""
    for group in ("required", "optional"):
        for name, rule in info["input"].get(group, {}).items():
            yield name, rule[0], rule[1] if len(rule) > 1 else {}


def is_widget(kind: Any, settings: Mapping[str, Any]) -> bool:
    return (isinstance(kind, list) or kind in WIDGET_TYPES) and not settings.get("forceInput")


def extra_values(name: str, settings: Mapping[str, Any]) -> int:
    """How many saved values follow the widget's own."""
    if name in ("seed", "noise_seed") or settings.get("control_after_generate"):
        return 1
    if settings.get("audio_upload"):
        return 2
    return int(any(settings.get(upload) for upload in _UPLOADS))


def widget_values(node: Json, info: Json) -> dict[str, Any]:
    """Input name -> saved value. Raises ValueError when there are more or fewer values than widgets."""
    left = list(node.get("widgets_values") or [])
    values = {}
    for name, kind, settings in inputs_of(info):
        if not is_widget(kind, settings):
            continue
        if not left:
            if name in info["input"].get("optional", {}):
                continue
            raise ValueError(f"{node['type']} has no value for {name}")
        values[name] = left.pop(0)
        del left[: extra_values(name, settings)]
    if left:
        raise ValueError(f"{node['type']} has values for no widget: {left}")
    return values


def links_of(workflow: Json) -> dict[int, tuple[int, int]]:
    """Link number -> (node, output slot) that it comes from, past the nodes that are bypassed."""
    nodes = {node["id"]: node for node in workflow["nodes"]}
    origin = {link[0]: (link[1], link[2]) for link in workflow["links"]}
    wanted = [link[0] for link in workflow["links"] if nodes[link[3]].get("mode", 0) != BYPASSED]
    return {link: _past_bypassed(origin[link], nodes, origin) for link in wanted}


def _past_bypassed(
    place: tuple[int, int], nodes: dict[int, Json], origin: dict[int, tuple[int, int]]
) -> tuple[int, int]:
    node = nodes[place[0]]
    if node.get("mode", 0) != BYPASSED:
        return place
    kind = node["outputs"][place[1]]["type"]
    through = next(each["link"] for each in node["inputs"] if each["type"] == kind and each.get("link") is not None)
    return _past_bypassed(origin[through], nodes, origin)


def to_prompt(workflow: Json, object_info: Json) -> Json:
    """The workflow as POST /prompt takes it."""
    origin = links_of(workflow)
    prompt = {}
    for node in workflow["nodes"]:
        if node["type"] in NOTES or node.get("mode", 0) == BYPASSED:
            continue
        inputs = widget_values(node, object_info[node["type"]])
        for each in node.get("inputs", []):
            if each.get("link") is not None:
                number, slot = origin[each["link"]]
                inputs[each["name"]] = [str(number), slot]
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return prompt
