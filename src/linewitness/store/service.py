"""Run the audit store: receive at the broker, judge in a worker thread, publish the answers, for years."""

import asyncio
import functools
import secrets
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, NamedTuple, Never, ParamSpec, TypeVar

import structlog

from linewitness.base.certificates import CertificateMonitor, named_in
from linewitness.base.clock import Clock, monotonic
from linewitness.base.errors import UplinkUnavailable
from linewitness.base.failures import deciding
from linewitness.base.line_writer import LineWriter
from linewitness.base.retry import Backoff
from linewitness.base.stopping import attempted, on_signal
from linewitness.store.ahead.subscription import subscribe_to_notices
from linewitness.store.database.database import Database
from linewitness.store.database.errors import StoreError, StoreMoved, StoreUnready
from linewitness.store.inbox.gateways import ServedGateways
from linewitness.store.inbox.inbox import StoreInbox
from linewitness.store.inbox.share import EVERYBODY, GatewayShare
from linewitness.store.keys import Cosigner
from linewitness.store.ledger import StoreLedger
from linewitness.store.options import AuditStoreOptions
from linewitness.store.readiness import RETRY_S, StoreReadiness
from linewitness.store.tenant.keeper import CustodyKeeper
from linewitness.store.tenant.streams import streams_of
from linewitness.store.turn import LedgerAnswer
from linewitness.store.upkeep import fill_views, inspect_store
from linewitness.store.work import StoreWork
from linewitness.store.workers.worker import end_with_the_supervisor, share_of, tell_subscribed
from linewitness.uplink.mqtt import MqttConnection, MqttConnector
from linewitness.uplink.topics import ALL_CHECKPOINTS, ALL_RECORDS, PREFIX

#: What a client id says of the store, before a part that is drawn at each start.
_ID_CHARACTERS: Final = 100

_STANDARD_OUTPUT: Final = 1
#: How soon a new enrolment is known while its gateway sends already, and what is dropped is reported.
LOOK_S: Final = 1.0

P = ParamSpec("P")
R = TypeVar("R")

_log = structlog.get_logger(__name__)


async def run(
    options: AuditStoreOptions,
    *,
    clock: Clock,
    ready: asyncio.Event | None = None,
    work: StoreWork | None = None,
    share: GatewayShare = EVERYBODY,
) -> Never:
    """Serve until cancelled; `ready` is set while the store is subscribed, `work` shows the progress.

    Raises ConfigurationError, UplinkRefused or StoreError: operator action required.
    """
    database, work = Database(options.database_url, password=options.database_password), work or StoreWork()
    readiness = StoreReadiness(database, work)
    try:
        await readiness.checked()
        cosigner = Cosigner.load(options.name, options.key)
        ledger = StoreLedger(database=database, cosigner=cosigner, clock=clock)
        _log.info("store started", name=options.name, vkey=str(cosigner.vkey), broker=options.mqtt.url)
        with ThreadPoolExecutor(1, "store") as thread:
            gateways = ServedGateways(database, share)
            parts = _SessionParts(ledger, gateways, readiness, thread, ready or asyncio.Event())
            service = _Service(options, parts)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(readiness.watch(), name="store:readiness")
                if share.is_first:
                    streams = streams_of(options, database, clock, rotates=True)
                    keeper = CustodyKeeper(streams, service.in_thread, work)
                    tasks.create_task(keeper.run(), name="store:custody")
                await service.run()
    except BaseExceptionGroup as group:
        raise deciding(group, retried=UplinkUnavailable) from group
    finally:
        database.close()


async def run_until_signalled(
    options: AuditStoreOptions, *, clock: Clock, work: StoreWork, worker: int | None = None
) -> None:
    """Serve until SIGTERM or SIGINT; print `ready` once the store is subscribed for the first time.

    A worker tells its supervisor instead, and ends with it. What is done once for a store, the first does.
    """
    ready, stop = asyncio.Event(), on_signal()
    parts: dict[str, Coroutine[Any, Any, None]] = {
        "store": run(options, clock=clock, ready=ready, work=work, share=share_of(options, worker)),
    }
    if worker is None:
        parts["store:ready"] = _announce(ready, functools.partial(print_ready, options.mqtt.url))
    else:
        parts["store:ready"] = _announce(ready, tell_subscribed)
        end_with_the_supervisor(stop)
    if not worker:
        certificates = CertificateMonitor(lambda: named_in(options.model_dump(mode="json")), clock=clock)
        work.remark = lambda: certificates.sentence(clock.stamp().realtime_ns)
        parts["store:certificates"] = certificates.run()
        parts["store:inspection"] = inspect_store(options, work, clock)
        parts["store:views"] = fill_views(options, work)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(part, name=name) for name, part in parts.items()]
            await stop.wait()
            for task in running:
                task.cancel()
    except BaseExceptionGroup as group:
        raise deciding(group, retried=UplinkUnavailable) from group


async def _announce(ready: asyncio.Event, announce: Callable[[], None]) -> None:
    await ready.wait()
    announce()


def print_ready(url: str) -> None:
    """Print that the store is subscribed at its broker."""
    LineWriter(_STANDARD_OUTPUT).put(f"ready {url}\n".encode())


class _SessionParts(NamedTuple):
    """What a session at the broker works with; `ready` is set while it is subscribed."""

    ledger: StoreLedger
    gateways: ServedGateways
    readiness: StoreReadiness
    thread: ThreadPoolExecutor
    ready: asyncio.Event


