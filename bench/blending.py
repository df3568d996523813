"""What pasting does to pictures: `python -m bench.blending figures` and `python -m bench.blending docs -o docs/images`.

figures   identity: the crop itself is pasted; seam: a mouth 15 % darker and blurred is pasted; time of each step
docs      the pictures of docs/blending.md, from the project's own portrait and scikit-image's astronaut

The faces are found by the cascade inside scikit-image, nothing is downloaded.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import skimage.data
import torch
import torch.nn.functional as F

from lipsync_core import assembly, pipeline
from lipsync_core.blend import Blender, BlendSettings
from lipsync_core.face.crop import crop_faces, plan_crops
from lipsync_core.face.mask import MaskSettings, SoftMask, mask_faces
from lipsync_core.options import LipSyncOptions
from lipsync_core.runtime import Runtime
from lipsync_core.types import CropStyle, FaceBatch, FaceTrack, Float, Pixels, Rendered

from .media import PORTRAIT

SHAPES = ("mouth", "lower_face", "face", "ellipse", "box")
PLAIN = BlendSettings(colour_match=0.0)
MATCHED = BlendSettings(grain=1.0)
PYRAMID = BlendSettings(grain=1.0, paste="pyramid")


@dataclass(frozen=True)
class Scene:
    """A picture (1, H, W, 3) with a face, cut out as a crop of some size."""

    pixels: Pixels
    faces: FaceBatch
    face_px: float

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[2], self.pixels.shape[1]

    def mask(self, shape: str, feather: float = 0.08) -> SoftMask:
        return mask_faces(self.faces, shape, MaskSettings(feather=feather), self.size)

    def paste(self, new: torch.Tensor, mask: SoftMask, settings: BlendSettings) -> Pixels:
        return Blender(settings).blend(self.pixels.copy(), self.faces, Rendered(new), mask)

    def weights(self, mask: SoftMask) -> Float:
        """(1, H, W) of the mask over the whole picture."""
        corner = np.zeros((1, 2), np.int64)
        drawn: Float = mask.cut(np.zeros(1, np.int64), corner, (self.size[1], self.size[0]), "cpu")[:, 0].numpy()
        return drawn


def pictures() -> dict[str, Pixels]:
    return {"portrait": cv2.imread(str(PORTRAIT))[:, :, ::-1].copy(), "astronaut": skimage.data.astronaut()}


def tilted(picture: Pixels, degrees: float) -> Pixels:
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    size = (width, height)
    return cv2.warpAffine(picture, turn, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)  # type: ignore[return-value]


def find_face(picture: Pixels) -> FaceTrack:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "face.png"
        cv2.imwrite(str(path), np.ascontiguousarray(picture[:, :, ::-1]))
        options = LipSyncOptions(detector="cascade", cache=False)
        found = pipeline.analyse(assembly.open_face(path, options), 1, options, Runtime(offline=True))
    return max(found.tracks, key=lambda track: float(track.boxes_xyxy[0, 2] - track.boxes_xyxy[0, 0]))


def scene(picture: Pixels, side: int) -> Scene:
    track = find_face(picture)
    plan = plan_crops(track, CropStyle("box", side), (picture.shape[1], picture.shape[0]))
    faces = crop_faces(picture[None], plan, 0, "cpu", torch.float32)
    extent = track.boxes_xyxy[0, 2:] - track.boxes_xyxy[0, :2]
    return Scene(picture[None], faces, float(extent.max()))


def darker(crops: torch.Tensor) -> torch.Tensor:
    """15 % darker, and as blurred as 96 px enlarged to the crop's size."""
    kernel = torch.from_numpy(cv2.getGaussianKernel(25, 1.2 * crops.shape[-1] / 96).astype(np.float32))
    weights = (kernel @ kernel.T).expand(3, 1, 25, 25)
    return F.conv2d(F.pad(crops, (12,) * 4, mode="replicate"), weights, groups=3) * 0.85


def seam_energy(pixels: Pixels, weights: Float) -> float:
    """Mean squared gradient of luma where the mask is neither 0 nor 1."""
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    across, along = np.diff(luma, axis=2, append=luma[:, :, -1:]), np.diff(luma, axis=1, append=luma[:, -1:])
    return float((across**2 + along**2)[(weights > 0.02) & (weights < 0.98)].mean())


