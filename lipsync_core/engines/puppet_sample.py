"""Move the pixels of a picture: a displacement worked out on a coarse grid, and where it points, sampled once.

OpenCV does both in a third of the time that PyTorch takes on a CPU; other devices use PyTorch.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F

Box = tuple[int, int, int, int]  # left, top, right, bottom in crop pixels

WHOLE = (0, 0, 0, 0)
_SHARP_PX = 700_000  # largest area that is kept at twice its size


def part(tensor: torch.Tensor, area: Box, box: Box) -> torch.Tensor:
    """The view of `box` in a tensor (N, C, h, w) that covers `area`."""
    left, top, right, bottom = (box[i] - area[i % 2] for i in range(4))
    return tensor[:, :, top:bottom, left:right]


def is_empty(box: Box) -> bool:
    """Is there no pixel in it?"""
    return box[2] <= box[0] or box[3] <= box[1]


def centres(box: Box, step: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """x (1, 1, w) and y (1, h, 1) of the middles of step x step cells that cover a box, in crop pixels."""
    left, top, right, bottom = box
    x = torch.arange(left, right, step, device=device, dtype=torch.float32) + step / 2
    y = torch.arange(top, bottom, step, device=device, dtype=torch.float32) + step / 2
    return x[None, None, :], y[None, :, None]


def enlarge(coarse: torch.Tensor, step: int, out: torch.Tensor) -> None:
    """Fill `out` (N, C, h, w), bilinear between the middles of step x step cells whose values are `coarse`."""
    if coarse.device.type == "cpu":
        _resize(coarse, step, out)
    else:
        _interpolate(coarse, step, out)


def _resize(coarse: torch.Tensor, step: int, out: torch.Tensor) -> None:
    height, width = out.shape[2:]
    size = (coarse.shape[3] * step, coarse.shape[2] * step)
    for row, planes in zip(out.numpy(), coarse.numpy(), strict=True):
        for i, plane in enumerate(planes):
            row[i] = cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)[:height, :width]


def _interpolate(coarse: torch.Tensor, step: int, out: torch.Tensor) -> None:
    size = (coarse.shape[2] * step, coarse.shape[3] * step)
    full = F.interpolate(coarse, size, mode="bilinear", align_corners=False)
    out.copy_(full[:, :, : out.shape[2], : out.shape[3]])


def for_sampling(picture: torch.Tensor) -> torch.Tensor:
    """A picture (N, 3, H, W) as `sample` likes it best: channels last, and on a CPU with a fourth, empty one, because
    OpenCV moves four numbers faster than three."""
    if picture.device.type != "cpu":
        return picture.contiguous(memory_format=torch.channels_last)
    count, _, height, width = picture.shape
    four = torch.zeros(count, 4, height, width).contiguous(memory_format=torch.channels_last)
    four[:, :3] = picture
    return four


def sample(picture: torch.Tensor, frame: Box, shift: torch.Tensor, area: Box, out: torch.Tensor) -> None:
    """Fill `out` (N, 3, h, w) over `area` with what lies `shift` (N, 2, h, w) px away, which is overwritten.

    picture: of 1 or N rows, see `for_sampling`, whose first and last pixels are the first and last of `frame`: as
    large as it or, between them, finer. Its border goes on beyond it.
    """
    for i, centre in enumerate(centres(area, 1, shift.device)):
        finer = (picture.shape[3 - i] - 1) / max(frame[i + 2] - frame[i] - 1, 1)
        shift[:, i].mul_(finer).add_((centre - (frame[i] + 0.5)) * finer)
    if shift.device.type == "cpu":
        _remap(picture, shift, out)
    else:
        _grid_sample(picture, shift, out)


def _remap(picture: torch.Tensor, places: torch.Tensor, out: torch.Tensor) -> None:
    sources, planes = picture.permute(0, 2, 3, 1).numpy(), out.numpy()
    moved = np.empty((*out.shape[2:], sources.shape[-1]), np.float32)
    apart = np.empty(planes.shape[1:], np.float32)  # OpenCV writes to whole arrays only
    for i, (x, y) in enumerate(places.numpy()):
        source = sources[min(i, len(sources) - 1)]
        cv2.remap(source, x, y, cv2.INTER_LINEAR, dst=moved, borderMode=cv2.BORDER_REPLICATE)
        cv2.mixChannels([moved], list(apart), [0, 0, 1, 1, 2, 2])
        planes[i] = apart


def _grid_sample(picture: torch.Tensor, places: torch.Tensor, out: torch.Tensor) -> None:
    for i in (0, 1):
        places[:, i].mul_(2 / max(picture.shape[3 - i] - 1, 1)).sub_(1)
    grid = places.permute(0, 2, 3, 1)
    source = picture[:, :3].expand(len(out), -1, -1, -1)
    out.copy_(F.grid_sample(source, grid, padding_mode="border", align_corners=True))


def sharpen(crop: torch.Tensor, area: Box) -> torch.Tensor:
    """(1, 3, 2h - 1, 2w - 1): the area with cubic pixels between its own, so that moving it does not blur it;
    (1, 3, h, w) as it is where it is so large that nobody would see the difference."""
    height, width = area[3] - area[1], area[2] - area[0]
    here = part(crop[None], WHOLE, area)
    if height * width <= _SHARP_PX and min(height, width) > 1:
        size = (2 * height - 1, 2 * width - 1)
        here = F.interpolate(here, size, mode="bicubic", align_corners=True).clamp_(0, 1)
    return here
