"""SadTalker: one portrait and a voice become a moving head."""

from __future__ import annotations

from ..base import EngineSpec
from .published import detect, find, load

SPEC = EngineSpec(
    label="SadTalker (needs checkpoints)",
    licence="research and non-commercial use only: parts of the networks are CC BY-NC 4.0 or were trained on LRS2",
    needs_weights=True,
    visible_label=True,
    mask="box",
    detect=detect,
    load=load,
    whole_head=True,
    find=find,
)
