"""Which network a checkpoint is, by the names and shapes of its tensors alone: never by its file name.

A row names a few tensors that only this network has. What we run comes with a layout; what is often given by mistake,
or exists and cannot be run, comes with words for the user.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..networks.wav2lip import Layout, layout_96
from ..networks.wav2lip_hq import layout_256, layout_288, layout_sam
from ..networks.wav2lip_sized import layout_of_shapes

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

_RUNS = "Use a Wav2Lip generator of 96, 256, 288 or 384 (SAM) pixels, such as wav2lip_gan"
_TRAINING = f"It is needed for training only. {_RUNS}"


@dataclass(frozen=True)
class Row:
    """One network.

    name: short, stays the same. words: what it is, for the user. has: tensors and their shapes, None for any shape.
    lacks: tensors that it has not. layout: how to build it; None when we do not run it. advice: what to use instead.
    """

    name: str
    words: str
    has: Mapping[str, Shape | None]
    lacks: tuple[str, ...] = ()
    layout: Callable[[Shapes], Layout] | None = None
    advice: str = _RUNS


def _first(block: int) -> str:
    """The first weight of a face encoder block: its shape tells most networks apart."""
    return f"face_encoder_blocks.{block}.0.conv_block.0.weight"


_LAST = "output_block.0.conv_block.0.weight"
_GROW = "face_decoder_blocks.1.0.conv_block.0.weight"
_ATTENTION = "sam.sa.conv1.weight"
_JUDGE = "binary_pred.0.weight"
_LIPS = "face_encoder.{}.conv_block.0.weight".format
_REFINE = "audio_refine.0.conv_block.0.weight"


def _sam(shapes: Shapes) -> Layout:
    return layout_sam(refine=_REFINE in shapes)


_GENERATORS = (
    Row(
        "96",
        "a Wav2Lip generator of 96 pixels",
        {_first(0): (16, 6, 7, 7), _first(1): (32, 16, 3, 3), _GROW: (1024, 512, 3, 3), _LAST: (32, 80, 3, 3)},
        (_first(7), _ATTENTION),
        lambda _: layout_96(),
    ),
    Row(
        "256",
        "a Wav2Lip generator of 256 pixels (LiveTalking)",
        {_first(0): (16, 6, 7, 7), _first(7): (512, 512, 4, 4), _GROW: (1024, 512, 4, 4), _LAST: (32, 80, 3, 3)},
        (_first(8), _ATTENTION),
        lambda _: layout_256(),
    ),
    Row(
        "288",
        "a Wav2Lip generator of 288 pixels (primepake)",
        {_first(0): (16, 6, 7, 7), _first(1): (32, 16, 5, 5), _first(8): (512, 512, 3, 3), _LAST: (32, 80, 3, 3)},
        (_first(9), _ATTENTION),
        lambda _: layout_288(),
    ),
    Row(
        "sam",
        "a Wav2Lip generator of 384 pixels with spatial attention (primepake SAM)",
        {_first(0): (16, 6, 7, 7), _first(7): (1024, 1024, 3, 3), _ATTENTION: (1, 2, 7, 7), _LAST: (32, 80, 3, 3)},
        (_first(8),),
        _sam,
    ),
    Row(
        "48",
        "a Wav2Lip generator of 48 pixels (trained by this project)",
        {_first(5): None, _LAST: None},
        (_first(6), _ATTENTION),
        layout_of_shapes,
    ),
    Row(
        "192",
        "a Wav2Lip generator of 192 pixels (trained by this project)",
        {_first(7): (512, 512, 3, 3), _LAST: None},
        (_first(8), _ATTENTION),
        layout_of_shapes,
    ),
    # All layers follow from the shapes: a quarter of the channels of 96 and none of its residual layers, which gives
    # the published 1.26 M parameters and 0.15 GFLOP to the digit.
    Row(
        "compressed",
        "the compressed Wav2Lip generator of 96 pixels (Nota)",
        {_first(0): (4, 6, 7, 7), _GROW: (256, 128, 3, 3), _LAST: (8, 20, 3, 3)},
        (_first(7), _ATTENTION),
        lambda _: layout_96(quarter=True),
    ),
)

_OTHERS = (
    # Its activations (a tanh at the end) and how it uses attention cannot be seen in the file, no published figures
    # say what it must give, and it has no official weights: running it would be a guess.
    Row(
        "384",
        "primepake's Wav2Lip_384",
        {_first(0): (8, 6, 7, 7), _LAST: (32, 72, 3, 3)},
        advice=f"The file does not say how the network is wired, and nothing published does. {_RUNS}",
    ),
    Row("512", "primepake's 512 pixel generator, which is broken at its source", {_first(0): (6, 6, 7, 7)}),
    Row("disc 288", "the discriminator of a 288 pixel generator", {_JUDGE: None, _first(8): None}, advice=_TRAINING),
    Row("disc 256", "the discriminator of a 256 pixel generator", {_JUDGE: None, _first(7): None}, advice=_TRAINING),
    Row("disc 96", "Wav2Lip's visual quality discriminator", {_JUDGE: None, _first(6): None}, advice=_TRAINING),
    Row("syncnet 384", "the sync expert of a 384 pixel generator", {_LIPS(0): None, _LIPS(21): None}, advice=_TRAINING),
    Row(
        "syncnet 288",
        "the sync expert of a 256 or 288 pixel generator (syncnetv2)",
        {_LIPS(0): None, _LIPS(19): None},
        (_LIPS(20),),
        advice=_TRAINING,
    ),
    Row(
        "syncnet",
        "the sync expert of Wav2Lip (SyncNet_color, lipsync_expert.pth)",
        {_LIPS(0): (32, 15, 7, 7), _LIPS(16): None},
        (_LIPS(17),),
        advice=_TRAINING,
    ),
    Row(
        "syncnet_v2",
        "SyncNet v2, which measures lip sync",
        {"netcnnaud.0.weight": None, "netcnnlip.0.weight": None},
        advice=f"It is found by itself where scores are asked for. {_RUNS}",
    ),
    Row(
        "s3fd",
        "the face detector S3FD",
        {"conv3_3_norm.weight": (256,), "fc7_mbox_conf.weight": None},
        advice=f"Choose s3fd as the face detector to use it. {_RUNS}",
    ),
    Row("audio encoder", "the audio encoder of a Wav2Lip generator alone", {"0.conv_block.0.weight": (32, 1, 3, 3)}),
    Row("sadtalker", "a SadTalker checkpoint", {"audio2exp.mapping1.weight": None}),
    Row("audio2exp", "SadTalker's audio2exp", {"mapping1.weight": None, "audio_encoder.0.conv_block.0.weight": None}),
    Row("audio2pose", "SadTalker's audio2pose", {"netG.decoder.MLP.L0.weight": None}),
    Row("pose decoder", "a part of SadTalker's audio2pose", {"encoder.classbias": None}),
    Row("3dmm", "SadTalker's 3D face reconstruction", {"backbone.conv1.weight": None, "final_layers.0.weight": None}),
    Row("mapping", "SadTalker's mapping network", {"first.0.weight": None, "fc_yaw.weight": None}),
    Row("keypoints", "SadTalker's keypoint extractor", {"predictor.down_blocks.down0.conv.weight": None}),
    Row("head pose", "a head pose estimator", {"block7.b7_1.norm3.weight": None, "fc_yaw.weight": None}),
    Row(
        "renderer", "SadTalker's generator", {"dense_motion_network.hourglass.encoder.down_blocks.0.conv.weight": None}
    ),
    Row("landmarks", "a face landmark network (FAN)", {"conv1.conv.weight": (64, 6, 7, 7), "m3.b3_4.bn3.weight": None}),
    Row("hearing", "a Wav2Lip-like audio encoder alone", {"audio_encoder.0.conv_block.0.weight": None}, (_LIPS(0),)),
    Row("gfpgan", "the face enhancer GFPGAN", {"stylegan_decoder.constant_input.weight": None}),
)


def detect(shapes: Shapes) -> str | None:
    """Name of the generator that these tensors are, None when they are none that we run."""
    row = identify(shapes)
    return row.name if row is not None and row.layout is not None else None


def identify(shapes: Shapes) -> Row | None:
    """The row of these tensors, whether we run it or only know it by name; None for strangers."""
    plain = strip(shapes)
    if any(name.endswith(".act.weight") for name in plain) and _first(0) in plain:
        return Row("prelu", "a fork of Wav2Lip with PReLU activations", {})
    return next((row for row in (*_GENERATORS, *_OTHERS) if _fits(row, plain)), None)


def layout_of(shapes: Shapes) -> Layout | None:
    """How to build the generator of these tensors, None when they are none that we run."""
    row = identify(shapes)
    return None if row is None or row.layout is None else row.layout(strip(shapes))


def refusal(shapes: Shapes) -> str:
    """Why these tensors cannot move a mouth and what to use instead, to be put after a file's name."""
    row = identify(shapes)
    if row is not None:
        return f"is {row.words}, which cannot move a mouth here. {row.advice}."
    sample = next(iter(shapes), None)
    what = f"{len(shapes)} tensors, the first named '{sample}'" if sample else "no tensors"
    return f"is not a Wav2Lip generator (it holds {what}). {_RUNS}."


def strip(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Without the `module.` that training on several GPUs puts before every name."""
    return {name.removeprefix("module."): tuple(shape) for name, shape in shapes.items()}


def _fits(row: Row, shapes: Shapes) -> bool:
    present = all(name in shapes and shape in (None, shapes[name]) for name, shape in row.has.items())
    return present and not any(name in shapes for name in row.lacks)
