"""Command line arguments of the extension. A1111 and Forge call `preload` before they read their command line."""

from __future__ import annotations

import argparse


def preload(parser: argparse.ArgumentParser) -> None:
    """Add our arguments; the host keeps the values in `shared.cmd_opts`."""
    group = parser.add_argument_group("Lip Sync")
    group.add_argument(
        "--lipsync-models-dir",
        metavar="DIR",
        default=None,
        help="folder with lip-sync checkpoints, looked at before models/LipSync",
    )
    group.add_argument(
        "--lipsync-input-dir",
        metavar="DIR",
        default=None,
        help="folder whose files the lip-sync API may read by name (default: inputs/lipsync in the data folder)",
    )
