"""A simulator that is switched off forgets nobody who had just connected."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from linewitness_simulators.oven.server import OvenServerOptions
from linewitness_simulators.oven.server import serve as serve_oven
from linewitness_simulators.scale import ScaleSimulation
from linewitness_simulators.scale import serve as serve_scale
from linewitness_simulators.scanner.server import ScannerSimulation
from linewitness_simulators.scanner.server import serve as serve_scanner
from linewitness_simulators.torque import serve as serve_torque

Serve = Callable[[], AbstractAsyncContextManager[Any]]


@pytest.mark.parametrize("rounds", range(6))
@pytest.mark.parametrize(
    "serve",
    [
        lambda: serve_oven(OvenServerOptions()),
        lambda: serve_scale(ScaleSimulation()),
        lambda: serve_scanner(ScannerSimulation()),
        serve_torque,
    ],
    ids=["oven", "scale", "scanner", "torque"],
)
async def test_nobody_who_has_just_connected_is_left_behind(serve: Serve, rounds: int) -> None:
    """However many rounds of the loop the connection is old; the task that serves it would be left behind."""
    before = asyncio.all_tasks()
    async with serve() as simulator:
        # Not asyncio's own, which would let the server accept it first.
        client = socket.create_connection(("127.0.0.1", simulator.port))
        for _ in range(rounds):
            await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    client.close()
