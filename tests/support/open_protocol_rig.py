"""A gateway in miniature: the driver, and a memory that keeps only what was committed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from linewitness.base.clock import SystemClock
from linewitness.base.errors import DeviceError
from linewitness.devices.base import Gap, Notice, Observation, Result, Seen
from linewitness.devices.open_protocol.driver import OpenProtocolDriver
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness_simulators.torque import TorqueSimulator

PATIENCE_S = 20


@dataclass
class Journal:
    """What was committed: observations in order, and what drivers asked to have remembered."""

    said: list[Observation] = field(default_factory=list)
    state: dict[str, str] = field(default_factory=dict)

    async def get(self, key: str) -> str | None:
        return self.state.get(key)

    async def items(self, prefix: str) -> dict[str, str]:
        return {key: text for key, text in sorted(self.state.items()) if key.startswith(prefix)}

    def commit(self, observation: Observation) -> None:
        self.said.append(observation)
        for key, text in observation.remember.items():
            if text is None:
                self.state.pop(key, None)
            else:
                self.state[key] = text

    def all(self, kind: type[Observation]) -> list[Any]:
        return [each for each in self.said if isinstance(each, kind)]

    @property
    def results(self) -> list[Result]:
        return self.all(Result)

    @property
    def ids(self) -> list[int]:
        return [int(each.result_id) for each in self.results if each.decoded and each.result_id.isdigit()]

    def notices(self, kind: str) -> list[Notice]:
        return [each for each in self.all(Notice) if each.kind == kind]

    @property
    def gaps(self) -> list[Gap]:
        return self.all(Gap)

    @property
    def repeats(self) -> list[Seen]:
        return [each for each in self.all(Seen) if each.confirmable]


def options_for(simulator: TorqueSimulator, **more: Any) -> OpenProtocolOptions:
    quick = {"back_fill_per_s": 50, "request_timeout_s": 3, "keepalive_s": 0.5, "dead_after_s": 3}
    place = {"id": "wrench-10", "host": "127.0.0.1", "port": simulator.port}
    return OpenProtocolOptions(**{**place, **quick, **more})


@dataclass
class Gateway:
    """One run of the gateway: it carries observations into the journal until it is killed.

    `commits` and `confirms` may be turned off: results are then not committed, or not confirmed.
    """

    journal: Journal
    driver: OpenProtocolDriver
    commits: bool = True
    confirms: bool = True
    reconnects: bool = True
    error: DeviceError | None = None
    connected: int = 0
    identity: dict[str, str] = field(default_factory=dict)
    session: Any = None

    async def run(self) -> None:
        while True:
            try:
                async with self.driver.connect(self.journal) as session:
                    self.connected += 1
                    self.session = session
                    self.identity = dict(session.identity)
                    async for observation in session.observations():
                        await self._carry(session, observation)
            except DeviceError as error:
                self.error = error
                if not self.reconnects:
                    return
                await asyncio.sleep(0.05)

    async def _carry(self, session: Any, observation: Observation) -> None:
        if not self.commits and isinstance(observation, Result):
            return
        self.journal.commit(observation)
        if observation.confirmable and (self.confirms or not isinstance(observation, Result)):
            await session.confirm(observation)


@contextlib.asynccontextmanager
async def gateway(simulator: TorqueSimulator, journal: Journal, **more: Any) -> AsyncIterator[Gateway]:
    """Run a gateway until the block ends; its end is a crash: nothing more is committed."""
    flags = {key: more.pop(key) for key in ("commits", "confirms", "reconnects") if key in more}
    driver = more.pop("driver", None) or OpenProtocolDriver(
        options_for(simulator, **more), clock=SystemClock()
    )
    running = Gateway(journal, driver, **flags)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(running.run(), name="gateway")
        try:
            yield running
        finally:
            task.cancel()
