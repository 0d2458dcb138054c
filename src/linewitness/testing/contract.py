"""The contract suite: what `devices/base.py` promises, asked of one driver and a device or a model of one."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

from pydantic import ValidationError

from linewitness.base.clock import SystemClock
from linewitness.base.errors import DeviceError, DeviceRefused, DeviceUnavailable
from linewitness.devices.base import ConfirmingSession, Driver, Observation, Session
from linewitness.devices.context import DriverContext
from linewitness.devices.options import DeviceOptions
from linewitness.devices.spec import DriverSpec
from linewitness.testing.checks import ContractBroken, check_observation, must
from linewitness.testing.folder import check_page, check_sample
from linewitness.testing.memory import CommittedMemory
from linewitness.testing.proxy import proxy

__all__ = ["ContractBroken", "DeviceUnderTest", "DriverContract"]

#: A device is made to speak again after this time, until the driver has heard something.
SPEAK_AGAIN_S = 0.2
#: So long a confirmation has to reach the device, be it in time or too early.
SETTLE_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUnderTest:
    """A device, or a model of one, that listens on a TCP port of the loopback interface.

    `speak` makes it say something new; it is called again until the driver has heard something. `confirmed`
    returns how many confirmations have reached the device; leave it out where the driver confirms nothing.
    """

    port: int
    speak: Callable[[], Awaitable[None]]
    confirmed: Callable[[], int] | None = None


class DriverContract:
    """Subclass it as `TestMyDriver`, give `spec`, `page`, `device` and `settings`, and let pytest run it.

    Each test connects through a proxy where it needs a fault. `patience_s` is how long the driver may take
    for one step, such as noticing that its device is silent.
    """

    spec: ClassVar[DriverSpec]
    page: ClassVar[Path]
    patience_s: ClassVar[float] = 15.0

    def device(self) -> AbstractAsyncContextManager[DeviceUnderTest]:
        """Return a context in which the device listens."""
        raise NotImplementedError

    def settings(self, port: int) -> Mapping[str, object]:
        """Return the settings, as in the YAML, with which the driver reaches 127.0.0.1 and this port."""
        raise NotImplementedError

    def test_options_name_the_driver_and_are_frozen(self) -> None:
        """Settings never change while they are in use."""
        options = self._options(1)
        must(options.driver == self.spec.name, f"the driver of the options is {options.driver!r}")
        try:
            setattr(options, "description", "changed")  # noqa: B010 (mypy knows that this is not allowed)
        except ValidationError:
            return
        raise ContractBroken("the options can be changed: derive them from DeviceOptions as they stand")

    def test_sample_of_the_folder_is_accepted_in_a_line(self) -> None:
        """`sample.yaml` beside the code is what people copy."""
        check_sample(self.spec)

    def test_page_shows_the_sample_and_says_limits_and_troubleshooting(self) -> None:
        """The page says what can be relied on, and what to do when it does not work."""
        check_page(self.spec, self.page)

    def test_device_that_is_not_there_is_unavailable(self) -> None:
        """Nobody listens: that is worth retrying."""
        asyncio.run(self._not_there())

    def test_sessions_have_names_of_their_own(self) -> None:
        """The `session_id` of a connection is never used again, and the identity is text."""
        asyncio.run(self._names())

    def test_observations_say_where_and_when(self) -> None:
        """Each observation names its device, its session and the moment of its reception."""
        asyncio.run(self._where_and_when())

    def test_broken_connection_ends_the_session_and_the_next_one_works(self) -> None:
        """Lost and back: DeviceUnavailable, and the same driver connects again."""
        asyncio.run(self._lost_and_back())

    def test_silent_device_is_noticed(self) -> None:
        """The connection stands and nothing comes any more: DeviceUnavailable within `patience_s`."""
        asyncio.run(self._silent())

    def test_confirmation_waits_for_the_commit(self) -> None:
        """The device is told after `confirm` was called, and not before."""
        asyncio.run(self._confirmed())

    def test_session_leaves_nothing_behind(self) -> None:
        """A session that ends closes its connection and its tasks."""
        asyncio.run(self._ended())

    def test_cancelled_session_leaves_nothing_behind(self) -> None:
        """The gateway stops: so does the driver, whatever it waits for."""
        asyncio.run(self._cancelled())

    def test_cancelled_connect_leaves_nothing_behind(self) -> None:
        """The same while the device does not answer yet."""
        asyncio.run(self._cancelled_connect())

    async def _not_there(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        try:
            async with self._driver(port).connect(CommittedMemory()) as session:
                await anext(aiter(session.observations()))
        except DeviceUnavailable:
            return
        raise ContractBroken("connecting to a port on which nobody listens did not raise DeviceUnavailable")

    async def _names(self) -> None:
        async with self.device() as device:
            driver, seen = self._driver(device.port), set[str]()
            for _ in range(2):
                async with driver.connect(CommittedMemory()) as session:
                    must(isinstance(session, Session), f"{session!r} is not a Session")
                    must(bool(session.session_id), "the session_id is empty")
                    must(session.session_id not in seen, f"{session.session_id} names two connections")
                    texts = [text for pair in session.identity.items() for text in pair]
                    must(all(isinstance(text, str) for text in texts), f"not all of {texts} are text")
                    seen.add(session.session_id)

    async def _where_and_when(self) -> None:
        clock = SystemClock()
        begun = clock.stamp()
        async with self.device() as device, self._session(self._driver(device.port)) as (session, said):
            heard = await self._hear(device, said)
            check_observation(heard, self._options(1).id, session.session_id, begun, clock.stamp())
            must(
                not heard.confirmable or device.confirmed is not None,
                "an observation is confirmable: give `confirmed`, so that the suite can look",
            )

    async def _lost_and_back(self) -> None:
        async with self.device() as device, proxy(device.port) as relay:
            driver, names = self._driver(relay.port), set[str]()
            for _ in range(2):
                async with self._session(driver) as (session, said):
                    await self._hear(device, said)
                    names.add(session.session_id)
                    relay.drop()
                    await self._lost(said, "the connection was broken")
            must(len(names) == 2, "the second connection has the name of the first")  # noqa: PLR2004 (two)

    async def _silent(self) -> None:
        async with (
            self.device() as device,
            proxy(device.port) as relay,
            self._session(self._driver(relay.port)) as (_, said),
        ):
            await self._hear(device, said)
            relay.silent = True
            await self._lost(said, f"the device was silent for {self.patience_s} s")

    async def _confirmed(self) -> None:
        async with self.device() as device, self._session(self._driver(device.port)) as (session, said):
            if device.confirmed is None:
                return
            async with asyncio.timeout(self.patience_s):
                while device.confirmed() == 0:
                    heard = await self._hear(device, said)
                    await asyncio.sleep(SETTLE_S)
                    must(device.confirmed() == 0, "the device was told before the commit")
                    if heard.confirmable:
                        await self._confirm(session, heard)

    async def _confirm(self, session: Session, heard: Observation) -> None:
        """Confirm, and give the confirmation the time to arrive."""
        if not isinstance(session, ConfirmingSession):
            raise ContractBroken("an observation is confirmable, and the session has no `confirm`")
        await session.confirm(heard)
        await asyncio.sleep(SETTLE_S)

    async def _ended(self) -> None:
        async with self.device() as device, proxy(device.port) as relay:
            before = asyncio.all_tasks()
            async with self._session(self._driver(relay.port)) as (_, said):
                await self._hear(device, said)
            await self._nothing_left(before)

    async def _cancelled(self) -> None:
        async with self.device() as device, proxy(device.port) as relay:
            before, heard = asyncio.all_tasks(), asyncio.Event()

            async def listen() -> None:
                async with self._session(self._driver(relay.port)) as (_, said):
                    await self._hear(device, said)
                    heard.set()
                    async for _ in said:
                        pass

            await self._cancel(listen(), heard.wait())
            await self._nothing_left(before)

    async def _cancelled_connect(self) -> None:
        async with self.device() as device, proxy(device.port) as relay:
            relay.silent, before = True, asyncio.all_tasks()

            async def connect() -> None:
                while True:  # on a slow machine the driver gives up before it is cancelled
                    with contextlib.suppress(DeviceUnavailable):
                        async with self._session(self._driver(relay.port)) as (_, said):
                            await anext(said)

            await self._cancel(connect(), self._until(lambda: relay.connections > 0, "connects"))
            relay.silent = False
            await self._nothing_left(before)

    def _options(self, port: int) -> DeviceOptions:
        given = {"id": "device-1", "driver": self.spec.name, **self.settings(port)}
        return self.spec.options_class().model_validate(given)

    def _driver(self, port: int) -> Driver:
        driver = self.spec.build(self._options(port), DriverContext(clock=SystemClock()))
        must(driver.device == "device-1", f"the driver calls its device {driver.device!r}")
        return driver

    @asynccontextmanager
    async def _session(self, driver: Driver) -> AsyncIterator[tuple[Session, AsyncGenerator[Observation]]]:
        async with driver.connect(CommittedMemory()) as session:
            said = cast("AsyncGenerator[Observation]", session.observations())
            async with aclosing(said):
                yield session, said

    async def _hear(self, device: DeviceUnderTest, said: AsyncIterator[Observation]) -> Observation:
        """Return the next observation; the device is made to speak until there is one."""

        async def speak() -> None:
            while True:
                await device.speak()
                await asyncio.sleep(SPEAK_AGAIN_S)

        why: Exception
        try:
            async with asyncio.TaskGroup() as group:
                speaking = group.create_task(speak(), name="contract:speak")
                async with asyncio.timeout(self.patience_s):
                    heard = await anext(said)
                speaking.cancel()
        except* (DeviceError, StopAsyncIteration, TimeoutError) as raised:
            why = raised.exceptions[0]
        else:
            return heard
        raise ContractBroken(f"the device spoke and the driver said nothing: {why!r}") from why

    async def _lost(self, said: AsyncIterator[Observation], why: str) -> None:
        """Take what still comes until the session ends as it must."""
        try:
            async with asyncio.timeout(self.patience_s):
                while True:
                    await anext(said)
        except DeviceUnavailable:
            return
        except (DeviceRefused, StopAsyncIteration, TimeoutError) as other:
            raise ContractBroken(f"{why}: {other!r} instead of DeviceUnavailable") from other

    async def _cancel(self, work: Coroutine[Any, Any, None], when: Coroutine[Any, Any, object]) -> None:
        """Cancel work at a moment, and see that it ends at once and by being cancelled."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(work, name="contract:driver")
            async with asyncio.timeout(self.patience_s):
                await when
            task.cancel()
            _, late = await asyncio.wait([task], timeout=self.patience_s)
            must(not late, "the driver does not end when it is cancelled")
        must(task.cancelled(), "the driver swallowed its cancellation")

    async def _nothing_left(self, before: set[asyncio.Task[Any]]) -> None:
        """Wait until the tasks of the connection are over: the driver's, the proxy's and the device's."""
        with contextlib.suppress(ContractBroken):
            await self._until(lambda: not asyncio.all_tasks() - before, "ends")
        left = sorted(task.get_name() for task in asyncio.all_tasks() - before)
        must(not left, f"tasks or connections are left behind: {', '.join(left)}")

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(self.patience_s):
                while not condition():  # noqa: ASYNC110 (nothing tells it)
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise ContractBroken(f"it never {what}") from None
