"""Failure cases of the wire, through the journal: refusals, cut streams, dead cables, jumping clocks."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from linewitness_simulators.torque import TorqueOptions, serve
from support.torque_line import account, fields_of, id_of, line, ready, records_of, wrench
from support.waiting import until


async def test_case_17_the_repeated_hour_changes_neither_order_nor_number(tmp_path: Path) -> None:
    """02:40 summer time, then 02:10, 02:50 and 03:05 winter time: the wall clock goes back between them."""
    moments = [
        datetime(2026, 10, 25, *time, tzinfo=UTC) for time in ((0, 40), (1, 10), (1, 50), (2, 5), (3, 0))
    ]
    zone = "Europe/Berlin"
    async with serve(TorqueOptions(zone=zone)) as simulator:
        for number, moment in enumerate(moments):
            simulator.tighten(f"SN{number}", at=moment)
        async with line(tmp_path, [wrench(simulator, timezone=zone)]) as running:
            await until(lambda: len(running.ids()) == 5)
    results = records_of(tmp_path / "journal")
    assert [id_of(each)[2] for each in results] == [1, 2, 3, 4, 5]
    times = [each["occurred_at"] for each in results]
    assert times == sorted(times)
    qualities = [fields_of(each)["time_quality"] for each in results]
    assert qualities[0] == "ambiguous-fold", "nothing decides about the first"
    assert times[1][:16] == "2026-10-25T01:10", "the order of ids decides about the second"
    assert qualities[3:] == ["measured", "measured"]
    account(tmp_path, simulator)


@pytest.mark.parametrize("jump_s", [3600, -3600])
async def test_case_17_a_clock_that_jumps_changes_neither_order_nor_number(
    tmp_path: Path, jump_s: float
) -> None:
    async with serve() as simulator, line(tmp_path, [wrench(simulator)]) as running:
        await ready(simulator)
        simulator.tighten("SN1")
        await until(lambda: running.ids() == [1])
        simulator.jump_clock(jump_s)
        simulator.tighten("SN1")
        await until(lambda: running.ids() == [1, 2])
        jumped = fields_of(running.records()[1])
        assert jumped["time_quality"] == "clock-jump"
        await until(lambda: len(running.records("clock.status")) == 2, "the jump is on record")
        simulator.tighten("SN1")
        await until(lambda: running.ids() == [1, 2, 3])
        assert fields_of(running.records()[2])["time_quality"] == "measured"
        late_ms = running.records()[1]["clock"].get("occurred_unc_ms", 0)
        assert late_ms > 3_590_000 or jump_s > 0, "a clock that was set back looks like a late delivery"
    account(tmp_path, simulator)


async def test_case_17_a_controller_set_to_2000_changes_neither_order_nor_number(tmp_path: Path) -> None:
    async with serve() as simulator, line(tmp_path, [wrench(simulator)]) as running:
        await ready(simulator)
        simulator.tighten("SN1")
        await until(lambda: running.ids() == [1])
        simulator.set_clock(datetime(2000, 1, 1, 12, tzinfo=UTC))
        simulator.tighten("SN1")
        await until(lambda: running.ids() == [1, 2])
        (_, second) = running.records()
        assert fields_of(second)["time_quality"] == "clock-jump"
        assert second["clock"]["device_time"].startswith("2000-01-01")
        assert len(running.records("source.epoch")) == 1, "an earlier time is no new epoch"
        simulator.drop()
        await until(lambda: len(running.records("device.back")) == 2)
        simulator.tighten("SN1")
        await until(lambda: running.ids() == [1, 2, 3])
    account(tmp_path, simulator)


REFUSALS: dict[str, dict[str, Any]] = {
    "0060_09": {"refuse_once": {60: 9}},
    "0001_96": {"refuse_once": {1: 96}},
    "0001_97": {"refuse_once": {1: 97}},
    "0001_16": {"refuse_once": {1: 16}},
    "silent_close": {"silent_close": True},
    "dropped_after_start": {"drop_after_start": 2},
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_case_18_a_refusal_passes_without_a_person(tmp_path: Path, name: str) -> None:
    options = TorqueOptions(max_revision=5) if name == "silent_close" else TorqueOptions()
    async with serve(options) as simulator:
        for fault, value in REFUSALS[name].items():
            setattr(simulator.faults, fault, dict(value) if isinstance(value, dict) else value)
        simulator.tighten("SN1")
        async with line(tmp_path, [wrench(simulator, busy_retry_s=0.3)]) as running:
            await ready(simulator)
            simulator.tighten("SN2")
            await until(lambda: sorted(running.ids()) == [1, 2])
    account(tmp_path, simulator)


CUTS: dict[str, dict[str, Any]] = {
    "every_byte": {"split_bytes": 1},
    "every_seven": {"split_bytes": 7},
    "ten_in_one_segment": {"glue": 10},
    "no_end_mark": {"omit_nul": True},
    "two_end_marks": {"double_nul": True},
    "all_at_once": {"glue": 4, "double_nul": True, "split_bytes": 300},
}


@pytest.mark.parametrize("name", CUTS)
async def test_case_19_results_are_the_same_however_the_stream_is_cut(tmp_path: Path, name: str) -> None:
    async with serve() as simulator:
        for fault, value in CUTS[name].items():
            setattr(simulator.faults, fault, value)
        async with line(tmp_path, [wrench(simulator)]) as running:
            await ready(simulator)
            for number in range(10):
                simulator.tighten("SN1", torque=2500 + number)
            await until(lambda: len(running.ids()) == 10)
            assert len(running.records("device.back")) == 1, "the connection broke"
    torques = [fields_of(each)["torque"] for each in records_of(tmp_path / "journal")]
    assert torques == [f"25.0{number}" for number in range(10)]
    account(tmp_path, simulator)


async def test_case_20_a_half_open_connection_is_noticed_and_what_was_made_is_fetched(tmp_path: Path) -> None:
    """With the default timers it takes 15 s: test_torque_timers."""
    async with serve() as simulator, line(tmp_path, [wrench(simulator)]) as running:
        await ready(simulator)
        simulator.faults.half_open = True
        await until(lambda: running.records("device.lost"))
        assert "nothing came" in running.records("device.lost")[0]["reason"]
        simulator.tighten("SN1")
        simulator.faults.half_open = False
        simulator.drop()
        await until(lambda: running.ids() == [1])
    assert fields_of(records_of(tmp_path / "journal")[0])["backfilled"] is True
    account(tmp_path, simulator)


@pytest.mark.slow
async def test_case_20_with_the_default_timers_within_15_seconds(tmp_path: Path) -> None:
    timers = {"keepalive_s": 7, "dead_after_s": 15, "request_timeout_s": 10}
    async with serve() as simulator, line(tmp_path, [wrench(simulator, **cast(Any, timers))]) as running:
        await ready(simulator)
        simulator.faults.half_open = True
        await until(lambda: running.records("device.lost"))
        simulator.faults.half_open = False
    account(tmp_path, simulator)
