"""Sync Score."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..lipsync_core.metrics.score import PROTOCOLS, Judges, Score, Wish, score_video
from ..lipsync_core.metrics.syncnets import NETWORKS, load_network
from ..lipsync_core.options import from_mapping
from . import checkpoints, schema
from .hero import DETECTORS, WHICH
from .host import make_runtime, only, video_file
from .schema import Changed, hidden_option, option, output, socket

_ONE = tuple(which for which in WHICH if which != "all")


class LipSyncScore(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        s = io.Schema(
            node_id="LipSyncScore",
            display_name="Sync Score",
            category=f"{schema.CATEGORY}/score",
            description="Measures how well the lips of a finished video fit its sound, as papers do: LSE-D (smaller is "
            "better), LSE-C (larger is better), and by how many frames they are apart.",
            inputs=[
                socket(io.Video, "video", "video", "A video with sound."),
                schema.choice("network", "Network", "Who judges. syncnet gives LSE-D and LSE-C.", list(NETWORKS)),
                schema.choice("protocol", "Crops", "The tracked face, or whole frames.", list(PROTOCOLS)),
                option("which_face", Changed(choices=_ONE, help="Which face is judged.")),
                hidden_option("detector", Changed(choices=DETECTORS)),
            ],
            outputs=[
                output(io.Float, "distance", "LSE-D", "Mean distance of lips and sound; smaller is better."),
                output(io.Float, "confidence", "LSE-C", "How clearly one shift is the best; larger is better."),
                output(io.Int, "offset", "offset", "Frames at 25 a second by which the sound should move."),
                output(io.String, "report", "report", "All figures as text."),
            ],
        )
        return schema.finish(s, "lse-d", "lse-c", "syncnet", "evaluate", keeps_preview=True)

    @classmethod
    def execute(cls, video: Any, network: str, protocol: str, **values: Any) -> io.NodeOutput:
        wish = Wish(network, protocol, from_mapping({"detect_every": 1, **values}))
        runtime = make_runtime(only("faces"))
        with video_file(video) as path, checkpoints.missing_first():
            judges = Judges(load_network(network, "", runtime))
            score = score_video(path, None, wish, judges, runtime)[0]
        return io.NodeOutput(*_figures(score), _text(score), ui={"text": [_text(score)]})


def _figures(score: Score) -> tuple[float, float, int]:
    """The first three columns are the network's: distance, confidence, offset."""
    distance, confidence, offset = list(score.values.values())[:3]
    return distance, confidence, round(offset)


def _text(score: Score) -> str:
    return "\n".join(f"{name}: {value:.3f}" for name, value in score.values.items())
