"""The host's folders; tests set them to a folder of their own before the extension asks."""

import os
import tempfile
from pathlib import Path

data_path = os.environ.get("LIPSYNC_TEST_DATA") or tempfile.mkdtemp(prefix="webui-data-")
script_path = str(Path(__file__).resolve().parents[1])
models_path = str(Path(data_path) / "models")
extensions_dir = str(Path(data_path) / "extensions")
