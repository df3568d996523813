"""Who speaks, and with what: one actor for each chosen face. Beside `assembly.py`, for the pipeline alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from .blend import Blender, BlendSettings
from .blend_reach import reach_of
from .blend_regions import Mask
from .engines.base import Performance
from .engines.choose import Chosen
from .enhancers.choose import ChosenEnhancer
from .enhancers.restore import Restorer, RestoreSettings
from .face.align import plan_grid, see_upright
from .face.crop import CropPlan, plan_crops
from .face.mask import MaskSettings, choose_shape, face_widths, mask_faces, soften_user_mask
from .face.parse import find_parser
from .face.parts import PartFinder, PartMask
from .face.policy import Searched, apply_policy, require_face
from .face.pose import fade_with_yaw
from .face.select import select_faces
from .face.smooth import pad_boxes, smooth_track, window_frames
from .face.track import ClipFaces
from .geometry import invert, map_points
from .media import shown_name
from .options import LipSyncOptions
from .runtime import BatchSize, Runtime
from .timing import Index, source_indices
from .types import Bool, CropStyle, FaceBatch, FaceTrack, Float, Pixels, Rendered, Speech
from .video.image import read_image
from .video.source import Source

_ENHANCED_AT_ONCE = 8  # faces of 512 px, 3 MB for each step: enough for a GPU
_CHEAP_BYTES = 12 << 20  # of one batch of float32 crops


@dataclass(frozen=True)
class Restoring:
    """How an actor's face is enhanced. grid: (N, 2, 3), see `plan_grid`. region: None where the engine's is pasted."""

    restorer: Restorer
    grid: Float
    blender: Blender
    region: MaskSettings | None = None


@dataclass(frozen=True)
class Actor:
    """One face that speaks: where it is, what it hears, how it is pasted.

    active: (N,) bool, False frames stay as they are. fade: (N,) float32 in [0, 1], less where the head turns away.
    """

    plan: CropPlan
    active: Bool
    fade: Float
    performance: Performance
    blender: Blender
    dtype: torch.dtype
    still: bool
    style_mask: str
    mask_settings: MaskSettings
    frame_size: tuple[int, int]
    user_mask: torch.Tensor | None
    size: BatchSize
    restoring: Restoring | None = None
    parts: PartFinder | None = None

    @property
    def share(self) -> Float:
        """(N,) how much of the new face each frame takes."""
        return np.asarray(self.active * self.fade, np.float32)

    @property
    def grain_levels(self) -> float:
        """Grey levels of the grain that the last frame got."""
        return (self.restoring or self).blender.grain_levels

    def mask(self, pixels: Pixels, faces: FaceBatch, rendered: Rendered, runtime: Runtime) -> Mask | None:
        """What is replaced; None: what the engine says. pixels: (N, H, W, 3), the frames of the batch."""
        shape = choose_shape(self.mask_settings, self.style_mask, rendered.alpha is not None)
        soft = mask_faces(faces, shape, self.mask_settings, self.frame_size, self.user_mask) if shape else None
        return self.parts.look(pixels, faces, soft, runtime) if self.parts else soft

    def sheet(self, pixels: Pixels) -> Pixels:
        """What a batch is pasted on: the frames; a copy where work follows during which memory can still run out."""
        return pixels if self.restoring is None else pixels.copy()

    def enhance(self, pixels: Pixels, faces: FaceBatch, rendered: Rendered, mask: Mask | None) -> Pixels:
        """Give the pasted faces of (N, H, W, 3) frames their detail: one warp to the enhancer's crop, one back.

        faces, rendered, mask: what was pasted. Changes the frames in place and returns them.
        """
        if self.restoring is None:
            return pixels
        share = self.share[faces.first : faces.first + len(faces)]
        rows, numbers = np.flatnonzero(share), faces.first + np.arange(len(faces))
        grid = self.restoring.grid[numbers]
        upright = see_upright(pixels, faces, grid, rows)
        crops = self.restoring.restorer.restore(numbers[rows], upright.crops[rows.tolist()], grid[rows])
        if len(rows) < len(faces):
            crops = torch.zeros_like(upright.crops).index_copy_(0, torch.from_numpy(rows).to(crops.device), crops)
        where = self.restoring.region
        reach: Mask
        if where is None:
            reach = reach_of(faces, rendered, mask, self.frame_size)
        else:
            soft = mask_faces(upright, where.shape, where, self.frame_size)
            reach = soft
            if isinstance(mask, PartMask):  # a hand in front of it stays, here too
                reach = replace(mask, inner=soft, areas=soft.areas, face=None)
        return self.restoring.blender.blend(pixels, upright, Rendered(crops), reach, share)


def cast(faces: ClipFaces, source: Source, chosen: Chosen, heard: Speech, options: LipSyncOptions) -> list[Actor]:
    """One actor for each face that speaks."""
    tracks = speaking_tracks(faces, source, heard.frame_count, options)
    return cast_tracks(tracks, source, chosen, heard, options)


def cast_tracks(
    tracks: list[FaceTrack], source: Source, chosen: Chosen, heard: Speech, options: LipSyncOptions
) -> list[Actor]:
    """One actor for each of these faces, one row for each frame of the result."""
    return [_actor(track, source, chosen, heard, options) for track in tracks]


def with_enhancer(actors: list[Actor], enhancer: ChosenEnhancer | None, options: LipSyncOptions) -> list[Actor]:
    """The same actors, their faces enhanced."""
    if enhancer is None or not options.enhance_strength:
        return actors
    return [_restored(actor, enhancer, options) for actor in actors]


def _restored(actor: Actor, enhancer: ChosenEnhancer, options: LipSyncOptions) -> Actor:
    """Its grain comes last, because an enhancer takes it for noise; detail has no colour of its own to match."""
    pasted = actor.blender.settings
    shape = options.enhance_region if options.enhance_region != "auto" else ""
    restoring = Restoring(
        Restorer(enhancer.enhancer, RestoreSettings(options.enhance_strength, options.enhance_stability)),
        plan_grid(map_points(invert(actor.plan.matrices), actor.plan.landmarks)),
        Blender(BlendSettings(colour_match=0.0, grain=pasted.grain, seed=pasted.seed)),
        MaskSettings(shape, options.feather) if shape else None,
    )
    size = BatchSize(min(actor.size.rows, _ENHANCED_AT_ONCE))
    return replace(actor, blender=Blender(replace(pasted, grain=0.0)), size=size, restoring=restoring)


def _actor(track: FaceTrack, source: Source, chosen: Chosen, heard: Speech, options: LipSyncOptions) -> Actor:
    size = (source.width, source.height)
    width = float(np.median(track.boxes_xyxy[:, 2] - track.boxes_xyxy[:, 0]))
    style = chosen.engine.crop_style(width)
    if style.kind == "box":
        pads = (options.pad_top, options.pad_bottom, options.pad_left, options.pad_right)
        track = replace(track, boxes_xyxy=pad_boxes(track.boxes_xyxy, pads, size))
    shape = MaskSettings(options.mask, options.feather, options.grow)
    user = user_mask(options, size, track.landmarks, shape)
    plan = plan_crops(track, style, size)
    return Actor(
        plan,
        track.active,
        _fade(track, source, options),
        chosen.engine.listen(heard),
        Blender(_blending(style, plan, options)),
        torch.float32,
        source.still,
        chosen.spec.mask,
        shape,
        size,
        user,
        BatchSize(_rows_at_once(plan.size, options.batch_size)),
        parts=_parts(plan, shape, options),
    )


def _parts(plan: CropPlan, shape: MaskSettings, options: LipSyncOptions) -> PartFinder | None:
    if shape.shape != "parsing" and not options.occlusion:
        return None
    return PartFinder(plan_grid(map_points(invert(plan.matrices), plan.landmarks)), shape, options.occlusion)


def prepare(cast: list[Actor], runtime: Runtime) -> None:
    """Load what the masks need; without its weights, a WeightsError that says how to get them. Says what fades."""
    faded = sum(int((actor.active & (actor.fade < 1)).sum()) for actor in cast)
    if faded:
        runtime.warn(
            f"{faded} frames keep some or all of the original mouth, because the head is turned away there. "
            "Raise the turned-away limit (yaw_limit) to replace it further."
        )
    finders = [actor.parts for actor in cast if actor.parts]
    for finder in finders:
        finder.parser = finders[0].parser or find_parser(runtime)


def _blending(style: CropStyle, plan: CropPlan, options: LipSyncOptions) -> BlendSettings:
    """What is cut at the frame's own scale keeps the frame's own colours and grain: there is nothing to match."""
    colour = options.colour_match if style.kind == "box" else 0.0
    grain = options.grain if style.kind == "box" or plan.halvings else 0.0
    return BlendSettings(colour, options.paste, grain=grain, seed=options.seed)


def _fade(track: FaceTrack, source: Source, options: LipSyncOptions) -> Float:
    """(N,) share of the new face: less where a head turns away. A picture speaks however it is turned."""
    limit = 90.0 if source.still else options.yaw_limit
    return fade_with_yaw(track.landmarks, limit, options.yaw_fade)


def _rows_at_once(side: int, wished: int) -> int:
    """Crops of so many px that go through at once.

    Well below 32 MB: from there on glibc maps every tensor afresh, and touching new pages costs more than the work,
    measured 4 to 14 ms a frame for crops of 800 px.
    """
    return max(1, min(wished, _CHEAP_BYTES // (12 * side * side)))


def user_mask(
    options: LipSyncOptions, size: tuple[int, int], landmarks: Float, shape: MaskSettings
) -> torch.Tensor | None:
    """The user's own mask for frames of a size, softened for faces with landmarks (N, 5, 2); None without one."""
    if options.mask != "user":
        return None
    grey = read_image(options.mask_file).max(axis=2)
    return soften_user_mask(grey, size, float(np.median(face_widths(landmarks))), shape)


def speaking_tracks(faces: ClipFaces, source: Source, total: int, options: LipSyncOptions) -> list[FaceTrack]:
    """The chosen faces, smoothed, gaps settled, one row for each frame of the result."""
    fps = None if source.still else source.fps
    searched = Searched(shown_name(source.path), fps, options.detector, options.face_threshold)
    require_face(faces, searched)
    point = options.numbers("face_point", 2) if options.which_face == "point" else None
    chosen = select_faces(
        faces.tracks,
        options.which_face,
        (source.width, source.height),
        options.face_index,
        (point[0], point[1]) if point else None,
    )
    window = window_frames(options.smoothing, source.fps)
    rows = source_indices(options.fit, 0, total, faces.frame_count)
    settled = (apply_policy(track, options.no_face, faces.cuts, searched) for track in chosen)
    return [_rows(smooth_track(track, window, faces.cuts), rows) for track in settled]


def _rows(track: FaceTrack, rows: Index) -> FaceTrack:
    return FaceTrack(track.boxes_xyxy[rows], track.landmarks[rows], track.found[rows], track.active[rows])
