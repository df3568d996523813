"""From a voice, chance and the user's wishes to coefficients: one row of 70 for every 1/25 s of a clip.

Columns: expression 64, angles 3 (pitch, yaw, roll in rad), position 3. In the `full` modes three more say how the face
was cut out; they are the portrait's own throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...timing import mel_windows
from ...types import Float, Speech
from ..base import Driving, EngineSettings
from .motion import RATE, blinks, latent, played_again, pose_motion, rows_for, smoothed
from .parts import Parts

EXPRESSION, POSE = slice(0, 64), slice(64, 70)
# The networks hear a window that begins two rows before the frame. The paper's program rounds the first two starts
# towards zero, which puts them 12.5 ms late; here all are rounded down, as everywhere in `timing`.
_LEAD_MS = -80.0
_SILENCE = -4.0
_ROWS_AT_ONCE = 256

Step = Callable[[int], None]


@dataclass(frozen=True)
class Wishes:
    """Everything that shapes the coefficients. source: (70,), the portrait's own."""

    source: Float
    speech: Speech
    settings: EngineSettings
    driving: Driving

    @property
    def rows(self) -> int:
        return rows_for(self.speech.frame_count, self.speech.fps)

    def mel(self, first: int, end: int) -> Float:
        """(n, 1, 80, 16), what is heard at rows first to end."""
        return mel_windows(self.speech.mel, first, end - first, RATE, self.speech.mel_offset_ms + _LEAD_MS)


def coefficients(wishes: Wishes, networks: Parts, step: Step = lambda _: None) -> Float:
    """(T, 70) float32, T rows at 25 a second. step: called with rows done, may raise to stop."""
    settings = wishes.settings
    expression = _expression(wishes, networks, step) * np.float32(settings.head.expression_scale)
    return np.concatenate([expression, _pose(wishes, networks, step)], axis=1)


def _expression(wishes: Wishes, networks: Parts, step: Step) -> Float:
    if wishes.driving.all is not None:
        return played_again(wishes.driving.all[:, EXPRESSION], wishes.rows)
    shut = blink_curve(wishes, networks)
    out = np.empty((wishes.rows, 64), np.float32)
    for first in range(0, wishes.rows, _ROWS_AT_ONCE):
        step(first)
        end = min(wishes.rows, first + _ROWS_AT_ONCE)
        mel, blink = wishes.mel(first, end), shut[first:end]
        heard = networks.express(mel, wishes.source[EXPRESSION], blink)
        if wishes.settings.strength != 1:
            closed = networks.express(np.full_like(mel, _SILENCE), wishes.source[EXPRESSION], blink)
            heard = closed + np.float32(wishes.settings.strength) * (heard - closed)
        out[first:end] = heard
    return out


def blink_curve(wishes: Wishes, networks: Parts) -> Float:
    """(T,) how far the eyes are shut: of a video, else by chance."""
    if wishes.driving.blink is not None:
        shut = blinks_of(wishes.driving.blink[:, EXPRESSION], wishes.source[EXPRESSION], networks)
        return played_again(shut[:, None], wishes.rows)[:, 0]
    return blinks(wishes.rows, wishes.settings.seed, wishes.settings.blink)


def blinks_of(expressions: Float, reference: Float, networks: Parts) -> Float:
    """(n,) in [0, 1]: how far the expressions (n, 64) of a video go the way that shutting the eyes goes.

    What the expression network adds for a shut eye is that way; everything else in the video's faces stays out of it.
    The paper's program took the video's whole expressions, mouth and brows included.
    """
    mel = np.full((2, 1, 80, 16), _SILENCE, np.float32)
    opened, shut = networks.express(mel, reference, np.array([0.0, 1.0], np.float32))
    way = (shut - opened).astype(np.float64)
    along = expressions @ way / max(float(way @ way), 1e-9)
    return np.asarray(np.clip(along - np.quantile(along, 0.3), 0, 1), np.float32)  # eyes are mostly open


def _pose(wishes: Wishes, networks: Parts, step: Step) -> Float:
    own = wishes.source[POSE]
    if wishes.settings.head.still:
        return np.repeat(own[None], wishes.rows, axis=0)
    if wishes.driving.all is not None:
        seen = smoothed(wishes.driving.all[:, POSE])
        # Angles as they are in the video; the place of the head counts from where the portrait has it.
        followed = np.concatenate([seen[:, :3], own[3:] + seen[:, 3:] - seen[:1, 3:]], axis=1)
        return played_again(followed.astype(np.float32), wishes.rows)
    amount = np.float32(wishes.settings.sway)
    if wishes.driving.pose is not None:
        seen = smoothed(wishes.driving.pose[:, POSE])
        return np.asarray(own + amount * played_again(seen - seen[:1], wishes.rows), np.float32)
    if not amount:
        return np.repeat(own[None], wishes.rows, axis=0)
    return np.asarray(own + amount * _heard_motion(wishes, networks, step), np.float32)


def _heard_motion(wishes: Wishes, networks: Parts, step: Step) -> Float:
    chance, style = latent(wishes.settings.seed), wishes.settings.head.pose_style
    return pose_motion(
        wishes.rows,
        hear=lambda first, end: networks.hear_pose(wishes.mel(first, end)),
        decode=lambda heard: networks.pose(heard, wishes.source[POSE], chance, style),
        step=step,
    )
