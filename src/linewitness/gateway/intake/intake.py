"""Take the observations of one device in the order of arrival, within its share, and queue their events."""

import asyncio
import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from linewitness.base.clock import Clock, Stamp
from linewitness.base.failures import retrieve
from linewitness.devices.base import NetworkSession, Observation, Result, Session, Signals
from linewitness.devices.following import FollowingSession
from linewitness.devices.options import ShareOptions
from linewitness.gateway.availability import DeviceStatusSink
from linewitness.gateway.intake.arrival import ArrivalOrder, Standstills
from linewitness.gateway.intake.bindings import BindingWatch
from linewitness.gateway.intake.network import NetworkWatch
from linewitness.journal.attestations import JournalHead
from linewitness.journal.journal import Journal
from linewitness.journal.pressure import Level
from linewitness.stations.gate.orders import Order
from linewitness.stations.outcome import Ask
from linewitness.stations.shares.share import DeviceShare
from linewitness.stations.shares.taken import Taken
from linewitness.stations.station import Station

log = structlog.get_logger()

_SHARE_HINT: Final = (
    "what it pushes and nobody keeps is counted in a source.gap: look at the device, or raise its share"
)


#: Is told of what a station has taken: the future ends when that is durable.
Show = Callable[["asyncio.Future[Any]"], None]


@dataclass(frozen=True, slots=True)
class QueuedObservation:
    """An observation whose events are queued, when they are durable, and what is to be done then.

    `observation` is None where its events are all that is to be waited for. `count` observations are on
    record with it. `slower` says that the device is to be read no further before its debt is paid. `arrived`
    says that a unit was read, of which devices may have to be told.
    """

    observation: Observation | None
    durable: "asyncio.Future[JournalHead] | None" = None
    order: Order | None = None
    asks: Sequence[Ask] = ()
    count: int = 0
    slower: bool = False
    arrived: bool = False


class Intake:
    """What one device sends, on its way into the journal.

    Nothing is awaited between interpreting an observation and queueing its events: what a station has taken
    must not be lost to a cancellation, and all devices of a station are interpreted in one order.
    """

    def __init__(
        self,
        device: str,
        station: Station,
        share: ShareOptions,
        *,
        journal: Journal,
        clock: Clock,
        health: DeviceStatusSink,
        standstills: Standstills,
        release: Callable[[Order], None] = lambda _: None,
        show: Show | None = None,
    ) -> None:
        """Take the device's station, its share of the journal, and where orders go that are durable."""
        self._release = release
        self._show = show or (lambda _durable: None)
        self._device = device
        self._station = station
        self._share = DeviceShare(device, share, station)
        self._reported = (False, False, 0)
        self._journal = journal
        self._clock = clock
        self._health = health
        self._standstills = standstills
        self._order = ArrivalOrder(standstills, clock)
        self._bindings = BindingWatch(device, health)
        self._session: Session | None = None
        self._network = NetworkWatch(device, health, clock, self._order.notice)

    async def recall(self) -> None:
        """Begin with what the journal says of the device's share."""
        self._share.recall(await self._journal.read(lambda reader: reader.state_value(self._share.state_key)))

    @property
    def due_s(self) -> float | None:
        """Return after how many seconds `take_due` has something to do; None: never."""
        return self._share.due_s(self._clock.stamp())

    @property
    def debt_s(self) -> float:
        """Seconds for which a device that keeps its data is to be left alone."""
        return self._share.debt_s

    def begin(self, session: Session) -> None:
        """Learn that a session begins, before anything of it is taken."""
        self._session = session
        self._network.begin(session if isinstance(session, NetworkSession) else None)

    def known_until(self, now: Stamp) -> Stamp | None:
        """Return until when the station knows all that the device's points said.

        None without a session, and while the device's share holds back what they say.
        """
        if self._share.holds_back:
            return None
        if isinstance(self._session, FollowingSession):
            return self._session.known_until
        return now if self._session is not None else None

    async def watch(self) -> None:
        """Show what is lost on the way to the device, until cancelled."""
        await self._network.run()

    async def settle(self, observation: Observation) -> None:
        """Wait, before a result is taken, until what other devices sent before it can be taken."""
        if isinstance(observation, Result):
            await self._standstills.settle()

    def take(self, observation: Observation, session_id: str) -> QueuedObservation:
        """Interpret an observation and queue its events; telemetry has a buffer of its own."""
        if isinstance(observation, Signals):
            return QueuedObservation(observation, count=1)
        delayed_since_ns = None
        if observation.confirmable or isinstance(observation, Result):
            delayed_since_ns = self._order.delayed_since_ns(observation, self._network.lost)
        return self._queue(
            self._within_share((observation,), session_id, delayed_since_ns=delayed_since_ns), observation
        )

    def take_due(self, session_id: str) -> QueuedObservation:
        """Queue what is due although nothing arrived."""
        return self._queue(self._within_share((), session_id))

    def finish(self, session_id: str) -> QueuedObservation:
        """Queue what is left to say when a session ends."""
        return self._queue(self._share.finish(self._clock.stamp(), session_id))

    def forget(self) -> None:
        """Let the station forget what this device named: it may miss what comes from now on."""
        self._session = None
        outcome = self._station.lose(
            self._device, f"the connection to {self._device} ended", self._clock.stamp()
        )
        if outcome.events or outcome.state:
            durable = self._journal.observe(self._device, outcome.events, state=outcome.state, raw={})
            durable.add_done_callback(functools.partial(self._forgotten, outcome.order))
            self._show(durable)

    def _forgotten(self, order: Order | None, durable: "asyncio.Future[JournalHead]") -> None:
        """Let a gate move that the end of a session moved: its record is durable now."""
        retrieve(durable)
        if order is not None and not durable.cancelled() and durable.exception() is None:
            self._release(order)

    def confirmed(self, observation: Observation) -> None:
        """Learn that the device was told that an observation is durable."""
        self._order.confirmed(observation)

    def _within_share(
        self, group: Sequence[Observation], session_id: str, *, delayed_since_ns: int | None = None
    ) -> Taken:
        scarce = self._journal.pressure.level >= Level.HIGH
        return self._share.take(
            group, self._clock.stamp(), session_id, scarce=scarce, delayed_since_ns=delayed_since_ns
        )

    def _queue(self, taken: Taken, observation: Observation | None = None) -> QueuedObservation:
        outcome = taken.outcome
        self._bindings.note(outcome)
        raw = {hashlib.sha256(data).hexdigest(): data for data in taken.raw}
        durable = None
        if outcome.events or outcome.state or raw:
            durable = self._journal.observe(self._device, outcome.events, state=outcome.state, raw=raw)
            self._show(durable)
        self._report_share()
        if observation is not None and not observation.confirmable:
            observation = None
        return QueuedObservation(
            observation,
            durable,
            outcome.order,
            outcome.asks,
            count=taken.count,
            slower=taken.slower,
            arrived=outcome.arrived,
        )

    def _report_share(self) -> None:
        """Show how the device keeps to its share; log once when it is above it, and once when it is not."""
        share, before = self._share, self._reported
        now = (share.above, share.losing, share.dropped)
        if now == before:
            return
        self._reported = now
        self._health.share(self._device, above=share.above, losing=share.losing, dropped=share.dropped)
        if share.above and not before[0]:
            log.warning("device sends more than its share", device=self._device, hint=_SHARE_HINT)
        elif before[0] and not share.above:
            log.info("device is within its share again", device=self._device, not_on_record=share.dropped)
