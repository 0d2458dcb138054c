"""What a gateway tells the store before the records: which alarms, how many, and when it is silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from linewitness.base.errors import UplinkUnavailable
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.evidence.format.keys import cosigner_vkey, new_key
from linewitness.evidence.format.notice import open_notice
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.gateway.ahead import alarms as watch
from linewitness.gateway.ahead import head, notices
from linewitness.gateway.ahead.alarms import AlarmWatch, is_alarm
from linewitness.gateway.ahead.head import HeadAnnouncer
from linewitness.gateway.ahead.notices import NoticeSender
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.continuity import Continuity, HistoryContradiction
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.gateway.sending.send_window import SendWindow
from linewitness.journal.attestations import StoredReceipt
from linewitness.journal.journal import Journal
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.submission import Submission
from linewitness.status.health import NoticeCounts
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.mqtt import MqttMessage
from linewitness.uplink.reasons import NO_MATCHING_SUBSCRIBERS
from linewitness.uplink.topics import Topics
from support.clocks import ManualClock
from support.fake_gateway import FakeGateway
from support.journals import create, running
from support.waiting import until

OPTIONS = ForwardOptions(batch_size=70_000)
TOPICS = Topics("acme", "gw-02")


def event(clock: ManualClock, status: str = "ok", kind: str = "tightening.result") -> Event:
    return Event(
        kind=kind,
        occurred_ns=clock.stamp().realtime_ns,
        occurred_from="device",
        actor=Actor("device", "wrench-10"),
        resource=Resource("tightening", "wrench-10/0/1", ("unit", "SN-1")),
        reason="the device completed an operation",
        changes=(Change("result", None, status, status=status),),
    )


@dataclass
class RecordingLink:
    """A connection that takes everything, or fails as told."""

    messages_sent: list[tuple[str, bytes, bool]] = field(default_factory=list)
    reason: int = 0
    error: Exception | None = None
    maximum_packet_bytes: int | None = None

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        if self.error is not None:
            raise self.error
        self.messages_sent.append((topic, payload, retain))
        return self.reason

    async def subscribe(self, topic: str) -> None: ...

    def messages(self) -> AsyncIterator[MqttMessage]:
        raise AssertionError


class Parts:
    """The parts that tell ahead, over one journal and a connection that records."""

    def __init__(self, journal: Journal, directory: Path, clock: ManualClock) -> None:
        self.journal, self.clock, self.link, self.counts = journal, clock, RecordingLink(), NoticeCounts()
        signer = CheckpointSigner(journal, Keyring(directory).load(LOG_KEY))
        vkey = cosigner_vkey("store.example", new_key())
        self.continuity = Continuity(journal, clock=clock)
        self.judge = ReceiptJudge(journal, self.continuity, store_vkey=vkey, clock=clock)
        self.window = SendWindow(self.judge, journal=journal, options=OPTIONS)
        self.watch = AlarmWatch(journal, self.judge, counts=self.counts)
        self.head = HeadAnnouncer(self.window, self.judge, journal=journal, signer=signer, topics=TOPICS)
        self.notices = NoticeSender(
            self.watch,
            self.window,
            self.judge,
            journal=journal,
            signer=signer,
            topics=TOPICS,
            options=OPTIONS,
            counts=self.counts,
        )

    async def write(self, *statuses: str) -> None:
        await self.journal.submit([event(self.clock, status) for status in statuses])

    @asynccontextmanager
    async def going_on(self, *parts: Any) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part) for part in parts]
            yield
            for task in tasks:
                task.cancel()


@pytest.fixture
async def parts(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Parts]:
    create(tmp_path / "journal", clock)
    async with running(tmp_path / "journal", clock) as journal:
        yield Parts(journal, tmp_path / "journal", clock)


@pytest.mark.parametrize(
    ("kind", "status", "alarm"),
    [
        ("tightening.result", "ok", False),
        ("tightening.result", "nok", True),
        ("measurement.result", "low", True),
        ("measurement.result", "high", True),
        ("unit.left", "low", True),
        ("unit.left", "ok", False),
        ("gate.closed", "ok", True),
        ("gate.opened", "nok", True),
        ("gate.opened", "ok", False),
        ("alarm.raised", "ok", True),
        ("alarm.cleared", "ok", False),
        ("source.conflict", "ok", True),
        ("source.gap", "ok", True),
        ("parameter.changed", "high", False),
        ("gateway.heartbeat", "ok", False),
    ],
)
def test_alarms_are_what_a_plant_wants_to_know_at_once(kind: str, status: str, alarm: bool) -> None:
    changes = [{"field": "result", "before": None, "after": status, "status": status}]
    members = orjson.loads(FakeGateway().append(kind)) | {"changes": changes}
    assert is_alarm(orjson.dumps(members, option=orjson.OPT_SORT_KEYS)) is alarm


def test_text_that_looks_like_an_alarm_is_none() -> None:
    text = '"kind":"alarm.raised","status":"nok"'
    assert not is_alarm(FakeGateway().append("tightening.result", reason=text))


@pytest.mark.heavy
async def test_alarms_are_found_where_records_wait_and_the_newest_goes_first(parts: Parts) -> None:
    await parts.write("nok", *["ok"] * watch.BACKLOG, "nok", "ok")
    async with parts.going_on(parts.watch.run()):
        await until(lambda: parts.counts.waiting == 2)
        assert await parts.watch.newest() == parts.journal.head.size - 2
        parts.watch.done(parts.journal.head.size - 2, sent=True)
        assert await parts.watch.newest() == 1
        await parts.write("nok")
        await until(lambda: parts.counts.waiting == 2)
        assert await parts.watch.newest() == parts.journal.head.size - 1
    assert parts.counts == NoticeCounts(waiting=2, sent=1)


@pytest.mark.heavy
async def test_nothing_is_looked_for_where_few_records_wait(parts: Parts) -> None:
    await parts.write("nok", *["ok"] * (watch.BACKLOG - 3))
    async with parts.going_on(parts.watch.run()):
        await asyncio.sleep(2 * watch.LOOK_S)
        assert parts.counts.waiting == 0
        await parts.write("ok", "ok", "ok")
        await until(lambda: parts.counts.waiting == 1, "the one from before, once there is a backlog")


@pytest.mark.heavy
async def test_start_looks_through_nothing_that_has_a_receipt(parts: Parts) -> None:
    await parts.write(*["nok"] * (2 * watch.BACKLOG))
    size = parts.journal.head.size
    await parts.journal.submit_all(
        Submission(receipt=StoredReceipt(size, "note", "2026-03-01T00:00:00.000Z"))
    )
    async with parts.going_on(parts.watch.run()):
        await parts.write("nok", *["ok"] * watch.BACKLOG)
        await until(lambda: parts.counts.waiting)
        assert parts.counts == NoticeCounts(waiting=1)
        assert await parts.watch.newest() == size


async def test_more_alarms_than_can_wait_give_way_and_are_counted(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MOST_WAITING", 10)
    await parts.write(*["nok"] * (watch.BACKLOG + 10))
    async with parts.going_on(parts.watch.run()):
        await until(lambda: parts.counts.dropped == watch.BACKLOG)
        assert parts.counts.waiting == 10
        assert await parts.watch.newest() == parts.journal.head.size - 1


async def test_head_of_a_backlog_is_announced_and_not_retained(parts: Parts) -> None:
    await parts.write(*["ok"] * (head.BACKLOG + 1))
    async with parts.going_on(parts.head.run(parts.link)):
        await until(lambda: parts.link.messages_sent)
    ((topic, payload, retained),) = parts.link.messages_sent
    checkpoint, _ = open_checkpoint(payload.decode(), parts.journal.log_vkey)
    assert (topic, checkpoint.size, retained) == (TOPICS.checkpoint, parts.journal.head.size, False)
    assert checkpoint.root == parts.journal.head.root


async def test_head_is_not_announced_where_the_records_themselves_are_as_soon(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "HEAD_S", 0.01)
    await parts.write(*["ok"] * (head.BACKLOG + 1))
    parts.window.sent(2)
    async with parts.going_on(parts.head.run(parts.link)):
        await asyncio.sleep(0.1)
        assert parts.link.messages_sent == []


async def test_stream_that_the_store_contradicts_is_not_told_ahead(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "HEAD_S", 0.01)
    await parts.write(*["nok"] * (head.BACKLOG + 200))
    await parts.continuity.contradict(HistoryContradiction("another history", hint=""))
    running_parts = (parts.watch.run(), parts.head.run(parts.link), parts.notices.run(parts.link))
    async with parts.going_on(*running_parts):
        await until(lambda: parts.counts.waiting > 200)
        await asyncio.sleep(0.1)
        assert parts.link.messages_sent == []


async def test_notice_is_sent_once_and_only_for_what_is_not_in_the_next_message(parts: Parts) -> None:
    await parts.write("nok", *["ok"] * 400, "nok")
    last = parts.journal.head.size - 1
    async with parts.going_on(parts.watch.run(), parts.notices.run(parts.link)):
        await until(lambda: parts.counts.sent == 1 and not parts.counts.waiting)
    ((topic, payload, retained),) = parts.link.messages_sent
    notice = open_notice(payload.decode(), parts.journal.log_vkey)
    assert (topic, retained, notice.sequence_no) == (TOPICS.notice, False, last)
    (data,) = await parts.journal.read(lambda reader: [data for _, data in reader.records(last, last + 1)])
    assert notice.data == data


async def test_notice_that_no_store_received_goes_again(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "NO_STORE_S", 0.01)
    parts.link.reason = NO_MATCHING_SUBSCRIBERS
    await parts.write(*["ok"] * 400, "nok")
    async with parts.going_on(parts.watch.run(), parts.notices.run(parts.link)):
        await until(lambda: len(parts.link.messages_sent) > 1)
        assert parts.counts.sent == 0
        parts.link.reason = 0
        await until(lambda: parts.counts.sent == 1)


async def test_broker_that_hangs_up_at_every_notice_is_left_in_peace(parts: Parts) -> None:
    """Some brokers answer a message that is not allowed by ending the connection, and with it the records."""
    await parts.write(*["ok"] * 400, "nok")
    parts.link.error = UplinkUnavailable("the broker ended the connection")
    async with parts.going_on(parts.watch.run()):
        for _ in range(notices.MOST_CUT):
            with pytest.raises(UplinkUnavailable):
                await parts.notices.run(parts.link)
        parts.link.error = None
        async with parts.going_on(parts.notices.run(parts.link)):
            await asyncio.sleep(0.1)
            assert parts.link.messages_sent == []
    assert "connections ended" in parts.counts.why


async def test_answer_to_an_announced_head_is_no_reason_to_send_again(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store of version 0.1 repeats its newest receipt for each checkpoint ahead of its records."""
    await parts.write(*["ok"] * 50)
    parts.window.sent(20)
    parts.window.announced()
    parts.window.answered(asks=True, held_before=0, retained=False)
    assert await parts.window.next_cursor(20) == 20
    assert parts.window.reached == 20
    parts.window.answered(asks=True, held_before=0, retained=False)
    full = SendWindow(parts.judge, journal=parts.journal, options=ForwardOptions(in_flight=1))
    full.sent(20)
    full.announced()
    async with parts.going_on():
        waiting = asyncio.ensure_future(full.next_cursor(20))
        full.answered(asks=True, held_before=0, retained=False)
        await asyncio.sleep(0.05)
        assert not waiting.done()
        full.answered(asks=True, held_before=0, retained=False)
        assert await waiting == 0
