"""What waits for its commit is bounded, also where values come together."""

import asyncio

from linewitness.base.errors import DeviceUnavailable
from linewitness.gateway.intake.intake import QueuedObservation
from linewitness.gateway.intake.waiting import WaitingObservations


async def test_a_group_takes_as_much_room_as_its_values() -> None:
    queue, put = WaitingObservations(300), []

    async def pour() -> None:
        for number in range(10):
            await queue.put(QueuedObservation(None, count=128))
            put.append(number)
        await queue.put(DeviceUnavailable("the session ended"))

    async with asyncio.TaskGroup() as group:
        group.create_task(pour())
        for _ in range(20):
            await asyncio.sleep(0)
        assert put == [0, 1, 2], "the one that fills it still fits"
        await queue.get()
        for _ in range(20):
            await asyncio.sleep(0)
        assert put == [0, 1, 2, 3]
        taken = [await queue.get() for _ in range(9)]
        assert all(isinstance(item, QueuedObservation) for item in taken)
        assert isinstance(await queue.get(), DeviceUnavailable)
    assert queue.empty


async def test_who_waits_gets_what_comes_and_nothing_twice() -> None:
    queue = WaitingObservations(1)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(queue.get())
        await asyncio.sleep(0)
        items = [QueuedObservation(None, count=0) for _ in range(5)]

        async def pour() -> None:
            for item in items:
                await queue.put(item)

        group.create_task(pour())
        assert [await first, *[await queue.get() for _ in range(4)]] == items
