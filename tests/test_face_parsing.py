"""The parsing networks compute what facexlib's compute, and take their checkpoints."""

import json
import zlib

import numpy as np
import pytest
import torch

from lipsync_core.networks.face_parsing import BiSeNet, ParseNet
from tests.golden.fixtures import HERE, figures, filled, gain_of, uniform

GOLDEN = json.loads((HERE / "parsing.json").read_text(encoding="utf-8"))
BUILD = {"bisenet": BiSeNet, "parsenet": ParseNet}
SHAPES = {"bisenet": (2, 3, 256, 224), "parsenet": (1, 3, 96, 64)}


@pytest.mark.parametrize("name", GOLDEN["outputs"])
def test_a_parsing_network_computes_what_the_published_one_computes(name):
    kind = name.split("[")[0]
    with torch.inference_mode():
        found = figures(filled(BUILD[kind], gain_of(name))(uniform(11, *SHAPES[kind], low=-1.0, high=1.0)))
    wanted = GOLDEN["outputs"][name]
    assert found.pop("shape") == wanted["shape"]
    for figure, value in found.items():
        assert np.allclose(value, wanted[figure], rtol=1e-4, atol=1e-4 * wanted["std"]), figure


@pytest.mark.parametrize("kind", BUILD)
def test_a_parsing_network_has_the_published_tensors(kind):
    with torch.device("meta"):
        tensors = sorted([key, list(value.shape)] for key, value in BUILD[kind]().state_dict().items())
    wanted = GOLDEN["tensors"][kind]
    assert len(tensors) == wanted["used"]
    assert zlib.crc32(json.dumps(tensors).encode()) == wanted["crc32"]
