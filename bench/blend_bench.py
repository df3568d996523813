"""Time of cutting faces out and pasting them back, per frame: `python -m bench.blend_bench [device]`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch

from lipsync_core.blend import Blender, BlendSettings
from lipsync_core.face.crop import crop_faces, plan_crops
from lipsync_core.face.mask import MaskSettings, mask_faces
from lipsync_core.types import CropStyle, FaceBatch, FaceTrack, Pixels, Rendered

ROWS = 16
LANDMARKS = np.array([[0.31, 0.40], [0.69, 0.40], [0.50, 0.60], [0.35, 0.78], [0.65, 0.78]], np.float32)


def clip(width: int, height: int, face: int) -> tuple[Pixels, FaceTrack]:
    """Frames of noise with a face that moves by a pixel a frame."""
    pixels = np.random.default_rng(0).integers(0, 255, (ROWS, height, width, 3), np.uint8)
    low = np.stack([(width - face) / 2 + np.arange(ROWS), np.full(ROWS, (height - face) / 2)], axis=1)
    boxes = np.concatenate([low, low + face], axis=1).astype(np.float32)
    landmarks = boxes[:, None, :2] + LANDMARKS * face
    return pixels, FaceTrack(boxes, landmarks.astype(np.float32), np.ones(ROWS, bool), np.ones(ROWS, bool))


def milliseconds(work: Callable[[], object], device: str, repeat: int = 15) -> float:
    """Median per frame."""
    times = []
    for _ in range(repeat + 2):
        start = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return median(times[2:]) * 1000 / ROWS


def show(name: str, value: float, goal: float) -> None:
    print(f"{name:62s}{value:8.3f} ms a frame (CPU goal {goal})")


def mouth_alpha(faces: FaceBatch) -> torch.Tensor:
    """A soft disc where a mouth would be."""
    side = faces.crops.shape[-1]
    line = (torch.arange(side, device=faces.crops.device) + 0.5) / side
    disc = 1 - ((line[None, :] - 0.5) ** 2 + (line[:, None] - 0.62) ** 2).sqrt() / 0.2
    return (disc.clamp(0, 0.2) * 5).expand(len(faces), 1, side, side).contiguous()


def bench_box(device: str, face: int = 300) -> None:
    pixels, track = clip(1280, 720, face)
    plan = plan_crops(track, CropStyle("box", 96), (1280, 720))
    show(
        "crop 96 px out of 720p", milliseconds(lambda: crop_faces(pixels, plan, 0, device, torch.float32), device), 0.5
    )
    faces = crop_faces(pixels, plan, 0, device, torch.float32)
    rendered = Rendered(faces.crops * 0.85)
    for paste, goal in (("feather", 4), ("pyramid", 9)):

        def work(paste: str = paste) -> None:
            mask = mask_faces(faces, "lower_face", MaskSettings(), (1280, 720))
            Blender(BlendSettings(paste=paste)).blend(pixels, faces, rendered, mask)

        show(f"paste 96 px into a {face} px face of 720p, {paste}", milliseconds(work, device), goal)


def bench_native(device: str) -> None:
    pixels, track = clip(512, 512, 280)
    plan = plan_crops(track, CropStyle("native", 512, 1.9), (512, 512))
    cut = milliseconds(lambda: crop_faces(pixels, plan, 0, device, torch.float32), device)
    show(f"crop {plan.size} px native", cut, 1)
    faces = crop_faces(pixels, plan, 0, device, torch.float32)
    rendered = Rendered(faces.crops.clone(), mouth_alpha(faces))
    blender = Blender(BlendSettings())
    pasted = milliseconds(lambda: blender.blend(pixels, faces, rendered, None), device)
    show("paste by alpha, 512 px portrait", pasted, 1.5)


def main() -> None:
    device = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    print(f"{device}, torch {torch.__version__}, {torch.get_num_threads()} threads, {ROWS} frames at once")
    bench_box(device)
    bench_native(device)


if __name__ == "__main__":
    main()
