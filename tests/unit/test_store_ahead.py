"""What the store learns before the records come: how many are on their way, and notices of alarms."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey
from sqlalchemy import delete, insert, select

from linewitness.base.clock import Stamp, SystemClock
from linewitness.base.errors import UplinkRefused
from linewitness.base.secrets import Secret
from linewitness.evidence.format import note
from linewitness.evidence.format.accusation import is_accusation
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.evidence.format.note import Note
from linewitness.evidence.format.notice import RecordNotice
from linewitness.store.ahead import notices as limits
from linewitness.store.ahead.reports import read_heads, read_notice_refusals, read_notices
from linewitness.store.ahead.subscription import subscribe_to_notices
from linewitness.store.database import tables
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.keys import Cosigner
from linewitness.store.ledger import HOLE_AGAIN_NS, StoreLedger
from linewitness.store.reports import read_conflicts, read_receipts
from support.databases import url_of
from support.fake_gateway import FakeGateway
from support.lines import call


class StepClock:
    """A clock that stands until it is moved."""

    boot_id = "b"

    def __init__(self) -> None:
        self.ns = 1_800_000_000_000_000_000

    def stamp(self) -> Stamp:
        return Stamp(self.ns, self.ns)


class AheadStore:
    """A store with a YAML, its ledger, and what one gateway sends to it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "store.yaml"
        self.file.write_text(
            f"database: {url_of(folder / 'store.db')}\nname: store.example\nkey: {{file: store.key}}\n"
            "mqtt: {url: mqtt://127.0.0.1:1}\n"
        )
        assert call("store", "init", self.file).exit_code == 0
        self.path = folder / "store.db"
        self.clock = StepClock()
        self.cosigner = Cosigner.load("store.example", Secret(file=folder / "store.key"))
        self.start()

    def start(self) -> None:
        self.database = Database(url_of(self.path))
        self.database.check()
        self.ledger = StoreLedger(database=self.database, cosigner=self.cosigner, clock=self.clock)

    def restart(self) -> None:
        self.database.close()
        self.start()

    def enroll(self, gateway: FakeGateway) -> None:
        enroll(
            self.database,
            clock=SystemClock(),
            tenant=gateway.tenant,
            gateway=gateway.gateway,
            log_vkey=str(gateway.log_vkey),
            record0_hash=gateway.record0_hash,
        )

    def send(self, gateway: FakeGateway, first: int = 0, last: int | None = None) -> list[bytes]:
        return self.process(gateway.topics.records, gateway.batch(first, last))

    def check(self, gateway: FakeGateway, size: int | None = None) -> list[bytes]:
        return self.process(gateway.topics.checkpoint, gateway.checkpoint(size))

    def notice(self, gateway: FakeGateway, seq: int, topics: Any = None) -> list[bytes]:
        signed = str(RecordNotice.of(gateway.records[seq]).sign(gateway.log_key))
        return self.process((topics or gateway.topics).notice, signed.encode())

    def process(self, topic: str, payload: bytes) -> list[bytes]:
        return [answer.payload for answer in self.ledger.process([(topic, payload)])]

    def states(self) -> dict[int, str]:
        return {report.seq: report.state for report in read_notices(self.database)}

    def refused(self) -> dict[str, int]:
        return {one.reason: one.count for one in read_notice_refusals(self.database)}

    def says(self, command: str = "status") -> str:
        output: str = call("store", command, self.file).output
        return output


@pytest.fixture
def store(both_databases: None, tmp_path: Path) -> Iterator[AheadStore]:
    running = AheadStore(tmp_path)
    yield running
    running.database.close()


@pytest.fixture
def gateway(store: AheadStore) -> FakeGateway:
    gateway = FakeGateway()
    gateway.grow(98)
    gateway.append(unit="SN-1", changes=(), kind="tightening.result")
    store.enroll(gateway)
    return gateway


# --- the head -------------------------------------------------------------------------------------


@pytest.mark.heavy
def test_store_says_how_many_records_are_on_their_way(store: AheadStore, gateway: FakeGateway) -> None:
    store.send(gateway, 0, 10)
    store.check(gateway, 10)
    store.check(gateway)
    assert "held 10, receipted 10" in store.says()
    assert "90 on their way: the gateway signed 100 at " in store.says()
    store.send(gateway, 10, 60)
    assert "40 on their way" in store.says()
    store.send(gateway, 60)
    assert "on their way" not in store.says()


def test_head_ahead_of_the_records_is_never_cosigned_before_they_are_held(
    store: AheadStore, gateway: FakeGateway
) -> None:
    store.send(gateway, 0, 10)
    store.check(gateway)
    assert read_receipts(store.database, gateway.origin) == []
    (receipt,) = store.check(gateway, 10)
    assert open_checkpoint(receipt.decode(), gateway.log_vkey)[0].size == 10
    assert store.send(gateway, 10, 99) == []
    (receipt,) = store.send(gateway, 99)
    assert open_checkpoint(receipt.decode(), gateway.log_vkey)[0].size == 100


