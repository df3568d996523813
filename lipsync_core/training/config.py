"""One run of training as data: a TOML file in, a frozen dataclass out, the same text back into the checkpoint."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import InputError, UsageError
from ..media import shown_name

KINDS = ("expert", "generator", "hq", "lipgan")


@dataclass(frozen=True)
class TrainConfig:
    """Every setting of a run. The defaults are the published ones (Prajwal et al. 2020 and its code).

    # data
    shards: folder that `lipsync prepare` wrote. out: folder for checkpoints and logs. held_out: share of the videos
    that is never trained on. mel_offset_ms: which sound the generator hears for a frame, see `timing.window_starts`.
    least_shift: frames that a wrong pair is at least apart. windows_per_clip: 1 teaches an expert by the published
    pairs; more draw so many windows from a clip and compare each with the sound of all of them, which teaches sooner.

    # model
    size: px, 48, 96, 192 or 288. width, residuals: of generators of 48 and 192 px; expert_width: of every expert but
    that of 96 px. expert: checkpoint of the expert that a generator is taught by.

    # optimiser
    batch: windows per group. groups: parts of a process's batch with batch-normalisation statistics of their own, as
    if each were a process. steps: in all. cooldown: share of the steps, at their end, over which the learning rate
    falls to nothing; 0, as published, keeps it.

    # losses
    sync_weight: of the expert once its loss on held-out clips falls below sync_from; 0 never uses it.
    percep_weight: of the quality discriminator, kind "hq".

    # run
    ema: share of the averaged weights that stays at each step, 0 saves the last weights instead.
    """

    kind: str
    shards: str
    out: str
    held_out: float = 0.05
    mel_offset_ms: float = -40.0
    least_shift: int = 1
    windows_per_clip: int = 1
    size: int = 96
    width: int = 16
    residuals: int = 1
    expert_width: int = 32
    expert: str = ""
    batch: int = 16
    groups: int = 1
    steps: int = 200_000
    learning_rate: float = 1e-4
    cooldown: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    sync_weight: float = 0.01
    sync_from: float = 0.75
    percep_weight: float = 0.0
    ema: float = 0.0
    seed: int = 0
    eval_every: int = 3000
    eval_batches: int = 30
    save_every: int = 1000
    log_every: int = 50
    precision: str = "32-true"
    devices: int = 1
    accelerator: str = "auto"

    def __post_init__(self) -> None:
        for row in fields(self):
            _check(row.name, getattr(self, row.name), _TYPES[str(row.type)])
        if self.kind not in KINDS:
            raise UsageError(f"kind is '{self.kind}'. It must be one of {', '.join(KINDS)}.")
        if self.size not in (48, 96, 192, 288):
            raise UsageError(f"size is {self.size}. It must be 48, 96, 192 or 288.")
        if self.kind == "expert" and self.size == 288:
            raise UsageError("An expert looks at 48, 96 or 192 px. A generator of 288 px is judged by one of 96.")
        if self.kind == "lipgan" and self.size == 288:
            raise UsageError("The LipGAN baseline takes 48, 96 or 192 px.")
        if self.kind in ("generator", "hq") and self.sync_weight > 0 and not self.expert:
            raise UsageError('expert is empty. Train one first (kind = "expert"), or set sync_weight = 0.')
        if self.cooldown > 1:
            raise UsageError(f"cooldown is {self.cooldown}. It must be a share of the steps, 0 to 1.")
        if self.sync_weight + self.percep_weight >= 1:
            raise UsageError("sync_weight and percep_weight must leave something of 1 for L1.")

    def as_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


# Published runs; what a file says wins.
_OF_KIND: dict[str, dict[str, Any]] = {
    "expert": {"batch": 64, "eval_every": 10_000, "sync_weight": 0.0},
    "generator": {},
    "hq": {"sync_weight": 0.03, "percep_weight": 0.07, "beta1": 0.5, "eval_batches": 20},
    "lipgan": {"sync_weight": 0.01},
}
_TYPES: dict[str, type] = {"str": str, "float": float, "int": int}


def read_config(path: Path, **more: Any) -> TrainConfig:
    """A TOML file -> TrainConfig. more: settings that win over the file's. Relative folders are relative to the file.

    Raises InputError for what is no TOML, UsageError for a setting that is not known or cannot be.
    """
    try:
        values = _toml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{shown_name(path)}: this configuration cannot be read.") from None
    except ValueError as error:
        raise InputError(f"{shown_name(path)}: this is not TOML: {error}.") from None
    return config_from({**values, **more}, path.parent)


def config_from(values: dict[str, Any], folder: Path = Path()) -> TrainConfig:
    """Settings by name, the published ones of its kind for what is not given."""
    unknown = sorted(set(values) - {row.name for row in fields(TrainConfig)})
    if unknown:
        known = ", ".join(row.name for row in fields(TrainConfig))
        raise UsageError(f"There is no training setting '{unknown[0]}'. Known: {known}.")
    missing = [name for name in ("kind", "shards", "out") if name not in values]
    if missing:
        raise UsageError(f"The configuration lacks '{missing[0]}'.")
    whole = {**_OF_KIND.get(str(values["kind"]), {}), **values}
    for name in ("shards", "out", "expert"):
        if whole.get(name):
            whole[name] = str(folder / whole[name])
    return TrainConfig(**whole)


def _check(name: str, value: Any, wanted: type) -> None:
    number = wanted is float and isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number and (not isinstance(value, wanted) or isinstance(value, bool)):
        raise UsageError(f"{name} is {value!r}. It must be of the kind {wanted.__name__}.")
    if wanted is not str and name != "mel_offset_ms" and value < 0:
        raise UsageError(f"{name} is {value}. It cannot be negative.")


def _toml(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return dict(tomllib.loads(text))
