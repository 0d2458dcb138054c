"""Drive Debian's Chromium over its debugging protocol: load a page, give it files, read and photograph it."""

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from websockets.sync.client import ClientConnection, connect

NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND"
THIS_MACHINE = f"{NO_NETWORK}, EXCLUDE 127.0.0.1"


class Page:
    """One tab that shows a file or a server of this machine."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    def run(self, expression: str) -> Any:
        """Return the value of an expression, awaited if it is a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, path: Path) -> None:
        self.go(path.as_uri())

    def go(self, url: str) -> None:
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=url)
        self.wait_for(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def wait_for(self, condition: str) -> None:
        self.run(
            "new Promise((done) => { const look = () => ("
            + condition
            + ") ? done() : setTimeout(look, 20); look(); })"
        )

    def give_file(self, selector: str, *paths: Path) -> None:
        found = self.call("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")
        self.call(
            "DOM.setFileInputFiles", files=[str(path) for path in paths], objectId=found["result"]["objectId"]
        )

    def photograph(self, path: Path) -> None:
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def page(width: int = 1100, height: int = 1000, *, network: str = NO_NETWORK) -> Iterator[Page]:
    """Start a browser, by default without a network, and yield its one tab."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: pages are not tested in a browser")
    with tempfile.TemporaryDirectory() as profile:
        browser = subprocess.Popen(
            [
                program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--no-first-run",
                network,
                "--remote-debugging-port=0",
                f"--window-size={width},{height}",
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert browser.stderr
        try:
            address = next(line.split()[-1] for line in browser.stderr if "DevTools listening on" in line)
            with connect(address, max_size=None) as root:
                tabs = Page(cast(Any, root)).call("Target.getTargets")["targetInfos"]
            tab = next(each["targetId"] for each in tabs if each["type"] == "page")
            with connect(
                address.partition("/devtools")[0] + f"/devtools/page/{tab}", max_size=None
            ) as socket:
                yield Page(cast(Any, socket))
        finally:
            _end(browser)
            browser.stderr.close()


def _end(browser: subprocess.Popen[str]) -> None:
    """End the browser with all its processes: the last ones still write into the profile."""
    others = psutil.Process(browser.pid).children(recursive=True)
    browser.terminate()
    browser.wait(timeout=20)
    _, left = psutil.wait_procs(others, timeout=10)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=10)
