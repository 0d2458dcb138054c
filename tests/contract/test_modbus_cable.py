"""A pulled cable: packets vanish, nothing is refused. Needs root and iproute2 for a network of its own."""

import asyncio
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from linewitness.clock import SystemClock, monotonic
from linewitness.devices.base import Reading
from linewitness.devices.modbus import ModbusDriver, ModbusOptions
from linewitness.devices.modbus.bus import Buses
from linewitness.errors import DeviceUnavailable

PROGRAM = "import typer; from linewitness_simulators.oven.command import command; typer.run(command)"
OURS, THEIRS = "10.213.77.1", "10.213.77.2"


class NoMemory:
    async def get(self, key):
        return None


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr.strip()} (this test needs root)"


@contextmanager
def network():
    """A network namespace with one cable to it."""
    name, here, there = f"lw-{os.getpid()}", f"lwa{os.getpid()}", f"lwb{os.getpid()}"
    ip("netns", "add", name)
    try:
        ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        ip("addr", "add", f"{OURS}/30", "dev", here)
        ip("link", "set", here, "up")
        ip("-n", name, "addr", "add", f"{THEIRS}/30", "dev", there)
        ip("-n", name, "link", "set", there, "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


async def poll(driver, told, lost):
    """Do what capture does, with a back-off of one second."""
    while True:
        try:
            async with driver.connect(NoMemory()) as session:
                async for observation in session.observations():
                    if isinstance(observation, Reading):
                        told[observation.point] = observation
        except DeviceUnavailable as error:
            lost.append((monotonic(), str(error)))
            told.clear()
            await asyncio.sleep(1)


async def until(condition, within):
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - the tasks only count
            await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_a_pulled_cable_is_noticed_and_all_points_live_again_within_15_seconds():
    with network() as name:
        process = await asyncio.create_subprocess_exec(
            "ip", "netns", "exec", name, sys.executable, "-c", PROGRAM, "--host", THEIRS, "--port", "5020",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert (await process.stdout.readline()).startswith(b"ready")
            points = [
                {"id": "set-point", "record": "change", "address": 1, "type": "int16"},
                {"id": "door", "record": "change", "table": "coil", "address": 0},
                {"id": "state", "record": "change", "table": "input", "address": 10, "type": "uint16"},
            ]
            options = ModbusOptions(
                id="oven", host=THEIRS, port=5020, timeout_s=0.5, retries=1, period_ms=50, points=points
            )
            told, lost = {}, []
            async with asyncio.TaskGroup() as group:
                driver = ModbusDriver(options, clock=SystemClock(), buses=Buses())
                polling = group.create_task(poll(driver, told, lost))
                await until(lambda: len(told) == 3, 5)
                # Their answers go nowhere: requests arrive, acknowledgements and answers do not come back.
                ip("-n", name, "route", "add", "blackhole", f"{OURS}/32")
                await until(lambda: len(lost) >= 2, 15)
                ip("-n", name, "route", "del", "blackhole", f"{OURS}/32")
                await until(lambda: len(told) == 3, 15)
                polling.cancel()
            assert "does not answer" in lost[0][1] or "broke" in lost[0][1]
            assert told["set-point"].when.unc_ms >= 500
        finally:
            process.terminate()
            await process.wait()
