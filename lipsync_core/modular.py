"""The pipeline in single steps, for hosts whose users wire them together: settle faces, speak, mask, replay.

Beside `pipeline.py`: every step is made of the same parts in the same order, so a chain of them gives what
one run does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from .blend import Blender, BlendSettings
from .casting import Actor
from .engines.base import EngineSpec
from .engines.choose import Chosen
from .face.crop import CropPlan, crop_faces
from .face.mask import MaskSettings, mask_faces
from .face.policy import Searched, apply_policy, limit_gaps
from .face.smooth import smooth_track, window_frames
from .face.track import ClipFaces
from .geometry import invert, move_grid, pixel_centres
from .runtime import BatchSize, Runtime, run_in_batches
from .types import Bool, FaceBatch, Float, FrameBatch, Pixels, Rendered
from .video.source import Source

_ROWS = 16  # masks that are drawn at once


@dataclass(frozen=True)
class CropTrack:
    """How the crops of one face lie in the frames of a result, and what made them.

    plan, active, fade: one row for each frame of the result. frame_size: (width, height). fps, fit, still: of the
    source they were cut from. alpha: (N, S, S) uint8, where the engine changed something; None when it has no opinion.
    engine, weights, spec: for the marks of the result.
    """

    plan: CropPlan
    active: Bool
    fade: Float
    frame_size: tuple[int, int]
    fps: Fraction
    fit: str
    still: bool
    engine: str
    weights: str
    spec: EngineSpec
    alpha: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.active)


@dataclass(frozen=True)
class Settling:
    """How faces are calmed. smoothing: s. no_face: one of policy.POLICIES. max_gap: frames; longer gaps stay as they
    are, 0 for any length."""

    smoothing: float
    no_face: str
    max_gap: int = 0


def settle(faces: ClipFaces, fps: Fraction, how: Settling, searched: Searched) -> ClipFaces:
    """Every track smoothed, its gaps filled or left; `found` then says on which frames it speaks.

    Raises InputError where the policy is `stop` and a face is missing.
    """
    window = window_frames(how.smoothing, fps)
    tracks = []
    for track in faces.tracks:
        decided = limit_gaps(apply_policy(track, how.no_face, faces.cuts, searched), how.max_gap)
        tracks.append(smooth_track(replace(decided, found=decided.active), window, faces.cuts))
    return replace(faces, tracks=tuple(tracks))


def crop_track(actor: Actor, source: Source, fit: str, chosen: Chosen) -> CropTrack:
    """The geometry of what `speak` gives."""
    size, still = (source.width, source.height), source.still
    return CropTrack(
        actor.plan, actor.active, actor.fade, size, source.fps, fit, still, chosen.name, chosen.weights, chosen.spec
    )  # fmt: skip


def speak(actor: Actor, source: Source, fit: str, total: int, runtime: Runtime) -> Iterator[Rendered]:
    """The new faces of every frame of the result, batch by batch, where nothing is pasted yet.

    Crops of frames without the face are the frame's own. Raises `Cancelled`.
    """
    for batch in source.batches(total, fit, actor.size.rows):
        runtime.step("render", batch.first, total)
        yield _speak_batch(actor, batch, runtime)
    runtime.step("render", total, total)


def _speak_batch(actor: Actor, batch: FrameBatch, runtime: Runtime) -> Rendered:
    parts: list[Rendered] = []

    def work(start: int, end: int) -> None:
        runtime.check()
        parts.append(_render(actor, batch.pixels[start:end], batch.first + start, runtime))

    run_in_batches(actor.size, len(batch), work, "The generator")
    return _joined(parts)


def _render(actor: Actor, pixels: Pixels, first: int, runtime: Runtime) -> Rendered:
    faces = crop_faces(pixels, actor.plan, first, runtime.device, actor.dtype, still=actor.still)
    active = torch.from_numpy(actor.active[first : first + len(pixels)]).to(faces.crops.device)[:, None, None, None]
    if not active.any():
        return Rendered(faces.crops.float())
    rendered = actor.performance.render(faces)
    crops = torch.where(active, rendered.crops.float(), faces.crops.float())
    return Rendered(crops, rendered.alpha)


def _joined(parts: list[Rendered]) -> Rendered:
    alphas = [part.alpha for part in parts if part.alpha is not None]
    if not alphas:
        return Rendered(torch.cat([part.crops for part in parts]))
    whole = [torch.zeros_like(part.crops[:, :1]) if part.alpha is None else part.alpha for part in parts]
    return Rendered(torch.cat([part.crops for part in parts]), torch.cat(whole))


@dataclass(frozen=True)
class Replay:
    """A performance that was given before: crops (N, S, S, 3) in [0, 1], alpha (N, s, s) in [0, 1] or None."""

    crops: torch.Tensor
    alpha: torch.Tensor | None
    device: str

    def render(self, faces: FaceBatch) -> Rendered:
        """The crops of these frames."""
        rows = slice(faces.first, faces.first + len(faces))
        crops = self.crops[rows, ..., :3].to(self.device).float().clamp(0, 1).permute(0, 3, 1, 2)
        if self.alpha is None:
            return Rendered(crops)
        alpha = self.alpha[rows] if len(self.alpha) > 1 else self.alpha.expand(len(self.crops), -1, -1)[rows]
        scale = 1 / 255 if alpha.dtype == torch.uint8 else 1.0
        soft = (alpha.to(self.device).float() * scale).clamp(0, 1)[:, None]
        if soft.shape[-2:] != crops.shape[-2:]:
            soft = F.interpolate(soft, crops.shape[-2:], mode="bilinear", align_corners=False, antialias=True)
        return Rendered(crops, soft)


def replay(
    track: CropTrack, crops: torch.Tensor, mask: torch.Tensor | None, how: BlendSettings, rows: int, runtime: Runtime
) -> Actor:
    """The actor that pastes crops which were made before.

    crops: (N, S, S, 3) in [0, 1]. mask: (N or 1, s, s) in [0, 1] over the crops, None: what suits the engine.
    rows: frames at once.
    """
    if mask is None and track.alpha is not None:
        mask = torch.from_numpy(track.alpha)
    boxed = track.plan.kind == "box"  # as in casting: a native crop keeps the frame's own colours and grain
    how = replace(
        how,
        colour_match=how.colour_match if boxed else 0.0,
        grain=how.grain if boxed or track.plan.halvings else 0.0,
    )
    return Actor(
        plan=track.plan,
        active=track.active,
        fade=track.fade,
        performance=Replay(crops, mask, runtime.device),
        blender=Blender(how),
        dtype=torch.float32,
        still=track.still,
        style_mask=track.spec.mask,
        mask_settings=MaskSettings(),
        frame_size=track.frame_size,
        user_mask=None,
        size=BatchSize(rows),
    )


def crop_masks(track: CropTrack, shape: str, settings: MaskSettings) -> Iterator[torch.Tensor]:
    """The masks of all crops, (n, S, S) float32 in [0, 1] batch by batch; 0 where the frame is to be left alone.

    shape: of face.mask.SHAPES, but not "user".
    """
    side = track.plan.size
    for first in range(0, len(track), _ROWS):
        rows = slice(first, min(len(track), first + _ROWS))
        faces = _without_pixels(track, rows)
        mask = mask_faces(faces, shape, settings, track.frame_size)
        numbers = np.arange(len(faces))
        u, v = pixel_centres(np.zeros((len(faces), 2), np.int64), (side, side), "cpu")
        drawn = mask.at(numbers, *move_grid(invert(faces.matrices), u, v))[:, 0]
        yield drawn * torch.from_numpy(track.active[rows].astype(np.float32))[:, None, None]


def _without_pixels(track: CropTrack, rows: slice) -> FaceBatch:
    plan = track.plan
    nothing = torch.empty(len(plan.matrices[rows]), 3, plan.size, plan.size, device="meta")
    return FaceBatch(rows.start, nothing, plan.matrices[rows], plan.landmarks[rows], plan.boxes_xyxy[rows])
