"""The ComfyUI node pack. Imported by ComfyUI alone; `nodes` is a name of ComfyUI's, so imports here are relative."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import blend, engine, enhance, faces, fit, hero, host, masks, portrait, score, server

NODES: list[type[io.ComfyNode]] = [
    hero.LipSyncVideo,
    portrait.LipSyncPortrait,
    engine.LipSyncLoadModel,
    faces.LipSyncDetectFaces,
    faces.LipSyncSelectFace,
    faces.LipSyncAdjustFaces,
    engine.LipSyncMel,
    engine.LipSyncGenerate,
    enhance.LipSyncEnhance,
    masks.LipSyncMouthMask,
    blend.LipSyncBlendImages,
    blend.LipSyncBlendVideo,
    fit.LipSyncFit,
    score.LipSyncScore,
]


class LipSyncExtension(ComfyExtension):
    """What ComfyUI loads."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return list(NODES)


def extension() -> LipSyncExtension:
    """Make the models' folder known, add the routes, and hand over the nodes."""
    host.add_model_folder()
    server.add_routes()
    return LipSyncExtension()
