"""Results of several bolts at once: PowerMACS cycles (0106), multi-spindle results (0101)."""

from pathlib import Path
from typing import Any

import pytest

from linewitness_simulators.torque import TorqueOptions, serve, without
from support.torque_line import Line, fields_of, line, unit_of, wrench
from support.waiting import until

POWERMACS: dict[str, Any] = {
    "results": "powermacs",
    "alarms": False,
    "parameter_sets": False,
    "torque_unit": "Nm",
}


def bolts(running: Line) -> list[tuple[Any, Any]]:
    """Return cycle and bolt of each result, in order."""
    return [(fields_of(each)["cycle"], fields_of(each)["bolt"]) for each in running.records()]


async def test_each_bolt_of_a_cycle_is_a_result_with_its_unit_values_and_limits(tmp_path: Path) -> None:
    options = TorqueOptions(spindles=2, revisions=without(60, 64))
    async with serve(options) as simulator, line(tmp_path, [wrench(simulator, **POWERMACS)]) as running:
        await until(lambda: simulator.subscribed(105))
        simulator.tighten("SN1", torque=2512, angle=47)
        simulator.tighten("SN2", ok=False, torque=2912, angle=11)
        await until(lambda: simulator.acked == [1, 2])
        assert bolts(running) == [(1, 1), (1, 2), (2, 1), (2, 2)]
        good, _, bad, _ = running.records()
    torque, angle = (next(c for c in good["changes"] if c["field"] == name) for name in ("torque", "angle"))
    assert (torque["after"], torque["unit"], torque["low"], torque["high"], torque["status"]) == (
        *("25.1200", "Nm", "23.0000", "27.0000"),
        "ok",
    )
    assert (angle["after"], angle["status"]) == ("47.0", "ok")
    assert (unit_of(good), unit_of(bad)) == ("SN1", "SN2")
    assert fields_of(bad)["cycle_status"] == "nok"
    assert (fields_of(good)["result"], fields_of(bad)["result"]) == ("ok", "nok")
    assert next(c for c in bad["changes"] if c["field"] == "torque")["status"] == "high"


async def test_cycles_that_were_made_while_the_gateway_was_away_are_fetched_once(tmp_path: Path) -> None:
    options = TorqueOptions(revisions=without(60, 64))
    async with serve(options) as simulator:
        simulator.tighten("SN0")
        settings: dict[str, Any] = {**POWERMACS, "start_after": None}
        async with line(tmp_path, [wrench(simulator, **settings)]) as running:
            await until(lambda: simulator.subscribed(105))
            simulator.tighten("SN1")
            await until(lambda: simulator.acked == [2])
        simulator.tighten("SN2")
        simulator.tighten("SN3")
        async with line(tmp_path, [wrench(simulator, **settings)]) as running:
            await until(lambda: set(simulator.acked) == {2, 3, 4})
            simulator.tighten("SN4")
            await until(lambda: set(simulator.acked) == {2, 3, 4, 5})
            assert bolts(running) == [(2, 1), (3, 1), (4, 1), (5, 1)]


async def test_a_controller_without_cycles_says_what_to_change(tmp_path: Path) -> None:
    options = TorqueOptions(revisions=without(105))
    async with serve(options) as simulator, line(tmp_path, [wrench(simulator, **POWERMACS)]) as running:
        await until(lambda: "results: powermacs" in running.health.why.get("wrench-10", ""))


@pytest.mark.parametrize("highest", [6, 4, 1])
async def test_multi_spindle_results_come_in_the_highest_revision_that_is_offered(
    tmp_path: Path, highest: int
) -> None:
    options = TorqueOptions(spindles=2, revisions={**without(), 100: highest})
    async with (
        serve(options) as simulator,
        line(tmp_path, [wrench(simulator, multi_spindle=True)]) as running,
    ):
        await until(lambda: simulator.subscribed(100))
        simulator.tighten("SN1")
        await until(lambda: len(spindles(running)) == 2)
        assert {fields_of(each)["revision"] for each in spindles(running)} == {highest}
        assert {unit_of(each) for each in spindles(running)} == {"SN1"}


def spindles(running: Line) -> list[dict[str, Any]]:
    return [each for each in running.records() if "spindle" in fields_of(each)]
