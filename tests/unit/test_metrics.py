"""The metrics: names that stay, values that are true."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from linewitness.devices.polling import PollFigures, PollOverload
from linewitness.journal.pressure import Level, Room
from linewitness.status import metric_names
from linewitness.status.metric_names import Metric
from support.clocks import ManualClock
from support.status_pages import Looked, looked_at

NAMES = {
    "linewitness",
    "linewitness_certificate_expiry_timestamp_seconds",
    "linewitness_clock_bound_seconds",
    "linewitness_clock_offset_seconds",
    "linewitness_clock_synced",
    "linewitness_device_binding_conflicts",
    "linewitness_device_station_refusals",
    "linewitness_device_observations",
    "linewitness_device_observations_dropped",
    "linewitness_device_lost_segments",
    "linewitness_device_points_refused",
    "linewitness_device_polls",
    "linewitness_device_polls_cut",
    "linewitness_device_polls_missed",
    "linewitness_device_up",
    "linewitness_drain_records_per_second",
    "linewitness_drain_seconds_left",
    "linewitness_journal_bytes",
    "linewitness_journal_hours_left",
    "linewitness_journal_left_bytes",
    "linewitness_journal_level",
    "linewitness_list",
    "linewitness_list_age_seconds",
    "linewitness_list_entries",
    "linewitness_list_refused",
    "linewitness_list_stale",
    "linewitness_log_dropped",
    "linewitness_log_suppressed",
    "linewitness_notices_dropped",
    "linewitness_notices_sent",
    "linewitness_notices_waiting",
    "linewitness_problem",
    "linewitness_problems",
    "linewitness_records",
    "linewitness_records_pending",
    "linewitness_records_receipted",
    "linewitness_records_signed",
    "linewitness_results_without_unit",
    "linewitness_telemetry_dropped_samples",
    "linewitness_uplink_answers_ignored",
    "linewitness_uplink_conflict",
    "linewitness_uplink_up",
}


@pytest.fixture
async def line(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Looked]:
    async with looked_at(tmp_path / "journal", clock) as looked:
        yield looked


async def values(line: Looked) -> dict[Any, float]:
    status, headers, text = await line.get("/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_names_are_those_that_dashboards_know() -> None:
    metrics = {value for value in vars(metric_names).values() if isinstance(value, Metric)}
    assert {metric.name for metric in metrics} == NAMES


async def test_values_are_those_of_the_line(line: Looked) -> None:
    line.health.device("wrench-10", "up", "")
    line.health.device("press-4", "lost", "no route")
    line.health.observed("wrench-10", 7)
    line.health.uplink("up", "")
    line.buffer.dropped["press-4"] = 50
    line.journal.pressure.room_left = Room(900, 100, 1000, 12.5)
    line.journal.pressure.level = Level.HIGH
    found = await values(line)
    assert found["linewitness_device_up", "wrench-10", "open_protocol"] == 1
    assert found["linewitness_device_up", "press-4", "opcua"] == 0
    assert found["linewitness_device_observations_total", "wrench-10"] == 7
    assert found["linewitness_telemetry_dropped_samples_total", "press-4"] == 50
    assert found["linewitness_records_total",] == 1
    assert found["linewitness_records_pending",] == 1
    assert found["linewitness_journal_hours_left",] == 12.5
    assert found["linewitness_journal_left_bytes",] == 100
    assert found["linewitness_journal_level",] == 1
    assert found["linewitness_uplink_up",] == 1
    assert found["linewitness_problems", "warning"] == 2
    assert found["linewitness_problem", "device-lost", "warning", "press-4"] == 1
    assert found["linewitness_problem", "journal-fills", "warning", "journal"] == 1
    assert found["process_open_fds",] > 0


@pytest.mark.heavy
async def test_a_device_above_its_share_is_an_alarm_if_something_is_not_on_record(line: Looked) -> None:
    line.health.share("wrench-10", above=True, losing=False, dropped=0)
    line.health.share("press-4", above=True, losing=True, dropped=1234)
    found = await values(line)
    assert found["linewitness_device_observations_dropped_total", "press-4"] == 1234
    assert found["linewitness_problem", "device-share", "alarm", "press-4"] == 1
    assert found["linewitness_problem", "device-share", "warning", "wrench-10"] == 1
    _, _, page = await line.get("/")
    assert "press-4 sends more than its share: 1,234 observations are not on record" in page
    assert "wrench-10 sends more than its share: it is read more slowly, nothing is lost" in page
    assert (await line.get("/healthz"))[0] == 503
    line.health.share("press-4", above=False, losing=False, dropped=1234)
    assert (await line.get("/healthz"))[0] == 200


async def test_what_is_not_known_is_absent_rather_than_zero(line: Looked) -> None:
    found = await values(line)
    assert not {key for key in found if key[0].startswith(("linewitness_clock", "linewitness_journal_hours"))}


async def test_what_the_network_loses_is_counted_where_it_is_known(line: Looked) -> None:
    line.health.lost_segments("wrench-10", 234)
    found = await values(line)
    assert found["linewitness_device_lost_segments_total", "wrench-10"] == 234
    assert ("linewitness_device_lost_segments_total", "press-4") not in found
    _, _, page = await line.get("/")
    assert "234 segments lost on the network" in page


async def test_polls_that_are_not_made_are_a_problem_with_its_cause(line: Looked) -> None:
    overload = PollOverload(300, 40, 0, "processor")
    line.health.polls("press-4", PollFigures(1000, 50, 7, overload))
    found = await values(line)
    assert found["linewitness_device_polls_total", "press-4"] == 1000
    assert found["linewitness_device_polls_missed_total", "press-4"] == 50
    assert found["linewitness_device_polls_cut_total", "press-4"] == 7
    assert ("linewitness_device_polls_total", "wrench-10") not in found
    assert found["linewitness_problem", "polls-missed", "warning", "press-4"] == 1
    _, _, page = await line.get("/")
    assert "press-4: 40 of 300 polls in 30 s were not made: the gateway" in page
    assert "use a faster processor" in page
    assert "50 polls not made" in page
    assert "7 polls without telemetry" in page


async def test_an_overload_shows_beside_a_share_that_is_exceeded(line: Looked) -> None:
    line.health.polls("press-4", PollFigures(1000, 50, 7, PollOverload(300, 40, 0, "processor")))
    line.health.share("press-4", above=True, losing=False, dropped=0)
    found = await values(line)
    assert found["linewitness_problem", "polls-missed", "warning", "press-4"] == 1
    assert found["linewitness_problem", "device-share", "warning", "press-4"] == 1