# ---------------------------------------------------------------------------------------------------- figures


def scenes() -> Iterator[tuple[str, Scene]]:
    for name, picture in pictures().items():
        for degrees in (0, 30):
            for side in (96, 192, 384, 512):
                yield f"{name}, {degrees} degrees, crop {side} px", scene(tilted(picture, degrees), side)


def figures() -> None:
    print("| picture | face px | mask | identity, grey levels | PSNR dB | outside | seam feather | seam pyramid |")
    print("|---|---|---|---|---|---|---|---|")
    for name, each in scenes():
        for shape in ("lower_face", "face"):
            print(f"| {name} | {each.face_px:.0f} | {shape} | {_identity(each, shape)} | {_seams(each, shape)} |")
    print()
    times()


def _identity(each: Scene, shape: str) -> str:
    mask = each.mask(shape)
    weights = each.weights(mask)
    change = np.abs(each.paste(each.faces.crops, mask, MATCHED).astype(int) - each.pixels)
    inside = change[weights > 0]
    psnr = 10 * np.log10(255**2 / max(1e-9, float((inside**2.0).mean())))
    return f"{inside.mean():.3f} | {psnr:.1f} | {change[weights == 0].max()}"


def _seams(each: Scene, shape: str) -> str:
    mask = each.mask(shape)
    weights = each.weights(mask)
    before = seam_energy(each.pixels, weights)
    new = darker(each.faces.crops)
    return " | ".join(f"{seam_energy(each.paste(new, mask, how), weights) / before:.2f}" for how in (MATCHED, PYRAMID))


def times(rows: int = 8, repeat: int = 5) -> None:
    """ms of one core's time for a frame, pasting a lower face of 300 px into 720 px, and what matching adds."""
    torch.set_num_threads(1)
    picture = cv2.resize(pictures()["portrait"], None, fx=720 / 768, fy=720 / 768)  # type: ignore[call-overload]
    track = find_face(picture)
    parts = (track.boxes_xyxy, track.landmarks, track.found, track.active)
    many = FaceTrack(*(np.repeat(part, rows, axis=0) for part in parts))
    many.boxes_xyxy[:] += np.arange(rows, dtype=np.float32)[:, None] * 0.37
    print("| crop | plain ms | with colour | with colour and grain |")
    print("|---|---|---|---|")
    for side in (96, 256, 512):
        plan = plan_crops(many, CropStyle("box", side), (picture.shape[1], picture.shape[0]))
        pixels = np.repeat(picture[None], rows, axis=0)
        faces = crop_faces(pixels, plan, 0, "cpu", torch.float32)
        mask = mask_faces(faces, "lower_face", MaskSettings(), (picture.shape[1], picture.shape[0]))
        spent = []
        for settings in (PLAIN, BlendSettings(), MATCHED):
            runs = []
            for _ in range(repeat):
                frames, new = pixels.copy(), Rendered(darker(faces.crops))
                start = time.process_time()
                Blender(settings).blend(frames, faces, new, mask)
                runs.append((time.process_time() - start) / rows * 1000)
            spent.append(f"{median(runs):.1f}")
        print(f"| {side} px | {' | '.join(spent)} |")


# ---------------------------------------------------------------------------------------------------- pictures


def around_mouth(each: Scene, pixels: Pixels, side: int = 300) -> Pixels:
    """The lower half of the face, enlarged to (side, side, 3)."""
    mask = each.mask("lower_face")
    left, top, right, bottom = mask.areas[0].tolist()
    x, y, half = (left + right) / 2, (top + bottom) / 2 - (bottom - top) * 0.1, max(right - left, bottom - top) * 0.68
    matrix = np.array([[side / (2 * half), 0, side / 2 - x * side / (2 * half)],
                       [0, side / (2 * half), side / 2 - y * side / (2 * half)]])  # fmt: skip
    flags = cv2.INTER_CUBIC if half * 2 < side else cv2.INTER_AREA
    return np.asarray(cv2.warpAffine(pixels, matrix, (side, side), flags=flags), np.uint8)


def titled(picture: Pixels, text: str) -> Pixels:
    bar = np.full((26, picture.shape[1], 3), 245, np.uint8)
    cv2.putText(bar, text, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.48, (20, 20, 20), 1, cv2.LINE_AA)
    return np.vstack([bar, picture])


