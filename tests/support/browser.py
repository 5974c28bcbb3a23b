"""Headless Chromium, controlled by its DevTools protocol."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import websocket

_SECONDS = 60
# Names of Chromium's program. The first one that exists is used.
_PROGRAMS = ("chromium", "google-chrome")
_PORT_FILE = "DevToolsActivePort"
_IMAGES_AND_WIDTH = """({
    images: Array.from(document.images, each => (
        {alt: each.alt, width: each.naturalWidth, height: each.naturalHeight})),
    width: document.documentElement.scrollWidth,
})"""


@dataclass(frozen=True)
class ShownImage:
    """An `<img>` of a page.

    Attributes:
        alt: Its alternative text.
        width: Width of the picture file in pixels; 0 if it could not be loaded.
        height: Height of the picture file in pixels; 0 if it could not be loaded.
    """

    alt: str
    width: int
    height: int


@dataclass(frozen=True)
class Visit:
    """The result of loading a page.

    Attributes:
        complaints: Console messages: errors, warnings, blocked requests.
        requests: Requested addresses, blocked ones included, without the page itself and data URLs.
        images: Images of the page.
        width: Width of the content in CSS pixels: more than the window's if the page scrolls sideways.
    """

    complaints: list[str]
    requests: list[str]
    images: list[ShownImage]
    width: int


class Browser:
    """A running Chromium with one tab."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self._connection = connection
        self._session: dict[str, str] = {}
        self._last_id = 0
        self._events: list[dict[str, Any]] = []
        tab = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=tab, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._call(f"{domain}.enable")

    def visit(self, page: Path, width: int = 1280) -> Visit:
        """Load a page from a file.

        Args:
            page: The file.
            width: Width of the window in CSS pixels.
        """
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self._events.clear()
        answer = self._call("Page.navigate", url=page.as_uri())
        assert "errorText" not in answer, f"{page}: {answer['errorText']}"
        while not self._named("Page.loadEventFired"):
            self._receive()
        result = self._call("Runtime.evaluate", expression=_IMAGES_AND_WIDTH, returnByValue=True)["result"]["value"]
        events = self._named("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        requested = [event["params"]["request"]["url"] for event in self._named("Network.requestWillBeSent")]
        return Visit(
            [json.dumps(event["params"]) for event in events],
            [url for url in requested if url != page.as_uri() and not url.startswith("data:")],
            [ShownImage(**image) for image in result["images"]],
            result["width"],
        )

    def _named(self, *methods: str) -> list[dict[str, Any]]:
        return [event for event in self._events if event["method"] in methods]

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": parameters, **self._session}
        self._connection.send(json.dumps(message))
        while (answer := self._receive()).get("id") != self._last_id:
            pass
        assert "result" in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._connection.recv())
        if "method" in message:
            self._events.append(message)
        return message


@contextmanager
def running_browser(folder: Path) -> Iterator[Browser]:
    """Run Chromium with its profile in a folder."""
    program = next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
    assert program, f"none of {', '.join(_PROGRAMS)} is in PATH. `make test` installs chromium on Debian."
    command = [program, "--headless", "--remote-debugging-port=0", f"--user-data-dir={folder}", "--hide-scrollbars"]
    command += ["--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"]
    # There is no sandbox for root and in many containers. The pages are our own.
    command.append("--no-sandbox")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        connection = websocket.create_connection(_address(folder, process), timeout=_SECONDS, suppress_origin=True)
        try:
            yield Browser(connection)
        finally:
            connection.close()
    finally:
        process.terminate()
        process.wait(_SECONDS)


def _address(folder: Path, process: "subprocess.Popen[bytes]") -> str:
    """Wait until Chromium listens, and return its address."""
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until and process.poll() is None:
        file = folder / _PORT_FILE
        if file.exists() and len(lines := file.read_text().splitlines()) == 2:
            port, path = lines
            return f"ws://127.0.0.1:{port}{path}"
        time.sleep(0.05)
    raise AssertionError(f"Chromium does not listen: {(folder / 'log').read_text()}")
