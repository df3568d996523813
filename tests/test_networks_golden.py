"""The networks compute what the published ones compute, and take their checkpoints."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
import torch

from lipsync_core.networks.blocks import fold_batch_norm
from lipsync_core.networks.discriminator import QualityDiscriminator
from lipsync_core.networks.s3fd import S3FD
from lipsync_core.networks.syncnet import SyncNetColor
from lipsync_core.networks.syncnet_v2 import SyncNetV2
from lipsync_core.networks.wav2lip import Generator, layout_96
from lipsync_core.networks.wav2lip_hq import layout_256, layout_288, layout_sam
from tests.golden.fixtures import GOLDEN, KEY_LISTS, differences, filled, gain_of, tensors_of, uniform

BUILD: dict[str, Callable[[], Any]] = {
    "wav2lip96": lambda: Generator(layout_96()),
    "wav2lip256": lambda: Generator(layout_256()),
    "wav2lip288": lambda: Generator(layout_288()),
    "wav2lip_sam_384": lambda: Generator(layout_sam()),
    "syncnet_color": SyncNetColor,
    "wav2lip_disc_qual": QualityDiscriminator,
    "syncnet_v2": SyncNetV2,
    "s3fd": S3FD,
}
KEYS: dict[str, tuple[Callable[[], Any], str]] = {
    "wav2lip96": (BUILD["wav2lip96"], ""),
    "wav2lip96_5d": (BUILD["wav2lip96"], ""),
    "wav2lip96_b16": (BUILD["wav2lip96"], ""),
    "wav2lip96_audioenc": (BUILD["wav2lip96"], "audio_encoder."),
    "nota_orig": (BUILD["wav2lip96"], ""),
    "nota_comp": (lambda: Generator(layout_96(quarter=True)), ""),
    "lt_wav2lip256": (BUILD["wav2lip256"], ""),
    "pp_wav2lip288": (BUILD["wav2lip288"], ""),
    "pp_sam192": (BUILD["wav2lip_sam_384"], ""),
    "syncnet_color": (SyncNetColor, ""),
    "w2l_disc": (QualityDiscriminator, ""),
    "syncnetv2_aud": (SyncNetV2, ""),
    "syncnetv2_lip": (SyncNetV2, ""),
    "s3fd_480x640": (S3FD, ""),
    "s3fd_720p": (S3FD, ""),
}
FIXTURES = [name for name in GOLDEN if name.startswith(tuple(BUILD))]


@pytest.fixture(scope="module", autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def mel() -> torch.Tensor:
    return uniform(1, 2, 1, 80, 16, low=-4, high=4)


def kind_of(name: str) -> str:
    return max((kind for kind in BUILD if name.startswith(kind)), key=len)


@cache
def network(kind: str, gain: float) -> Any:
    return filled(BUILD[kind], gain)


@cache
def s3fd_maps() -> list[torch.Tensor]:
    return network("s3fd", 2.0)(uniform(10, 1, 3, 256, 320, low=-120, high=130))


def output(name: str, net: Any) -> torch.Tensor:
    """What a network gives for the input in a fixture's name."""
    small = {
        "wav2lip96[gain1](": lambda: net(mel(), uniform(2, 2, 6, 96, 96)),
        "wav2lip96[gain1].audio_encoder": lambda: net.hear(mel()),
        "syncnet_color.audio": lambda: net.hear(mel()),
        "syncnet_color.face": lambda: net.look(uniform(3, 2, 15, 48, 96)),
        "wav2lip_disc_qual": lambda: net(uniform(4, 2, 3, 5, 96, 96)),
        "wav2lip256": lambda: net(mel(), uniform(5, 2, 6, 256, 256)),
        "wav2lip288": lambda: net(mel(), uniform(6, 2, 6, 288, 288)),
        # The figures are those of the first of the two faces, shown to both voices; its row 0 agrees either way.
        "wav2lip_sam_384": lambda: net(mel(), uniform(7, 1, 6, 384, 384).expand(2, -1, -1, -1)),
        "syncnet_v2[gain.6].lip": lambda: net.lip(uniform(8, 2, 3, 5, 224, 224, high=255)),
        "syncnet_v2[gain.6].aud": lambda: net.aud(uniform(9, 2, 1, 13, 20, low=-10, high=10)),
    }
    if name.startswith("s3fd["):
        return s3fd_maps()[int(name[len("s3fd[") : name.index("]")])]
    return next(make for start, make in small.items() if name.startswith(start))()


def test_every_fixture_of_these_networks_is_tested():
    assert len(FIXTURES) == 22
    assert set(FIXTURES) == {name for name in GOLDEN if name.startswith(("wav2lip", "syncnet", "s3fd"))}


@pytest.mark.parametrize("name", FIXTURES)
def test_gives_what_the_published_network_gives(name: str):
    assert differences(output(name, network(kind_of(name), gain_of(name))), name) == []