def save(path: Path, rows: list[list[Pixels]]) -> None:
    sheet = np.vstack([np.hstack(row) for row in rows])
    cv2.imwrite(str(path), np.ascontiguousarray(sheet[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(f"{path}: {path.stat().st_size // 1024} KB")


def seam_sheet() -> list[list[Pixels]]:
    """Input, the published hard box, and our two pastes of a mouth that is 15 % darker and blurred."""
    rows = []
    for picture in pictures().values():
        each = scene(picture, 256)
        new, box = darker(each.faces.crops), each.mask("box", feather=0.0)
        weights = each.weights(each.mask("lower_face"))
        before, row = seam_energy(each.pixels, weights), [titled(around_mouth(each, each.pixels[0]), "input")]
        hard = each.paste(new, box, PLAIN)
        edge = seam_energy(hard, _edge(each.weights(box))) / seam_energy(each.pixels, _edge(each.weights(box)))
        row.append(titled(around_mouth(each, hard[0]), f"box, as published: edge {edge:.2f}"))
        for name, how in (("feather", MATCHED), ("pyramid", PYRAMID)):
            out = each.paste(new, each.mask("lower_face"), how)
            text = f"{name}: edge {seam_energy(out, weights) / before:.2f}"
            row.append(titled(around_mouth(each, out[0]), text))
        rows.append(row)
    return rows


def _edge(weights: Float) -> Float:
    """A hard mask's edge as a band: 0.5 on the two pixels beside it."""
    grown, shrunk = (change(weights[0], np.ones((3, 3))) for change in (cv2.dilate, cv2.erode))
    return np.asarray(np.where(grown != shrunk, 0.5, weights[0])[None], np.float32)


def mask_sheet() -> list[list[Pixels]]:
    rows = []
    for picture in pictures().values():
        each = scene(picture, 256)
        row = []
        for shape in SHAPES:
            share = each.weights(each.mask(shape))[0, :, :, None]
            tinted = each.pixels[0] * (1 - 0.6 * share) + np.array([255, 60, 60]) * 0.6 * share
            row.append(titled(_face_part(each, tinted.round().astype(np.uint8)), shape))
        rows.append(row)
    return rows


def _face_part(each: Scene, picture: Pixels, side: int = 240) -> Pixels:
    box = each.mask("box").areas[0]
    middle, half = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max()) * 0.68
    scale = side / (2 * half)
    matrix = np.array([[scale, 0, side / 2 - middle[0] * scale], [0, scale, side / 2 - middle[1] * scale]])
    return np.asarray(cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_AREA), np.uint8)


def grain_sheet() -> list[list[Pixels]]:
    """A grainy picture, its mouth after a crop of 96 px, and the same with the picture's grain."""
    rows = []
    rng = np.random.default_rng(0)
    for name, picture in pictures().items():
        if name == "astronaut":
            picture = np.asarray(cv2.resize(picture, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC), np.uint8)  # type: ignore[call-overload]
        noise = cv2.GaussianBlur(rng.normal(0, 18, picture.shape), None, 0.7)  # type: ignore[call-overload]
        each = scene(np.clip(picture + noise, 0, 255).round().astype(np.uint8), 96)
        smooth = each.faces.crops
        row = [titled(around_mouth(each, each.pixels[0]), "grainy input")]
        for text, how in (("smooth mouth, no grain", BlendSettings()), ("with the input's grain", MATCHED)):
            row.append(titled(around_mouth(each, each.paste(smooth, each.mask("lower_face"), how)[0]), text))
        rows.append(row)
    return rows


def docs(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "blend-seam.jpg", seam_sheet())
    save(folder / "blend-masks.jpg", mask_sheet())
    save(folder / "blend-grain.jpg", grain_sheet())


def main() -> None:
    parser = argparse.ArgumentParser(description="What pasting does to pictures.")
    parser.add_argument("what", choices=("figures", "docs"))
    parser.add_argument("-o", "--output", type=Path, default=Path("out"))
    arguments = parser.parse_args()
    if arguments.what == "figures":
        figures()
    else:
        docs(arguments.output)


if __name__ == "__main__":
    main()
