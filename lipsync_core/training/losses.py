"""The losses of Wav2Lip: Prajwal et al. 2020, sections 3.1 to 3.3."""

from __future__ import annotations

import torch
import torch.nn.functional as F

_LEAST = 1e-7  # a cosine is kept this far from 0 and 1, where the logarithm has no end


def cosine_bce(audio: torch.Tensor, face: torch.Tensor, together: torch.Tensor) -> torch.Tensor:
    """Binary cross entropy of the cosine, equation 1. audio, face: (N, D) of length 1 without negative entries.

    together: (N,) 1 where they belong together, 0 where not. Returns the mean, ln 2 = 0.693 for an expert that knows
    nothing and says one half.
    """
    cosine = (audio * face).sum(dim=1).clamp(_LEAST, 1 - _LEAST)
    return F.binary_cross_entropy(cosine.float(), together.float())


def grid_bce(audio: torch.Tensor, face: torch.Tensor, together: torch.Tensor) -> torch.Tensor:
    """The same of every face with every sound of its clip: N windows of N / K clips, together: (N / K, K, K).

    Pairs that belong together weigh as much as all that do not, as if half of the pairs were each.
    """
    clips, each, _ = together.shape
    grid = face.reshape(clips, each, -1) @ audio.reshape(clips, each, -1).transpose(1, 2)
    loss = F.binary_cross_entropy(grid.clamp(_LEAST, 1 - _LEAST).float(), together.float(), reduction="none")
    right = together > 0.5
    return (loss[right].mean() + loss[~right].mean()) / 2


def contrastive(audio: torch.Tensor, face: torch.Tensor, together: torch.Tensor, margin: float = 1.0) -> torch.Tensor:
    """What LipGAN's discriminator is taught with (Prajwal et al. 2019, equation 4): half of d^2 for pairs that belong
    together, else half of max(0, margin - d)^2, d the distance of (N, D) points of length 1.
    """
    distance = (audio - face).square().sum(dim=1).add(1e-12).sqrt()
    apart = (margin - distance).clamp(min=0)
    return torch.where(together > 0.5, distance.square(), apart.square()).mean() / 2


def reconstruction(made: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference, equation 2."""
    return F.l1_loss(made, true)


def perceptual(realness: torch.Tensor) -> torch.Tensor:
    """What the discriminator says of made faces, (N, 1) in (0, 1): the generator wants 1, equation 4."""
    return F.binary_cross_entropy(realness.float().clamp(_LEAST, 1 - _LEAST), torch.ones_like(realness).float())


def discriminator(real: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    """(N, 1) in (0, 1) twice: the discriminator wants 1 for real and 0 for made ones, equation 5."""
    real, made = (x.float().clamp(_LEAST, 1 - _LEAST) for x in (real, made))
    return F.binary_cross_entropy(real, torch.ones_like(real)) + F.binary_cross_entropy(made, torch.zeros_like(made))


def lower_halves(faces: torch.Tensor) -> torch.Tensor:
    """(N, 3, T, S, S) -> (N, 3 T, S / 2, S), frame by frame in channels: what the expert looks at."""
    lower = faces[:, :, :, faces.shape[3] // 2 :]
    return lower.transpose(1, 2).flatten(1, 2)


def total(l1: torch.Tensor, sync: torch.Tensor, percep: torch.Tensor, weights: tuple[float, float]) -> torch.Tensor:
    """Equation 6. weights: of the sync and of the perceptual loss; L1 has what is left of 1."""
    sync_weight, percep_weight = weights
    return sync_weight * sync + percep_weight * percep + (1 - sync_weight - percep_weight) * l1
