"""Eyes, nose and mouth corners for a box that came without them: a small network that ships in models/.

It was taught on drawn heads (training/landmarks_train.py), so it knows photographs, paintings and cartoons alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import WeightsError
from ..runtime import default_model_dir
from ..types import Float, Pixels
from .pose import estimate_yaw

Points = NDArray[np.float64]  # (..., 2), x then y

FILE = "landmarks.safetensors"

# Where eyes and mouth lie in a box, and how far the eyes are apart: (eye row, mouth row) as shares of its height,
# eye distance as a share of its width. A cascade's window is square and wide; S3FD and YuNet fit the face's outline.
_SQUARE = (0.41, 0.78, 0.37)
_TALL = (0.40, 0.755, 0.465)
_TALL_FROM = 1.15  # height / width

_CROP = 2.6  # side of what the network sees, in eye distances, as it was taught
_STARTS = (0.0, -0.45, 0.45)  # rad, head tilts tried at the first look
_LOOKS = 2  # after that, at most; each is framed by the one before
_CLOSE = 0.06  # of a look's side: what sees this little else needs no other look
_HALF_SURE = 0.05  # doubt, as a share of the crop's side, at which the confidence is 0.5
_TRUST = (0.15, 0.4)  # confidence from which the network counts at all, and alone
_KNOWN_YAW, _YAW_FADE = 45.0, 10.0  # degrees: turned further, its answers stay near 25
_BOX_WIDTH, _BOX_HEIGHT, _BOX_EYES = 2.05, 2.75, 0.40  # a face's box in eye distances, and where the eyes are in it


@dataclass(frozen=True)
class _Frame:
    """What the network is shown: a turned square of the picture."""

    x: float
    y: float
    side: float
    angle: float

    def to_picture(self, points: Points) -> Points:
        """(K, 2) in [0, 1] of the square -> pixels of the picture."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        local = (points - 0.5) * self.side
        return np.asarray(local @ np.array([[cos, sin], [-sin, cos]]) + (self.x, self.y))

    def is_close_to(self, other: _Frame) -> bool:
        apart = math.hypot(self.x - other.x, self.y - other.y) / other.side
        return max(apart, abs(self.side / other.side - 1), abs(self.angle - other.angle) / 2) < _CLOSE


class LandmarkFinder:
    """Finds the five points of a face in its box.

    path: the network's file; None: the one that ships in models/. device: a torch device name. A few ms for a face on
    one core.
    """

    def __init__(self, path: Path | None = None, device: str = "cpu") -> None:
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from ..networks.landmarks import LandmarkNet

        path = path or default_model_dir() / FILE
        try:
            tensors = load_file(str(path))
            network = LandmarkNet()
            network.load_state_dict({name: value.float() for name, value in tensors.items()}, strict=False)
        except (OSError, SafetensorError, RuntimeError) as error:
            raise WeightsError(
                f"{path.name}: the landmark finder cannot be read ({error}). Restore models/{FILE} from the repository."
            ) from None
        self.network = network.eval().to(torch.device(device))
        self.device = device

    def find(self, frame: Pixels, boxes_xyxy: Float) -> tuple[Float, Float]:
        """(H, W, 3) uint8 RGB and (K, 4) boxes of faces -> landmarks (K, 5, 2) in pixels, confidence (K,) in [0, 1].

        Where the network is unsure (confidence below 0.4), the points move towards their usual place in such a box,
        and are that place below 0.15.
        """
        return self._gathered([self._in_box(frame, box, usual_landmarks(box)) for box in boxes_xyxy])

    def refine(self, frame: Pixels, boxes_xyxy: Float, landmarks: Float) -> tuple[Float, Float]:
        """As `find`, starting from landmarks (K, 5, 2) that are about right, and staying there where it is unsure, or
        where the head is turned further than any that it was taught on."""
        found = []
        for box, points in zip(boxes_xyxy, landmarks.astype(np.float64), strict=True):
            found.append(self._settled(frame, box, _frame_around(points), points))
        better, sure = self._gathered(found)
        known = 1 - np.clip((np.abs(estimate_yaw(landmarks)) - _KNOWN_YAW) / _YAW_FADE, 0, 1).astype(np.float32)
        return landmarks + known[:, None, None] * (better - landmarks), sure * known

    def _gathered(self, found: list[tuple[Points, float]]) -> tuple[Float, Float]:
        points = np.array([row[0] for row in found], dtype=np.float32).reshape(-1, 5, 2)
        return points, np.array([row[1] for row in found], dtype=np.float32)

    def _in_box(self, frame: Pixels, box: Float, usual: Points) -> tuple[Points, float]:
        """The head may be tilted either way, so several first looks compete."""
        start = _frame_around(usual)
        points, _ = self._best(frame, [_Frame(start.x, start.y, start.side, angle) for angle in _STARTS])
        return self._settled(frame, box, _frame_around(points), usual)

    def _settled(self, frame: Pixels, box: Float, look: _Frame, usual: Points) -> tuple[Points, float]:
        """Look again, each time framed by the look before. `usual`: what counts where the network is unsure."""
        points, doubt = self._best(frame, [look])
        for _ in range(_LOOKS - 1):
            framed = _frame_around(points)
            if framed.is_close_to(look):
                break
            points, doubt = self._best(frame, [framed])
            look = framed
        confidence = 1 / (1 + (doubt / _HALF_SURE) ** 2) * _inside(points, box)
        weight = float(np.clip((confidence - _TRUST[0]) / (_TRUST[1] - _TRUST[0]), 0, 1))
        return weight * points + (1 - weight) * usual, confidence

    def _best(self, frame: Pixels, looks: list[_Frame]) -> tuple[Points, float]:
        """Points in the picture and doubt of the look that the network is surest of."""
        points, doubt = self._ask(np.stack([_cut(frame, look) for look in looks]))
        best = int(doubt.argmin())
        return looks[best].to_picture(points[best]), float(doubt[best])

    def _ask(self, crops: Pixels) -> tuple[Points, Points]:
        """(K, S, S, 3) -> (K, 5, 2) in [0, 1] and (K,): the mean of a crop's answer and its mirror image's."""
        import torch

        both = np.concatenate([crops, crops[:, :, ::-1]])
        pixels = torch.from_numpy(both).to(self.device).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            points, spread = (tensor.cpu().double().numpy() for tensor in self.network(pixels))
        count = len(crops)
        mirrored = points[count:][:, [1, 0, 2, 4, 3]] * (-1, 1) + (1, 0)
        apart = np.linalg.norm(points[:count] - mirrored, axis=2).mean(axis=1) / 2
        return (points[:count] + mirrored) / 2, spread.reshape(2, count, -1).mean(axis=(0, 2)) + apart