def test_head_while_records_flow_asks_for_nothing_again(store: AheadStore, gateway: FakeGateway) -> None:
    """A repeated receipt would make the gateway send all that is under way once more."""
    store.send(gateway, 0, 10)
    store.check(gateway, 10)
    for last in range(20, 100, 10):
        store.send(gateway, last - 10, last)
        assert store.check(gateway) == []
        store.clock.ns += HOLE_AGAIN_NS // 2
        assert len(store.check(gateway, last)) == 1


def test_checkpoint_whose_records_do_not_come_repeats_the_receipt(
    store: AheadStore, gateway: FakeGateway
) -> None:
    store.send(gateway, 0, 10)
    (receipt,) = store.check(gateway, 10)
    store.clock.ns += HOLE_AGAIN_NS
    assert store.check(gateway, 20) == [receipt]


def test_head_is_known_and_answered_after_a_restart(store: AheadStore, gateway: FakeGateway) -> None:
    store.send(gateway, 0, 10)
    store.check(gateway)
    store.restart()
    assert read_heads(store.database)[gateway.origin].size == 100
    (receipt,) = store.send(gateway, 10)
    assert open_checkpoint(receipt.decode(), gateway.log_vkey)[0].size == 100


def test_head_that_the_records_contradict_is_a_conflict_also_after_a_restart(
    store: AheadStore, gateway: FakeGateway
) -> None:
    """A gateway signed 100 records, was rolled back to 50 and went on: two histories of one log key."""
    store.send(gateway, 0, 50)
    store.check(gateway)
    store.restart()
    rolled_back = gateway.fork(50)
    rolled_back.grow(60)
    (answer,) = store.send(rolled_back, 50)
    assert is_accusation(answer)
    (conflict,) = read_conflicts(store.database)
    assert conflict.data == gateway.checkpoint()


# --- notices ----------------------------------------------------------------------------------------


@pytest.mark.heavy
def test_notice_is_known_before_its_record_and_confirmed_by_it(
    store: AheadStore, gateway: FakeGateway
) -> None:
    store.send(gateway, 0, 10)
    assert store.notice(gateway, 99) == []
    assert store.states() == {99: "open"}
    said = store.says("notices")
    assert "open" in said
    assert "record 99: tightening.result of SN-1" in said
    assert "notices: open 1, confirmed 0, contradicted 0" in store.says()
    store.send(gateway, 10, 99)
    assert store.states() == {99: "open"}
    assert store.send(gateway, 99) == []
    assert store.states() == {99: "confirmed"}
    assert read_conflicts(store.database) == []
    assert call("store", "notices", store.file).exit_code == 0


def test_notice_is_no_receipt_and_moves_nothing(store: AheadStore, gateway: FakeGateway) -> None:
    store.notice(gateway, 99)
    assert "held 0, receipted none yet" in store.says()
    assert "on their way" not in store.says()


def test_same_notice_again_and_one_after_its_record_are_no_news(
    store: AheadStore, gateway: FakeGateway
) -> None:
    store.notice(gateway, 99)
    store.notice(gateway, 99)
    store.send(gateway)
    store.notice(gateway, 98)
    store.notice(gateway, 99)
    assert store.states() == {99: "confirmed"}
    assert store.refused() == {}


def test_record_that_differs_from_its_notice_is_shown_as_a_conflict(
    store: AheadStore, gateway: FakeGateway
) -> None:
    """A gateway that lies, or was rolled back: what it said by notice is not what it chained."""
    store.send(gateway, 0, 50)
    store.notice(gateway, 60)
    other = gateway.fork(50)
    other.grow(20)
    assert store.send(other, 50) == []  # its records are taken as they are chained
    assert store.states() == {60: "contradicted"}
    (conflict,) = read_conflicts(store.database)
    assert conflict.seq == 60
    assert conflict.data.decode() == str(RecordNotice.of(gateway.records[60]).sign(gateway.log_key))
    listed = call("store", "notices", store.file)
    assert (listed.exit_code, "contradicted" in listed.output) == (1, True)


def test_notice_that_differs_from_a_held_record_is_shown_as_a_conflict(
    store: AheadStore, gateway: FakeGateway
) -> None:
    store.send(gateway)
    other = gateway.fork(50)
    other.grow(20)
    store.notice(other, 60)
    assert store.states() == {60: "contradicted"}
    assert [conflict.seq for conflict in read_conflicts(store.database)] == [60]


def test_two_notices_of_one_place_are_a_conflict_before_any_record(
    store: AheadStore, gateway: FakeGateway
) -> None:
    other = gateway.fork(50)
    other.grow(20)
    store.notice(gateway, 60)
    store.notice(other, 60)
    assert sorted(report.state for report in read_notices(store.database)) == ["contradicted", "open"]
    assert [conflict.seq for conflict in read_conflicts(store.database)] == [60]


