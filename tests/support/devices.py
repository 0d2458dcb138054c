"""A scripted device for tests of capture: what it says is in the test's hand."""

import asyncio
from contextlib import asynccontextmanager

from linewitness.base.errors import DeviceUnavailable


class ScriptedSession:
    def __init__(self, driver):
        self._driver = driver
        self.session_id = f"session-{driver.connections}"
        self.identity = {"serial": "S-1"}

    async def observations(self):
        while True:
            item = await self._driver.says.get()
            if isinstance(item, Exception):
                raise item
            yield item

    async def confirm(self, observation):
        if self._driver.confirm_fails:
            raise DeviceUnavailable("the link broke")
        self._driver.confirmed.append(observation)
        self._driver.confirmation.set()


class ScriptedDriver:
    """`says` is a queue of observations and errors; `refusals` are raised by the next connects."""

    def __init__(self, device="wrench-10"):
        self.device = device
        self.says = asyncio.Queue()
        self.refusals = []
        self.confirmed = []
        self.confirmation = asyncio.Event()
        self.confirm_fails = False
        self.connections = 0
        self.remembered = None

    @asynccontextmanager
    async def connect(self, memory):
        self.remembered = await memory.items("")
        self.connections += 1
        if self.refusals:
            raise self.refusals.pop(0)
        yield ScriptedSession(self)


class Health:
    def __init__(self):
        self.states = []
        self.counts = 0

    def device(self, name, state, why):
        self.states.append(state)

    def observed(self, name, count):
        self.counts += count

    def at_work(self, name, busy):
        pass
