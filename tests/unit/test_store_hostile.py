"""Whatever is sent, in whatever order: the store holds a true beginning of the stream, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from linewitness.base.clock import SystemClock
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.store import reports
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.keys import Cosigner
from linewitness.store.ledger import StoreLedger
from support.databases import url_of
from support.fake_gateway import FakeGateway

pytestmark = pytest.mark.heavy


def streams() -> tuple[FakeGateway, FakeGateway, FakeGateway]:
    true = FakeGateway()
    true.grow(7)
    true.rotate()
    true.grow(5)
    false = true.fork(4)
    false.grow(3)
    false.rotate()
    false.grow(3)
    stranger = FakeGateway(origin="stranger.example/1", seed="two")
    stranger.grow(3)
    return true, false, stranger


TRUE, FALSE, STRANGER = streams()
WRITER = st.sampled_from([TRUE, TRUE, TRUE, FALSE, STRANGER])


@st.composite
def runs(draw: Callable[..., Any]) -> bytes:
    writer = draw(WRITER)
    first = draw(st.integers(0, writer.size))
    found: bytes = writer.batch(first, draw(st.integers(first, writer.size)))
    return found


@st.composite
def damaged(draw: Callable[..., Any]) -> bytes:
    payload = bytearray(draw(runs()) or b"x")
    at = draw(st.integers(0, len(payload) - 1))
    payload[at] = draw(st.integers(0, 255))
    return bytes(payload)


@st.composite
def checkpoints(draw: Callable[..., Any]) -> bytes:
    writer = draw(WRITER)
    found: bytes = writer.checkpoint(draw(st.integers(0, writer.size)))
    return found


RECORDS = runs() | damaged() | st.tuples(runs(), runs()).map(b"".join) | st.binary(max_size=40)
MESSAGES = st.lists(
    st.tuples(st.just(TRUE.topics.records), RECORDS)
    | st.tuples(st.just(TRUE.topics.checkpoint), checkpoints() | st.binary(max_size=40)),
    max_size=12,
)


def is_prefix(records: list[bytes]) -> bool:
    return records == TRUE.records[: len(records)] or records == FALSE.records[: len(records)]


@pytest.mark.usefixtures("both_databases")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=MESSAGES, turns=st.lists(st.integers(1, 4), max_size=6), restart=st.booleans())
def test_store_holds_a_beginning_of_one_history(
    tmp_path_factory: pytest.TempPathFactory,
    messages: list[tuple[str, bytes]],
    turns: list[int],
    restart: bool,
) -> None:
    database = Database(url_of(tmp_path_factory.mktemp("store") / "store.db"))
    database.create()
    cosigner = Cosigner("store.example", SigningKey(bytes(32)))
    enroll(
        database,
        clock=SystemClock(),
        tenant=TRUE.tenant,
        gateway=TRUE.gateway,
        log_vkey=str(TRUE.log_vkey),
        record0_hash=TRUE.record0_hash,
    )
    ledger = StoreLedger(database=database, cosigner=cosigner, clock=SystemClock())
    for count in [*turns, len(messages)]:
        batch, messages = messages[:count], messages[count:]
        for answer in ledger.process(batch):
            assert answer.topic == TRUE.topics.receipt
        if restart:
            ledger = StoreLedger(database=database, cosigner=cosigner, clock=SystemClock())
    held = [record.data for record in reports.read_records(database)]
    assert is_prefix(held)
    for text in reports.read_receipts(database, TRUE.origin):
        checkpoint, note = open_checkpoint(text, TRUE.log_vkey)
        assert note.signed_by(cosigner.vkey)
        assert checkpoint.size <= len(held)
        assert checkpoint.root in (
            open_checkpoint(writer.checkpoint(checkpoint.size).decode(), TRUE.log_vkey)[0].root
            for writer in (TRUE, FALSE)
            if held == writer.records[: len(held)]
        )
    if held == TRUE.records[: len(held)]:
        ledger.process([(TRUE.topics.records, TRUE.batch())])
        assert [record.data for record in reports.read_records(database)] == TRUE.records
    database.close()
