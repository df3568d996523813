"""Registers the Lip Sync tab with A1111 or Forge, and nothing else. Every .py in this folder is run by the host."""

from lipsync_webui.register import register

AnimateAfterGeneration = register()
