"""Training of expert and generators: data, losses, the loop, going on after a kill."""

import json
import math
import os
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lipsync_core.__main__ import main
from lipsync_core.engines import recognise
from lipsync_core.engines.base import EngineSettings
from lipsync_core.engines.wav2lip import load
from lipsync_core.errors import Cancelled, InputError, UsageError, WeightsError
from lipsync_core.networks.syncnet import SyncNetColor
from lipsync_core.networks.wav2lip import Generator, layout_96
from lipsync_core.networks.wav2lip_sized import layout_of_shapes, layout_sized
from lipsync_core.runtime import Runtime
from lipsync_core.timing import mel_windows
from lipsync_core.training import losses
from lipsync_core.training.config import TrainConfig, config_from, read_config
from lipsync_core.training.jobs import GeneratorJob, as_it_is, load_expert, sync_loss
from lipsync_core.training.log import read_log
from lipsync_core.training.shards import ClipData, read_frames, read_index, read_mel, write_shard
from lipsync_core.training.state import load_state, states
from lipsync_core.training.windows import FPS, Draw, Windows, split_by_name
from lipsync_core.types import Speech

fabric = pytest.mark.skipif(
    not __import__("importlib.util").util.find_spec("lightning_fabric"), reason="lightning-fabric is not installed"
)
SIZE = 48


def numbered_clips(folder: Path, clips: int = 6, frames: int = 30, size: int = SIZE) -> Path:
    """Shards whose frames carry clip and number in their colours, and whose mel says its column."""
    rng = np.random.default_rng(0)

    def one(clip: int) -> ClipData:
        crops = [np.full((size, size, 3), (40 * clip, 8 * frame, 100), np.uint8) for frame in range(frames)]
        columns = math.ceil(frames * 3.2) + 16
        mel = np.tile(np.linspace(-4, 4, columns, dtype=np.float32), (80, 1)) + 0.1 * rng.standard_normal((80, 1))
        return ClipData(f"clip-{clip}", crops, mel.astype(np.float32), {"source": f"video-{clip}"})

    for shard in range(0, clips, 3):
        write_shard(folder / f"shard-{shard // 3:06d}", map(one, range(shard, min(clips, shard + 3))))
    return folder


# ---------------------------------------------------------------------------------------------------- losses


def test_an_expert_that_says_one_half_has_the_loss_ln_2():
    audio = torch.tensor([[1.0, 0.0]] * 4)
    face = torch.tensor([[0.5, math.sqrt(0.75)]] * 4)
    assert losses.cosine_bce(audio, face, torch.tensor([1.0, 0.0, 1.0, 0.0])).item() == pytest.approx(math.log(2))


def test_the_cosine_loss_is_worked_out_by_hand():
    audio, face = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.6, 0.8], [0.8, 0.6]])
    expected = -(math.log(0.6) + math.log(1 - 0.8)) / 2
    assert losses.cosine_bce(audio, face, torch.tensor([1.0, 0.0])).item() == pytest.approx(expected)


def test_points_that_agree_or_differ_wholly_have_finite_losses():
    one = torch.tensor([[1.0, 0.0]])
    for face in (one, torch.tensor([[0.0, 1.0]])):
        for together in (0.0, 1.0):
            assert math.isfinite(losses.cosine_bce(one, face, torch.tensor([together])).item())


def test_the_grid_loss_weighs_right_and_wrong_pairs_alike():
    audio = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    face = torch.tensor([[0.6, 0.8], [0.8, 0.6]])  # cosines with the sounds: 0.6 0.8, 0.8 0.6
    expected = (-math.log(0.6) - math.log(1 - 0.8)) / 2
    assert losses.grid_bce(audio, face, torch.eye(2)[None]).item() == pytest.approx(expected)
    pairs = losses.cosine_bce(audio, face, torch.ones(2)), losses.cosine_bce(audio.flip(0), face, torch.zeros(2))
    assert losses.grid_bce(audio, face, torch.eye(2)[None]).item() == pytest.approx(float(sum(pairs)) / 2)


