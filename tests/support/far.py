"""Broker, store or tool at the far end of a cable that can lose packets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

from linewitness.demo.broker import Mosquitto
from linewitness.demo.plant import Plant
from support.lossy import LossyCable
from support.plants import at_work, change, new_plant
from support.present import present


class FarBroker(Mosquitto):
    """A mosquitto at the far end of a cable; the store beside it finds it on the loopback interface."""

    def __init__(self, plant: Plant, cable: LossyCable) -> None:
        super().__init__(plant.folder, plant.broker.port, cast(Any, None))
        self._cable = cable
        with self._configuration.open("a") as file:
            file.write(f"listener {self.port} {cable.theirs}\n")

    async def start(self) -> None:
        with (self._folder / "broker.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(*self._cable.wrapper, "mosquitto", "-c", str(self._configuration)), stdout=log, stderr=log
            )

    async def cut_off(self) -> None:
        """End it without a word to anybody, and start it again."""
        present(self._process).kill()
        await present(self._process).wait()
        await self.start()


@asynccontextmanager
async def far_plant(
    folder: Path, cable: LossyCable, *what: str, prepare: Callable[[Plant], object] = lambda plant: None
) -> AsyncIterator[Plant]:
    """A running plant, with "broker" (and store) or "tool", or both, behind a cable.

    `prepare` may change the plant before its processes start.
    """
    async with new_plant(folder) as plant, AsyncExitStack() as stack:
        if "broker" in what:
            await stack.enter_async_context(_far_broker(plant, cable))
        if "tool" in what:
            await _move_tool(plant, cable)
        prepare(plant)
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        await plant.receipted(1)
        yield plant


@asynccontextmanager
async def _far_broker(plant: Plant, cable: LossyCable) -> AsyncIterator[None]:
    await plant.broker.stop()
    plant.broker = broker = FarBroker(plant, cable)
    change(plant, f"mqtt://127.0.0.1:{broker.port}", f"mqtt://{cable.theirs}:{broker.port}")
    plant.store.wrapper = cable.wrapper
    await broker.start()
    try:
        yield
    finally:
        await plant.store.stop()
        await broker.stop()


async def _move_tool(plant: Plant, cable: LossyCable) -> None:
    torque = plant.devices.torque
    await torque.unplug()
    socket = cable.listen()
    torque._server = await asyncio.start_server(torque._connected, sock=socket)
    change(
        plant,
        f"host: 127.0.0.1\n    port: {torque.port}\n",
        f"host: {cable.theirs}\n    port: {socket.getsockname()[1]}\n",
    )
