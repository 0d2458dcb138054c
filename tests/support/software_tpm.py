"""A TPM 2.0 in software (swtpm), with a state that lasts."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from support.waiting import until

needs_a_tpm = pytest.mark.skipif(
    shutil.which("swtpm") is None or find_spec("tpm2_pytss") is None,
    reason="swtpm or the TPM's library (libtss2-dev, linewitness[tpm]) is not installed",
)


@asynccontextmanager
async def software_tpm(folder: Path) -> AsyncIterator[str]:
    """Run a TPM with its state in a folder that is there, and yield how it is reached."""
    port = two_free_ports()
    process = await asyncio.create_subprocess_exec(
        *("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}"),
        *("--server", f"type=tcp,port={port},bindaddr=127.0.0.1"),
        *("--ctrl", f"type=tcp,port={port + 1},bindaddr=127.0.0.1"),
        *("--flags", "not-need-init,startup-clear"),
    )
    try:
        await until(lambda: len(listening(process.pid)) == 2, "the TPM")
        yield f"swtpm:host=127.0.0.1,port={port}"
    finally:
        process.terminate()
        await process.wait()


def listening(pid: int) -> list[int]:
    found = psutil.Process(pid).net_connections()
    return [one.laddr.port for one in found if one.status == psutil.CONN_LISTEN]


def two_free_ports() -> int:
    """Return a free port after which the next one is free, too: the library expects them so."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port: int = first.getsockname()[1]
            try:
                socket.create_server(("127.0.0.1", port + 1)).close()
            except (OSError, OverflowError):
                continue
            return port
