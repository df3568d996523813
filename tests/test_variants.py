"""A checkpoint is known by its tensors: what runs, what is refused by name, and nothing is taken for another."""

import pytest
import torch

from lipsync_core.engines.variants import detect, identify, layout_of, refusal
from lipsync_core.networks.wav2lip import Generator
from tests.golden.fixtures import KEY_LISTS, shapes_of

# Key list -> the generator that it is. Lists of one network run at several sizes are equal.
RUNS = {
    "wav2lip96": "96",
    "wav2lip96_5d": "96",
    "wav2lip96_b16": "96",
    "nota_orig": "96",
    "nota_comp": "compressed",
    "lt_wav2lip256": "256",
    "lt_at384": "256",
    "lt_at512": "256",
    "pp_wav2lip288": "288",
    "pp_wav2lip288_at256": "288",
    **{f"pp288_at{size}": "288" for size in (256, 272, 280, 288, 304)},
    "pp_sam192": "sam",
}
# Key list -> what the user is told that the file is.
REFUSED = {
    "pp_384": "Wav2Lip_384",
    "lt_disc256": "discriminator of a 256",
    "pp_disc288": "discriminator of a 288",
    "w2l_disc": "visual quality discriminator",
    "syncnet_color": "SyncNet_color",
    "pp_syncnet384": "sync expert of a 384",
    "pp_syncnet288": "syncnetv2",
    **{f"pp_syncnetv2_at{size}": "syncnetv2" for size in (96, 160, 192, 256, 288, 320)},
    "syncnetv2_aud": "SyncNet v2",
    "syncnetv2_lip": "SyncNet v2",
    "s3fd_480x640": "face detector S3FD",
    "s3fd_720p": "face detector S3FD",
    "wav2lip96_audioenc": "audio encoder",
    "audio2exp": "audio2exp",
    "audio2pose": "SadTalker's audio2pose",
    "audio2pose_audioenc32": "audio encoder alone",
    "audio2pose_netG_dec32": "part of SadTalker's audio2pose",
    "face_3drecon": "3D face reconstruction",
    "fan_wflw": "landmark network",
    "generator_256": "SadTalker's generator",
    "generator_512": "SadTalker's generator",
    "he_estimator_256": "head pose estimator",
    "kp_extractor_256": "keypoint extractor",
    "kp_extractor_512": "keypoint extractor",
    "mapping_70": "mapping network",
    "mapping_73": "mapping network",
}


def test_every_key_list_is_expected_to_run_or_to_be_refused():
    assert sorted([*RUNS, *REFUSED]) == KEY_LISTS


@pytest.mark.parametrize("name", KEY_LISTS)
def test_a_checkpoint_is_itself_and_nothing_else(name: str):
    shapes = shapes_of(name)
    assert detect(shapes) == RUNS.get(name)
    if name in REFUSED:
        assert REFUSED[name] in refusal(shapes)
        assert layout_of(shapes) is None


@pytest.mark.parametrize("name", RUNS)
def test_what_is_recognised_is_built_with_the_same_tensors(name: str):
    layout = layout_of(shapes_of(name))
    assert layout is not None
    with torch.device("meta"):
        state = Generator(layout).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == shapes_of(name)


@pytest.mark.parametrize("name", ["wav2lip96", "pp_sam192", "syncnet_color"])
def test_the_prefix_of_training_on_several_gpus_does_not_matter(name: str):
    prefixed = {f"module.{key}": shape for key, shape in shapes_of(name).items()}
    assert detect(prefixed) == RUNS.get(name)
    assert (layout_of(prefixed) is None) == (name in REFUSED)


def test_a_sam_checkpoint_without_refinement_is_built_without_it():
    shapes = {key: shape for key, shape in shapes_of("pp_sam192").items() if "audio_refine" not in key}
    layout = layout_of(shapes)
    assert detect(shapes) == "sam"
    assert layout is not None
    assert layout.refine == ()


def test_a_fork_with_prelu_activations_is_refused_by_name():
    shapes = shapes_of("wav2lip96") | {"face_encoder_blocks.0.0.act.weight": (1,)}
    assert detect(shapes) is None
    assert "PReLU" in refusal(shapes)


def test_the_broken_512_fork_is_refused_by_name():
    shapes = shapes_of("pp_384") | {"face_encoder_blocks.0.0.conv_block.0.weight": (6, 6, 7, 7)}
    assert detect(shapes) is None
    assert "512" in refusal(shapes)


@pytest.mark.parametrize(
    ("key", "words"),
    [("audio2exp.mapping1.weight", "SadTalker"), ("stylegan_decoder.constant_input.weight", "GFPGAN")],
)
def test_files_of_neighbours_are_named(key: str, words: str):
    assert words in refusal({key: (1,)})


def test_a_stranger_is_told_what_to_use_instead():
    assert identify({"unet.weight": (3, 3)}) is None
    assert "'unet.weight'" in refusal({"unet.weight": (3, 3)})
    assert "wav2lip_gan" in refusal({"unet.weight": (3, 3)})
    assert "no tensors" in refusal({})


@pytest.mark.parametrize("name", REFUSED)
def test_every_refusal_says_what_to_use_instead(name: str):
    assert refusal(shapes_of(name)).endswith("such as wav2lip_gan.")
