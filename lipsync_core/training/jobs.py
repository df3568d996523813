"""What a step of each kind of training does: expert, generator (with or without quality discriminator), LipGAN."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import weights
from ..errors import WeightsError
from ..media import shown_name
from ..networks.discriminator import QualityDiscriminator
from ..networks.syncnet import SyncNetColor, expert_of_shapes
from ..networks.wav2lip import Generator, layout_96
from ..networks.wav2lip_hq import layout_288
from ..networks.wav2lip_sized import layout_sized
from ..runtime import Runtime
from . import losses
from .config import TrainConfig
from .windows import Draw, GeneratorBatch, Windows

Figures = dict[str, torch.Tensor]


class Job(ABC):
    """One kind of training.

    models: name -> network; the first is what is being made. wrapped: the same as the loop hands them back, ready for
    many processes: a part is stepped through its wrapped network, and looked at by the other one through its plain one.
    """

    def __init__(self, config: TrainConfig, train: Windows, held_out: Windows) -> None:
        self.config, self.train, self.held_out = config, train, held_out
        self.models: dict[str, nn.Module] = {}
        self.wrapped: dict[str, Any] = {}
        self.sync_on = False  # whether the expert's word counts already

    @abstractmethod
    def losses(self, draw: Draw, part: str) -> Figures:
        """What `part` (a name of `models`) is stepped by ("loss") and what is worth logging."""

    @abstractmethod
    def evaluate(self, draw: Draw, model: nn.Module) -> Figures:
        """Figures of one batch of held-out clips; model: in eval mode."""

    def heed(self, figures: dict[str, float]) -> None:  # noqa: B027 - most kinds have nothing to decide
        """Look at the mean of what `evaluate` gave."""

    def strip(self, model: nn.Module) -> torch.Tensor | None:
        """(3, H, W) RGB in [0, 1] to look at, None where there is nothing to be seen."""
        return None


class ExpertJob(Job):
    """SyncNet_color with the cosine loss."""

    def __init__(self, config: TrainConfig, train: Windows, held_out: Windows) -> None:
        super().__init__(config, train, held_out)
        self.models["expert"] = SyncNetColor(config.size, config.expert_width)

    def losses(self, draw: Draw, part: str) -> Figures:
        per_clip = self.config.windows_per_clip
        batch = self.train.expert_grids(draw, per_clip) if per_clip > 1 else self.train.expert(draw)
        device = _device(self.models[part])
        audio, face = self.wrapped[part](batch.mel.to(device), batch.face.to(device))
        loss = losses.grid_bce if per_clip > 1 else losses.cosine_bce
        return {"loss": loss(audio, face, batch.together.to(device))}

    def evaluate(self, draw: Draw, model: nn.Module) -> Figures:
        batch = self.held_out.expert(draw)
        device = _device(model)
        audio, face = model(batch.mel.to(device), batch.face.to(device))
        together = batch.together.to(device)
        right = (((audio * face).sum(1) > 0.5) == (together > 0.5)).float().mean()
        return {"eval_loss": losses.cosine_bce(audio, face, together), "eval_right": right}


class GeneratorJob(Job):
    """Wav2Lip: L1, the expert's word, and in HQ training that of the quality discriminator."""

    def __init__(self, config: TrainConfig, train: Windows, held_out: Windows, expert: nn.Module | None) -> None:
        super().__init__(config, train, held_out)
        self.models["generator"] = new_generator(config)
        if config.percep_weight > 0:
            self.models["discriminator"] = QualityDiscriminator()
        self.expert = expert
        self._made: tuple[Draw, torch.Tensor, torch.Tensor] | None = None

    def losses(self, draw: Draw, part: str) -> Figures:
        if part == "discriminator":
            made, true = self._known(draw)
            realness = self.wrapped["discriminator"](torch.cat([true, made]))
            return {"loss": losses.discriminator(*_real_and_made(realness, len(true)))}
        batch = self.train.generator(draw)
        made, true = self._make(batch, self.wrapped["generator"])
        figures = self._words(batch, made, true)
        percep = figures.get("percep", made.new_zeros(()))
        sync_weight = self.config.sync_weight if self.sync_on else 0.0
        figures["loss"] = losses.total(figures["l1"], figures["sync"], percep, (sync_weight, self.config.percep_weight))
        self._made = (draw, made.detach(), true)
        return figures

    def evaluate(self, draw: Draw, model: nn.Module) -> Figures:
        batch = self.held_out.generator(draw)
        made, true = self._make(batch, model)
        return {f"eval_{name}": value for name, value in self._words(batch, made, true).items()}

    def heed(self, figures: dict[str, float]) -> None:
        """From here on the expert counts, once the mouths are good enough for it to say something."""
        if figures["eval_sync"] < self.config.sync_from and self.config.sync_weight > 0:
            self.sync_on = True

    def strip(self, model: nn.Module) -> torch.Tensor | None:
        batch = self.held_out.generator(Draw(self.config.seed, 0, 0, 4))
        made, true = self._make(batch, model)
        rows = [batch.face[:, 3:].to(made.device), made, true]  # reference, made, true: four clips of five frames
        picture = torch.cat([row.permute(0, 1, 3, 2, 4).flatten(3).unbind(0)[0] for row in rows], dim=1)
        others = [
            torch.cat([row[i].permute(0, 2, 1, 3).flatten(2) for row in rows], dim=1) for i in range(1, len(made))
        ]
        return torch.cat([picture, *others], dim=1)[[2, 1, 0]].clamp(0, 1).float().cpu()

    def _make(self, batch: GeneratorBatch, model: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
        device = _device(model)
        made = model(batch.mels.to(device), batch.face.to(device))
        return made, batch.true.to(device)

    def _words(self, batch: GeneratorBatch, made: torch.Tensor, true: torch.Tensor) -> Figures:
        figures = {"l1": losses.reconstruction(made, true), "sync": made.new_zeros(())}
        if self.expert is not None:
            figures["sync"] = sync_loss(self.expert, made, batch.mel.to(made.device))
        if "discriminator" in self.models:
            figures["percep"] = losses.perceptual(as_it_is(self.models["discriminator"], made))
        return figures

    def _known(self, draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:
        """What the generator made for this very draw a moment ago."""
        if self._made is None or self._made[0] != draw:
            raise ValueError("the discriminator is stepped after the generator, on the same draw")
        return self._made[1], self._made[2]


class LipGanJob(Job):
    """The baseline before Wav2Lip: a judge of single frames that learns together with the generator.

    Prajwal et al., "Towards automatic face-to-face translation", 2019. Kept for comparison: the expert beats it.
    """

    def __init__(self, config: TrainConfig, train: Windows, held_out: Windows) -> None:
        super().__init__(config, train, held_out)
        self.models["generator"] = new_generator(config)
        self.models["judge"] = SyncNetColor(min(config.size, 96), config.expert_width, frames=1)
        self._made: tuple[Draw, torch.Tensor, GeneratorBatch] | None = None

    def losses(self, draw: Draw, part: str) -> Figures:
        if part == "judge":
            return self._judged(draw)
        batch = self.train.generator(draw)
        device = _device(self.models[part])
        made, true = self.wrapped[part](batch.mels.to(device), batch.face.to(device)), batch.true.to(device)
        audio, face = as_it_is(self.models["judge"], batch.mels[:, 0].to(device), _one(made, 0))
        together = torch.ones(len(made), device=device)
        l1, sync = losses.reconstruction(made, true), losses.contrastive(audio, face, together)
        self._made = (draw, made.detach(), batch)
        return {"loss": l1 + self.config.sync_weight * sync, "l1": l1, "sync": sync}

    def evaluate(self, draw: Draw, model: nn.Module) -> Figures:
        batch = self.held_out.generator(draw)
        device = _device(model)
        made = model(batch.mels.to(device), batch.face.to(device))
        return {"eval_l1": losses.reconstruction(made, batch.true.to(device))}

    def _judged(self, draw: Draw) -> Figures:
        """Real pairs belong together; made faces, and real ones with the sound of others, do not."""
        if self._made is None or self._made[0] != draw:
            raise ValueError("the judge is stepped after the generator, on the same draw")
        _, made, batch = self._made
        true, mel = batch.true.to(made.device), batch.mels[:, 0].to(made.device)
        faces = torch.cat([_one(true, 0), _one(made, 0), _one(true, 0)])
        audio, seen = self.wrapped["judge"](torch.cat([mel, mel, mel.roll(1, 0)]), faces)
        together = torch.cat([torch.ones(len(true)), torch.zeros(2 * len(true))]).to(made.device)
        return {"loss": losses.contrastive(audio, seen, together)}


def new_generator(config: TrainConfig) -> Generator:
    """The network of this size, untrained."""
    layouts = {96: layout_96, 288: layout_288}
    if config.size in layouts:
        return Generator(layouts[config.size]())
    return Generator(layout_sized(config.size, config.width, config.residuals))


def sync_loss(expert: nn.Module, made: torch.Tensor, mel: torch.Tensor) -> torch.Tensor:
    """Minus the logarithm of the expert's cosine (equation 3). made: (N, 3, 5, S, S). mel: (N, 1, 80, 16).

    Faces that are larger than the expert knows are made smaller first.
    """
    size = int(getattr(expert, "size", made.shape[-1]))
    if made.shape[-1] != size:
        flat = made.transpose(1, 2).flatten(0, 1)
        flat = nn.functional.interpolate(flat, (size, size), mode="bilinear", antialias=True, align_corners=False)
        made = flat.reshape(len(made), -1, *flat.shape[1:]).transpose(1, 2)
    audio, face = expert(mel, losses.lower_halves(made))
    return losses.cosine_bce(audio, face, torch.ones(len(made), device=made.device))


def load_expert(path: Path, runtime: Runtime) -> SyncNetColor:
    """A trained expert, frozen and in eval mode: its normalisation must not learn from generated faces.

    The published code left it in train mode, so that its statistics drifted. Raises WeightsError.
    """
    state = weights.load_state_dict(path, runtime)
    if "face_encoder.0.conv_block.0.weight" not in state:
        raise WeightsError(
            f"{shown_name(path)}: this is no sync expert. Train one first: lipsync train expert CONFIG.toml"
        )
    expert = expert_of_shapes({name: tuple(value.shape) for name, value in state.items()})
    try:
        expert.load_state_dict(state)
    except RuntimeError:
        raise WeightsError(
            f"{shown_name(path)}: this is not an expert of 48, 96 or 192 px. Train one of these."
        ) from None
    return expert.eval().requires_grad_(False)


def build_job(config: TrainConfig, train: Windows, held_out: Windows, runtime: Runtime) -> Job:
    """The job of this configuration."""
    if config.kind == "expert":
        return ExpertJob(config, train, held_out)
    if config.kind == "lipgan":
        return LipGanJob(config, train, held_out)
    expert = load_expert(Path(config.expert), runtime) if config.expert else None
    return GeneratorJob(config, train, held_out, expert)


def _one(faces: torch.Tensor, frame: int) -> torch.Tensor:
    """(N, 3, T, S, S) -> (N, 3, S / 2, S), the lower half of one frame."""
    return losses.lower_halves(faces[:, :, frame : frame + 1])


def as_it_is(network: nn.Module, *inputs: torch.Tensor) -> Any:
    """What a network says, with gradients to what it looks at and none to itself."""
    frozen = {name: value.detach() for name, value in network.state_dict(keep_vars=True).items()}
    return torch.func.functional_call(network, frozen, inputs)


def _real_and_made(realness: torch.Tensor, clips: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(T * 2N, 1), all clips' first frame first, real clips before made ones -> the two halves."""
    rows = realness.reshape(-1, 2 * clips)
    return rows[:, :clips].reshape(-1, 1), rows[:, clips:].reshape(-1, 1)


def _device(model: nn.Module) -> torch.device:
    return next(iter(model.parameters())).device
