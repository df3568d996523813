"""sd-lipsync: a portrait or a video plus speech becomes a talking video.

Importing this package loads nothing heavy: no torch, no OpenCV, no model. Use `lipsync_core.pipeline.lipsync`.
"""

__version__ = "0.1.0"
