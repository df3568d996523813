"""The host's command line, as far as the extension looks at it."""

import argparse


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    for flag in ("--api", "--nowebui", "--listen", "--share", "--hide-ui-dir-config", "--freeze-settings"):
        made.add_argument(flag, action="store_true")
    for flag in ("--api-auth", "--gradio-auth", "--cors-allow-origins", "--cors-allow-origins-regex", "--ngrok"):
        made.add_argument(flag, default=None)
    made.add_argument("--server-name", default=None)
    made.add_argument("--data-dir", default="")
    return made
