"""A page in a real headless Chromium, driven over the DevTools protocol through a pipe.

`Page` is a browser with one page, which opens files and has what a person has: eyes (`text`,
`screenshot`), and a mouse and keyboard (`click`, `type`). `value` asks the page itself. Nothing is
loaded from anywhere else.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from itertools import count
from pathlib import Path
from typing import Any, Optional

import pytest

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]
SETTLED = """(async () => {
  await window.pageReady;
  const {drawing, showing} = window.elementUnits || {};
  for (const waits of [drawing, showing].filter(Boolean))
    for (let one = null; one !== waits();) await (one = waits());
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
})()"""
KEYS = {
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    " ": (32, " "),
    "End": (35, ""),
    "Home": (36, ""),
    "ArrowLeft": (37, ""),
    "ArrowUp": (38, ""),
    "ArrowRight": (39, ""),
    "ArrowDown": (40, ""),
}
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="no chromium here")


class Page:
    """A page in a browser of its own."""

    def __init__(self, profile: Path, size: tuple[int, int] = (1400, 900)) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        arguments = [
            *FLAGS,
            f"--user-data-dir={profile}",
            f"--window-size={size[0]},{size[1]}",
            "about:blank",
        ]
        # Chromium reads commands from descriptor 3 and writes answers to 4.
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "-", str(PROGRAM), *arguments],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._numbers = count(1)
        self._read = b""
        self._session: Optional[str] = None
        self.events: list[dict[str, Any]] = []
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        width, height = size
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def open(self, path: Path, fragment: str = "") -> None:
        """Open a file, at a fragment of it that is not open yet, and let it draw."""
        if fragment:
            self.call("Page.navigate", url="about:blank")  # or the browser would not load it again
            self.settle()
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri() + fragment)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._receive()
        self.settle()

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def call(self, method: str, **params: Any) -> Any:
        """Send a command of the protocol and return its answer."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            piece = os.read(self._answers, 1 << 20)
            assert piece, "Chromium has ended"
            self._read += piece
        message, self._read = self._read.split(b"\0", 1)
        answer: dict[str, Any] = json.loads(message)
        if "method" in answer:
            self.events.append(answer)
        return answer

    def value(self, expression: str) -> Any:
        """The value of an expression in the page. Awaits promises."""
        done = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def settle(self) -> None:
        """Wait until the page has laid out and drawn everything."""
        self.value(SETTLED)

    def text(self, selector: str) -> str:
        """The text that a person sees in an element."""
        return self.value(f"document.querySelector({json.dumps(selector)}).innerText")

    def click(self, x: float, y: float, times: int = 1) -> None:
        """Click there with the mouse; several times as fast as a person, however slow the page."""
        start = time.time()
        for number in range(1, times + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self.call(
                    "Input.dispatchMouseEvent",
                    type=kind,
                    x=x,
                    y=y,
                    button="left",
                    clickCount=number,
                    timestamp=start + number / 20,
                )
        self.settle()

    def click_on(self, selector: str, text: str) -> None:
        """Click on the element that a selector finds and that has this text."""
        box = self.value(
            f"""(() => {{
              const found = [...document.querySelectorAll({json.dumps(selector)})]
                .find(one => one.innerText.trim() === {json.dumps(text)});
              found.scrollIntoView({{block: "nearest"}});
              const {{x, y, width, height}} = found.getBoundingClientRect();
              return [x + width / 2, y + height / 2];
            }})()"""
        )
        self.click(*box)

    def type(self, text: str) -> None:
        """Type on the keyboard. The element with the focus gets it."""
        self.call("Input.insertText", text=text)
        self.settle()

    def press(self, key: str, times: int = 1) -> None:
        """Press a key, as `Enter` or `ArrowDown`, several times."""
        code, text = KEYS[key]
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                self.call(
                    "Input.dispatchKeyEvent",
                    type=kind,
                    key=key,
                    code=key,
                    windowsVirtualKeyCode=code,
                    **({"text": text} if text and kind == "keyDown" else {}),
                )
            self.settle()

    def prefer(self, scheme: str) -> None:
        """Set what the system prefers: `light` or `dark`."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])
        self.settle()

    def screenshot(self, path: Path) -> None:
        """Write a picture of the page, as PNG."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings of the page, and what it has asked the network for."""
        said = [
            json.dumps(event["params"])
            for event in self.events
            if event["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")
            or (event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] != "log")
        ]
        asked = [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return said + [url for url in asked if not url.startswith(("file:", "data:"))]
