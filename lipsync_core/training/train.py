"""The loop of every training, on one screen. What a step does is in jobs.py, what it sees in windows.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..errors import UsageError
from ..runtime import Runtime
from .config import TrainConfig
from .jobs import Job, build_job
from .log import Log
from .shards import read_index
from .state import load_state, save_model, save_state
from .windows import Draw, Windows, split_by_name

_HELD_OUT_SEED = 1_000_003  # draws of held-out clips are the same at each evaluation


def train(config: TrainConfig, runtime: Runtime) -> dict[str, float]:
    """Run or go on with a training; returns the last evaluation. A stop (`runtime.cancelled`) saves first.

    Writes OUT/model.safetensors, OUT/state-*.safetensors, OUT/log.csv, OUT/samples/ and TensorBoard's events.
    """
    fabric = _fabric(config)
    torch.manual_seed(config.seed)
    job = build_job(config, *_windows(config), runtime)
    optimizers = _set_up(fabric, job, config)
    average = _average(job, config)
    parts: dict[str, Any] = {**job.models, **{f"{name}.adam": row for name, row in optimizers.items()}, "ema": average}
    first = _resume(Path(config.out), parts, job, fabric)
    figures: dict[str, float] = {}
    with Log(Path(config.out), first, shown=fabric.global_rank == 0) as log:
        for step in range(first, config.steps):
            _set_rate(optimizers, learning_rate_at(step, config))
            log.step(step, _step(fabric, job, optimizers, step, config), every=config.log_every)
            average.update_parameters(_main(job))
            done, stopped = step + 1, _stopped(fabric, runtime)
            if done % config.eval_every == 0 or done == config.steps:
                figures, picture = _evaluate(fabric, job, average, config)
                log.evaluation(done, figures, picture)
            if done % config.save_every == 0 or done == config.steps or stopped:
                _save(fabric, job, parts, average, done)
            runtime.progress("train", done, config.steps)
            if stopped:
                runtime.check()
    return figures


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """Constant, then over the last share `cooldown` of the steps in a straight line towards 0."""
    left = (config.steps - step) / (config.cooldown * config.steps) if config.cooldown > 0 else 1.0
    return config.learning_rate * min(1.0, left)


def _set_rate(optimizers: dict[str, Any], rate: float) -> None:
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = rate


def _step(fabric: Any, job: Job, optimizers: dict[str, Any], step: int, config: TrainConfig) -> dict[str, float]:
    """One step of every part, on the mean over all groups of all processes."""
    for optimizer in optimizers.values():
        optimizer.zero_grad()
    logged: dict[str, float] = {}
    for group in range(config.groups):
        draw = Draw(config.seed, step, fabric.global_rank * config.groups + group, config.batch)
        for part in job.models:
            with fabric.no_backward_sync(job.wrapped[part], enabled=group < config.groups - 1):
                figures = job.losses(draw, part)
                fabric.backward(figures["loss"] / config.groups)
            for name, value in figures.items():
                key = name if part == next(iter(job.models)) else f"{part}_{name}"
                logged[key] = logged.get(key, 0.0) + float(value.detach()) / config.groups
    for optimizer in optimizers.values():
        optimizer.step()
    return _mean_of_ranks(fabric, logged)


def _evaluate(fabric: Any, job: Job, average: Any, config: TrainConfig) -> tuple[dict[str, float], torch.Tensor | None]:
    """The mean over `eval_batches` draws of held-out clips, always the same ones, and a picture of some of them."""
    model = _best(job, average, config)
    was_training = model.training
    model.eval()
    sums: dict[str, float] = {}
    with torch.inference_mode():
        for index in range(fabric.global_rank, config.eval_batches, fabric.world_size):
            for name, value in job.evaluate(Draw(_HELD_OUT_SEED, index, 0, config.batch), model).items():
                sums[name] = sums.get(name, 0.0) + float(value)
        picture = job.strip(model)
    model.train(was_training)
    share = {name: value * fabric.world_size / config.eval_batches for name, value in sums.items()}
    figures = _mean_of_ranks(fabric, share)
    job.heed(figures)
    return figures, picture


def _fabric(config: TrainConfig) -> Any:
    try:
        from lightning_fabric import Fabric
    except ImportError:
        raise UsageError("Training needs Lightning Fabric. Install it: pip install sd-lipsync[train]") from None
    build: Any = Fabric
    fabric = build(
        accelerator=config.accelerator,
        strategy="ddp" if config.devices > 1 else "auto",
        devices=config.devices,
        precision=config.precision,
    )
    fabric.launch()
    return fabric


def _windows(config: TrainConfig) -> tuple[Windows, Windows]:
    """(for training, held out)."""
    clips, held = split_by_name(read_index(Path(config.shards)), config.held_out)
    rows = [Windows(part, config.mel_offset_ms, config.least_shift) for part in (clips, held or clips)]
    if not len(rows[0]):
        raise UsageError(f"{config.shards}: there is no clip of 15 frames to train on. Prepare more videos.")
    return rows[0], rows[1] if len(rows[1]) else rows[0]


def _set_up(fabric: Any, job: Job, config: TrainConfig) -> dict[str, Any]:
    """Adam for each part (equation 6 is minimised with it); the job gets its networks as processes share them."""
    optimizers = {}
    for name, model in job.models.items():
        adam = torch.optim.Adam(model.parameters(), config.learning_rate, (config.beta1, config.beta2))
        job.wrapped[name], optimizers[name] = fabric.setup(model, adam)
    expert = getattr(job, "expert", None)
    if expert is not None:
        expert.to(fabric.device)
    return optimizers


def _average(job: Job, config: TrainConfig) -> Any:
    from torch.optim import swa_utils

    ema: Any = swa_utils.get_ema_multi_avg_fn

    def average(averages: Any, values: Any, steps: Any) -> None:
        # The first steps weigh little, or evaluations would see untrained weights for a long while.
        ema(min(config.ema, (1 + int(steps)) / (10 + int(steps))))(averages, values, steps)

    return swa_utils.AveragedModel(_main(job), multi_avg_fn=average, use_buffers=True)


def _main(job: Job) -> torch.nn.Module:
    return next(iter(job.models.values()))


def _best(job: Job, average: Any, config: TrainConfig) -> torch.nn.Module:
    """What is evaluated and saved: the average where one is asked for."""
    model: torch.nn.Module = average.module if config.ema > 0 else _main(job)
    return model


def _resume(folder: Path, parts: dict[str, Any], job: Job, fabric: Any) -> int:
    """The step to go on with; chance, moments and what was decided are as they were."""
    found = load_state(folder, parts)
    if found is None:
        return 0
    step, facts = found
    job.sync_on = bool(facts["sync_on"])
    torch.set_rng_state(facts["rng"][min(fabric.global_rank, len(facts["rng"]) - 1)])
    return step


def _save(fabric: Any, job: Job, parts: dict[str, Any], average: Any, step: int) -> None:
    states = fabric.all_gather(torch.get_rng_state())
    rng = list(states.reshape(fabric.world_size, -1).cpu())
    if fabric.global_rank == 0:
        config, folder = job.config, Path(job.config.out)
        save_state(folder, step, parts, {"sync_on": job.sync_on, "rng": rng})
        facts = {"kind": config.kind, "step": str(step), "config": config.as_json()}
        if config.kind != "expert":
            facts["mel_offset_ms"] = str(config.mel_offset_ms)
        save_model(folder / "model.safetensors", _best(job, average, config), facts)
    fabric.barrier()


def _mean_of_ranks(fabric: Any, figures: dict[str, float]) -> dict[str, float]:
    if fabric.world_size == 1 or not figures:
        return figures
    values = fabric.all_reduce(torch.tensor(list(figures.values()), dtype=torch.float64), reduce_op="mean")
    return dict(zip(figures, (float(value) for value in values), strict=True))


def _stopped(fabric: Any, runtime: Runtime) -> bool:
    """Whether any process was asked to stop: all of them stop at the same step."""
    asked = torch.tensor(float(runtime.cancelled()))
    return bool(fabric.all_reduce(asked, reduce_op="sum") > 0) if fabric.world_size > 1 else bool(asked)
