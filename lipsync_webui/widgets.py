"""Knobs of lipsync_core/options.py -> widgets of the tab. A new option shows up here by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gradio as gr

from lipsync_core.knobs import Knob
from lipsync_core.options import GROUPS, defaults, knobs

from . import compat, installed

Widgets = dict[str, Any]  # option -> component

# Sections in the order in which people set things up; a group that is not named here comes before "Output".
ORDER = ("Engine", "Face", "Blend", "Restoration", "Motion", "Timing", "Silence", "Picture")
LAST = ("Output", "Performance")
TITLES = {"Blend": "Mouth blend", "Silence": "Pauses", "Enhance": "Restoration", "Enhancement": "Restoration"}
OPEN = ("Engine",)
IN_SPEECH = ("speech_start", "speech_end", "speech_track")  # shown with the speech, not with their group
# Options that take the name of a checkpoint: a list of those that are here, by what they are for ("" for any engine).
CHECKPOINTS = {"checkpoint": "", "enhancer_checkpoint": "enhancer", "sharp_lips": "wav2lip"}
_SLIDER_STEPS = 2200  # beyond this a number is easier typed than dragged
_FEW = 4  # choices that are shown as buttons in a row


def groups() -> list[str]:
    """Every group of options, in the tab's order."""
    between = [name for name in GROUPS if name not in ORDER and name not in LAST]
    return [name for name in (*ORDER, *between, *LAST) if _rows(name)]


def group_box(name: str) -> Any:
    """The accordion of a group."""
    return gr.Accordion(TITLES.get(name, name), open=name in OPEN, elem_id=f"lipsync_group_{name.lower()}")


def build_group(name: str) -> Widgets:
    """The widgets of a group; what is advanced is folded away."""
    rows = _rows(name)
    plain = [row for row in rows if not knobs()[row].advanced]
    advanced = [row for row in rows if knobs()[row].advanced]
    made = build_rows(plain or advanced)
    if plain and advanced:
        with gr.Accordion("More", open=False, elem_id=f"lipsync_more_{name.lower()}"):
            made |= build_rows(advanced)
    return made


def build_rows(names: Iterable[str]) -> Widgets:
    """Widgets two in a row, files beside files."""
    made: Widgets = {}
    names = list(names)
    while names:
        pair = [names.pop(0)]
        if names and takes_file(pair[0]) == takes_file(names[0]):
            pair.append(names.pop(0))
        with gr.Row(elem_classes=["lipsync-widgets"]):
            for name in pair:
                made[name] = widget(name)
    return made


def widget(name: str) -> Any:
    """The component for one option."""
    rule, default = knobs()[name], defaults()[name]
    label = f"{rule.label} ({rule.unit})" if rule.unit else rule.label
    words = {"label": label, "elem_id": f"lipsync_{name}"}
    if name in CHECKPOINTS:
        return _checkpoint(words, rule, CHECKPOINTS[name])
    if rule.file:
        return compat.volatile(gr.File(**words, height=90))
    component = _for_value(default, rule, {**words, "info": rule.help})
    return compat.volatile(component) if _of_one_file(name, default, rule) else component


def _for_value(default: Any, rule: Knob, words: dict[str, Any]) -> Any:
    if isinstance(default, bool):
        return gr.Checkbox(value=default, **words)
    if rule.choices:
        kind = gr.Radio if len(rule.choices) <= _FEW else gr.Dropdown
        return kind(choices=list(rule.choices), value=default, **words)
    if isinstance(default, str):
        return gr.Textbox(value=default, lines=1, max_lines=1, **words)
    if (rule.high - rule.low) / rule.step > _SLIDER_STEPS:
        return gr.Number(value=default, precision=0 if isinstance(default, int) else None, **words)
    return gr.Slider(minimum=rule.low, maximum=rule.high, step=rule.step, value=default, **words)


def _checkpoint(words: dict[str, Any], rule: Knob, purpose: str) -> Any:
    names = installed.checkpoint_names(purpose)
    return compat.volatile(gr.Dropdown(choices=["", *names], value="", info=rule.help, **words))


def _of_one_file(name: str, default: Any, rule: Knob) -> bool:
    """Values that belong to one input, not to the user's habits: the host must not remember them."""
    return (isinstance(default, str) and not rule.choices) or name in IN_SPEECH or name == "face_index"


def takes_file(name: str) -> bool:
    """True where a file of the user's is dropped."""
    return knobs()[name].file and name not in CHECKPOINTS


def _rows(group: str) -> list[str]:
    return [name for name, rule in knobs().items() if rule.group == group and name not in IN_SPEECH]


def option_values(names: Iterable[str], values: Iterable[Any]) -> dict[str, Any]:
    """What the widgets hold, as options take it: numbers of the right kind, files as paths, nothing as the default."""
    standard = defaults()
    return {name: _value(name, value, standard[name]) for name, value in zip(names, values, strict=True)}


def _value(name: str, value: Any, default: Any) -> Any:
    if takes_file(name):
        return str(compat.path_of(value) or "")
    if value is None:
        return default
    if isinstance(default, bool):
        return bool(value)
    if isinstance(default, int):
        return round(float(value))
    return type(default)(value)
