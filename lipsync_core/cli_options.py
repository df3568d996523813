"""The options as command flags: one flag a field, built from the table in options.py."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .knobs import Knob
from .options import GROUPS, LipSyncOptions


def flag(name: str) -> str:
    """pad_top -> --pad-top."""
    return "--" + name.replace("_", "-")


def add_options(parser: argparse.ArgumentParser) -> None:
    """One flag for each option, in groups, with its help and range; left out means the default."""
    for group in GROUPS:
        add_group(parser, group)
    _add_original_names(parser)
    _add_sadtalker_names(parser)


def add_group(
    parser: argparse.ArgumentParser, group: str, names: tuple[str, ...] = (), defaults: Mapping[str, Any] | None = None
) -> None:
    """The flags of one group of options. names: only these of it. defaults: that are not those of the table."""
    own = defaults or {}
    section = parser.add_argument_group(group.lower())
    for row in fields(LipSyncOptions):
        rule: Knob = row.metadata["knob"]
        if rule.group == group and (row.name in names or not names):
            section.add_argument(flag(row.name), **_arguments(row.name, own.get(row.name, row.default), rule))


def _arguments(name: str, default: Any, rule: Knob) -> dict[str, Any]:
    text = rule.help.replace("%", "%%") + f" (default: {_shown(default)})"
    if name in SPECIAL:
        return {"default": None, "help": text, **SPECIAL[name]}
    if isinstance(default, bool):
        return {"action": argparse.BooleanOptionalAction, "default": None, "help": text}
    if rule.choices:
        return {"default": None, "type": type(default), "choices": rule.choices, "help": text}
    return {"default": None, "type": type(default), "metavar": _metavar(rule), "help": text}


def _metavar(rule: Knob) -> str:
    if rule.low is not None and rule.high is not None:
        return f"{rule.low:g}..{rule.high:g}"
    return "FILE" if rule.file else "TEXT"


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return str(default) if default != "" else "none"


def _truth(text: str) -> bool:
    """The original's --static takes a word; any word was true there, 'False' too."""
    return text.lower() not in ("false", "0", "no", "off")


# Flags whose form scripts for the original's inference.py rely on.
SPECIAL: dict[str, dict[str, Any]] = {
    "box": {"nargs": "+", "metavar": "N"},
    "crop": {"nargs": "+", "metavar": "N"},
    "rotate": {"nargs": "?", "const": 90, "type": int, "metavar": "DEGREES"},
    "static": {"nargs": "?", "const": True, "type": _truth, "metavar": "BOOL"},
    **{name: {"nargs": "+", "metavar": "DEGREES"} for name in ("yaw", "pitch", "roll")},
}


def _add_original_names(parser: argparse.ArgumentParser) -> None:
    """Flags of the original's inference.py, kept for scripts that exist; docs/from-wav2lip.md maps all of them."""
    group = parser.add_argument_group("as in the original's inference.py")
    group.add_argument("--checkpoint_path", dest="checkpoint", metavar="FILE", help="same as --checkpoint")
    group.add_argument("--resize_factor", dest="resize_factor", type=int, metavar="N", help="same as --resize-factor")
    group.add_argument("--wav2lip_batch_size", dest="batch_size", type=int, metavar="N", help="same as --batch-size")
    group.add_argument("--face_det_batch_size", type=int, metavar="N", help="accepted; detection sizes its own batches")
    group.add_argument("--nosmooth", action="store_const", const=0.0, dest="smoothing", help="same as --smoothing 0")
    group.add_argument(
        "--pads", nargs=4, type=int, metavar=("TOP", "BOTTOM", "LEFT", "RIGHT"), help="the four --pad-... at once"
    )


def _add_sadtalker_names(parser: argparse.ArgumentParser) -> None:
    """The same for SadTalker's inference.py, whose other flags are options here; docs/sadtalker.md has the table."""
    group = parser.add_argument_group("as in SadTalker's inference.py")
    for flag_name, name, kind in (
        ("--expression_scale", "expression_scale", float),
        ("--pose_style", "pose_style", int),
        ("--ref_eyeblink", "blink_video", str),
        ("--ref_pose", "pose_video", str),
        ("--size", "head_size", str),
    ):
        group.add_argument(flag_name, dest=name, type=kind, metavar="VALUE", help=f"same as {flag(name)}")
    for name in ("yaw", "pitch", "roll"):
        group.add_argument(f"--input_{name}", dest=name, nargs="+", metavar="DEGREES", help=f"same as {flag(name)}")


def given_options(arguments: argparse.Namespace, **defaults: Any) -> LipSyncOptions:
    """LipSyncOptions from what was given on the command line. defaults: of options that were not given."""
    values = {row.name: getattr(arguments, row.name, None) for row in fields(LipSyncOptions)}
    values |= {name: value for name, value in defaults.items() if values[name] is None}
    if getattr(arguments, "pads", None) is not None:
        values.update(zip(("pad_top", "pad_bottom", "pad_left", "pad_right"), arguments.pads, strict=True))
    if values["box"] is not None:
        values["box"] = _box(values["box"])
    for name in ("crop", "yaw", "pitch", "roll"):
        words = values[name]
        if words is not None:
            values[name] = ",".join(words)
    return LipSyncOptions(**{name: value for name, value in values.items() if value is not None})


def _box(words: list[str]) -> str:
    """'x1,y1,x2,y2' as one word is ours; four words are the original's top bottom left right, where -1s mean none."""
    if len(words) != 4 or any("," in word for word in words):
        return ",".join(words)
    if words == ["-1"] * 4:
        return ""
    top, bottom, left, right = words
    return ",".join((left, top, right, bottom))
