"""Carry observations from one device into the journal, until it is stopped."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator, Callable
from typing import Final, Never

import orjson
import structlog

from linewitness.base.clock import NS_PER_MS, Clock, to_rfc3339
from linewitness.base.errors import DeviceError, DeviceRefused, DeviceUnavailable
from linewitness.base.retry import Backoff
from linewitness.base.stopping import attempted
from linewitness.devices.base import (
    CommandingSession,
    ConfirmingSession,
    Driver,
    Observation,
    Session,
    Signals,
)
from linewitness.devices.options import ShareOptions
from linewitness.gateway.availability import Availability, DeviceStatusSink
from linewitness.gateway.gates import GateControl, GateOrders
from linewitness.journal.journal import Journal
from linewitness.journal.memory import JournalMemory
from linewitness.journal.pressure import Level
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.stations.outcome import Ask
from linewitness.stations.share import DeviceShare, Taken
from linewitness.stations.station import Station

log = structlog.get_logger()

#: Observations that may wait for a commit; then the device's session has to wait.
QUEUE: Final = 1000
#: Observations that go into one submission.
GROUP: Final = 256
#: Observations that are taken from one device before all others have their turn.
TURN: Final = 64
#: A device that refused is tried again after this long: it may have been repaired meanwhile.
PARKED_S: Final = 60.0
_SHARE_HINT: Final = (
    "what it pushes and nobody keeps is counted in a source.gap: look at the device, or raise its share"
)


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
    ) -> None:
        """Take the device's driver, the station where it stands, and where its evidence goes."""
        self._driver = driver
        self._device = driver.device
        self._share = DeviceShare(driver.device, share or ShareOptions(), station)
        self._share_reported = (False, False, 0)
        self._journal = journal
        self._telemetry = telemetry
        self._clock = clock
        self._health = health
        self._backoff = backoff or Backoff()
        self._orders = orders or GateOrders()
        self._ask = ask or (lambda _ask: None)
        self._gates = GateControl(self._device, self._orders, journal=journal, clock=clock)
        self._stop_asked = asyncio.Event()
        self._reading = False
        self._availability = Availability(
            self._device, station_id, journal=journal, clock=clock, health=health
        )

    @property
    def device(self) -> str:
        """The device's id."""
        return self._device

    def stop(self) -> bool:
        """Let `run` end when all that was read is durable; False if it reads nothing and may be cancelled."""
        self._stop_asked.set()
        return self._reading

    async def run(self) -> None:
        """Work until stopped; JournalError ends it, errors of the device do not."""
        memory = JournalMemory(self._journal, self._device)
        await self._availability.recall()
        self._share.recall(await self._journal.read(lambda reader: reader.state_value(self._share.state_key)))
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
        async with self._driver.connect(memory) as session:
            await self._availability.back(session)
            self._backoff.succeeded()
            raise await self._carry(session)

    async def _carry(self, session: Session) -> DeviceError:
        """Move observations until the session ends, and return why it did.

        All that was observed is durable then, confirmed or not.
        """
        queue: asyncio.Queue[Observation | DeviceError] = asyncio.Queue(QUEUE)
        gates = session if isinstance(session, CommandingSession) and self._gates.has_gates else None
        async with asyncio.TaskGroup() as group:
            observing = group.create_task(self._observe(session, queue), name=f"observe:{self._device}")
            carrying = group.create_task(self._append(session, queue), name=f"append:{self._device}")
            self._reading = True
            others = [group.create_task(self._end_when_asked(observing, gates), name=f"end:{self._device}")]
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

    async def _observe(self, session: Session, queue: "asyncio.Queue[Observation | DeviceError]") -> None:
        end: DeviceError = DeviceUnavailable("the session ended")
        observations = session.observations()
        count = 0
        try:
            async for observation in observations:
                await queue.put(observation)
                count += 1
                if count % TURN == 0:
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
        await queue.put(end)

    async def _append(
        self, session: Session, queue: "asyncio.Queue[Observation | DeviceError]"
    ) -> DeviceError:
        broken: DeviceError | None = None
        while True:
            group, end = await _take(queue, self._share.due_s(self._clock.stamp()))
            self._health.at_work(self._device, True)
            slower = await self._make_durable(group, session, last=end is not None)
            confirmable = [observation for observation in group if observation.confirmable]
            if confirmable and broken is None and isinstance(session, ConfirmingSession):
                # Crash here: durable and unconfirmed. The device sends it again and the driver recognises it.
                broken = await _confirm(session, confirmable)
            self._health.at_work(self._device, False)
            if end is not None:
                return broken or end
            if slower:
                await self._pay_back()

    async def _make_durable(self, group: list[Observation], session: Session, *, last: bool) -> bool:
        """Put a group on record; return whether the device sends more than its share and keeps the rest."""
        for observation in group:
            if isinstance(observation, Signals):
                await self._signals(observation)
        await self._journal.pressure.gate()
        # No await from here to the submission: what a station has taken must not be lost to a cancellation.
        scarce = self._journal.pressure.level >= Level.HIGH
        taken = self._share.take(group, self._clock.stamp(), session.session_id, scarce=scarce)
        if last:
            taken.add(self._share.finish(self._clock.stamp(), session.session_id))
        await self._submit(taken)
        self._health.observed(self._device, taken.count)
        self._report_share()
        return taken.slower

    async def _submit(self, taken: Taken) -> None:
        """Put what a group means on record, and do then what follows from it."""
        outcome = taken.outcome
        raw = {hashlib.sha256(data).hexdigest(): data for data in taken.raw}
        if outcome.events or outcome.state or raw:
            await self._journal.submit(outcome.events, state=outcome.state, raw=raw)
        if outcome.order is not None:
            # Crash here: the order is on record and not written; it is written again after the next start.
            self._orders.release(outcome.order)
        for ask in outcome.asks:
            self._ask(ask)

    async def _pay_back(self) -> None:
        """Leave a device alone that keeps its data, until it is within its share; not while stopping."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._share.debt_s):
                await self._stop_asked.wait()

    def _report_share(self) -> None:
        """Show how the device keeps to its share; log once when it is above it, and once when it is not."""
        share, before = self._share, self._share_reported
        now = (share.above, share.losing, share.dropped)
        if now == before:
            return
        self._share_reported = now
        self._health.share(self._device, above=share.above, losing=share.losing, dropped=share.dropped)
        if share.above and not before[0]:
            log.warning("device sends more than its share", device=self._device, hint=_SHARE_HINT)
        elif before[0] and not share.above:
            log.info("device is within its share again", device=self._device, not_on_record=share.dropped)

    async def _signals(self, signals: Signals) -> None:
        await self._telemetry.put(self._device, len(signals.points), _payload(signals))


async def _take(
    queue: "asyncio.Queue[Observation | DeviceError]", due_s: float | None
) -> tuple[list[Observation], DeviceError | None]:
    """Wait for one observation and take what else is there, up to a group; and the session's end.

    The group is empty where nothing came within `due_s` seconds.
    """
    group: list[Observation] = []
    try:
        async with asyncio.timeout(due_s):
            item = await queue.get()
    except TimeoutError:
        return group, None
    while True:
        if isinstance(item, DeviceError):
            return group, item
        group.append(item)
        if len(group) >= GROUP or queue.empty():
            return group, None
        item = queue.get_nowait()


async def _confirm(session: ConfirmingSession, observations: list[Observation]) -> DeviceError | None:
    try:
        for observation in observations:
            await session.confirm(observation)
    except DeviceError as error:
        return error
    return None


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
