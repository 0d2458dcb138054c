"""A controller that pushes without waiting is left with words; what it was told is safe, is safe."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from linewitness.base.clock import SystemClock
from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.open_protocol.driver import OpenProtocolDriver
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.session.queues import (
    ENOUGH,
    MAX_OBSERVATIONS,
    MAX_PUSHES,
    BoundedQueue,
    ObservationQueue,
)
from support.open_protocol_rig import Journal
from support.waiting import until


def telegram(mid: Any, data: str = "", revision: int = 1) -> Any:
    return f"{20 + len(data):04d}{mid:04d}{revision:03d}{'':9}{data}".encode() + b"\0"


def result(number: int) -> Any:
    fields = (
        *("0001", "01", "Airbag1".ljust(25), "SN0001".ljust(25), "00", "001", "0000", "0000", "1", "1", "1"),
        *("001200", "001300", "001250", "001230", "00000", "00360", "00180", "00190"),
        *("2026-11-20:10:00:00", "2026-11-20:10:00:00", "2", f"{number:010d}"),
    )
    return telegram(61, "".join(f"{at:02d}{field}" for at, field in enumerate(fields, 1)))


class Controller:
    """It agrees to everything and answers no question about stored results; then it pushes."""

    port: int

    def __init__(self, *, at_once: bool = False) -> None:
        self.at_once = at_once
        self.acknowledged = 0
        self.pushed = 0
        self.connections = 0
        self.serving: list[Any] = []
        self.hung_up = asyncio.Event()
        self.go = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.serving.append(asyncio.current_task())
        async with asyncio.TaskGroup() as group:
            pushing = group.create_task(self._push(writer))
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._listen(reader, writer)
            pushing.cancel()
        self.hung_up.set()
        writer.close()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readexactly(20):
            await reader.readexactly(int(head[:4]) - 20 + 1)
            mid = int(head[4:8])
            if mid == 1:
                writer.write(telegram(2, "010001020103" + "Airbag1".ljust(25)))
            elif mid == 62:
                self.acknowledged += 1
            elif mid == 9999:
                writer.write(telegram(9999))
            elif mid == 60:
                writer.write(telegram(5, f"{mid:04d}"))
                if self.at_once:
                    self.go.set()
            else:
                writer.write(telegram(4, f"{mid:04d}99"))

    async def _push(self, writer: asyncio.StreamWriter) -> None:
        await self.go.wait()
        with contextlib.suppress(OSError):
            while not writer.is_closing():
                self.pushed += 1
                writer.write(result(self.pushed))
                await writer.drain()


@contextlib.asynccontextmanager
async def controller(**how: Any) -> AsyncIterator[Any]:
    running = Controller(**how)
    server = await asyncio.start_server(running.serve, "127.0.0.1", 0)
    async with server:
        running.port = server.sockets[0].getsockname()[1]
        yield running
        if running.serving:
            async with asyncio.timeout(20):
                await asyncio.wait(running.serving)


def driver_for(running: Any) -> Any:
    options = OpenProtocolOptions(
        id="wrench-10", host="127.0.0.1", port=running.port, timezone="UTC", back_fill="none"
    )
    return OpenProtocolDriver(options, clock=SystemClock())


async def take_all(session: Any, journal: Any, *, confirm: Any) -> None:
    async for observation in session.observations():
        journal.commit(observation)
        if confirm and observation.confirmable:
            await session.confirm(observation)


async def test_what_nobody_takes_is_bounded_and_is_still_handed_over() -> None:
    async with controller() as wrench:
        async with driver_for(wrench).connect(Journal()) as session:
            wrench.go.set()
            async with asyncio.timeout(60):
                await wrench.hung_up.wait()
            journal = Journal()
            with pytest.raises(DeviceUnavailable, match="pushes without waiting for confirmations"):
                await take_all(session, journal, confirm=False)
        assert MAX_PUSHES <= len(journal.said) <= MAX_OBSERVATIONS + 2 * MAX_PUSHES
        ids = journal.ids
        assert len(ids) > MAX_PUSHES
        assert ids == list(range(1, len(ids) + 1)), "a hole or a repetition in what was handed over"


async def test_nothing_is_confirmed_that_was_not_committed() -> None:
    """The journal is slow, the controller does not wait: each confirmation follows a commit."""
    async with controller() as wrench:
        journal = Journal()

        async def slowly() -> None:
            async with driver_for(wrench).connect(journal) as session:
                wrench.go.set()
                async for observation in session.observations():
                    await asyncio.sleep(0.002)
                    journal.commit(observation)
                    if observation.confirmable:
                        await session.confirm(observation)

        async with asyncio.timeout(60):
            with pytest.raises(DeviceUnavailable, match="without waiting"):
                await slowly()
        assert journal.ids
        assert wrench.acknowledged <= len(journal.results)
        assert journal.ids == list(range(1, len(journal.ids) + 1))


async def test_pushes_that_come_while_the_session_is_prepared_are_bounded_too() -> None:
    async with controller(at_once=True) as wrench, asyncio.timeout(60):
        with pytest.raises(DeviceUnavailable, match=f"{MAX_PUSHES} telegrams wait"):
            await driver_for(wrench).connect(Journal()).__aenter__()


async def test_a_controller_that_waits_is_never_left_for_that() -> None:
    async with controller() as wrench, driver_for(wrench).connect(Journal()) as session:
        await until(lambda: wrench.connections == 1)
        assert session._link.failure is None
        assert not session._link.pushes.is_full
        assert not session._out.is_full


async def test_a_queue_counts_what_it_holds() -> None:
    queue = BoundedQueue(most=3, most_bytes=100, bytes_of=len)
    for length in (10, 20):
        queue.put(b"x" * length)
    assert not queue.is_full
    queue.put(b"")
    assert (queue.is_full, len(queue)) == (True, 3)
    assert await queue.get() == b"x" * 10
    assert not queue.is_full
    queue.put(b"x" * 80)
    assert queue.is_full
    for _ in range(3):
        await queue.get()
    queue.put(b"x" * 99)
    assert not queue.is_full
    queue.put(b"x")
    assert queue.is_full


async def test_stored_results_wait_long_before_it_is_full() -> None:
    box = ObservationQueue()
    end = DeviceUnavailable("over")
    for _ in range(ENOUGH + 1):
        box.put(end)
    assert not box.is_full
    await box.room()  # nobody reads yet, so nobody would make room
    await box.get()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await box.room()
    await box.get()
    await box.room()
