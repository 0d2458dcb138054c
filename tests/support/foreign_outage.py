"""A line under load whose broker goes away and comes back."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from linewitness.demo.broker import Broker
from linewitness.demo.plant import Plant
from support.plants import Load, log_lines, running_plant, said, settle
from support.waiting import until


@asynccontextmanager
async def outage(
    folder: Path, another: Callable[[Path, int], Broker]
) -> AsyncIterator[tuple[Plant, set[int]]]:
    """Work before, during and after an outage of the broker; yield the plant and what was made.

    The gateway is stopped in order, and all that was made is in the store.
    """
    async with running_plant(folder, another) as plant:
        load = Load(plant)
        async with load.going_on():
            await until(lambda: load.steps > 10, "work with the broker")
            await plant.broker.stop()
            await until(lambda: log_lines(plant, "uplink lost"), lambda: said(plant))
            steps = load.steps
            await until(lambda: load.steps > steps + 15, "work without the broker")
            await plant.broker.start()
            steps = load.steps
            await until(lambda: load.steps > steps + 10, "work after the outage")
        await settle(plant, load.made, timeout_s=90)
        yield plant, load.made
