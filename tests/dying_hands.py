"""A hand of `lipsync prepare` over which some videos have power: what a fault in a decoder does, at will."""

import os
import signal
import time

from lipsync_core.training import prepare, prepare_hands

serve_for_real = prepare_hands._serve


def serve(pipe, marks):
    """Like the true one, but a video with 'deadly' in its name ends the process, and one with 'endless' holds it."""
    read = prepare.clips_of

    def clips_of(video, *rest):
        if "deadly" in video[1]:
            os.kill(os.getpid(), signal.SIGKILL)
        if "endless" in video[1]:
            time.sleep(600)
        return read(video, *rest)

    prepare.clips_of = clips_of
    serve_for_real(pipe, marks)
