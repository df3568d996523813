"""ComfyUI's page in a headless Chromium, for the tests that COMFYUI_DIR switches on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from comfy_host import Host, Json

EMPTY = {"last_node_id": 0, "last_link_id": 0, "nodes": [], "links": [], "groups": [], "config": {}, "version": 0.4}
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
# A node's corner or slot -> pixels of the page, on the classic canvas and in Nodes 2.0 alike.
_TO_PAGE = """([id, what, slot]) => {
  const node = app.graph.getNodeById(id), { scale, offset } = app.canvas.ds;
  const [x, y] = what === "title" ? [node.pos[0] + 60, node.pos[1] - 14]
    : what === "output" ? node.getOutputPos(slot) : node.getInputPos(slot);
  const rect = app.canvas.canvas.getBoundingClientRect();
  return [rect.left + (x + offset[0]) * scale, rect.top + (y + offset[1]) * scale];
}"""


class Page:
    """The page with an empty canvas. faults: what went wrong in our own scripts."""

    def __init__(self, page: Any, host: Host) -> None:
        self.page, self.host = page, host
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self._note(f"{error}\n{error.stack}"))

    def _note(self, text: str) -> None:
        if "/extensions/sd-lipsync/" in text:
            self.faults.append(text)

    def open(self, nodes_2: bool) -> None:
        self.page.goto(f"http://127.0.0.1:{self.host.port}/")
        self.page.wait_for_function("window.app?.extensionManager && window.app.graph", timeout=60_000)
        self.page.wait_for_function("'LipSyncVideo' in LiteGraph.registered_node_types", timeout=60_000)
        self.do("v => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', v)", nodes_2)
        self.do("() => app.extensionManager.setting.set('Comfy.Minimap.Visible', false)")
        self.load(EMPTY)

    def do(self, script: str, value: Any = None) -> Any:
        return self.page.evaluate(script, value)

    def load(self, workflow: Json) -> None:
        self.do("workflow => app.loadGraphData(workflow)", workflow)
        self.page.wait_for_timeout(800)
        self.do("() => Object.assign(app.canvas.ds, { scale: 0.9, offset: [60, 95] })")

    def add(self, kind: str, at: tuple[int, int], **values: Any) -> int:
        """A node with values in its widgets; gives its number."""
        script = """([kind, at, values]) => {
          const node = LiteGraph.createNode(kind);
          node.pos = at;
          app.graph.add(node);
          for (const [name, value] of Object.entries(values)) {
            const widget = node.widgets.find((each) => each.name === name);
            widget.value = value;
            widget.callback?.(value);
          }
          return node.id;
        }"""
        return int(self.do(script, [kind, list(at), values]))

    def drop(self, words: str, at: tuple[int, int]) -> int:
        """Search for a node as people do: double click, type, Enter; a click where the page asks for the place."""
        self.page.mouse.dblclick(*at)
        self.page.wait_for_timeout(600)
        self.page.keyboard.type(words, delay=15)
        self.page.wait_for_timeout(900)
        self.page.keyboard.press("Enter")
        self.page.wait_for_timeout(500)
        if self.do("() => Boolean(app.graph._nodes.at(-1).flags?.ghost)"):
            self.page.mouse.click(*at)
            self.page.wait_for_timeout(400)
        return int(self.do("() => app.graph._nodes.at(-1).id"))

    def point(self, node: int, what: str, slot: int = 0) -> tuple[float, float]:
        x, y = self.do(_TO_PAGE, [node, what, slot])
        return float(x), float(y)

    def wire(self, origin: int, out: int, target: int, into: str) -> None:
        """Draw a wire with the mouse."""
        slot = self.do(
            "([id, name]) => app.graph.getNodeById(id).inputs.findIndex((each) => each.name === name)", [target, into]
        )
        for _ in range(3):  # a busy machine may miss the first
            self.page.mouse.move(*self.point(origin, "output", out))
            self.page.wait_for_timeout(100)
            self.page.mouse.down()
            self.page.mouse.move(*self.point(target, "input", slot), steps=8)
            self.page.wait_for_timeout(100)
            self.page.mouse.up()
            self.page.wait_for_timeout(300)
            if into in self.connected(target):
                return

    def connected(self, node: int) -> list[str]:
        script = "id => app.graph.getNodeById(id).inputs.filter((each) => each.link != null).map((each) => each.name)"
        return [str(name) for name in self.do(script, node)]

    def values(self, node: int) -> Json:
        script = "id => Object.fromEntries(app.graph.getNodeById(id).widgets.map((each) => [each.name, each.value]))"
        return dict(self.do(script, node))

    def run(self) -> None:
        """Press Run."""
        new = self.page.locator("[data-testid=queue-button]")
        button = new if new.count() else self.page.get_by_role("button", name="Run", exact=True)
        button.first.click()

    def stop(self) -> None:
        """Press the cross beside Run."""
        self.page.locator('button[aria-label="Cancel current run"]').first.click()

    def wait_for(self, script: str, seconds: float = 90) -> None:
        self.page.wait_for_function(script, timeout=seconds * 1000)

    def notes(self) -> list[str]:
        script = "() => [...document.querySelectorAll('.lipsync-note')].map((each) => each.textContent)"
        return [str(text) for text in self.do(script)]

    def picture(self, name: str) -> None:
        """Keep what the page shows, where LIPSYNC_SHOTS names a folder."""
        folder = os.environ.get("LIPSYNC_SHOTS")
        if folder:
            self.page.screenshot(path=Path(folder) / f"{name}.png", timeout=60_000)


def chromium() -> str | None:
    """Where a Chromium lies on this machine."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for found in map(shutil.which, names) if found), None)


@contextmanager
def browser(size: tuple[int, int] = (1280, 800)) -> Iterator[Any]:
    """Gives fresh pages: call it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=chromium(), args=_FLAGS)
        context = running.new_context(viewport={"width": size[0], "height": size[1]})
        try:
            yield context.new_page
        finally:
            running.close()
