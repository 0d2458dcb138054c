"""Carry observations from one device into the journal, until it is stopped."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Final, Never

import orjson

from linewitness.base.clock import NS_PER_MS, Clock, Stamp, to_rfc3339
from linewitness.base.errors import DeviceError, DeviceRefused, DeviceUnavailable
from linewitness.base.retry import Backoff
from linewitness.base.stopping import attempted
from linewitness.devices.base import (
    CommandingSession,
    ConfirmingSession,
    Driver,
    NetworkSession,
    Observation,
    Session,
    Signals,
)
from linewitness.devices.options import ShareOptions
from linewitness.devices.polling import PollingSession
from linewitness.devices.refusals import RefusingSession
from linewitness.devices.unit_commands import UnitCommandOptions
from linewitness.gateway.availability import Availability, DeviceStatusSink
from linewitness.gateway.intake.arrival import Standstills
from linewitness.gateway.intake.intake import Intake, QueuedObservation, Show
from linewitness.gateway.intake.polls import PollWatch
from linewitness.gateway.intake.refusals import RefusalWatch
from linewitness.gateway.intake.waiting import WaitingObservations
from linewitness.gateway.stations.gate_orders import GateOrders
from linewitness.gateway.stations.gates import GateControl
from linewitness.gateway.stations.unit_commands import UnitTelling
from linewitness.journal.journal import Journal
from linewitness.journal.memory import JournalMemory
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.stations.outcome import Ask
from linewitness.stations.station import Station

#: Observations that may wait for a commit; then the device's session has to wait.
QUEUE: Final = 1000
#: Observations that are confirmed together.
GROUP: Final = 256
#: Observations that are taken from one device before all others have their turn.
TURN: Final = 64
#: A device that refused is tried again after this long: it may have been repaired meanwhile.
PARKED_S: Final = 60.0


class _StoppedByUs(DeviceError):
    """We ended the session ourselves."""


class Capture:
    """The one task of one device: connect, observe, interpret, append, confirm; and again."""

    def __init__(
        self,
        driver: Driver,
        station: Station,
        *,
        journal: Journal,
        telemetry: TelemetryBuffer,
        clock: Clock,
        health: DeviceStatusSink,
        station_id: str | None = None,
        backoff: Backoff | None = None,
        orders: GateOrders | None = None,
        share: ShareOptions | None = None,
        ask: Callable[[Ask], None] | None = None,
        commands: UnitCommandOptions | None = None,
        standstills: Standstills,
        show: Show | None = None,
    ) -> None:
        """Take the device's driver, the station where it stands, and where its evidence goes.

        `commands` are the device's settings where they let it be told of units. `show` is told of what the
        station has taken, and when that is durable.
        """
        self._driver = driver
        self._device = driver.device
        self._journal = journal
        self._telemetry = telemetry
        self._health = health
        self._backoff = backoff or Backoff()
        self._orders = orders or GateOrders()
        self._ask = ask or (lambda _ask: None)
        self._intake = Intake(
            self._device,
            station,
            share or ShareOptions(),
            journal=journal,
            clock=clock,
            health=health,
            standstills=standstills,
            release=self._orders.release,
            show=show,
        )
        telling = None
        if commands is not None:
            telling = UnitTelling(
                self._device, station_id, commands, station, journal=journal, clock=clock, health=health
            )
        self._gates = GateControl(
            self._device, self._orders, journal=journal, clock=clock, health=health, telling=telling
        )
        self._stop_asked = asyncio.Event()
        self._reading = False
        self._polls = PollWatch(self._device, health)
        self._refusals = RefusalWatch(self._device, health)
        self._availability = Availability(
            self._device, station_id, journal=journal, clock=clock, health=health
        )

    @property
    def device(self) -> str:
        """The device's id."""
        return self._device

    def known_until(self, now: Stamp) -> Stamp | None:
        """Return until when the station knows all that the device's points said; None where it does not."""
        return self._intake.known_until(now)

    def stop(self) -> bool:
        """Let `run` end when all that was read is durable; False if it reads nothing and may be cancelled."""
        self._stop_asked.set()
        return self._reading

    async def run(self) -> None:
        """Work until stopped; JournalError ends it, errors of the device do not."""
        memory = JournalMemory(self._journal, self._device)
        await self._availability.recall()
        await self._intake.recall()
        while not self._stop_asked.is_set():
            try:
                await attempted(self._session(memory), retried=DeviceError)
            except _StoppedByUs:
                return
            except DeviceUnavailable as error:
                await self._availability.lost(error, "lost")
                await asyncio.sleep(self._backoff.next_s())
            except DeviceRefused as error:
                await self._availability.lost(error, "refused")
                await asyncio.sleep(PARKED_S)

    async def _session(self, memory: JournalMemory) -> Never:
        """Connect, and carry observations until the session ends; raises what ended it."""
        try:
            async with self._driver.connect(memory) as session:
                self._intake.begin(session)
                await self._availability.back(session)
                self._backoff.succeeded()
                raise await self._carry(session)
        finally:
            # Nothing is awaited here: the settings may be about to stop this capture.
            self._intake.forget()

    async def _carry(self, session: Session) -> DeviceError:
        """Move observations until the session ends, and return why it did.

        All that was observed is durable then, confirmed or not.
        """
        queue = WaitingObservations(QUEUE)
        gates = session if isinstance(session, CommandingSession) else None
        async with asyncio.TaskGroup() as group:
            observing = group.create_task(self._observe(session, queue), name=f"observe:{self._device}")
            carrying = group.create_task(self._append(session, queue), name=f"append:{self._device}")
            self._reading = True
            others = [group.create_task(self._end_when_asked(observing, gates), name=f"end:{self._device}")]
            if isinstance(session, NetworkSession):
                others.append(group.create_task(self._intake.watch(), name=f"network:{self._device}"))
            if isinstance(session, PollingSession):
                others.append(group.create_task(self._polls.run(session), name=f"polls:{self._device}"))
            if isinstance(session, RefusingSession):
                watching = self._refusals.run(session)
                others.append(group.create_task(watching, name=f"refusals:{self._device}"))
            if gates is not None:
                others.append(group.create_task(self._gates.serve(gates), name=f"gates:{self._device}"))
            await asyncio.wait([carrying])
            self._reading = False
            for task in others:
                task.cancel()
        return carrying.result()

    async def _end_when_asked(self, observing: asyncio.Task[None], gates: CommandingSession | None) -> None:
        """Leave the gates in their safe position while the session still works, then stop reading."""
        await self._stop_asked.wait()
        if gates is not None:
            await self._gates.leave(gates)
        observing.cancel()

    async def _observe(self, session: Session, queue: WaitingObservations) -> None:
        end: DeviceError = DeviceUnavailable("the session ended")
        observations = session.observations()
        count = 0
        try:
            async for observation in observations:
                await self._intake.settle(observation)
                taken = self._intake.take(observation, session.session_id)
                await queue.put(taken)
                count += max(1, taken.count)
                if taken.slower:
                    await asyncio.sleep(self._intake.debt_s)
                elif count >= TURN:
                    count = 0
                    await asyncio.sleep(0)
        except DeviceError as error:
            end = error
        except asyncio.CancelledError:
            if not self._stop_asked.is_set():
                raise
            end = _StoppedByUs("the gateway stops reading")
        finally:
            if isinstance(observations, AsyncGenerator):
                await observations.aclose()
        if isinstance(session, PollingSession) and (gap := session.missed_polls(final=True)) is not None:
            await queue.put(self._intake.take(gap, session.session_id))
        await queue.put(end)

    async def _append(self, session: Session, queue: WaitingObservations) -> DeviceError:
        broken: DeviceError | None = None
        while True:
            group, end = await self._next(session, queue)
            self._health.at_work(self._device, True)
            confirmable = await self._make_durable(group)
            if confirmable and broken is None and isinstance(session, ConfirmingSession):
                # Crash here: durable and unconfirmed. The device sends it again and the driver recognises it.
                broken = await self._confirm(session, confirmable)
            self._health.at_work(self._device, False)
            if end is not None:
                return broken or end

    async def _next(
        self, session: Session, queue: WaitingObservations
    ) -> tuple[list[QueuedObservation], DeviceError | None]:
        """Wait for one observation and take what else is there, up to a group; and the session's end."""
        group: list[QueuedObservation] = []
        item: QueuedObservation | DeviceError
        try:
            async with asyncio.timeout(self._intake.due_s):
                item = await queue.get()
        except TimeoutError:
            item = self._intake.take_due(session.session_id)
        while True:
            if isinstance(item, DeviceError):
                group.append(self._intake.finish(session.session_id))
                return group, item
            group.append(item)
            if len(group) >= GROUP or queue.empty:
                return group, None
            item = queue.take()

    async def _make_durable(self, group: list[QueuedObservation]) -> list[Observation]:
        """Wait until a group is durable, carry out what its station orders, and return what to confirm."""
        for taken in group:
            if isinstance(taken.observation, Signals):
                await self._signals(taken.observation)
        for taken in group:
            if taken.durable is not None:
                await taken.durable
            if taken.order is not None:
                # Crash here: the order is on record and not written; the next start writes it.
                self._orders.release(taken.order)
            for ask in taken.asks:
                self._ask(ask)
            if taken.arrived:
                self._orders.wake()
        self._health.observed(self._device, sum(taken.count for taken in group))
        return [taken.observation for taken in group if taken.observation and taken.observation.confirmable]

    async def _confirm(
        self, session: ConfirmingSession, observations: list[Observation]
    ) -> DeviceError | None:
        try:
            for observation in observations:
                await session.confirm(observation)
                self._intake.confirmed(observation)
        except DeviceError as error:
            return error
        return None

    async def _signals(self, signals: Signals) -> None:
        await self._telemetry.put(self._device, len(signals.points), _payload(signals))


def _payload(signals: Signals) -> bytes:
    """Return the historian's message: columns of points and values, Unix times in milliseconds."""
    message: dict[str, object] = {
        "at": to_rfc3339(signals.when.occurred_ns),
        "t_ms": signals.when.occurred_ns // NS_PER_MS,
        "from": signals.when.occurred_from,
        "points": signals.points,
        "values": signals.values,
    }
    if signals.times_ns is not None:
        message["times_ms"] = [time_ns // NS_PER_MS for time_ns in signals.times_ns]
    if signals.statuses:
        message["status"] = {str(position): text for position, text in signals.statuses.items()}
    return orjson.dumps(message)
