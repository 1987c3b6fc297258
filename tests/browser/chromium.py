"""
A browser that a program looks through: Debian's Chromium without a window, driven over its DevTools protocol.

Nothing but the packages that are there anyway is needed. The browser resolves no name, so that a page that would
fetch something from elsewhere shows it as missing here.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

#: What Debian and others call the program.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

#: Seconds after which what should stand on a page is missed; a page of the Prefect UI takes some.
PATIENCE = 40.0

#: The size of the window, that of a small desk's screen.
WIDTH, HEIGHT = 1440, 900

_FLAGS = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--mute-audio", "--hide-scrollbars",
    "--disable-dev-shm-usage", "--lang=en-US", "--remote-debugging-port=0", f"--window-size={WIDTH},{HEIGHT}",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip


def program() -> str | None:
    """Return the browser's program, or `None` where there is none."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Page:
    """One tab. What is looked for is waited for, because the pages fetch what they show."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._last = socket, 0
        self.ask("Page.enable")
        self.ask("Emulation.setTimezoneOverride", timezoneId="Asia/Ho_Chi_Minh")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result; raises `AssertionError` with what it says."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE))
            if answer.get("id") == self._last:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])

    def log_in(self, name: str, password: str) -> None:
        """Send a name and a password with every request, as a browser does once somebody has typed them."""
        said = base64.b64encode(f"{name}:{password}".encode()).decode()
        self.ask("Network.enable")
        self.ask("Network.setExtraHTTPHeaders", headers={"Authorization": f"Basic {said}"})

    def run(self, script: str) -> Any:
        """Return what a JavaScript expression is worth on the page."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{script}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def open(self, address: str, *wanted: str) -> str:
        """Go to an address and return the page's text once every wanted one stands there."""
        self.ask("Page.navigate", url=address)
        return self.reads(*wanted)

    def text(self) -> str:
        """Return what a person reads on the page."""
        return str(self.run("document.body ? document.body.innerText : ''"))

    def reads(self, *wanted: str) -> str:
        """Wait until texts stand on the page, and return all that does; fails naming what is missing."""
        deadline = time.monotonic() + PATIENCE
        while True:
            text = self.text()
            missing = [one for one in wanted if one not in text]
            if not missing:
                return text
            assert time.monotonic() < deadline, f"not on {self.address()}: {missing}; there is:\n{text}"
            time.sleep(0.2)

    def reads_no_more(self, gone: str) -> str:
        """Wait until a text stands on the page no more, and return all that does."""
        deadline = time.monotonic() + PATIENCE
        while gone in (text := self.text()):
            assert time.monotonic() < deadline, f"still on {self.address()}: {gone}"
            time.sleep(0.2)
        return text

    def address(self) -> str:
        """Return where the browser is."""
        return str(self.run("location.href"))

    def click(self, words: str) -> None:
        """Press what says exactly some words, with the mouse: a link, a button, a tab."""
        found = (
            f"[...document.querySelectorAll('body *')].filter(one => one.innerText && one.innerText.trim() === "
            f"{json.dumps(words)} && one.getClientRects().length).pop()"
        )
        self._once(f"“{words}” to click", found)
        self._press(found)

    def follow(self, words: str) -> None:
        """Go where the link leads that says exactly some words, in this tab even if it would open another."""
        found = (
            f"[...document.querySelectorAll('a')].find(one => one.innerText.trim() === {json.dumps(words)})"
        )
        self._once(f"the link “{words}”", found)
        self.ask("Page.navigate", url=self.run(f"{found}.href"))

    def type(self, into: str, words: str) -> None:
        """Click into the field that asks for it by its placeholder, and type."""
        wanted = json.dumps(f"input[placeholder*={json.dumps(into)}]")
        # The page has fields for narrow windows too, which nobody sees here.
        field = f"[...document.querySelectorAll({wanted})].find(one => one.getClientRects().length)"
        self._once(f"the field “{into}”", field)
        self._press(field)
        self.ask("Input.insertText", text=words)
        typed = self.run(f"{field}.value")
        assert typed == words, f"the field “{into}” says {typed!r}"

    def _press(self, element: str) -> None:
        """Press the left button of the mouse in the middle of an element."""
        x, y = self.run(
            f"(one => {{ one.scrollIntoView({{block: 'center'}}); const box = one.getBoundingClientRect();"
            f" return [box.x + box.width / 2, box.y + box.height / 2]; }})({element})"
        )
        for what in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=what, x=x, y=y, button="left", clickCount=1)

    def _once(self, what: str, element: str) -> None:
        """Wait until an element is there."""
        deadline = time.monotonic() + PATIENCE
        while not self.run(f"!!({element})"):
            assert time.monotonic() < deadline, f"{what} is not on {self.address()}:\n{self.text()}"
            time.sleep(0.2)

    def picture(self, file: Path, *, height: int = HEIGHT) -> None:
        """Take a picture (PNG) of the page as a window of some height shows it, once nothing moves any more."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=WIDTH,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        last = b""
        for _ in range(40):
            shot = base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])
            if shot == last:
                break
            last = shot
            time.sleep(0.4)
        file.write_bytes(last)


@contextmanager
def browser(*, ignore_certificates: bool = False) -> Iterator[Page]:
    """Start a browser with nothing in it, yield its page, and end it; raises `AssertionError` if it will not start."""
    found = program()
    assert found, "there is no Chromium on this machine"
    with tempfile.TemporaryDirectory(prefix="hoso-browser-", ignore_cleanup_errors=True) as home:
        extra = ["--no-sandbox"] if os.getuid() == 0 else []
        extra += ["--ignore-certificate-errors"] if ignore_certificates else []
        command = [found, *_FLAGS, *extra, f"--user-data-dir={home}", "about:blank"]
        running = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": home},
        )  # fmt: skip
        try:
            with connect(_address(Path(home), running), max_size=None, proxy=None) as socket:
                yield Page(socket)
        finally:
            running.terminate()
            try:
                running.wait(10)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def _address(home: Path, running: subprocess.Popen[bytes]) -> str:
    """Return where the browser's one page listens, once it does."""
    said = home / "DevToolsActivePort"
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert running.poll() is None, f"the browser ended with {running.returncode}"
        if said.exists() and (lines := said.read_text().splitlines()):
            pages = httpx.get(f"http://127.0.0.1:{lines[0]}/json/list", trust_env=False).json()
            if found := [one for one in pages if one["type"] == "page"]:
                return str(found[0]["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise AssertionError("the browser did not start")
