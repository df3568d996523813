"""The A1111 and Forge door: tab, settings, send-to buttons, API. Loaded by scripts/lipsync.py through `register`.

The host takes this folder off sys.path once the scripts are loaded: import submodules, never a new top-level package.
"""

TITLE = "Lip Sync"  # of the tab, the settings section and the API's tag
