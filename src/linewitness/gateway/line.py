"""Run the parts of one line and stop them in order, so that nothing accepted is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog

from linewitness.base.watchdog import tell_systemd
from linewitness.devices.context import DriverContext
from linewitness.devices.table import known
from linewitness.gateway.fleet import Fleet
from linewitness.gateway.screens.feed import ScreenFeed
from linewitness.gateway.tasks import LineParts, Tasks, first_tasks, running, tasks_of
from linewitness.gateway.uplink_parts import Uplink

log = structlog.get_logger()

#: After the last device is disconnected, the last records get this long to reach the store.
LAST_RECEIPT_S: Final = 3.0
#: A gateway that stops gives its last anchors this long.
LAST_ANCHORS_S: Final = 10.0

Configure = Callable[[Fleet], Awaitable[None]]
TasksOfFleet = Callable[[Fleet], Tasks]


async def run_parts(
    parts: LineParts, stop: asyncio.Event, *, configure: Configure, tasks: TasksOfFleet
) -> None:
    """Run the line until `stop` is set; the journal is the first to start and the last to stop.

    `configure` gives the devices their settings at the start, `tasks` run then and change them.
    """
    async with asyncio.TaskGroup() as group:
        group.create_task(parts.journal.run(), name="journal")
        group.create_task(_use_reserve(parts, stop), name="reserve")
        async with running(first_tasks(parts)):
            await parts.lifecycle.started()
            async with running(tasks_of(parts)):
                async with _devices(parts, configure) as fleet, running(tasks(fleet)):
                    await stop.wait()
                await _stopped(parts)
            await parts.journal.drain()


async def _use_reserve(parts: LineParts, stop: asyncio.Event) -> None:
    """Let a full journal take its last records, so that it can be stopped."""
    await stop.wait()
    parts.journal.pressure.lift()


@asynccontextmanager
async def _devices(parts: LineParts, configure: Configure) -> AsyncIterator[Fleet]:
    """Run the captures of all devices for the time of a block."""
    journal = parts.journal
    screens = ScreenFeed(
        parts.stations,
        settled=lambda: journal.observe("screens", (), state={}, raw={}),
        clock=parts.clock,
    )
    async with running({"screens": screens.run()}), asyncio.TaskGroup() as captures:
        context = DriverContext(clock=parts.clock)
        fleet = Fleet(
            captures,
            build=lambda options: known(options.driver).build(options, context),
            journal=journal,
            telemetry=parts.telemetry,
            clock=parts.clock,
            health=parts.health,
            standstills=parts.standstills,
            screens=screens,
        )
        await configure(fleet)
        tell_systemd("READY=1")
        log.info("gateway started", stream=journal.identity.stream, devices=len(parts.health.devices))
        yield fleet
        log.info("gateway stopping")
        await fleet.stop()


async def _stopped(parts: LineParts) -> None:
    """Put the stop on record, sign it, and give records and anchors some time to get out."""
    tell_systemd("STOPPING=1")
    await parts.lifecycle.stopped("the gateway was asked to stop")
    size = parts.journal.head.size
    await parts.signer.sign(size)
    if parts.uplink is not None and parts.health.uplink_state == "up":
        await _last_receipt(parts.uplink, size)
    try:
        async with asyncio.timeout(LAST_ANCHORS_S):
            await parts.anchoring.write()
    except TimeoutError:
        log.info("stopped before the last anchor; the next start writes it")


async def _last_receipt(uplink: Uplink, size: int) -> None:
    try:
        async with asyncio.timeout(LAST_RECEIPT_S):
            await uplink.judge.reached(size)
    except TimeoutError:
        log.info("stopped before the last receipt; it is asked for again at the next start")
