"""A journal with its forwarding, a store, a real broker, and what a third party sees there."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from linewitness.base.clock import SharedClockState, SystemClock
from linewitness.base.compression.frames import is_frame, unpack
from linewitness.base.secrets import Secret
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.gateway.ahead.alarms import AlarmWatch
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.continuity import Continuity
from linewitness.gateway.forward import Forwarder
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.journal.file import JournalFile
from linewitness.journal.journal import Journal
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.status.health import Health
from linewitness.store.ahead.reports import NoticeReport, read_notices
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.inbox.quota import MAX_MESSAGE_BYTES
from linewitness.store.keys import Cosigner, create_key
from linewitness.store.options import AuditStoreOptions
from linewitness.store.reports import read_streams
from linewitness.store.service import run as run_store
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.mqtt import MqttConnector
from linewitness.uplink.options import MqttOptions
from linewitness.uplink.topics import Topics
from support.brokers import Broker, mosquitto
from support.journals import create, running

CLOCK = SystemClock()
TOPICS = Topics("acme", "gw-02")


def result(number: int, *, ok: bool = True) -> Event:
    """Return an event of the size of a torque tool's result."""
    status = "ok" if ok else "nok"
    return Event(
        kind="tightening.result",
        occurred_ns=CLOCK.stamp().realtime_ns,
        occurred_from="device",
        actor=Actor("device", "wrench-10"),
        resource=Resource("tightening", f"wrench-10/0/{number}", ("unit", f"SN{number // 8:07d}")),
        reason="the device completed an operation",
        changes=(
            Change("torque", None, "12.30", "Nm", "11.00", "13.00", "ok"),
            Change("result", None, status, status=status),
        ),
        context={"device_id": "wrench-10", "station_id": "st-10"},
    )


def first_number(payload: bytes) -> int:
    """Return the number of the first record of a batch."""
    lines = unpack(payload, MAX_MESSAGE_BYTES) if is_frame(payload) else payload
    return int(json.loads(lines.split(b"\n", 1)[0])["sequence_no"])


@dataclass
class LiveLine:
    """A gateway's journal and its store, each at the same real broker."""

    broker: Broker
    directory: Path
    store: AuditStoreOptions
    database: Database
    options: ForwardOptions = field(default_factory=lambda: ForwardOptions(batch_size=70_000))
    protocol: str = "auto"
    #: Where the gateway finds the broker, if not where the others do.
    port: int | None = None
    #: Where signals wait, while there is a gateway.
    telemetry: TelemetryBuffer | None = None
    sent: list[int] = field(default_factory=list)
    #: Whether the batches were compressed.
    compressed: set[bool] = field(default_factory=set)

    @property
    def held(self) -> int:
        """Records that the store holds."""
        return read_streams(self.database)[0].size

    @property
    def _mqtt(self) -> MqttOptions:
        url = self.broker.url if self.port is None else f"mqtt://127.0.0.1:{self.port}"
        return MqttOptions.model_validate({"url": url, "protocol": self.protocol})

    def notices(self, state: str) -> dict[int, NoticeReport]:
        return {each.seq: each for each in read_notices(self.database) if each.state == state}

    def pile_up(self, events: list[Event]) -> None:
        """Write a backlog into the journal, as an outage of the network would."""
        file = JournalFile.open(self.directory, clock=CLOCK, clock_state=SharedClockState())
        for first in range(0, len(events), 500):
            file.append([Submission(events=tuple(events[first : first + 500]))])
        file.close()

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[tuple[Journal, ReceiptJudge, Health]]:
        """Run the forwarding of the journal."""
        telemetry, health = TelemetryBuffer(self.directory, max_bytes=1_000_000), Health()
        self.telemetry = telemetry
        async with running(self.directory, CLOCK) as journal:
            signer = CheckpointSigner(journal, Keyring(self.directory).load(LOG_KEY))
            store_vkey = Cosigner.load(self.store.name, self.store.key).vkey
            continuity = Continuity(journal, clock=CLOCK)
            judge = ReceiptJudge(journal, continuity, store_vkey=store_vkey, clock=CLOCK)
            alarms = AlarmWatch(journal, judge, counts=health.notices)
            forwarder = Forwarder(
                MqttConnector(self._mqtt).connect,
                journal=journal,
                telemetry=telemetry,
                signer=signer,
                judge=judge,
                alarms=alarms,
                topics=TOPICS,
                options=self.options,
                clock=CLOCK,
                health=health,
            )
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(forwarder.run()), group.create_task(alarms.run())]
                yield journal, judge, health
                for task in tasks:
                    task.cancel()
        telemetry.close()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Run the store, and note the first record of every batch that a third party sees."""
        ready = asyncio.Event()
        async with (
            MqttConnector(MqttOptions(url=self.broker.url)).connect() as listener,
            asyncio.TaskGroup() as group,
        ):
            await listener.subscribe(TOPICS.records)

            async def listen() -> None:
                async for message in listener.messages():
                    self.compressed.add(is_frame(message.payload))
                    self.sent.append(first_number(message.payload))

            tasks = [
                group.create_task(run_store(self.store, clock=CLOCK, ready=ready)),
                group.create_task(listen()),
            ]
            await ready.wait()
            yield
            for task in tasks:
                task.cancel()


@asynccontextmanager
async def live_line(folder: Path, *, acl: str | None = None, config: str = "") -> AsyncIterator[LiveLine]:
    directory = folder / "journal"
    create(directory, CLOCK)
    async with mosquitto(folder / "broker", acl=acl, config=config) as broker:
        store = AuditStoreOptions(
            database=f"sqlite:///{folder}/store.db",
            name="store.example",
            key=Secret(file=folder / "store.key"),
            mqtt=MqttOptions(url=broker.url),
        )
        create_key(store.name, folder / "store.key")
        database = Database(store.database_url)
        database.create()
        with JournalReader(directory) as reader:
            log_vkey, record_0 = str(reader.log_vkey), reader.record_0_hash
        enroll(
            database,
            clock=CLOCK,
            tenant=TOPICS.tenant,
            gateway=TOPICS.gateway,
            log_vkey=log_vkey,
            record0_hash=record_0,
        )
        try:
            yield LiveLine(broker, directory, store, database)
        finally:
            database.close()
