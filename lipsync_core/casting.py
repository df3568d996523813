"""Who speaks, and with what: one actor for each chosen face. Beside `assembly.py`, for the pipeline alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from .blend import Blender, BlendSettings
from .engines.base import Performance
from .engines.choose import Chosen
from .face.crop import CropPlan, plan_crops
from .face.mask import MaskSettings, SoftMask, choose_shape, face_widths, mask_faces, soften_user_mask
from .face.policy import Searched, apply_policy, require_face
from .face.pose import fade_with_yaw
from .face.select import select_faces
from .face.smooth import pad_boxes, smooth_track, window_frames
from .face.track import ClipFaces
from .media import shown_name
from .options import LipSyncOptions
from .runtime import BatchSize
from .timing import Index, source_indices
from .types import Bool, CropStyle, FaceBatch, FaceTrack, Float, Rendered, Speech
from .video.image import read_image
from .video.source import Source

_CHEAP_BYTES = 12 << 20  # of one batch of float32 crops


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

    @property
    def share(self) -> Float:
        """(N,) how much of the new face each frame takes."""
        return np.asarray(self.active * self.fade, np.float32)

    def mask(self, faces: FaceBatch, rendered: Rendered) -> SoftMask | None:
        shape = choose_shape(self.mask_settings, self.style_mask, rendered.alpha is not None)
        if shape is None:
            return None
        return mask_faces(faces, shape, self.mask_settings, self.frame_size, self.user_mask)


def cast(faces: ClipFaces, source: Source, chosen: Chosen, heard: Speech, options: LipSyncOptions) -> list[Actor]:
    """One actor for each face that speaks."""
    tracks = speaking_tracks(faces, source, heard.frame_count, options)
    return cast_tracks(tracks, source, chosen, heard, options)


def cast_tracks(
    tracks: list[FaceTrack], source: Source, chosen: Chosen, heard: Speech, options: LipSyncOptions
) -> list[Actor]:
    """One actor for each of these faces, one row for each frame of the result."""
    return [_actor(track, source, chosen, heard, options) for track in tracks]


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
    )


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
