"""The OPC UA server of `foreign/node_opcua`, a process of its own on which tests change values."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from support.npm import installed
from support.present import present

NODE = Path(__file__).parents[1] / "foreign" / "node_opcua"
START_S = 60


def node_opcua() -> Path:
    """Return the folder of the server, with its pinned packages."""
    return installed(NODE)


#: A port that was free may be taken by another test before the server has it.
ATTEMPTS, TAKEN = 5, "EADDRINUSE"


class Foreign:
    """A running server, and a line to it on which tests change values."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.url = f"opc.tcp://127.0.0.1:{port}"

    async def line(self) -> str:
        async with asyncio.timeout(START_S):
            while line := await present(self._process.stdout).readline():
                if line.startswith(b"@"):
                    return line[1:].decode().strip()
        raise AssertionError("the foreign server ended")

    async def ask(self, **command: Any) -> Any:
        present(self._process.stdin).write(json.dumps(command).encode() + b"\n")
        answer = json.loads(await self.line())
        assert "error" not in answer, answer
        return answer["answer"]

    async def set(self, name: str, value: float, **more: str) -> None:
        await self.ask(set=name, value=value, **more)


@contextlib.asynccontextmanager
async def foreign(
    packages: Path, folder: Path, *, port: int = 0, accept_all: bool = True
) -> AsyncIterator[Foreign]:
    config = {"folder": str(folder), "acceptAll": accept_all}
    said = ""
    for chosen in (port,) if port else (_free_port() for _ in range(ATTEMPTS)):
        async with _started(packages, config | {"port": chosen}) as server:
            said = await server.line()
            if said == "ready":
                yield server
                return
        if TAKEN not in said:
            break
    raise AssertionError(f"the foreign server does not start: {said}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.asynccontextmanager
async def _started(packages: Path, config: dict[str, Any]) -> AsyncIterator[Foreign]:
    process = await asyncio.create_subprocess_exec(
        "node",
        "server.js",
        json.dumps(config),
        cwd=packages,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield Foreign(process, config["port"])
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        present(process.stdin).close()