def test_the_grid_compares_within_a_clip_only():
    audio, face = torch.eye(4)[:, :2] + 0.1, torch.rand(4, 2)
    together = torch.eye(2).expand(2, 2, 2)
    halves = [losses.grid_bce(audio[rows], face[rows], together[:1]) for rows in (slice(0, 2), slice(2, 4))]
    assert losses.grid_bce(audio, face, together).item() == pytest.approx(float(sum(halves)) / 2, rel=1e-5)


def test_the_contrastive_loss_is_worked_out_by_hand():
    audio, face = torch.tensor([[1.0, 0.0]] * 2), torch.tensor([[0.8, 0.6]] * 2)  # distance sqrt(0.4)
    distance = math.sqrt(0.4)
    expected = (distance**2 + (1 - distance) ** 2) / 2 / 2
    assert losses.contrastive(audio, face, torch.tensor([1.0, 0.0])).item() == pytest.approx(expected, rel=1e-5)


def test_the_discriminator_losses_are_worked_out_by_hand():
    real, made = torch.tensor([[0.8]]), torch.tensor([[0.3]])
    assert losses.discriminator(real, made).item() == pytest.approx(-math.log(0.8) - math.log(0.7))
    assert losses.perceptual(made).item() == pytest.approx(-math.log(0.3))


def test_the_whole_loss_leaves_l1_what_the_others_do_not_take():
    one, two, three = torch.tensor(1.0), torch.tensor(2.0), torch.tensor(3.0)
    assert losses.total(one, two, three, (0.03, 0.07)).item() == pytest.approx(0.9 * 1 + 0.03 * 2 + 0.07 * 3)


def test_lower_halves_lie_frame_by_frame_in_channels():
    faces = torch.arange(2 * 3 * 5).reshape(2, 3, 5, 1, 1).float().expand(2, 3, 5, 8, 8).clone()
    faces[:, :, :, :4] = -1
    lower = losses.lower_halves(faces)
    assert lower.shape == (2, 15, 4, 8)
    assert lower[0, :, 0, 0].tolist() == [0, 5, 10, 1, 6, 11, 2, 7, 12, 3, 8, 13, 4, 9, 14]


# ---------------------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize(("size", "width"), [(48, 4), (48, 8), (192, 16)])
def test_generators_of_other_sizes_give_pictures_of_their_size(size, width):
    network = Generator(layout_sized(size, width)).eval()
    with torch.inference_mode():
        made = network(torch.zeros(1, 1, 80, 16), torch.zeros(1, 6, size, size))
    assert made.shape == (1, 3, size, size)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert layout_of_shapes(shapes) == network.layout
    assert recognise(shapes) == ("wav2lip", str(size))


def test_the_published_generator_is_still_known_as_what_it_is():
    shapes = {name: tuple(value.shape) for name, value in Generator(layout_96()).state_dict().items()}
    assert recognise(shapes) == ("wav2lip", "96")


@pytest.mark.parametrize("size", [48, 96, 192])
def test_experts_of_every_size_give_points_of_length_one(size):
    network = SyncNetColor(size, 8).eval()
    point = network.look(torch.rand(2, 15, size // 2, size))
    assert point.shape == (2, 128)
    assert torch.allclose(point.norm(dim=1), torch.ones(2), atol=1e-5)


def test_a_generator_of_48_px_costs_less_than_a_third_of_a_gflop_a_frame():
    from torch.utils.flop_counter import FlopCounterMode

    network = Generator(layout_sized(48, 8, 2)).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 1, 80, 16), torch.zeros(1, 6, 48, 48))
    assert counter.get_total_flops() < 0.3e9


# ---------------------------------------------------------------------------------------------------- shards


def test_a_shard_gives_back_what_was_put_in(tmp_path):
    clips = read_index(numbered_clips(tmp_path))
    assert [clip.name for clip in clips] == [f"clip-{number}" for number in range(6)]
    rows = read_frames(clips[2], [0, 17, 3])
    assert np.abs(rows[:, 20, 20].astype(int) - [[80, 0, 100], [80, 136, 100], [80, 24, 100]]).max() <= 3
    assert read_mel(clips[0]).shape == (80, 112)


