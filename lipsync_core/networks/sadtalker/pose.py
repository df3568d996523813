"""PoseVAE: what is heard, and a draw of chance, to how a head moves."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from ..blocks import stack
from ..wav2lip import layout_96

FRAMES = 32  # of one window
POSE = 6  # angles 3, position 3
LATENT = 64
STYLES = 46
_HEARD = 512
_HIDDEN = 128
_WIDTHS = (32, 64, 128, 256)


class _Residual(nn.Module):
    """(N, C, T, 6) -> (N, C', T or T/2, 6)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        steps = (stride, 1)
        self.conv_block = nn.Sequential(
            nn.BatchNorm2d(channels_in),
            nn.ReLU(),
            nn.Conv2d(channels_in, channels_out, 3, steps, padding=1),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1),
        )
        self.conv_skip = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, steps, padding=1), nn.BatchNorm2d(channels_out)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.conv_block(x) + self.conv_skip(x))


class _Grow(nn.Module):
    """Twice as many steps in time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(channels, channels, (2, 1), (2, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.upsample(x))


class _ResUnet(nn.Module):
    """Zhang et al., "Road Extraction by Deep Residual U-Net", 2018; here over time. (N, 1, 32, 6), the same out, in
    [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = _WIDTHS
        self.input_layer = nn.Sequential(
            nn.Conv2d(1, a, 3, padding=1), nn.BatchNorm2d(a), nn.ReLU(), nn.Conv2d(a, a, 3, padding=1)
        )
        self.input_skip = nn.Sequential(nn.Conv2d(1, a, 3, padding=1))
        self.residual_conv_1, self.residual_conv_2 = _Residual(a, b, 2), _Residual(b, c, 2)
        self.bridge = _Residual(c, d, 2)
        self.upsample_1, self.up_residual_conv1 = _Grow(d), _Residual(d + c, c, 1)
        self.upsample_2, self.up_residual_conv2 = _Grow(c), _Residual(c + b, b, 1)
        self.upsample_3, self.up_residual_conv3 = _Grow(b), _Residual(b + a, a, 1)
        self.output_layer = nn.Sequential(nn.Conv2d(a, 1, 1), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.input_layer(x) + self.input_skip(x)
        second = self.residual_conv_1(first)
        third = self.residual_conv_2(second)
        x = self.upsample_1(self.bridge(third))
        x = self.upsample_2(self.up_residual_conv1(torch.cat((x, third), dim=1)))
        x = self.upsample_3(self.up_residual_conv2(torch.cat((x, second), dim=1)))
        return cast(torch.Tensor, self.output_layer(self.up_residual_conv3(torch.cat((x, first), dim=1))))


class _Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.classbias = nn.Parameter(torch.zeros(STYLES, LATENT))
        self.resunet = _ResUnet()
        told = POSE + LATENT + FRAMES * POSE
        self.MLP = nn.ModuleDict({"L0": nn.Linear(told, _HIDDEN), "L1": nn.Linear(_HIDDEN, FRAMES * POSE)})
        self.pose_linear = nn.Linear(POSE, POSE)
        self.linear_audio = nn.Linear(_HEARD, POSE)

    def forward(
        self, latent: torch.Tensor, style: torch.Tensor, reference: torch.Tensor, heard: torch.Tensor
    ) -> torch.Tensor:
        told = torch.cat((reference, latent + self.classbias[style], self.linear_audio(heard).flatten(1)), dim=1)
        x = torch.sigmoid(self.MLP["L1"](F.relu(self.MLP["L0"](told)))).view(-1, 1, FRAMES, POSE)
        return cast(torch.Tensor, self.pose_linear(self.resunet(x)[:, 0]))


class _Encoder(nn.Module):
    """Only training needed it; it is here so that the published file loads to the last tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.classbias = nn.Parameter(torch.zeros(STYLES, LATENT))
        self.resunet = _ResUnet()
        self.MLP = nn.ModuleDict({"L0": nn.Linear(POSE + LATENT + 2 * FRAMES * POSE, _HIDDEN)})
        self.linear_means, self.linear_logvar = nn.Linear(_HIDDEN, LATENT), nn.Linear(_HIDDEN, LATENT)
        self.linear_audio = nn.Linear(_HEARD, POSE)


class _Critic(nn.Module):
    """As `_Encoder`: training's judge of motion."""

    def __init__(self) -> None:
        super().__init__()
        rows = ((POSE, 256, 4), (256, 512, 4), (512, 1024, 3))
        parts = [nn.ModuleDict({"conv": nn.Conv1d(a, b, k, bias=False), "norm": nn.BatchNorm1d(b)}) for a, b, k in rows]
        self.seq = nn.ModuleList([*parts, nn.Conv1d(1024, 1, 3)])


class PoseNetwork(nn.Module):
    """`hear` every frame once, then `decode` windows of 32 of what was heard."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = nn.ModuleDict({"audio_encoder": stack(layout_96().audio)})
        self.netG = nn.ModuleDict({"encoder": _Encoder(), "decoder": _Decoder()})
        self.netD_motion = _Critic()

    def hear(self, mel: torch.Tensor) -> torch.Tensor:
        """(N, 1, 80, 16) mel in [-4, 4] -> (N, 512)."""
        return cast(torch.Tensor, self.audio_encoder["audio_encoder"](mel).flatten(1))

    def decode(
        self, latent: torch.Tensor, style: torch.Tensor, reference: torch.Tensor, heard: torch.Tensor
    ) -> torch.Tensor:
        """latent: (N, 64), normally distributed. style: (N,) int64, 0 to 45. reference: (N, 6), the source's pose.
        heard: (N, 32, 512). Returns (N, 32, 6): what is added to the reference in each frame."""
        return cast(torch.Tensor, self.netG["decoder"](latent, style, reference, heard))

    def forget_training(self) -> None:
        """Drop what only training needed."""
        del self.netG["encoder"], self.netD_motion
