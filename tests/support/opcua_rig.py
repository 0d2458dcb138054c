"""What the tests of the OPC UA driver share: a memory, options, and a reader of observations."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from linewitness.base.clock import SystemClock
from linewitness.devices.base import Observation
from linewitness.devices.opcua.connection.certificates import make_client_certificate
from linewitness.devices.opcua.driver import OpcUaDriver as Driver
from linewitness.devices.opcua.options import OpcUaOptions as Options
from linewitness_simulators.press.server import RunningPress
from support.one_by_one import one_by_one

CLOCK = SystemClock()
WAIT_S = 15.0


class Memory:
    """What the journal would remember, committed at once."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def get(self, key: str) -> str | None:
        return self.kept.get(key)

    async def items(self, prefix: str) -> dict[str, str]:
        return {key: value for key, value in sorted(self.kept.items()) if key.startswith(prefix)}

    def keep(self, observation: Observation) -> None:
        for key, value in observation.remember.items():
            if value is None:
                self.kept.pop(key, None)
            else:
                self.kept[key] = value


class Listening:
    """One session whose observations are taken one after the other, and remembered."""

    def __init__(self, session: Any, memory: Memory) -> None:
        self.session = session
        self.heard: list[Any] = []
        self._memory = memory
        self._waiting: asyncio.Future[Observation] | None = None
        self._stream = one_by_one(session.observations())

    async def next(self) -> Any:
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            return await waiting
        async with asyncio.timeout(WAIT_S):
            observation = await anext(self._stream)
        self._memory.keep(observation)
        self.heard.append(observation)
        value: Observation = observation
        return value

    async def first(self, wanted: Callable[[Any], bool]) -> Any:
        """Return the first observation from here on that is wanted."""
        async with asyncio.timeout(WAIT_S):
            while not wanted(observation := await self.next()):
                pass
        return observation

    async def until_quiet(self, seconds: float) -> None:
        """Let the session work on while nothing is to be told."""
        waiting = asyncio.ensure_future(self.next())
        await asyncio.wait([waiting], timeout=seconds)
        assert not waiting.done(), f"unexpected: {waiting.result()}"
        self._waiting = waiting

    async def end(self) -> None:
        """Take everything until the session raises."""
        while True:
            await self.next()

    async def close(self) -> None:
        await self._stream.aclose()


def options(press: RunningPress | str, *points: dict[str, Any], **more: Any) -> Options:
    endpoint = press if isinstance(press, str) else press.url
    return Options.model_validate(
        {
            "id": "press-4",
            "driver": "opcua",
            "endpoint": endpoint,
            "points": [{"record": "change", "sampling_ms": 10, **point} for point in points],
            "publishing_ms": 50,
            "timeout_s": 10,
            "silence_s": 2,
            **more,
        }
    )


def point(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name.lower(), "node": f"ns=2;s=Press.{name}", **more}


@contextlib.asynccontextmanager
async def listening(settings: Options, memory: Memory | None = None) -> AsyncIterator[Listening]:
    known = memory or Memory()
    async with listening_again(Driver(settings, clock=CLOCK), known) as ear:
        yield ear


@contextlib.asynccontextmanager
async def listening_again(driver: Driver, memory: Memory) -> AsyncIterator[Listening]:
    async with driver.connect(memory) as session:
        ear = Listening(session, memory)
        try:
            yield ear
        finally:
            await ear.close()


def reading(name: str, value: Any = ...) -> Callable[[Any], bool]:
    def wanted(observation: Any) -> bool:
        found = getattr(observation, "point", None) == name
        return found and (value is ... or observation.value == value)

    return wanted


def of_type(kind: type) -> Callable[[Any], bool]:
    return lambda observation: isinstance(observation, kind)


def client_files(folder: Path) -> dict[str, Any]:
    """Make the gateway's certificate; return what the YAML would say of it."""
    certificate, key = folder / "gateway.der", folder / "gateway.pem"
    make_client_certificate(
        certificate=certificate,
        key=key,
        application_uri="urn:test:linewitness",
        host="localhost",
        clock=CLOCK,
    )
    return {"certificate": certificate, "key": {"file": key}}
