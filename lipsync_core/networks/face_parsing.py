"""Two networks that name the part of a face which each pixel belongs to, as facexlib publishes them.

BiSeNet: Yu et al., "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation", ECCV 2018, on
ResNet-18 (He et al., 2016). ParseNet: Chen et al., "Progressive Semantic-Aware Style Transformation for Blind Face
Restoration" (PSFR-GAN), CVPR 2021. Both were taught on CelebAMask-HQ (Lee et al., 2020) and tell 19 classes apart, in
orders of their own. Names of modules are those of the checkpoints; what serves training alone is left out.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

CLASSES = 19


class BiSeNet(nn.Module):
    """pictures: (N, 3, H, W) in [0, 1] less ImageNet's mean, over its deviation; sides divide by 32.

    Returns (N, 19, H, W) scores before softmax. The checkpoint's `conv_out16` and `conv_out32` are not used.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cp = _Context()
        self.ffm = _Fusion()
        self.conv_out = _Head(256, 256)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        fine, context = self.cp(pictures)
        scores = self.conv_out(self.ffm(fine, context))
        return F.interpolate(scores, pictures.shape[2:], mode="bilinear", align_corners=True)


class ParseNet(nn.Module):
    """pictures: (N, 3, 512, 512) RGB in [-1, 1]. Returns (N, 19, 512, 512) scores before softmax.

    The checkpoint's `out_img_conv`, a picture of the face, is not used.
    """

    def __init__(self) -> None:
        super().__init__()
        down = ((64, 128), (128, 256), (256, 256), (256, 256))
        up = ((256, 256), (256, 256), (256, 128), (128, 64))
        self.encoder = nn.Sequential(_Reflected(3, 64), *(_Residual(a, b, "down") for a, b in down))
        self.body = nn.Sequential(*(_Residual(256, 256) for _ in range(10)))
        self.decoder = nn.Sequential(*(_Residual(a, b, "up") for a, b in up))
        self.out_mask_conv = _Reflected(64, CLASSES)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        features = self.encoder(pictures)
        scores: torch.Tensor = self.out_mask_conv(self.decoder(features + self.body(features)))
        return scores


# ---------------------------------------------------------------------------------------------------- BiSeNet


class _Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, size, padding=size // 2, bias=False)
        self.bn = nn.BatchNorm2d(channels_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bn(self.conv(x)))


class _Block(nn.Module):
    """ResNet's basic block."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or channels_in != channels_out:
            across = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
            self.downsample = nn.Sequential(across, nn.BatchNorm2d(channels_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(inner + self.downsample(x))


class _ResNet18(nn.Module):
    """Features at 1/8, 1/16 and 1/32 of the picture's size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(_Block(64, 64, 1), _Block(64, 64, 1))
        self.layer2 = nn.Sequential(_Block(64, 128, 2), _Block(128, 128, 1))
        self.layer3 = nn.Sequential(_Block(128, 256, 2), _Block(256, 256, 1))
        self.layer4 = nn.Sequential(_Block(256, 512, 2), _Block(512, 512, 1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        eighth = self.layer2(self.layer1(x))
        sixteenth = self.layer3(eighth)
        return eighth, sixteenth, self.layer4(sixteenth)


class _Attention(nn.Module):
    """Features, each channel weighed by what the whole picture holds of it."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = _Unit(channels_in, channels_out)
        self.conv_atten = nn.Conv2d(channels_out, channels_out, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(channels_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        weight = self.bn_atten(self.conv_atten(x.mean(dim=(2, 3), keepdim=True)))
        weighed: torch.Tensor = x * weight.sigmoid()
        return weighed


class _Context(nn.Module):
    """Features at 1/8: what is there, and what it means in the whole picture."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = _ResNet18()
        self.arm16, self.arm32 = _Attention(256, 128), _Attention(512, 128)
        self.conv_head16, self.conv_head32 = _Unit(128, 128), _Unit(128, 128)
        self.conv_avg = _Unit(512, 128, 1)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        eighth, sixteenth, last = self.resnet(pictures)
        whole = self.conv_avg(last.mean(dim=(2, 3), keepdim=True))
        wide = self.conv_head32(F.interpolate(self.arm32(last) + whole, sixteenth.shape[2:]))
        return eighth, self.conv_head16(F.interpolate(self.arm16(sixteenth) + wide, eighth.shape[2:]))


class _Fusion(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convblk = _Unit(256, 256, 1)
        self.conv1 = nn.Conv2d(256, 64, 1, bias=False)
        self.conv2 = nn.Conv2d(64, 256, 1, bias=False)

    def forward(self, fine: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        both = self.convblk(torch.cat([fine, context], dim=1))
        weight = self.conv2(F.relu(self.conv1(both.mean(dim=(2, 3), keepdim=True))))
        fused: torch.Tensor = both * (1 + weight.sigmoid())
        return fused


class _Head(nn.Module):
    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.conv = _Unit(channels_in, channels)
        self.conv_out = nn.Conv2d(channels, CLASSES, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.conv_out(self.conv(x))
        return scores


# ---------------------------------------------------------------------------------------------------- ParseNet


class _Reflected(nn.Module):
    """A 3x3 convolution of a picture whose edge is mirrored; before it the picture may be doubled, with it halved."""

    def __init__(self, channels_in: int, channels_out: int, scale: str = "", norm: bool = False) -> None:
        super().__init__()
        self.scale = scale
        self.conv2d = nn.Conv2d(channels_in, channels_out, 3, 2 if scale == "down" else 1, bias=not norm)
        self.norm: nn.Module = nn.Identity()
        if norm:  # one level deeper than it need be: so the checkpoint has it
            self.norm = nn.ModuleDict({"norm": nn.BatchNorm2d(channels_out)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.scale == "up":
            x = F.interpolate(x, scale_factor=2.0)
        x = self.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"))
        normed: torch.Tensor = self.norm["norm"](x) if isinstance(self.norm, nn.ModuleDict) else x
        return normed


class _Residual(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, scale: str = "") -> None:
        super().__init__()
        self.shortcut_func: nn.Module = nn.Identity()
        if scale or channels_in != channels_out:
            self.shortcut_func = _Reflected(channels_in, channels_out, scale)
        self.conv1 = _Reflected(channels_in, channels_out, "up" if scale == "up" else "", norm=True)
        self.conv2 = _Reflected(channels_out, channels_out, "down" if scale == "down" else "", norm=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        changed: torch.Tensor = self.conv2(F.leaky_relu(self.conv1(x), 0.2)) + self.shortcut_func(x)
        return changed