def test_a_shard_is_an_ordinary_tar_with_a_clip_per_name(tmp_path):
    numbered_clips(tmp_path, clips=1, frames=15)
    with tarfile.open(tmp_path / "shard-000000.tar") as tar:
        names = tar.getnames()
        assert json.load(tar.extractfile("clip-0.json")) == {"source": "video-0"}
        assert {(row.mtime, row.uid, row.uname) for row in tar.getmembers()} == {(0, 0, "")}
    assert names == ["clip-0.json", "clip-0.mel.npy", *(f"clip-0.{row:05d}.jpg" for row in range(15))]


def test_the_same_clips_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        numbered_clips(tmp_path / name)
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_folder_without_shards_and_a_damaged_index_are_said(tmp_path):
    with pytest.raises(InputError, match="lipsync prepare"):
        read_index(tmp_path)
    (tmp_path / "shard-000000.json").write_text("{")
    with pytest.raises(InputError, match=r"shard-000000\.json: this is not the index"):
        read_index(tmp_path)


# ---------------------------------------------------------------------------------------------------- windows


def test_the_draw_of_a_step_is_always_the_same_and_differs_between_steps_and_ranks(tmp_path):
    windows = Windows(read_index(numbered_clips(tmp_path)))
    draw = Draw(7, 12, 1, 4)
    assert torch.equal(windows.generator(draw).true, windows.generator(draw).true)
    for other in (replace(draw, step=13), replace(draw, rank=0), replace(draw, seed=8)):
        assert not torch.equal(windows.generator(draw).true, windows.generator(other).true)


