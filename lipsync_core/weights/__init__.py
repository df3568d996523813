"""Weights: find, download, verify, load safely, convert once. The one door; the other files here are its rooms.

Importing it opens nothing and loads no torch. Everything that goes wrong is a `WeightsError` with the way out.
"""

from .catalogue import Entry, WeightFile, entries, folders
from .http import QUICK, Policy
from .load import load_state_dict, metadata_of, shapes_of
from .locate import get, locate, present, require
from .manage import Recognise, Row, add, as_text, convert, list_weights, verify

__all__ = [
    "locate",
    "require",
    "present",
    "load_state_dict",
    "shapes_of",
    "metadata_of",
    "list_weights",
    "get",
    "add",
    "convert",
    "verify",
    "as_text",
    "entries",
    "folders",
    "Entry",
    "WeightFile",
    "Row",
    "Policy",
    "QUICK",
    "Recognise",
]
