"""A device that sends without end must not grow the process, whether anybody takes what it says or not."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any, cast

import pytest

from linewitness.base.clock import SystemClock
from linewitness.base.errors import DeviceError
from linewitness.devices.context import DriverContext
from linewitness.devices.table import known
from support.floods import ALLOWED, Flood, NoMemory, flooding
from support.worst_peers import FLOODS, RESULT, controller

pytestmark = pytest.mark.heavy


@pytest.fixture(autouse=True)
def _libraries_are_quiet() -> Iterator[None]:
    """As in production; pytest would keep every complaint in memory."""
    levels = {name: logging.getLogger(name).level for name in ("asyncua", "pymodbus")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


DRIVERS = {
    "scanner": {},
    "mt_sics": {"trigger": "key"},
    "modbus": {
        "points": [{"id": "a", "table": "holding", "address": 0, "type": "uint16", "record": "change"}]
    },
    "open_protocol": {"timezone": "UTC"},
}

#: Observations after which a test has seen that they are taken as they come.
ENOUGH = 5000


def driver(name: str, port: int) -> Any:
    given = {"id": "d-1", "driver": name, "host": "127.0.0.1", "port": port, **cast(Any, DRIVERS[name])}
    return build(known(name).options_class().model_validate(given))


def build(options: Any) -> Any:
    return known(options.driver).build(options, DriverContext(clock=SystemClock()))


async def use(device: Any, flood: Flood, *, consume: bool) -> int:
    """Work with the flooding device, until it is over for either side."""
    taken = 0
    with contextlib.suppress(DeviceError):
        async with device.connect(NoMemory()) as session, contextlib.aclosing(session.observations()) as said:
            async for _ in said:
                taken += 1
                if not consume:
                    await asyncio.to_thread(flood.over.wait, 3)
                    return taken
                if flood.over.is_set() or taken > ENOUGH:
                    return taken
    return taken


@pytest.mark.parametrize("consume", [True, False], ids=["taken", "not taken"])
@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("name", ["scanner", "mt_sics", "modbus", "open_protocol"])
async def test_flood_is_bounded(name: str, flood: str, consume: bool) -> None:
    with flooding(FLOODS[flood]) as running:
        async with asyncio.timeout(30):
            await use(driver(name, running.port), running, consume=consume)
        assert running.grown < ALLOWED, (
            f"{running.grown / 2**20:.0f} MiB after {running.sent / 2**20:.0f} MiB"
        )


@pytest.mark.parametrize("consume", [True, False], ids=["taken", "not taken"])
async def test_controller_that_waits_for_no_confirmation_is_bounded(consume: bool) -> None:
    with flooding(RESULT * 200, greet=controller) as running:
        async with asyncio.timeout(40):
            taken = await use(driver("open_protocol", running.port), running, consume=consume)
        assert running.sent > 0
        assert running.grown < ALLOWED, f"{running.grown / 2**20:.0f} MiB, {taken} taken"


async def test_opc_ua_server_that_announces_gigabytes_is_bounded() -> None:
    options = (
        known("opcua")
        .options_class()
        .model_validate(
            {
                "id": "press-4",
                "driver": "opcua",
                "endpoint": "opc.tcp://127.0.0.1:1",
                "points": [{"id": "a", "node": "ns=2;s=A", "record": "change"}],
            }
        )
    )
    for head in (b"ACKF\xff\xff\xff\x7f", b"MSGC\xff\xff\xff\x7f", b"ERRF\xff\xff\xff\x7f"):
        with flooding(head + b"\0" * 65_528, greet=lambda connection: connection.recv(4096)) as running:
            here = options.model_copy(update={"endpoint": f"opc.tcp://127.0.0.1:{running.port}"})
            async with asyncio.timeout(60):
                await use(build(here), running, consume=True)
            assert running.grown < ALLOWED, f"{running.grown / 2**20:.0f} MiB of {running.sent / 2**20:.0f}"
