"""What works without the extras: the packages of store, status page and demo are not on a gateway."""

import asyncio
import json
import re
import sys
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest

from linewitness.demo.plant import free_port
from support.plants import run
from support.present import present
from support.waiting import until

# What the extras bring, and what comes with it; a gateway must not ask for any of it.
EXTRAS = (
    "alembic",
    "sqlalchemy", "amqtt", "starlette", "uvicorn", "jinja2", "psycopg", "boto3", "rfc3161_client",
    "hypothesis", "pytest", "tpm2_pytss",
)  # fmt: skip

WITHOUT = """
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused!r}:
            return None
        return self.finder.find_spec(name, path, target)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
sys.argv = ["linewitness", *sys.argv[1:]]
"""
MAIN = "from linewitness.cli import main\nmain()\n"
without_extras = ("-c", WITHOUT.format(refused=EXTRAS) + MAIN)


@pytest.fixture
def line(tmp_path: Path) -> Path:
    file = tmp_path / "line.yaml"
    vkey = "store.demo.example+af2add38+BMkzGYD25lzCqldM5FG44mXDTFMW14TNvrzAd3lV0hRW"
    file.write_text(
        "version: 1\n"
        "line: {tenant: demo, plant: p, line: l, gateway: g, origin: demo.example/p/l/1}\n"
        "journal: {directory: journal}\n"
        f"uplink: {{url: mqtt://127.0.0.1:{free_port()}}}\n"
        f"store: {{vkey: {vkey}}}\n"
        "devices:\n"
        f"  - {{id: w, driver: open_protocol, host: 127.0.0.1, port: {free_port()}, timezone: UTC}}\n"
        f"  - {{id: s, driver: scanner, host: 127.0.0.1, port: {free_port()}}}\n"
        f"  - {{id: o, driver: modbus, host: 127.0.0.1, port: {free_port()}, points: "
        "[{id: p, table: holding, address: 0, type: uint16, record: change}]}\n"
        f"  - {{id: p, driver: opcua, endpoint: 'opc.tcp://127.0.0.1:{free_port()}', points: "
        "[{id: p, node: ns=2;s=x, record: change}]}\n"
    )
    return file


def test_the_list_of_extras_is_complete() -> None:
    named = {
        re.split(r"[^\w-]", requirement)[0].lower().replace("-", "_")
        for requirement in present(requires("linewitness"))
        if "extra ==" in requirement and "dev" not in requirement.partition("extra ==")[2]
    } - {"linewitness"}
    assert named <= set(EXTRAS) | {"psycopg"}, named


async def test_every_command_of_a_gateway_works_without_the_extras(line: Path) -> None:
    for command in (
        ("init", line),
        ("check", line),
        ("schema",),
        ("status", line),
        ("verify", line),
        ("export", line),
        ("--help",),
    ):
        found = await run(*command, python=without_extras)
        # No gateway runs: `status` says so with its code.
        assert found.code == (3 if command[0] == "status" else 0), (command, found)


async def test_a_line_runs_without_the_extras(line: Path) -> None:
    assert (await run("init", line, python=without_extras)).code == 0
    log = line.with_name("log")
    with log.open("w") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *without_extras, "run", str(line)),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=file,
        )
    try:
        await until(lambda: log.read_text().count('"device lost"') == 4, log.read_text)
        process.terminate()
        assert await process.wait() == 0, log.read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    events = [json.loads(entry)["event"] for entry in log.read_text().splitlines()]
    assert "gateway started" in events
    assert "gateway stopping" in events


async def test_a_line_is_installed_without_the_extras(line: Path, tmp_path: Path) -> None:
    named = tmp_path / "line-02.yaml"
    text = line.read_text().replace("directory: journal", "directory: /var/lib/linewitness/line-02")  # noqa: ASYNC240
    named.write_text(text)
    for command in (("install",), ("install", named), ("uninstall", "line-02")):
        found = await run(*command, "--root", tmp_path / "root", python=without_extras)
        assert found.code == 0, (command, found)


@pytest.mark.parametrize(
    "command", [("store", "run", "store.yaml"), ("install", "--store", "store.yaml"), ("demo",)]
)
async def test_a_command_of_an_extra_says_which_one_it_needs(tmp_path: Path, command: Any) -> None:
    found = await run(*command, python=without_extras, cwd=tmp_path)
    assert found.code == 2, found
    assert "Traceback" not in found.err
    assert "linewitness[" in found.err


async def test_help_imports_nothing_that_it_does_not_need() -> None:
    """With these, it took a second or more."""
    heavy = ("asyncua", "pymodbus", "pydantic", "sqlalchemy", "cryptography", "structlog", "orjson")
    code = f"""
import sys
from linewitness.cli import app
try:
    app(["--help"])
except SystemExit as end:
    assert not end.code
print([name for name in {heavy} if name in sys.modules], file=sys.stderr)
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, loaded = await process.communicate()
    assert b"Usage" in said
    assert loaded.decode().strip() == "[]"