@pytest.mark.parametrize("name", [name for name in FIXTURES if not name.startswith(("s3fd", "wav2lip_sam"))])
def test_one_wrong_weight_is_noticed(name: str):
    net = network(kind_of(name), gain_of(name))
    start = {
        "wav2lip96[gain1].audio": "audio_encoder",
        "syncnet_color.audio": "audio",
        "syncnet_v2[gain.6].aud": "netcnnaud",
    }
    prefix = next((part for begin, part in start.items() if name.startswith(begin)), "face_encoder")
    prefix = "netcnnlip" if ".lip(" in name else prefix
    key, weight = next((k, v) for k, v in net.state_dict().items() if k.startswith(prefix) and v.dim() > 3)
    kept = weight.clone()
    weight[0, 0] += 0.5 * weight.abs().max() + 0.1
    apart = differences(output(name, net), name)
    weight.copy_(kept)
    assert apart, f"{key} was changed and nothing showed it"


def test_one_wrong_weight_of_s3fd_is_noticed_in_every_map():
    net = filled(S3FD)
    net.conv1_1.weight[0, 0, 1, 1] *= -2
    maps = net(uniform(10, 1, 3, 256, 320, low=-120, high=130))
    assert all(differences(found, f"s3fd[{index}](inp(10,1,3,256,320,-120,130))") for index, found in enumerate(maps))


@pytest.mark.parametrize("name", KEYS)
def test_takes_the_published_checkpoint_as_it_is(name: str):
    with torch.device("meta"):
        build, prefix = KEYS[name]
        state = build().state_dict()
    own = {key: (tuple(v.shape), str(v.dtype).removeprefix("torch.")) for key, v in state.items()}
    assert {k.removeprefix(prefix): v for k, v in own.items() if k.startswith(prefix)} == tensors_of(name)
    assert name in KEY_LISTS


@pytest.mark.skipif(
    torch.__version__.startswith("2.1."), reason="the counter of torch 2.1 needs a module to hold on to"
)
def test_the_compressed_network_has_the_published_size_and_cost():
    # No fixture exists; parameters and operations are published: 1.26 million and 0.15 G a frame.
    from torch.utils.flop_counter import FlopCounterMode

    net = filled(KEYS["nota_comp"][0], 1.0)
    with FlopCounterMode(display=False) as counter:
        picture = net(mel()[:1], uniform(2, 1, 6, 96, 96))
    assert picture.shape == (1, 3, 96, 96)
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(1.26e6, rel=0.005)
    assert counter.get_total_flops() == pytest.approx(0.15e9, rel=0.01)


def test_time_is_folded_into_the_batch_step_by_step():
    net = network("wav2lip96", 1.0)
    voices, faces = uniform(21, 2, 3, 1, 80, 16, low=-4, high=4), uniform(22, 2, 6, 3, 96, 96)
    clips = net(voices, faces)
    assert clips.shape == (2, 3, 3, 96, 96)
    for clip in range(2):
        for step in range(3):
            alone = net(voices[clip : clip + 1, step], faces[clip : clip + 1, :, step])[0]
            assert torch.allclose(clips[clip, :, step], alone, atol=1e-5)


def test_the_attention_variant_takes_other_sizes_and_a_checkpoint_without_refinement():
    sam = network("wav2lip_sam_384", 0.5)
    assert sam(mel()[:1], uniform(7, 1, 6, 192, 192)).shape == (1, 3, 192, 192)
    network.cache_clear()  # 690 MB
    with torch.device("meta"):
        plain = Generator(layout_sam(refine=False)).eval()
        assert plain(torch.empty(1, 1, 80, 16), torch.empty(1, 6, 384, 384)).shape == (1, 3, 384, 384)
    assert not any(key.startswith("audio_refine") for key in plain.state_dict())


def test_the_rows_of_a_batch_do_not_touch_each_other():
    net = network("wav2lip96", 1.0)
    faces = uniform(2, 2, 6, 96, 96)
    both = net(mel(), faces)
    assert torch.allclose(both[1:], net(mel()[1:], faces[1:]), atol=1e-5)


def test_sync_vectors_have_length_one_and_agree_between_nothing_and_fully():
    heard, seen = network("syncnet_color", 2.0)(mel(), uniform(3, 2, 15, 48, 96))
    assert torch.allclose(heard.norm(dim=1), torch.ones(2), atol=1e-5)
    agreement = (heard * seen).sum(dim=1)
    assert ((agreement >= 0) & (agreement <= 1)).all()


def test_syncnet_v2_hears_and_sees_at_once():
    heard, seen = network("syncnet_v2", 0.6)(uniform(9, 1, 1, 13, 20), uniform(8, 1, 3, 5, 224, 224, high=255))
    assert heard.shape == seen.shape == (1, 1024)


def test_folding_the_normalisation_changes_nothing():
    faces = uniform(2, 1, 6, 96, 96)
    plain = network("wav2lip96", 1.0)(mel()[:1], faces)
    folded = fold_batch_norm(filled(BUILD["wav2lip96"], 1.0))
    assert torch.allclose(folded(mel()[:1], faces), plain, atol=1e-5)
    assert not any("running_mean" in key for key in folded.state_dict())


def test_a_network_in_training_is_not_folded():
    with pytest.raises(ValueError, match="eval mode"):
        fold_batch_norm(Generator(layout_96()).train())
