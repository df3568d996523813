"""Synthetic speech made to sound like a recording of somebody: all of it on mel, batched, cheap enough for every step.

Works on power per band: a mel unit is 12.5 dB. What a room, a microphone, a codec and other sounds do to power per
band is (nearly) what they do to the mel of the waveform, so nothing has to be synthesised twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

DB_PER_UNIT = 12.5
_BANDS = 80


@dataclass(frozen=True)
class Batch:
    """mel: (B, 80, M). targets: (B, 5, M). kinds: (B, M) int64."""

    mel: torch.Tensor
    targets: torch.Tensor
    kinds: torch.Tensor


class Augment:
    """strength 0 leaves everything as it is, 1 is what the shipped weights saw."""

    def __init__(self, strength: float, seed: int) -> None:
        self.strength = strength
        self._random = torch.Generator().manual_seed(seed)
        self._frequencies = _band_frequencies()

    def __call__(self, batch: Batch) -> Batch:
        if self.strength == 0:
            return batch
        heard = self._degraded(batch)
        # A fifth of the rows are left as synthesised but for the voice's size and the level: recordings can be clean.
        tract = self._other_tract(batch.mel)
        plain = (tract + self._uniform((len(tract), 1, 1), -1.5, 0.8)).clamp(-4, 4)
        clean = self._chosen(len(tract), 0.2) > 0
        mel = torch.where(clean, plain, heard.mel)
        targets = torch.where(clean, batch.targets, heard.targets)
        return Batch(mel, targets, torch.where(clean[..., 0], batch.kinds, heard.kinds))

    def _degraded(self, batch: Batch) -> Batch:
        decibel = self._other_tract(batch.mel) * DB_PER_UNIT
        decibel = decibel - decibel.amax((1, 2), keepdim=True)  # the loudest bin of each row is 0 dB now
        decibel = self._own_dynamics(decibel)
        power = self._room(10 ** (decibel / 10))
        power, silenced = self._other_sounds(power)
        decibel = 10 * torch.log10(power + 1e-12)
        decibel = decibel + self._microphone(len(decibel))
        decibel = decibel + self._normal(decibel.shape) * self._uniform((len(decibel), 1, 1), 0, 1.5)
        decibel = torch.maximum(
            decibel, decibel.amax((1, 2), keepdim=True) - self._uniform((len(decibel), 1, 1), 45, 110)
        )
        level = self._uniform((len(decibel), 1, 1), -2.2, 3.2)  # mel of the loudest bin
        # Where nobody speaks, it can be as quiet as it likes, down to digital silence.
        level = level - silenced[:, None, None] * self._uniform((len(decibel), 1, 1), 0, 6)
        mel = (decibel - decibel.amax((1, 2), keepdim=True)) / DB_PER_UNIT + level
        keep = (~silenced).float()
        targets = batch.targets * keep[:, None, None]
        kinds = batch.kinds * (~silenced)[:, None]
        return Batch(mel.clamp(-4, 4), targets, kinds)

    def _uniform(self, shape: tuple[int, ...], low: float, high: float) -> torch.Tensor:
        return torch.rand(shape, generator=self._random) * (high - low) + low

    def _normal(self, shape: tuple[int, ...] | torch.Size) -> torch.Tensor:
        return torch.randn(tuple(shape), generator=self._random)

    def _chosen(self, count: int, share: float) -> torch.Tensor:
        return (self._uniform((count, 1, 1), 0, 1) < share * self.strength).float()

    def _other_tract(self, mel: torch.Tensor) -> torch.Tensor:
        """Vocal tract length: the frequency axis stretched by 0.86 to 1.16."""
        factor = 1 + (self._uniform((len(mel), 1), -0.14, 0.16)) * self.strength
        wanted = self._frequencies[None] * factor
        place = torch.searchsorted(self._frequencies, wanted).clamp(1, _BANDS - 1)
        low, high = self._frequencies[place - 1], self._frequencies[place]
        share = ((wanted - low) / (high - low)).clamp(0, 1)[..., None]
        index = place[..., None].expand(-1, -1, mel.shape[-1])
        return mel.gather(1, index - 1) * (1 - share) + mel.gather(1, index) * share

    def _own_dynamics(self, decibel: torch.Tensor) -> torch.Tensor:
        """Slow swings of level, as people have and synthesis has not; and compressors, which take them away."""
        count, _, columns = decibel.shape
        knots = self._normal((count, 1, max(2, columns // 40))) * self._uniform((count, 1, 1), 0, 4)
        swing = F.interpolate(knots, size=columns, mode="linear", align_corners=True)
        squeeze = self._chosen(count, 0.3) * self._uniform((count, 1, 1), 0.1, 0.5)
        level = F.avg_pool1d(decibel.mean(1, keepdim=True), 9, 1, 4, count_include_pad=False).clamp_min(-70)
        return decibel + swing - squeeze * level

    def _room(self, power: torch.Tensor) -> torch.Tensor:
        """Echo: power that decays by 60 dB in 0.15 to 0.9 s."""
        count, _, columns = power.shape
        decay = 13.8 / (80 * self._uniform((count, 1), 0.15, 0.9))
        tail = torch.exp(-decay * torch.arange(48)[None])
        tail[:, 0] = 0
        tail = tail / tail.sum(1, keepdim=True) * 10 ** (self._uniform((count, 1), -16, 3) / 10)
        tail = tail * self._chosen(count, 0.5)[:, 0]
        tail[:, 0] = 1
        spectrum = torch.fft.rfft(power, n=columns + 48) * torch.fft.rfft(tail, n=columns + 48)[:, None]
        echoed: torch.Tensor = torch.fft.irfft(spectrum, n=columns + 48)
        return echoed[..., :columns].clamp_min(0)

    def _other_sounds(self, power: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Hiss, hum, music, babble, at 0 to 50 dB below the speech. Some rows hold noise alone: nobody speaks."""
        count = len(power)
        babble = torch.stack([power.roll(shift, 0).roll(97 * shift, -1) for shift in (1, 2, 3, 5)]).sum(0)
        kinds = torch.stack([self._hiss(power), self._music(power), babble])
        shares = self._uniform((3, count, 1, 1), 0, 1) ** 3
        noise = (shares * kinds / kinds.mean((2, 3), keepdim=True)).sum(0)
        noise = noise / noise.mean((1, 2), keepdim=True)
        distance = self._uniform((count, 1, 1), 5, 50)
        distance = torch.where(self._chosen(count, 0.15) > 0, self._uniform((count, 1, 1), 0, 15), distance)
        level = power.mean((1, 2), keepdim=True) * 10 ** (-distance / 10) * self._chosen(count, 0.6)
        silenced = self._chosen(count, 0.05)
        alone = self._hiss(power) * power.mean((1, 2), keepdim=True) * 1e-2
        return torch.where(silenced > 0, alone, power + noise * level), silenced[:, 0, 0] > 0

    def _hiss(self, power: torch.Tensor) -> torch.Tensor:
        """Stationary noise with a random smooth spectrum; a band's power scatters about as it does in short frames."""
        count, _, columns = power.shape
        colour = (
            self._smooth_curve(count, 14.0) + self._uniform((count, 1, 1), -0.5, 0.3) * torch.arange(_BANDS)[:, None]
        )
        return 10 ** ((colour + 3.0 * self._normal((count, _BANDS, columns))) / 10)

    def _music(self, power: torch.Tensor) -> torch.Tensor:
        """Chords: peaked spectra that change every 0.1 to 0.8 s and die away."""
        count, _, columns = power.shape
        length = int(self._uniform((1,), 8, 64).item())
        notes = columns // length + 1
        spectra = 10 ** (self._normal((count, _BANDS, notes)) * 1.2 - torch.arange(_BANDS)[:, None] * 0.04)
        fade = torch.exp(-torch.arange(length) / (0.7 * length))
        return (spectra[..., None] * fade).flatten(2)[..., :columns]

    def _microphone(self, count: int) -> torch.Tensor:
        """(count, 80, 1) dB: a smooth response, a tilt, and limits of the band."""
        bands = torch.arange(_BANDS)[None, :, None]
        response = self._smooth_curve(count, 5.0) + self._uniform((count, 1, 1), -0.25, 0.25) * (bands - 40)
        top = torch.where(self._chosen(count, 0.3) > 0, self._uniform((count, 1, 1), 52, 80), torch.tensor(99.0))
        bottom = torch.where(self._chosen(count, 0.3) > 0, self._uniform((count, 1, 1), 0, 9), torch.tensor(-9.0))
        steep = self._uniform((count, 1, 1), 4, 15)
        outside = (bands - top).clamp_min(0) + (bottom - bands).clamp_min(0)
        return response * self.strength - (steep * outside).clamp_max(80)

    def _smooth_curve(self, count: int, decibel: float) -> torch.Tensor:
        knots = self._normal((count, 1, 7)) * self._uniform((count, 1, 1), 0, decibel)
        return F.interpolate(knots, size=_BANDS, mode="linear", align_corners=True).transpose(1, 2)


def _band_frequencies() -> torch.Tensor:
    """(80,) centre frequencies in Hz of the mel bands: slaney's scale from 55 to 7600 Hz."""
    import librosa

    return torch.from_numpy(librosa.mel_frequencies(n_mels=_BANDS + 2, fmin=55, fmax=7600)[1:-1]).float()
