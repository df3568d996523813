"""A mouth mask that follows the lips of the host's FACE_LANDMARKS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np
import torch

from ..lipsync_core.errors import InputError
from ..lipsync_core.face.mask import MaskSettings
from ..lipsync_core.geometry import map_points
from ..lipsync_core.modular import CropTrack
from ..lipsync_core.timing import source_indices
from ..lipsync_core.types import Float


def mouth_from_mesh(track: CropTrack, landmarks: Mapping[str, Any], settings: MaskSettings) -> torch.Tensor:
    """MASK (N, S, S): the hull of the lips, grown and softened as the settings say, in each crop."""
    frames = landmarks["frames"]
    lips = _points_of(landmarks.get("connection_sets", {}).get("lips", ()))
    if not lips:
        raise InputError("These landmarks do not say which points are the lips. Connect MediaPipe's, or none.")
    side = track.plan.size
    masks = torch.zeros(len(track), side, side)
    sources = source_indices(track.fit, 0, len(track), max(1, len(frames)))
    for row in np.flatnonzero(track.active).tolist():
        face = _nearest(frames[sources[row]], track, row)
        if face is not None:
            points = np.asarray(face["landmarks_xy"], np.float32)[lips]
            masks[row] = _drawn(map_points(track.plan.matrices[row : row + 1], points[None])[0], track, row, settings)
    return masks


def _points_of(connections: Iterable[Any]) -> list[int]:
    """Numbers of the points of a connection set, which is pairs of them."""
    return sorted({int(point) for pair in connections for point in (pair if isinstance(pair, Iterable) else (pair,))})


def _nearest(faces: list[Mapping[str, Any]], track: CropTrack, row: int) -> Mapping[str, Any] | None:
    """The face whose box is where the crop was cut."""
    if not faces:
        return None
    middle = track.plan.boxes_xyxy[row].reshape(2, 2).mean(axis=0)

    def away(face: Mapping[str, Any]) -> float:
        corners = np.asarray(face["bbox_xyxy"], np.float32).reshape(1, 2, 2)
        return float(np.linalg.norm(map_points(track.plan.matrices[row : row + 1], corners)[0].mean(axis=0) - middle))

    return min(faces, key=away)


def _drawn(points: Float, track: CropTrack, row: int, settings: MaskSettings) -> torch.Tensor:
    side = track.plan.size
    width = float(track.plan.boxes_xyxy[row, 2] - track.plan.boxes_xyxy[row, 0])
    mask = np.zeros((side, side), np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(points).astype(np.int32)), 1.0)
    grow, soft = round(settings.grow * width), settings.feather * width
    if grow:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(grow) + 1, 2 * abs(grow) + 1))
        mask = cv2.dilate(mask, kernel) if grow > 0 else cv2.erode(mask, kernel)
    return torch.from_numpy(cv2.GaussianBlur(mask, (0, 0), soft / 2) if soft >= 1 else mask)
