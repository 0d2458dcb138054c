"""A scripted device for tests of capture: what it says is in the test's hand."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.base import Memory, Observation
from linewitness.devices.polling import PollFigures


class ScriptedSession:
    def __init__(self, driver: "ScriptedDriver") -> None:
        self._driver = driver
        self.session_id = f"session-{driver.connections}"
        self.identity = {"serial": "S-1"}

    async def observations(self) -> AsyncIterator[Observation]:
        while True:
            item = await self._driver.says.get()
            if isinstance(item, Exception):
                raise item
            yield item

    async def confirm(self, observation: Observation) -> None:
        if self._driver.confirm_fails:
            raise DeviceUnavailable("the link broke")
        self._driver.confirmed.append(observation)
        self._driver.confirmation.set()


class ScriptedDriver:
    """`says` is a queue of observations and errors; `refusals` are raised by the next connects."""

    def __init__(self, device: str = "wrench-10") -> None:
        self.device = device
        self.says: asyncio.Queue[Any] = asyncio.Queue()
        self.refusals: list[Exception] = []
        self.confirmed: list[Any] = []
        self.confirmation = asyncio.Event()
        self.confirm_fails = False
        self.connections = 0
        self.remembered: Any = None

    @asynccontextmanager
    async def connect(self, memory: Memory) -> AsyncIterator[ScriptedSession]:
        self.remembered = await memory.items("")
        self.connections += 1
        if self.refusals:
            raise self.refusals.pop(0)
        yield ScriptedSession(self)


class Health:
    def __init__(self) -> None:
        self.states: list[str] = []
        self.counts = 0
        self.unbound_results = self.conflicts = self.refusals = 0
        self.not_told = ""
        self.not_moved = ""
        self.shares: list[tuple[bool, bool, int]] = []

    def device(self, name: str, state: str, why: str) -> None:
        self.states.append(state)

    def observed(self, name: str, count: int) -> None:
        self.counts += count

    def share(self, name: str, *, above: bool, losing: bool, dropped: int) -> None:
        self.shares.append((above, losing, dropped))

    def polls(self, name: str, figures: PollFigures) -> None:
        pass

    def refused_points(self, name: str, refused: Mapping[str, str]) -> None:
        pass

    def unmoved(self, name: str, why: str) -> None:
        self.not_moved = why

    def untold(self, name: str, why: str) -> None:
        self.not_told = why

    def lost_segments(self, name: str, count: int) -> None:
        pass

    def at_work(self, name: str, busy: bool) -> None:
        pass

    def refused_at_station(self, name: str, count: int) -> None:
        self.refusals += count

    def binding_conflict(self, name: str, count: int, why: str) -> None:
        self.conflicts += count

    def unbound(self, name: str, count: int, why: str) -> None:
        self.unbound_results += count
