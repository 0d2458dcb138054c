"""The page "Write a driver" shows the interface as it is, and builds a driver that works."""

import asyncio
import inspect
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from linewitness.devices import base
from linewitness.journal.reader import JournalReader
from support.page_package import PAGE, ROOT, files, install
from support.present import present

INTERFACE = (base.Memory, base.Session, base.ConfirmingSession, base.Driver)
DRIVER = "acme_thermometer/driver.py"
IMPATIENT = (
    "tests/test_contract.py",
    "    spec = THERMOMETER\n",
    "    spec = THERMOMETER\n    patience_s = 6.0\n",
)
NO_LIMIT = (
    "timeout(self._options.timeout_s):\n                self._writer",
    "timeout(None):\n                self._writer",
)
SWALLOWED = (
    """            await self._grid.tick()
""",
    """            try:
                await self._grid.tick()
            except asyncio.CancelledError:
                return
""",
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    install(tmp_path)
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    known = [str(folder), str(folder / "tests"), *filter(None, os.environ.get("PYTHONPATH", "").split(":"))]
    return {**os.environ, "PYTHONPATH": ":".join(known)}


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def contract(folder: Path, *more: str) -> tuple[int, str]:
    """Run the contract suite in the package's own folder, without plugins, as its author would."""
    plain = ("-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:xdist", "-p", "no:hypothesispytest")
    return run(folder, "pytest", "-q", "--tb=line", *plain, "tests", *more)


def test_the_page_shows_the_interface_as_it_is() -> None:
    page = PAGE.read_text(encoding="utf-8")
    source = "\n\n".join(inspect.getsource(one) for one in INTERFACE)
    assert f"```python\n{source}```" in page


def test_the_page_names_every_observation() -> None:
    names = {one.__name__ for one in vars(base).values() if inspect.isclass(one)
             and issubclass(one, base.Observation) and one is not base.Observation}  # fmt: skip
    assert names <= set(re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8")))


def test_the_pages_python_is_formatted_and_free_of_lint(package: Path) -> None:
    for command in (
        ("ruff", "format", "--isolated", "--check", "--line-length", "110", "acme_thermometer", "tests"),
        ("ruff", "check", "--isolated", "--ignore", "I", "--line-length", "110", "acme_thermometer", "tests"),
    ):
        code, said = run(package, *command)
        assert code == 0, said


def test_the_line_of_the_page_is_checked_and_explained(package: Path) -> None:
    code, said = run(package, "linewitness", "check", "line.yaml", "--explain")
    assert code == 0, said
    assert "line.yaml: ok, 1 device, 2 points, 0 stations" in said
    assert "cellar: channels 1, 2 of 127.0.0.1:4210 every 100 ms" in said


def test_settings_of_the_driver_are_in_the_schema(package: Path) -> None:
    code, said = run(package, "linewitness", "schema")
    assert code == 0
    assert "thermometer" in json.loads(said)["properties"]["devices"]["items"]["properties"]["driver"]["enum"]


def test_the_driver_of_the_page_keeps_the_contract(package: Path) -> None:
    code, said = contract(package)
    assert code == 0, said
    assert "12 passed" in said


@pytest.mark.parametrize(
    ("edit", "test", "says"),
    [
        (NO_LIMIT, "silent", "was silent for"),
        (("(OSError, TimeoutError) as", "(TimeoutError,) as"), "not_there", "ConnectionRefusedError"),
        (("OSError, TimeoutError, asyncio.IncompleteReadError, ", ""), "broken", "IncompleteReadError"),
        (("writer.transport.abort()", "pass"), "leaves_nothing", "left behind"),
        (("str(ULID())", '"one"'), "names_of_their_own", "one names two connections"),
        (("device=self._options.id", 'device="thermometer"'), "where_and_when", "names the device"),
        (("session_id=self._session_id", 'session_id=""'), "where_and_when", "names the session"),
        (("raw=answer,", "raw=answer,\n            confirmable=True,"), "where_and_when", "is confirmable"),
        (("received=received,", "received=type(received)(0, 0),"), "where_and_when", "`received` is not"),
        (SWALLOWED, "cancelled_session", "swallowed its cancellation"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_suite_finds_a_driver_that_breaks_its_promise(
    tmp_path: Path, edit: tuple[str, str], test: str, says: str
) -> None:
    install(tmp_path, IMPATIENT, (DRIVER, *edit))
    code, said = contract(tmp_path, "-k", test)
    assert code == 1, said
    assert says in said


@pytest.mark.parametrize(
    ("file", "before", "after", "says"),
    [
        ("acme_thermometer/sample.yaml", "channel: 1", "channel: 17", "17 is above 16"),
        ("thermometer.md", "## Limits", "## What it cannot do", "has no heading '## Limits'"),
        ("thermometer.md", "host: 10.0.0.41", "host: 10.0.0.42", "does not show sample.yaml"),
    ],
)
def test_the_suite_looks_at_sample_and_page(
    tmp_path: Path, file: str, before: str, after: str, says: str
) -> None:
    install(tmp_path, (file, before, after))
    code, said = contract(tmp_path, "-k", "sample or page")
    assert code == 1, said
    assert says in said


@asynccontextmanager
async def process(folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    running = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=folder, env=environment(folder), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()


MODEL = """
import asyncio
from thermometer_model import running_model

async def main():
    async with running_model() as model:
        print(model.port, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def recorded(folder: Path) -> list[dict[str, Any]]:
    with JournalReader(folder / "journal") as reader:
        return [json.loads(data) for _, data in reader.records()]


async def test_a_gateway_captures_through_the_driver_of_the_page(package: Path) -> None:
    async with process(package, "-c", MODEL) as model:
        port = int(await present(model.stdout).readline())
        line = package / "line.yaml"
        text = line.read_text(encoding="utf-8").replace("127.0.0.1\n", f"127.0.0.1\n    port: {port}\n")
        line.write_text(text, encoding="utf-8")
        assert run(package, "linewitness", "init", "line.yaml")[0] == 0
        async with process(package, "-m", "linewitness", "run", "line.yaml") as gateway:
            async with asyncio.timeout(60):
                while [one["kind"] for one in recorded(package)].count("parameter.changed") < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            gateway.send_signal(signal.SIGTERM)
            assert await gateway.wait() == 0
    changes = [change for one in recorded(package) if one["kind"] == "parameter.changed"
               for change in one["changes"]]  # fmt: skip
    assert {"air": "21.5", "wall.quality": "no sensor"}.items() <= {
        change["field"]: change["after"] for change in changes
    }.items()
    code, said = run(package, "linewitness", "verify", "line.yaml")
    assert code == 0, said


def test_the_page_has_all_that_its_table_of_files_names() -> None:
    named = re.findall(r"^\| `([\w.]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    made = {path.rpartition("/")[2] for path in files()}
    assert {name for name in named if "." in name} <= made
    assert (ROOT / "docs" / "drivers").is_dir()
