"""How many records are on their way to the store, how fast they drain, and what became of notices."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from linewitness.base.clock import NS_PER_S, to_rfc3339
from linewitness.journal.attestations import StoredReceipt
from linewitness.journal.journal import Journal
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness.status.backlog import WINDOW_S, DrainRate, drain_rate
from linewitness.status.report import report
from support.clocks import ManualClock
from support.journals import result_event
from support.status_pages import Looked, looked_at

WRITTEN = 1000


@pytest.fixture
async def line(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Looked]:
    clock.tick_ns = 0
    async with looked_at(tmp_path / "journal", clock) as looked:
        looked.health.uplink("up", "")
        await looked.journal.submit([result_event(number, clock) for number in range(WRITTEN - 1)])
        yield looked


async def receipt(journal: Journal, clock: ManualClock, size: int) -> None:
    await journal.submit_all(
        Submission(receipt=StoredReceipt(size, f"note {size}", to_rfc3339(clock.realtime_ns)))
    )


async def rate(journal: Journal, clock: ManualClock, pending: int) -> DrainRate:
    return await journal.read(lambda reader: drain_rate(reader, pending=pending, now_ns=clock.realtime_ns))


@pytest.mark.heavy
async def test_page_and_metrics_say_how_many_are_on_their_way_and_how_long_it_takes(
    line: Looked, clock: ManualClock
) -> None:
    await receipt(line.journal, clock, 100)
    clock.advance_ns(10 * NS_PER_S)
    await receipt(line.journal, clock, 600)
    line.health.notices.sent, line.health.notices.waiting, line.health.notices.dropped = 3, 2, 1
    _, _, page = await line.get("/")
    assert "400 on their way" in page
    assert "at 50 a second, about 8 s" in page
    assert "notices of alarms: 3 sent ahead, 2 waiting" in page
    assert "1 gave way to newer ones" in page
    _, _, metrics = await line.get("/metrics")
    for sample in (
        "linewitness_records_pending 400.0",
        "linewitness_drain_records_per_second 50.0",
        "linewitness_drain_seconds_left 8.0",
        "linewitness_notices_sent_total 3.0",
        "linewitness_notices_waiting 2.0",
        "linewitness_notices_dropped_total 1.0",
    ):
        assert sample in metrics


@pytest.mark.heavy
async def test_without_a_backlog_nothing_is_said_of_one(line: Looked, clock: ManualClock) -> None:
    await receipt(line.journal, clock, 100)
    clock.advance_ns(NS_PER_S)
    await receipt(line.journal, clock, WRITTEN)
    _, _, page = await line.get("/")
    assert "Up to date" in page
    assert "a second" not in page
    assert "notices of alarms" not in page
    _, _, metrics = await line.get("/metrics")
    assert "linewitness_drain" not in metrics


async def test_rate_falls_and_ends_where_no_receipt_comes_any_more(line: Looked, clock: ManualClock) -> None:
    await receipt(line.journal, clock, 100)
    clock.advance_ns(10 * NS_PER_S)
    await receipt(line.journal, clock, 600)
    assert await rate(line.journal, clock, 400) == DrainRate(50.0, 8)
    clock.advance_ns(10 * NS_PER_S)
    assert await rate(line.journal, clock, 400) == DrainRate(25.0, 16)
    clock.advance_ns(WINDOW_S * NS_PER_S)
    assert await rate(line.journal, clock, 400) == DrainRate()


async def test_one_receipt_alone_gives_no_rate(line: Looked, clock: ManualClock) -> None:
    await receipt(line.journal, clock, 100)
    clock.advance_ns(NS_PER_S)
    assert await rate(line.journal, clock, 900) == DrainRate()


@pytest.mark.heavy
async def test_broker_that_takes_no_notices_is_a_warning(line: Looked) -> None:
    line.health.notices.why = "not authorized"
    status, _, body = await line.get("/healthz")
    assert status == 200
    assert "notices-refused" in body
    assert "not authorized" in body


async def test_command_status_says_it_too(line: Looked, tmp_path: Path, clock: ManualClock) -> None:
    await receipt(line.journal, clock, 100)
    with JournalReader(tmp_path / "journal") as reader:
        assert "1,000 written, 100 receipted, 900 on their way" in report(reader, None).text()
