"""A healthy line in its first hour: nothing is an alarm, and the room that is left is no surprise later."""

import json
from pathlib import Path
from types import ModuleType

import pytest
from structlog.testing import capture_logs

from linewitness.base.clock import NS_PER_S
from linewitness.journal import pressure
from linewitness.journal.database import path_of
from linewitness.journal.pressure import Level
from linewitness.journal.reader import JournalReader
from linewitness.status import health
from linewitness.status.problems import device as device_problems
from linewitness.status.problems import line as line_problems
from support.clocks import ManualClock
from support.journals import members_of, result_event
from support.status_pages import looked_at

pytestmark = pytest.mark.heavy

HOUR_S = 3600
#: A result every ten seconds, each in a commit of its own.
RESULT_S = 10
#: A forecast may be so much too short; with the write-ahead log in it, it is twenty times too short.
FACTOR = 2
#: What the pages and the journal take for the time that has passed.
TIMED: tuple[ModuleType, ...] = (pressure, health, line_problems, device_problems)


async def test_no_alarm_in_the_first_hour_of_a_healthy_line(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun_ns = clock.boottime_ns
    for module in TIMED:
        monkeypatch.setattr(module, "monotonic", lambda: (clock.boottime_ns - begun_ns) / NS_PER_S)
    promised: list[float] = []
    journal = tmp_path / "journal"
    with capture_logs() as logs:
        async with looked_at(journal, clock) as line:
            line.health.uplink("up", "")
            line.health.device("wrench-10", "up", "")
            line.health.device("press-4", "up", "")
            log_bytes = []
            for second in range(0, HOUR_S, RESULT_S):
                clock.advance_ns(RESULT_S * NS_PER_S)
                await line.journal.submit([result_event(second, clock)])
                if second % 60 == 0:
                    line.health.receipt(line.journal.head.size - 1)  # the newest one is on its way
                    await line.journal.pressure.measure(line.journal.read)
                    code, _, body = await line.get("/healthz")
                    assert (code, json.loads(body)["problems"]) == (200, []), f"after {second} s"
                    assert line.journal.pressure.level is Level.NORMAL
                    log_bytes.append((await line.journal.read(JournalReader.figures)).log_used)
                    hours = line.journal.pressure.room_left.hours_left
                    _, _, metrics = await line.get("/metrics")
                    assert ("linewitness_journal_hours_left" in metrics) == (hours is not None)
                    if hours is not None:
                        assert f"linewitness_journal_hours_left {hours}" in metrics
                        promised.append(hours)
            left = line.journal.pressure.room_left.left
    assert max(log_bytes) > 1_000_000, "the write-ahead log has filled meanwhile"
    assert len(promised) > 50
    # What an hour took: the log has gone into the main file, which held next to nothing before.
    true_hours = left / path_of(journal).stat().st_size
    assert min(promised) > true_hours / FACTOR
    assert [one for one in logs if one["log_level"] in {"warning", "error"}] == []
    assert [one for one in members_of(journal) if one["kind"] == "journal.pressure"] == []
