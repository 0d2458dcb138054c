"""After an outage the store knows the head and the alarms of now while the backlog is still on its way."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from linewitness.base.clock import SharedClockState, SystemClock
from linewitness.base.secrets import Secret
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.gateway.ahead.alarms import AlarmWatch
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.forward import Forwarder
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.journal.file import JournalFile
from linewitness.journal.journal import Journal
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.status.health import Health
from linewitness.store.ahead.reports import NoticeReport, read_heads, read_notice_refusals, read_notices
from linewitness.store.database import Database, enroll
from linewitness.store.keys import Cosigner, create_key
from linewitness.store.options import AuditStoreOptions
from linewitness.store.reports import read_conflicts, read_records, read_streams
from linewitness.store.service import run as run_store
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.mqtt import MqttConnector
from linewitness.uplink.options import MqttOptions
from linewitness.uplink.topics import Topics
from support.brokers import Broker, mosquitto
from support.journals import IDENTITY, create, running
from support.waiting import until

BACKLOG = 20_000
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


@dataclass
class LiveLine:
    """A gateway's journal and its store, each at the same real broker."""

    broker: Broker
    directory: Path
    store: AuditStoreOptions
    database: Database
    sent: list[int] = field(default_factory=list)

    @property
    def held(self) -> int:
        """Records that the store holds."""
        return read_streams(self.database)[0].size

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
        options = ForwardOptions(batch_size=70_000)
        telemetry, health = TelemetryBuffer(self.directory, max_bytes=1_000_000), Health()
        async with running(self.directory, CLOCK) as journal:
            signer = CheckpointSigner(journal, Keyring(self.directory).load(LOG_KEY))
            store_vkey = Cosigner.load(self.store.name, self.store.key).vkey
            judge = ReceiptJudge(journal, signer, store_vkey=store_vkey, clock=CLOCK)
            alarms = AlarmWatch(journal, judge, counts=health.notices)
            forwarder = Forwarder(
                MqttConnector(MqttOptions(url=self.broker.url)).connect,
                journal=journal,
                telemetry=telemetry,
                signer=signer,
                judge=judge,
                alarms=alarms,
                topics=TOPICS,
                options=options,
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
                    self.sent.append(json.loads(message.payload.split(b"\n", 1)[0])["sequence_no"])

            tasks = [
                group.create_task(run_store(self.store, clock=CLOCK, ready=ready)),
                group.create_task(listen()),
            ]
            await ready.wait()
            yield
            for task in tasks:
                task.cancel()


@asynccontextmanager
async def live_line(folder: Path, *, acl: str | None = None) -> AsyncIterator[LiveLine]:
    directory = folder / "journal"
    create(directory, CLOCK)
    async with mosquitto(folder / "broker", acl=acl) as broker:
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


@pytest.mark.timeout(300)
async def test_head_and_alarms_are_at_the_store_before_the_backlog_and_the_records_confirm_them(
    tmp_path: Path,
) -> None:
    async with live_line(tmp_path) as line:
        line.pile_up([result(number, ok=number != BACKLOG - 100) for number in range(BACKLOG)])
        async with line.serving(), line.gateway() as (journal, judge, health):
            last = journal.head.size
            await until(lambda: IDENTITY.stream in read_heads(line.database), "the head")
            assert read_heads(line.database)[IDENTITY.stream].size >= last
            assert line.held < last / 2
            await journal.submit([result(BACKLOG), result(BACKLOG + 1, ok=False)])
            nok = journal.head.size - 1
            held_before = line.held
            await until(lambda: len(line.notices("open")) == 2, "notices")
            held_after = line.held
            before, after = sorted(line.notices("open"))
            assert held_after < before < last <= after <= nok
            assert line.notices("open")[after].kind == "tightening.result"
            batches = sum(held_before <= first < held_after for first in line.sent)
            await until(lambda: judge.receipted > nok, "a receipt over all", timeout_s=200)
            assert sorted(line.notices("confirmed")) == [before, after]
        held = [record.data for record in read_records(line.database)]
        with JournalReader(line.directory) as reader:
            assert held == [data for _, data in reader.records(0, len(held))]
        assert (health.notices.sent, health.notices.waiting, health.notices.dropped) == (2, 0, 0)
        assert read_conflicts(line.database) == []
        assert read_notice_refusals(line.database) == []
        # Nothing was sent twice: the store did not take the head for a hole, nor the gateway its answer.
        assert line.sent == sorted(set(line.sent))
        print(
            f"\nhead of {last} known, and the alarm's notice {batches} batches of {len(line.sent)} after it"
        )


async def test_alarm_without_a_backlog_goes_with_its_record_alone(tmp_path: Path) -> None:
    async with live_line(tmp_path) as line, line.serving(), line.gateway() as (journal, judge, health):
        await journal.submit([result(1, ok=False)])
        await until(lambda: judge.receipted > 1, "a receipt")
        assert health.notices.sent == 0
        assert line.notices("open") == line.notices("confirmed") == {}


async def test_broker_that_refuses_notices_gets_the_records_all_the_same(tmp_path: Path) -> None:
    """The ACL of a plant that was set up before there were notices."""
    acl = "topic read #\n" + "".join(
        f"topic write linewitness/v1/+/+/{channel}\n"
        for channel in ("records", "checkpoint", "receipt", "status")
    )
    async with live_line(tmp_path, acl=acl) as line:
        line.pile_up([result(number, ok=number != 2900) for number in range(3000)])
        async with line.serving(), line.gateway() as (journal, judge, health):
            await until(lambda: health.notices.why, "the refusal")
            assert "not authorized" in health.notices.why
            last = journal.head.size
            await until(lambda: judge.receipted >= last, "a receipt over all")
            assert health.uplink_state == "up"
        assert line.notices("open") == {}
        assert line.sent == sorted(set(line.sent))
