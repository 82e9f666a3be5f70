"""A headless Chromium, driven over its debugging protocol: two pipes, JSON messages that end in a zero byte.

The protocol is described at https://chromedevtools.github.io/devtools-protocol/. Nothing but the browser
itself is needed.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--mute-audio", "--hide-scrollbars", "--remote-debugging-pipe"]
# The browser reads commands from its descriptor 3 and writes answers to 4.
START = "import os, sys; r, w, *argv = sys.argv[1:]; os.dup2(int(r), 103); os.dup2(int(w), 104); " \
        "os.dup2(103, 3); os.dup2(104, 4); os.execv(argv[0], argv)"
PATIENCE = 30       # seconds until an answer must have come
KEYS = {"ArrowUp": 38, "ArrowDown": 40, "ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Tab": 9,
        "Delete": 46, "Home": 36, "End": 35, "PageUp": 33, "PageDown": 34, "Backspace": 8, " ": 32}


class Browser:
    """A browser with one page.

    Attributes
    ----------
    complaints : list of str, errors and warnings of the console, and exceptions, since the page was opened
    requests : list of str, the addresses that the page has asked for, its own file left out
    """

    def __init__(self, program: str, profile: Path):
        self._profile = profile
        to_browser, self._to = os.pipe()
        self._from, from_browser = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, str(to_browser), str(from_browser), program, *FLAGS,
             f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self._received = b""
        self._number = 0
        self._events: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        self.requests: list[str] = []
        (target,) = [target for target in self._call("Target.getTargets", session=None)["targetInfos"]
                     if target["type"] == "page"]
        self._session = None
        self._session = self._call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in "Page", "Runtime", "Log", "Network":
            self._call(f"{domain}.enable")

    def close(self) -> None:
        """End the browser."""
        try:
            self._call("Browser.close", session=None)
            self._process.wait(10)
        except (OSError, RuntimeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._to)
        os.close(self._from)

    # ---- the protocol

    def _call(self, method: str, session: str | None = "own", **params: Any) -> dict[str, Any]:
        """Send a command and return the answer; events that come before it are noted."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session and self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._note(answer)

    _session: str | None = None

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._from], [], [], max(0, end - time.monotonic()))
            piece = os.read(self._from, 1 << 20) if ready else b""
            if not piece:
                raise RuntimeError("the browser has ended" if ready else f"no answer for {PATIENCE} seconds")
            self._received += piece
        message, self._received = self._received.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        method, params = event.get("method", ""), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(" ".join(
                str(part.get("value", part.get("description"))) for part in params["args"]))
        elif method == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif (method == "Network.requestWillBeSent" and params["request"]["url"] != self._url
              and not params["request"]["url"].startswith("data:")):
            self.requests.append(params["request"]["url"])
        self._events.append(event)

    # ---- what a test does

    _url = ""

    def open(self, path: Path, link: str = "", width: int = 1280, height: int = 900, dark: bool = False,
             touch: bool = False, scale: float = 1) -> None:
        """Open a file in a window of a size in CSS pixels, and wait until the page is complete."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
                   mobile=touch)
        self._call("Emulation.setTouchEmulationEnabled", enabled=touch)
        self._call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"}])
        for self._url, link in ("about:blank", ""), (path.resolve().as_uri(), link):
            self.complaints, self.requests, self._events = [], [], []
            self._call("Page.navigate", url=self._url + link)
            while not any(event.get("method") == "Page.loadEventFired" for event in self._events):
                self._note(self._receive())
        self.settle()

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; promises are awaited."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            thrown = answer["exceptionDetails"].get("exception", {})
            raise RuntimeError(thrown.get("description", str(answer)))
        return answer["result"].get("value")

    def settle(self) -> None:
        """Wait until the page has been redrawn, also what has only now come into sight."""
        self.run("""new Promise((done) => { let frames = 4;
            const tick = () => frames-- ? requestAnimationFrame(tick) : done(); tick(); })""")

    def all(self, selector: str, what: str = "e.textContent") -> list[Any]:
        """What a JavaScript expression gives for each element `e` of a selector."""
        return self.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => {what})")

    def text(self, selector: str) -> str:
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def value(self, selector: str) -> float:
        """The number that an element shows, in full."""
        return self.values(selector)[0]

    def values(self, selector: str) -> list[float]:
        """The numbers that elements show, in full."""
        shown = self.all(selector, "String(e.number ?? e.dataset.value)")
        return [float(value.replace("Infinity", "inf")) for value in shown]

    def place(self, selector: str) -> tuple[float, float]:
        """The centre of an element in the window, scrolled into view if need be."""
        x, y = self.run(f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            let box = element.getBoundingClientRect();
            const covered = element.closest("nav, #bar") ? 0 : 190;
            if (box.top < covered || box.bottom > innerHeight - 10) {{
                element.scrollIntoView({{block: "center"}});
            }}
            box = element.getBoundingClientRect();
            return [box.left + box.width / 2, box.top + box.height / 2]; }})()""")
        return x, y

    def _mouse(self, kind: str, x: float, y: float, buttons: int = 0) -> None:
        self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left" if buttons or
                   kind == "mouseReleased" else "none", buttons=buttons, clickCount=1)

    def move_to(self, selector: str) -> None:
        """Move the mouse over an element."""
        self._mouse("mouseMoved", *self.place(selector))
        self.settle()

    def click(self, selector: str) -> None:
        """Move the mouse over an element and press its button."""
        x, y = self.place(selector)
        self._mouse("mouseMoved", x, y)
        self._mouse("mousePressed", x, y, 1)
        self._mouse("mouseReleased", x, y)
        self.settle()

    def drag(self, selector: str, right: float, down: float, steps: int = 5) -> None:
        """Drag an element with the mouse by some pixels."""
        x, y = self.place(selector)
        self._mouse("mouseMoved", x, y)
        self._mouse("mousePressed", x, y, 1)
        for i in range(1, steps + 1):
            self._mouse("mouseMoved", x + right * i / steps, y + down * i / steps, 1)
        self._mouse("mouseReleased", x + right, y + down)
        self.settle()

    def touch_drag(self, selector: str, right: float, down: float, steps: int = 5) -> None:
        """Drag an element with a finger by some pixels."""
        x, y = self.place(selector)
        self._call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        for i in range(1, steps + 1):
            point = {"x": x + right * i / steps, "y": y + down * i / steps}
            self._call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[point])
        self._call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.settle()

    def tap(self, selector: str) -> None:
        """Touch an element with a finger."""
        self.touch_drag(selector, 0, 0, steps=0)

    def press(self, key: str, times: int = 1, shift: bool = False) -> None:
        """Press a key that is no letter."""
        for _ in range(times):
            for kind in "rawKeyDown", "keyUp":
                self._call("Input.dispatchKeyEvent", type=kind, key=key, code="Space" if key == " " else key,
                           windowsVirtualKeyCode=KEYS[key], modifiers=8 if shift else 0)
        self.settle()

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a list, which the browser shows outside of the page."""
        self.run(f"""(() => {{ const list = document.querySelector({json.dumps(selector)});
            list.value = {json.dumps(value)}; list.dispatchEvent(new Event("change")); }})()""")
        self.settle()

    def type(self, selector: str, text: str) -> None:
        """Click into a field and write a text in place of its own."""
        self.click(selector)
        self.run(f"document.querySelector({json.dumps(selector)}).select()")
        self._call("Input.insertText", text=text)
        self.settle()

    def main_thread_ms(self) -> float:
        """The milliseconds that the main thread of the page has run so far; Linux only."""
        ticks = 0
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                arguments = (folder / "cmdline").read_bytes()
                if b"--type=renderer" in arguments and str(self._profile).encode() in arguments:
                    fields = (folder / "task" / folder.name / "stat").read_text().rpartition(")")[2].split()
                    ticks += int(fields[11]) + int(fields[12])
            except OSError:     # the process has ended
                continue
        return 1000 * ticks / os.sysconf("SC_CLK_TCK")

    def screenshot(self, path: Path, selector: str = "", clip: tuple[float, ...] = ()) -> None:
        """Write what the window shows, or an element, or a clip x, y, width, height, to a PNG file."""
        options: dict[str, Any] = {}
        if selector:
            box = self.run(f"""(() => {{
                const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();
                return [box.left + scrollX, box.top + scrollY, box.width, box.height]; }})()""")
            clip = tuple(box)
        if clip:
            options = dict(clip=dict(zip(("x", "y", "width", "height"), clip), scale=1),
                           captureBeyondViewport=True)
        data = self._call("Page.captureScreenshot", format="png", **options)["data"]
        Path(path).write_bytes(base64.b64decode(data))