class _Service:
    """The store at its broker. All use of the ledger happens in one thread, one call after the other."""

    def __init__(self, options: AuditStoreOptions, parts: _SessionParts) -> None:
        self._options = options
        mqtt = options.mqtt
        if mqtt.client_id is None:
            # Nobody can take an id that nobody knows.
            client_id = f"linewitness-store-{options.name}"[:_ID_CHARACTERS] + f"-{secrets.token_hex(8)}"
            mqtt = mqtt.model_copy(update={"client_id": client_id})
        self._connector = MqttConnector(mqtt)
        self._url = mqtt.url
        self._ledger, self._gateways, self._readiness, self._thread, self._ready = parts
        self._work = parts.readiness.work
        self._inbox = StoreInbox(options.quota, share=parts.gateways.share)
        self._work.drops = lambda: self._inbox.sentence
        self._backoff = Backoff()
        self._lost_at: float | None = None

    async def run(self) -> Never:
        """Connect and serve, again and again; the loss of the broker is logged once, and so is its return."""
        while True:
            self._work.attempts += 1
            least_s = 0.0
            try:
                await attempted(self._session(), retried=UplinkUnavailable)
            except UplinkUnavailable as error:
                self._disconnected(error)
                least_s = self._work.takeovers.ended(error)
            await asyncio.sleep(max(self._backoff.next_s(), least_s))

    async def _session(self) -> None:
        try:
            async with self._connector.connect() as connection:
                self._work.takeovers.connected()
                self._inbox.enrolled(await self._known(self._gateways.names))
                for topic in self._topics():
                    await connection.subscribe(topic)
                await subscribe_to_notices(connection, self._options.tenants)
                self._connected()
                await self._serve(connection)
        except BaseExceptionGroup as group:
            raise deciding(group, retried=UplinkUnavailable) from group

    async def _serve(self, connection: MqttConnection) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._receive(connection), name="store:receive")
            tasks.create_task(self._judge(connection), name="store:judge")
            tasks.create_task(self._look(), name="store:enrolments")

    async def _receive(self, connection: MqttConnection) -> None:
        """Take what arrives at once: one gateway's flood must not wait at the broker before all others."""
        async for message in connection.messages():
            with self._work.receiving.going_on():
                self._inbox.offer(message.topic, message.payload)

    async def _judge(self, connection: MqttConnection) -> None:
        await self._publish(connection, await self._known(self._gateways.newest))
        async for turn in self._inbox.turns():
            answers = await self._kept(functools.partial(self._ledger.process, turn))
            if answers is not None:
                await self._inbox.ack(turn)
                self._work.messages += len(turn)
                await self._publish(connection, answers)

    async def _known(self, ask: Callable[[], R]) -> R:
        """Ask the database until it answers."""
        while True:
            if (answer := await self._kept(ask)) is not None:
                return answer
            await asyncio.sleep(RETRY_S)

    async def _kept(self, decide: Callable[[], R]) -> R | None:
        """Return what was decided, or None while the database is not ready, for then nothing is stored.

        What came meanwhile is given up: gateways send again what has no receipt.
        """
        if self._work.unready is not None:
            return None
        try:
            return await self.in_thread(decide)
        except StoreUnready as refusal:
            self._readiness.refused(refusal)
        except StoreMoved as moved:
            self._readiness.overtaken(moved)
        return None

    async def _look(self) -> Never:
        """Learn of new enrolments where somebody unknown sends, and report what was dropped."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._work.unready is not None:
                continue
            with suppress(StoreError):  # the judging loop meets the same database, and decides what follows
                if self._inbox.strangers:
                    self._inbox.enrolled(await self.in_thread(self._gateways.names))
                if drops := self._inbox.drops.due(monotonic()):
                    await self.in_thread(self._ledger.note_drops, drops)

    async def _publish(self, connection: MqttConnection, answers: Sequence[LedgerAnswer]) -> None:
        """Publish what is committed. Crash here: the receipts are in the database and are asked for again."""
        if not answers:
            return
        with self._work.answering.going_on():
            await self._publish_all(connection, answers)

    async def _publish_all(self, connection: MqttConnection, answers: Sequence[LedgerAnswer]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for answer in answers:
                tasks.create_task(connection.publish(answer.topic, answer.payload, retain=True))

    async def in_thread(self, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Run a function where the ledger runs, after what came before it."""
        call = functools.partial(function, *arguments, **named)
        with self._work.judging.going_on():
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _connected(self) -> None:
        self._ready.set()
        self._work.connected = True
        self._backoff.succeeded()
        if self._lost_at is not None:
            _log.info(
                "broker connected again", broker=self._url, seconds=round(monotonic() - self._lost_at, 1)
            )
            self._lost_at = None

    def _disconnected(self, error: UplinkUnavailable) -> None:
        self._ready.clear()
        self._work.connected = False
        if self._lost_at is None:
            self._lost_at = monotonic()
            _log.warning("broker connection lost", broker=self._url, reason=str(error))

    def _topics(self) -> list[str]:
        if not self._options.tenants:
            return [ALL_RECORDS, ALL_CHECKPOINTS]
        return [
            f"{PREFIX}/{tenant}/+/{channel}"
            for tenant in self._options.tenants
            for channel in ("records", "checkpoint")
        ]