def test_notice_whose_record_never_comes_stays_open(store: AheadStore, gateway: FakeGateway) -> None:
    store.notice(gateway, 99)
    store.send(gateway, 0, 99)
    store.restart()
    assert store.states() == {99: "open"}
    assert "its record has not come" in store.says("notices")


def test_notice_is_settled_also_where_its_record_came_unseen(store: AheadStore, gateway: FakeGateway) -> None:
    """An older version of the store ran meanwhile, which knows no notices."""
    store.notice(gateway, 60)
    notices = tables.notices
    with store.database.writing(gateway.tenant) as connection:
        rows = [row._asdict() for row in connection.execute(select(notices))]
        connection.execute(delete(notices))
    store.send(gateway, 0, 80)
    with store.database.writing(gateway.tenant) as connection:
        connection.execute(insert(notices), rows)
    store.restart()
    store.send(gateway, 80)
    assert store.states() == {60: "confirmed"}


def forged(gateway: FakeGateway, seq: int, *, key: SigningKey, text: str | None = None) -> bytes:
    told = RecordNotice.of(gateway.records[seq]).text if text is None else text
    return str(Note(told, (note.sign(told, name=gateway.origin, key=key),))).encode()


@pytest.mark.heavy
def test_forged_notices_are_refused_and_counted(store: AheadStore, gateway: FakeGateway) -> None:
    other = FakeGateway(origin="acme.example/ber-01/line-03/1", gateway="ber-03", seed="other")
    other.grow(5)
    store.enroll(other)
    signed = forged(gateway, 99, key=gateway.log_key)
    altered = RecordNotice.of(gateway.records[99]).text.replace("12.30", "9.9")
    for payload in (
        forged(gateway, 99, key=gateway.event_key),
        forged(gateway, 99, key=other.log_key),
        signed.replace(b"12.30", b"12.31"),
        signed.replace(b"\n99\n", b"\n98\n"),
        forged(gateway, 99, key=gateway.log_key, text=altered),
    ):
        store.process(gateway.topics.notice, payload)
    assert store.refused() == {"signature": 5}
    store.notice(other, 3, topics=gateway.topics)
    assert store.refused() == {"signature": 5, "stream": 1}
    for payload in (b"\xff", b"hello", b"x" * 80_000, gateway.checkpoint()):
        store.process(gateway.topics.notice, payload)
    assert store.refused() == {"signature": 5, "stream": 1, "malformed": 4}
    assert store.states() == {}
    assert "refused      5 notices from ber-01 of acme" in store.says("notices")
    assert "refused      5 notices from ber-01 of acme" in store.says()


def test_notice_of_a_gateway_that_is_not_enrolled_is_refused(store: AheadStore) -> None:
    stranger = FakeGateway(gateway="stranger", origin="stranger.example/1")
    store.notice(stranger, 0)
    assert store.refused() == {"stream": 1}


def test_notices_of_one_gateway_are_bounded_in_number(
    store: AheadStore, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_OPEN", 5)
    for seq in range(50, 60):
        store.notice(gateway, seq)
    assert sorted(store.states()) == [50, 51, 52, 53, 54]
    assert store.refused() == {"full": 5}
    store.send(gateway, 0, 60)
    store.notice(gateway, 99)
    assert store.states()[99] == "open"


def test_notices_of_one_gateway_are_bounded_in_bytes(
    store: AheadStore, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_OPEN_BYTES", 3000)
    for seq in range(50, 60):
        store.notice(gateway, seq)
    assert len(store.states()) == 2
    assert store.refused() == {"full": 8}


def test_settled_notices_are_forgotten_after_many(
    store: AheadStore, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_SETTLED", 3)
    for seq in range(50, 60):
        store.notice(gateway, seq)
    store.send(gateway)
    assert sorted(store.states()) == [57, 58, 59]


async def test_store_works_at_a_broker_that_refuses_its_subscription(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The ACL of a plant that was set up before there were notices."""
    asked: list[str] = []

    class Refusing:
        async def subscribe(self, topic: str) -> None:
            asked.append(topic)
            raise UplinkRefused("the broker refused the subscription", hint="not authorized")

    await subscribe_to_notices(Refusing(), ())
    await subscribe_to_notices(Refusing(), ("acme", "other"))
    assert asked == ["linewitness/v1/+/+/notice", "linewitness/v1/acme/+/notice"]
    assert "the broker refuses notices" in capsys.readouterr().out


def test_database_of_the_version_before_gets_its_tables(tmp_path: Path) -> None:
    store, gateway = AheadStore(tmp_path), FakeGateway()
    gateway.grow(98)
    gateway.append(unit="SN-1", changes=(), kind="tightening.result")
    store.enroll(gateway)
    store.send(gateway, 0, 10)
    store.database.close()
    with sqlite3.connect(store.path) as connection:
        for table in ("heads", "notices", "notice_refusals"):
            connection.execute(f"DROP TABLE {table}")
    connection.close()
    assert "held 10" in store.says()
    store.start()
    store.check(gateway)
    store.notice(gateway, 99)
    assert store.states() == {99: "open"}
