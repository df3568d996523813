"""Ten minutes of a moving head need the memory of ten seconds, apart from what the voice itself takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_RUN = """
import json, sys
sys.path[:0] = [{root!r}, {tests!r}]
import pytest
from demo_media import quiet_runtime, short_voice
from pathlib import Path
from sadtalker_world import StubParts, portrait, use_stub
from lipsync_core.options import LipSyncOptions
from lipsync_core.pipeline import lipsync
folder, seconds = Path(sys.argv[1]), int(sys.argv[2])
use_stub(pytest.MonkeyPatch(), StubParts())
options = LipSyncOptions(engine="sadtalker", box="40,26,90,100", preset="ultrafast", preprocess=sys.argv[3])
voice = short_voice(folder / "voice.wav", seconds)
face = portrait(folder / "face.png")
report = lipsync(face, voice, folder / "out.mp4", options, quiet_runtime(folder), overwrite=True)
sys.stdout.write(json.dumps([report.frames, report.peak_memory_mb]) + "\\n")
"""


def peak_of(folder: Path, seconds: int, mode: str) -> float:
    """MB of a whole process."""
    program = _RUN.format(root=str(ROOT), tests=str(ROOT / "tests"))
    words = [sys.executable, "-c", program, str(folder), str(seconds), mode]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    frames, peak = json.loads(said.splitlines()[-1])
    assert frames == 25 * seconds
    return float(peak)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["full", "crop"])
def test_ten_minutes_need_the_memory_of_ten_seconds(tmp_path, mode):
    short, long = peak_of(tmp_path, 10, mode), peak_of(tmp_path, 600, mode)
    sys.stdout.write(f"{mode}: {short:.0f} MB, {long:.0f} MB\n")
    # A voice of 10 min is 38 MB of samples and 15 MB of mel, which every engine holds; a frame keeps 220 bytes.
    assert long - short < 120
