"""Larger relatives of the Wav2Lip generator, as layer tables: 256 px (LiveTalking), 288 px and the one with spatial
attention at 384 px (primepake). Method: Prajwal et al. 2020; spatial attention: Woo et al., "CBAM", 2018.
"""

from __future__ import annotations

from .blocks import Layer, down, point, same, up
from .wav2lip import Layout, from_point, hearing, to_point

_AUDIO = hearing(32, (2, 2, 2, 1), (Layer(256, 512, padding=0), point(512, 512)))


def layout_256() -> Layout:
    """53.6 M parameters, 256 px only."""
    return Layout(
        size=256,
        audio=_AUDIO,
        face=(
            (Layer(6, 16, kernel=7, padding=3),),
            tuple(down(16, 32, 2)),
            tuple(down(32, 64, 3)),
            tuple(down(64, 128, 2)),
            tuple(down(128, 256, 2)),
            tuple(down(256, 512, 1)),
            tuple(down(512, 512, 1)),
            to_point(512, kernel=4),
        ),
        decoder=(
            (point(512, 512),),
            from_point(1024, 512, kernel=4),
            tuple(up(1024, 512, 1)),
            tuple(up(1024, 512, 2)),
            tuple(up(768, 384, 2)),
            tuple(up(512, 256, 2)),
            tuple(up(320, 128, 2)),
            tuple(up(160, 64, 2)),
        ),
    )


def layout_288() -> Layout:
    """48.5 M parameters, 288 px only: 288 / 32 = 9, then 9 -> 5 -> 3 -> 1."""
    return Layout(
        size=288,
        audio=_AUDIO,
        face=(
            (Layer(6, 16, kernel=7, padding=3),),
            tuple(down(16, 32, 1, kernel=5)),
            tuple(down(32, 32, 2)),
            tuple(down(32, 64, 3)),
            tuple(down(64, 128, 2)),
            tuple(down(128, 256, 2)),
            tuple(down(256, 512, 1)),
            to_point(512),
            to_point(512),
        ),
        decoder=(
            (point(512, 512),),
            from_point(1024, 512),
            tuple(up(1024, 512, 2, grow=0)),
            tuple(up(1024, 512, 2, grow=0)),
            tuple(up(768, 384, 2)),
            tuple(up(512, 256, 2)),
            tuple(up(320, 128, 2)),
            tuple(up(160, 64, 2)),
            tuple(up(96, 64, 2)),
        ),
    )


def layout_sam(refine: bool = True) -> Layout:
    """172.7 M parameters, trained at 384 px, takes any multiple of 64 from 192.

    refine: whether the checkpoint has `audio_refine.*`; it does only if it was trained so.
    """
    last = (
        Layer(256, 512),
        *same(512, 2),
        Layer(512, 1024, padding=0),
        point(1024, 1024),
    )
    return Layout(
        size=384,
        audio=hearing(32, (2, 2, 2, 2), last),
        face=(
            (Layer(6, 16, kernel=7, padding=3), *same(16, 3)),
            tuple(down(16, 32, 3)),
            tuple(down(32, 64, 3)),
            tuple(down(64, 128, 3)),
            tuple(down(128, 256, 3)),
            tuple(down(256, 512, 3)),
            tuple(down(512, 1024, 3)),
            (*to_point(1024), point(1024, 1024)),
        ),
        decoder=(
            (point(1024, 1024),),
            from_point(2048, 1024),
            tuple(up(2048, 1024, 2)),
            tuple(up(1536, 768, 2)),
            tuple(up(1024, 512, 2)),
            tuple(up(640, 256, 2)),
            tuple(up(320, 128, 2)),
            tuple(up(160, 64, 2)),
        ),
        refine=(point(1024, 1024),) * 2 if refine else (),
        attention=True,
        audio_leak=0.2,
    )
