"""After an outage the store knows the head and the alarms of now while the backlog is still on its way."""

from pathlib import Path

import pytest

from linewitness.journal.reader import JournalReader
from linewitness.store.ahead.reports import read_heads, read_notice_refusals
from linewitness.store.reports import read_conflicts, read_records
from support.journals import IDENTITY
from support.live_line import live_line, result
from support.waiting import until

BACKLOG = 20_000


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