def test_an_expert_sees_neighbouring_frames_and_the_sound_of_the_first_where_they_belong_together(tmp_path):
    clips = read_index(numbered_clips(tmp_path))
    batch = Windows(clips).expert(Draw(0, 0, 0, 32))
    assert batch.face.shape == (32, 15, SIZE // 2, SIZE)
    assert batch.mel.shape == (32, 1, 80, 16)
    green = (batch.face.reshape(32, 5, 3, -1)[..., 0] * 255)[..., 1]  # BGR: 8 * number of the frame
    first = (green[:, 0] / 8).round()
    assert torch.allclose(green, 8 * (first[:, None] + torch.arange(5)), atol=4)
    blue, red = (batch.face.reshape(32, 5, 3, -1)[:, 0, place, 0] * 255 for place in (0, 2))
    assert torch.allclose(blue, torch.full((32,), 100.0), atol=4)
    for row in range(32):
        mel = read_mel(clips[round(float(red[row]) / 40)])
        right = mel_windows(mel, int(first[row]), 1, FPS)[0]
        assert np.allclose(batch.mel[row], right) == bool(batch.together[row])
    assert 8 <= batch.together.sum() <= 24


def test_a_generator_sees_the_target_without_its_mouth_and_another_window(tmp_path):
    clips = read_index(numbered_clips(tmp_path))
    batch = Windows(clips, mel_offset_ms=-40.0).generator(Draw(0, 3, 0, 5))
    assert batch.face.shape == (5, 6, 5, SIZE, SIZE)
    assert batch.true.shape == (5, 3, 5, SIZE, SIZE)
    assert (batch.face[:, :3, :, SIZE // 2 :] == 0).all()
    assert torch.equal(batch.face[:, :3, :, : SIZE // 2], batch.true[:, :, :, : SIZE // 2])
    assert not torch.equal(batch.face[:, 3:], batch.true)
    numbers = (batch.true[:, 1, :, 0, 0] * 255 / 8).round()  # of frames, (N, 5)
    red = batch.true[:, 2, 0, 0, 0] * 255
    for row in range(5):
        mel = read_mel(clips[round(float(red[row]) / 40)])
        first = int(numbers[row, 0])
        assert np.allclose(batch.mels[row], mel_windows(mel, first, 5, FPS, -40.0))
        assert np.allclose(batch.mel[row], mel_windows(mel, first, 1, FPS)[0])
    # The published training rule: the sound of a frame begins with the frame before it.
    assert np.allclose(mel_windows(mel, 8, 1, FPS, -40.0), mel_windows(mel, 7, 1, FPS))


def test_wrong_pairs_can_be_kept_apart(tmp_path):
    clips = read_index(numbered_clips(tmp_path, clips=1))
    windows = Windows(clips, least_shift=10)
    places = [windows._place(Draw(0, step, 0, 1).rng) for step in range(200)]
    assert min(abs(start - other) for _, start, other in places) >= 10
    assert min(start for _, start, _ in places) == 1


def test_a_grid_has_windows_of_different_times_of_one_clip_with_their_sound(tmp_path):
    clips = read_index(numbered_clips(tmp_path))
    batch = Windows(clips, least_shift=3).expert_grids(Draw(3, 0, 0, 12), 4)
    assert batch.face.shape == (12, 15, SIZE // 2, SIZE)
    assert torch.equal(batch.together, torch.eye(4).expand(3, 4, 4))
    colours = (batch.face[:, :3, 0, 0] * 255).round()  # BGR: 100, 8 times the frame, 40 times the clip
    for four, mels in zip(colours.split(4), batch.mel.split(4), strict=True):
        assert len(four[:, 2].div(40).round().unique()) == 1
        frames = four[:, 1].div(8).round().int()
        assert frames.sort().values.diff().min() >= 3
        clip = read_mel(clips[int(four[0, 2].div(40).round())])
        assert all(
            np.array_equal(mel, mel_windows(clip, int(at), 1, FPS)[0]) for mel, at in zip(mels, frames, strict=True)
        )


def test_a_clip_too_short_for_the_grid_gives_what_it_has(tmp_path):
    windows = Windows(read_index(numbered_clips(tmp_path, frames=15)), least_shift=10)
    assert windows.expert_grids(Draw(0, 0, 0, 32), 16).face.shape[0] == 32


def test_clips_that_are_too_short_are_passed_over(tmp_path):
    numbered_clips(tmp_path / "a", clips=1, frames=14)
    assert len(Windows(read_index(tmp_path / "a"))) == 0


def test_whole_videos_are_held_out_and_the_same_ones_every_time(tmp_path):
    clips = read_index(numbered_clips(tmp_path, clips=6))
    twice = [replace(clip, name=clip.name + "-b") for clip in clips]
    train, held = split_by_name([*clips, *twice], 0.5)
    assert {clip.facts["source"] for clip in train}.isdisjoint({clip.facts["source"] for clip in held})
    assert len(train) + len(held) == 12
    assert split_by_name(clips, 0.0)[1] == []


# ---------------------------------------------------------------------------------------------------- settings


def config(tmp_path: Path, kind: str = "expert", **more: object) -> TrainConfig:
    small = {"size": SIZE, "expert_width": 4, "width": 4, "batch": 2, "steps": 4, "eval_every": 2, "eval_batches": 1}
    small |= {"save_every": 2, "log_every": 1, "held_out": 0.3, "accelerator": "cpu"}
    return config_from(
        {"kind": kind, "shards": str(tmp_path / "shards"), "out": str(tmp_path / "out"), **small, **more}
    )


def test_the_defaults_of_each_kind_are_the_published_ones():
    paths = {"shards": "s", "out": "o", "expert": "e"}
    expert, generator, hq = (config_from({"kind": kind, **paths}) for kind in ("expert", "generator", "hq"))
    assert (expert.batch, expert.learning_rate, expert.beta1) == (64, 1e-4, 0.9)
    assert (generator.sync_weight, generator.sync_from, generator.batch, generator.mel_offset_ms) == (
        0.01,
        0.75,
        16,
        -40,
    )
    assert (hq.sync_weight, hq.percep_weight, hq.beta1, hq.beta2) == (0.03, 0.07, 0.5, 0.999)


def test_a_configuration_is_read_from_toml_with_folders_beside_it(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('kind = "expert"\nshards = "data"\nout = "run"\nsteps = 10\nlearning_rate = 1\n')
    read = read_config(path, steps=12)
    assert (read.shards, read.steps, read.learning_rate) == (str(tmp_path / "data"), 12, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('kind = "expert"\nshards = "a"\nout = "b"\nstep = 3', "no training setting 'step'"),
        ('kind = "expert"\nout = "b"', "lacks 'shards'"),
        ('kind = "gan"\nshards = "a"\nout = "b"', "kind is 'gan'"),
        ('kind = "generator"\nshards = "a"\nout = "b"', "expert is empty"),
        ('kind = "expert"\nshards = "a"\nout = "b"\nsize = 100', "size is 100"),
        ('kind = "expert"\nshards = "a"\nout = "b"\nbatch = "16"', "batch is '16'"),
        ('kind = "expert"\nshards = "a"\nout = "b"\nbatch = -1', "cannot be negative"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(tmp_path, text, words):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        read_config(path)


def test_what_is_no_toml_is_said(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("kind: expert")
    with pytest.raises(InputError, match=r"run\.toml: this is not TOML"):
        read_config(path)


# ---------------------------------------------------------------------------------------------------- steps


def test_the_expert_in_a_generators_loss_learns_nothing_and_its_statistics_stay(tmp_path):
    save_file(SyncNetColor(SIZE, 4).state_dict(), tmp_path / "expert.safetensors")
    expert = load_expert(tmp_path / "expert.safetensors", Runtime())
    before = {name: value.clone() for name, value in expert.state_dict().items()}
    made = torch.rand(2, 3, 5, SIZE, SIZE, requires_grad=True)
    sync_loss(expert, made, torch.randn(2, 1, 80, 16)).backward()
    assert made.grad[:, :, :, SIZE // 2 :].abs().sum() > 0
    assert made.grad[:, :, :, : SIZE // 2].abs().sum() == 0
    assert all(torch.equal(before[name], value) for name, value in expert.state_dict().items())


def test_faces_larger_than_the_expert_knows_are_made_smaller_for_it(tmp_path):
    expert = SyncNetColor(SIZE, 4).eval().requires_grad_(False)
    assert math.isfinite(sync_loss(expert, torch.rand(2, 3, 5, 96, 96), torch.randn(2, 1, 80, 16)).item())


def test_what_is_no_expert_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="no sync expert"):
        load_expert(tmp_path / "x.safetensors", Runtime())


def test_the_discriminator_is_asked_without_being_taught():
    from lipsync_core.networks.discriminator import QualityDiscriminator

    torch.manual_seed(0)
    network = QualityDiscriminator()
    made = torch.rand(1, 3, 2, 96, 96, requires_grad=True)
    as_it_is(network, made).sum().backward()
    assert made.grad.abs().sum() > 0
    assert all(value.grad is None for value in network.parameters())


def test_the_expert_counts_from_the_day_its_loss_is_low_enough(tmp_path):
    windows = Windows(read_index(numbered_clips(tmp_path / "shards")))
    job = GeneratorJob(config(tmp_path, "generator", expert="e"), windows, windows, None)
    job.heed({"eval_sync": 0.8})
    assert not job.sync_on
    job.heed({"eval_sync": 0.74})
    assert job.sync_on
    job.heed({"eval_sync": 0.9})
    assert job.sync_on


# ---------------------------------------------------------------------------------------------------- runs


def curve(folder: Path, name: str = "loss") -> list[float]:
    return [value for _, value in read_log(folder / "log.csv")[name]]


@fabric
def test_a_resumed_run_is_the_run_that_was_never_stopped(tmp_path):
    from lipsync_core.training.train import train

    numbered_clips(tmp_path / "shards")
    whole = config(tmp_path, out=str(tmp_path / "whole"), ema=0.9)
    train(whole, Runtime())
    parts = replace(whole, out=str(tmp_path / "parts"), steps=2)
    train(parts, Runtime())
    train(replace(parts, steps=4), Runtime())
    assert curve(tmp_path / "parts") == curve(tmp_path / "whole")
    assert len(curve(tmp_path / "whole")) == 4
    left, right = (load_file(tmp_path / name / "model.safetensors") for name in ("parts", "whole"))
    assert all(torch.equal(left[key], right[key]) for key in right)


@fabric
def test_a_stop_saves_the_step_that_was_done(tmp_path):
    from lipsync_core.training.train import train

    numbered_clips(tmp_path / "shards")
    asked = iter([False, False, True, True, True])
    with pytest.raises(Cancelled):
        train(config(tmp_path, steps=50, save_every=50, eval_every=50), Runtime(cancelled=lambda: next(asked)))
    assert [path.name for path in states(tmp_path / "out")] == ["state-00000003.safetensors"]


@fabric
def test_a_damaged_state_is_passed_over_for_the_one_before(tmp_path):
    from lipsync_core.training.train import train

    numbered_clips(tmp_path / "shards")
    train(config(tmp_path), Runtime())
    newest = states(tmp_path / "out")[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    step, _ = load_state(tmp_path / "out", {})
    assert step == 2


@fabric
@pytest.mark.parametrize("kind", ["generator", "lipgan"])
def test_a_trained_generator_is_an_engine_by_itself(tmp_path, kind):
    from lipsync_core.training.train import train

    numbered_clips(tmp_path / "shards")
    save_file(SyncNetColor(SIZE, 4).state_dict(), tmp_path / "expert.safetensors")
    expert = str(tmp_path / "expert.safetensors") if kind == "generator" else ""
    figures = train(config(tmp_path, kind, expert=expert), Runtime())
    assert 0 < figures["eval_l1"] < 1
    made = tmp_path / "out" / "model.safetensors"
    engine = load(made, Runtime(), EngineSettings())
    assert engine.variant == "48"
    speech = Speech(np.zeros((80, 40), np.float32), np.ones(40, np.float32), Fraction(25), 5)
    assert engine.listen(speech).speech.mel_offset_ms == -40.0
    if kind == "generator":
        assert sorted(path.name for path in (tmp_path / "out" / "samples").iterdir()) == [
            "00000002.png",
            "00000004.png",
        ]


def test_the_learning_rate_falls_over_the_last_share_of_the_steps_only():
    from lipsync_core.training.train import learning_rate_at

    cooled = TrainConfig("expert", "a", "b", steps=100, learning_rate=0.01, cooldown=0.2)
    rates = [learning_rate_at(step, cooled) for step in (0, 79, 80, 90, 99)]
    assert rates == pytest.approx([0.01, 0.01, 0.01, 0.005, 0.0005])
    assert learning_rate_at(99, replace(cooled, cooldown=0.0)) == 0.01


@fabric
def test_a_run_that_goes_on_has_the_rate_of_its_step_and_not_the_old_one(tmp_path):
    from lipsync_core.training.train import train

    numbered_clips(tmp_path / "shards")
    start = config(tmp_path, steps=2, learning_rate=1e-2, save_every=1)
    train(start, Runtime())
    before = load_file(tmp_path / "out" / "model.safetensors")
    train(replace(start, steps=3, learning_rate=1e-9), Runtime())
    after = load_file(tmp_path / "out" / "model.safetensors")
    weights = [name for name in before if name.endswith("weight")]
    assert max((before[name] - after[name]).abs().max().item() for name in weights) < 1e-6


@fabric
def test_the_average_of_a_young_run_is_not_that_of_untrained_weights(tmp_path):
    from lipsync_core.training.train import train

    numbered_clips(tmp_path / "shards")
    young = config(tmp_path, steps=12, save_every=1, learning_rate=1e-2, ema=0.9999)
    train(young, Runtime())
    torch.manual_seed(young.seed)
    name = "face_encoder.0.conv_block.0.weight"
    untrained = SyncNetColor(SIZE, 4).state_dict()[name]
    mean = load_file(tmp_path / "out" / "model.safetensors")[name]
    last = load_file(states(tmp_path / "out")[-1])[f"expert/{name}"]
    assert (mean - last).norm() < 0.8 * (untrained - last).norm()


@fabric
def test_an_hq_run_steps_the_discriminator_too(tmp_path):
    from lipsync_core.training.train import train

    numbered_clips(tmp_path / "shards", clips=3, size=96)
    train(config(tmp_path, "hq", size=96, steps=1, sync_weight=0.0, batch=1, held_out=0.0), Runtime())
    log = read_log(tmp_path / "out" / "log.csv")
    assert {"l1", "percep", "discriminator_loss"} <= set(log)
    assert log["discriminator_loss"][0][1] == pytest.approx(2 * math.log(2), rel=0.2)


@fabric
def test_an_expert_learns_what_can_be_learned(tmp_path):
    """Bright frames speak loudly, dark ones softly: twenty steps on that are enough to see the loss fall."""
    from lipsync_core.training.train import train

    def clip(number: int) -> ClipData:
        loud = np.repeat(np.arange(30) % 10 < 5, 1)
        crops = [np.full((SIZE, SIZE, 3), 220 if value else 30, np.uint8) for value in loud]
        columns = (np.arange(112) / 3.2 % 10 < 5)[None].repeat(80, 0)
        return ClipData(f"c{number}", crops, np.where(columns, 2.0, -3.0).astype(np.float32), {"source": str(number)})

    write_shard(tmp_path / "shards" / "shard-000000", map(clip, range(4)))
    run = config(tmp_path, steps=60, batch=16, expert_width=8, learning_rate=2e-3, least_shift=3, held_out=0.0,
                 eval_every=60, eval_batches=4, save_every=60, log_every=10)  # fmt: skip
    train(run, Runtime())
    losses_seen = curve(tmp_path / "out")
    assert losses_seen[-1] < 0.75 * losses_seen[0]


@fabric
@pytest.mark.slow
def test_two_processes_are_one_that_sees_the_same_in_two_groups(tmp_path):
    numbered_clips(tmp_path / "shards")
    for name, more in (("one", ["groups=2"]), ("two", ["devices=2"])):
        run_command(tmp_path, name, more)
    assert curve(tmp_path / "one") == pytest.approx(curve(tmp_path / "two"), abs=1e-3)


@fabric
@pytest.mark.slow
def test_after_kill_9_of_one_process_the_curve_goes_on_as_if_nothing_had_been(tmp_path):
    numbered_clips(tmp_path / "shards")
    run_command(tmp_path, "whole", ["devices=2", "steps=12"])
    command = command_of(tmp_path, "killed", ["devices=2", "steps=12"])
    running = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(states(tmp_path / "killed")) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    children = subprocess.run(["pgrep", "-P", str(running.pid)], capture_output=True, text=True, check=False).stdout
    for child in children.split():
        os.kill(int(child), signal.SIGKILL)
    running.kill()
    running.wait()
    assert len(states(tmp_path / "killed")) > 0
    run_command(tmp_path, "killed", ["devices=2", "steps=12"])
    assert curve(tmp_path / "killed") == pytest.approx(curve(tmp_path / "whole"), abs=1e-6)


def command_of(tmp_path: Path, name: str, more: list[str]) -> list[str]:
    toml = tmp_path / f"{name}.toml"
    toml.write_text(
        f'kind = "expert"\nshards = "shards"\nout = "{name}"\nsize = {SIZE}\nexpert_width = 4\nbatch = 2\nsteps = 6\n'
        'eval_every = 2\neval_batches = 2\nsave_every = 2\nlog_every = 1\nheld_out = 0.3\naccelerator = "cpu"\n'
    )
    settings = [word for setting in more for word in ("--set", setting)]
    return [sys.executable, "-m", "lipsync_core", "train", "expert", str(toml), *settings, "-q", "--offline"]


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "CUDA_VISIBLE_DEVICES": "",
    }


def run_command(tmp_path: Path, name: str, more: list[str]) -> None:
    subprocess.run(command_of(tmp_path, name, more), env=environment(), check=True, capture_output=True, timeout=240)


@fabric
def test_the_command_trains_and_says_where_the_weights_are(tmp_path, capsys):
    numbered_clips(tmp_path / "shards")
    (tmp_path / "run.toml").write_text(
        f'shards = "shards"\nout = "out"\nsize = {SIZE}\nexpert_width = 4\nbatch = 2\neval_batches = 1\n'
    )
    assert main(["train", "expert", str(tmp_path / "run.toml"), "--set", "steps=1", "-q", "--offline"]) == 0
    assert "model.safetensors: eval_loss" in capsys.readouterr().out


def test_a_setting_without_a_value_is_refused(tmp_path, capsys):
    (tmp_path / "run.toml").write_text('shards = "s"\nout = "o"\n')
    assert main(["train", "expert", str(tmp_path / "run.toml"), "--set", "steps"]) == 2
    assert "name=value" in capsys.readouterr().err