def usual_landmarks(box_xyxy: Float) -> Points:
    """(4,) box -> (5, 2) landmarks in pixels where an upright face in such a box mostly has them."""
    left, top, right, bottom = (float(value) for value in box_xyxy)
    width, height = right - left, bottom - top
    eyes, mouth, apart = _TALL if height > _TALL_FROM * width else _SQUARE
    x, half = (left + right) / 2, apart * width / 2
    eye_y, mouth_y = top + eyes * height, top + mouth * height
    nose_y = eye_y + 0.6 * (mouth_y - eye_y)
    corners = 0.82 * half
    return np.array([[x - half, eye_y], [x + half, eye_y], [x, nose_y], [x - corners, mouth_y], [x + corners, mouth_y]])


def face_box(landmarks: Float) -> Float:
    """(K, 5, 2) landmarks -> (K, 4) upright boxes from the hair line to the chin, as S3FD and YuNet draw them."""
    eyes, mouth, unit = _middles(np.asarray(landmarks, dtype=np.float64))
    down = mouth - eyes
    # On a tilted head the middle of the box moves along the face's own axis.
    centre = eyes + down * ((0.5 - _BOX_EYES) * _BOX_HEIGHT)
    half = np.stack([unit * _BOX_WIDTH / 2, unit * _BOX_HEIGHT / 2], axis=1)
    return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)


def _middles(points: Points) -> tuple[Points, Points, Points]:
    """(..., 5, 2) -> middle of the eyes, of the mouth, and the eye distance of that head seen from the front."""
    eyes, mouth = points[..., :2, :].mean(axis=-2), points[..., 3:, :].mean(axis=-2)
    across = np.linalg.norm(points[..., 1, :] - points[..., 0, :], axis=-1)
    down = np.linalg.norm(mouth - eyes, axis=-1)
    return eyes, mouth, (across + down) / 2


def _frame_around(points: Points) -> _Frame:
    eyes, mouth, unit = _middles(points)
    right = (points[1] - points[0]) + (points[4] - points[3])
    down = mouth - eyes
    angle = math.atan2(right[1] - down[0], right[0] + down[1])
    middle = (eyes + mouth) / 2
    return _Frame(float(middle[0]), float(middle[1]), max(4.0, _CROP * float(unit)), angle)


def _cut(frame: Pixels, look: _Frame) -> Pixels:
    """The square as the network wants it, (64, 64, 3); pixels are averaged, not skipped, when it is larger."""
    from ..networks.landmarks import INPUT_PX

    fine = INPUT_PX * int(np.clip(round(look.side / INPUT_PX), 1, 8))
    cos, sin, scale = math.cos(look.angle), math.sin(look.angle), look.side / fine
    # cv2 counts from the middle of the first pixel, we from its corner.
    half = (fine - 1) / 2
    x = look.x - 0.5 - scale * half * (cos - sin)
    y = look.y - 0.5 - scale * half * (sin + cos)
    matrix = np.array([[scale * cos, -scale * sin, x], [scale * sin, scale * cos, y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(frame, matrix, (fine, fine), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    if fine > INPUT_PX:
        crop = cv2.resize(crop, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(crop, dtype=np.uint8)


def _inside(points: Points, box: Float) -> float:
    """1 for a face of about the box's size in about its place, down to 0 for one that wandered off."""
    eyes, mouth, unit = _middles(points)
    usual_eyes, usual_mouth, usual_unit = _middles(usual_landmarks(box))
    away = float(np.linalg.norm((eyes + mouth - usual_eyes - usual_mouth) / 2)) / float(usual_unit)
    resized = abs(math.log(max(float(unit), 1e-3) / max(float(usual_unit), 1e-3)))
    return float(np.clip(1.6 - max(away / 0.8, resized / 0.6), 0, 1))
