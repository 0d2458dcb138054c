"""A controller that says when its tool was calibrated: results of one that is due do not count."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import NS_PER_S, SystemClock, to_rfc3339
from linewitness.stations.work_options import ToolOptions
from linewitness_simulators.torque import Tool, TorqueOptions, TorqueSimulator, fields, serve
from linewitness_simulators.torque.model import Setup
from support.torque_line import Line, account, fields_of, line, ready, station, wrench
from support.waiting import until

#: As a controller writes it.
YESTERDAY = to_rfc3339(SystemClock().stamp().realtime_ns - 86_400 * NS_PER_S)[:19].replace("T", ":")


async def test_a_tool_that_is_due_by_the_controllers_own_data_counts_after_its_calibration(
    tmp_path: Path,
) -> None:
    place = station(
        "wrench-10",
        requires=[{"id": "bolt", "device": "wrench-10", "count": 1}],
        tools=ToolOptions(calibration="controller", interval_days=365),
    )
    due = Tool(calibrated_at="2020-01-15:08:00:00")
    async with (
        serve(TorqueOptions(tool=due)) as simulator,
        line(tmp_path, [wrench(simulator, reconcile_s=1)], [place]) as running,
    ):
        await ready(simulator)
        simulator.tighten("SN1")
        await until(lambda: running.records("requirement.refused"), "the refusal")
        [refused] = running.records("requirement.refused")
        [result] = running.records()
        assert "was due on 2021-01-14" in refused["reason"]
        assert fields_of(refused)["refused"] == result["event_id"]
        assert not running.records("requirement.changed")
        setup = simulator.controller.setup
        simulator.controller.setup = replace(setup, tool=replace(due, calibrated_at=YESTERDAY))
        told = len(running.records("tool.changed"))
        await until(lambda: len(running.records("tool.changed")) > told, "the new calibration")
        simulator.tighten("SN1")
        await until(lambda: running.records("requirement.changed"), "the requirement")
        [done] = running.records("requirement.changed")
        assert fields_of(done)["met_by"] == running.records()[-1]["event_id"]
    account(tmp_path, simulator)


GOOD = Tool(serial="GOOD-1", calibrated_at=YESTERDAY)
DUE = Tool(serial="DUE-2", calibrated_at="2020-01-15:08:00:00")


def swap(simulator: TorqueSimulator, tool: Tool) -> None:
    """Connect another tool to the controller, which says nothing of it by itself."""
    simulator.controller.setup = replace(simulator.controller.setup, tool=tool)


def has_results(running: Line, count: int) -> bool:
    return len(running.records()) == count


async def test_after_a_swap_the_next_result_is_judged_by_the_date_of_its_own_tool(tmp_path: Path) -> None:
    place = station(
        "wrench-10",
        requires=[{"id": "bolt", "device": "wrench-10", "count": 3}],
        tools=ToolOptions(calibration="controller", interval_days=365),
    )
    async with (
        serve(TorqueOptions(tool=GOOD)) as simulator,
        line(tmp_path, [wrench(simulator, reconcile_s=100_000)], [place]) as running,
    ):
        await ready(simulator)
        for made, tool in enumerate((GOOD, DUE, GOOD), start=1):
            swap(simulator, tool)
            simulator.tighten("SN1")
            await until(partial(has_results, running, made), f"result {made}")
        first, second, third = running.records()
        [refused] = running.records("requirement.refused")
        assert "tool DUE-2 was due on 2021-01-14" in refused["reason"]
        assert fields_of(refused)["refused"] == second["event_id"]
        assert [fields_of(each)["tool_serial"] for each in (first, second, third)] == [
            "GOOD-1",
            "DUE-2",
            "GOOD-1",
        ]
        assert fields_of(third)["tool_last_calibration"] == YESTERDAY
        codes = [fields_of(each)["code"] for each in running.records("exception.raised")]
        assert codes == ["tool_swapped", "tool_swapped"]
    account(tmp_path, simulator)


async def test_a_controller_that_keeps_another_tools_data_is_asked_once_for_each_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = station(
        "wrench-10",
        requires=[{"id": "bolt", "device": "wrench-10", "count": 3}],
        tools=ToolOptions(calibration="controller", interval_days=365),
    )
    answer, asked = fields.tool_data, []

    def of_the_first_tool(setup: Setup, *others: Any) -> Any:
        asked.append(setup.tool.serial)
        return answer(replace(setup, tool=GOOD), *others)

    monkeypatch.setattr(fields, "tool_data", of_the_first_tool)
    async with (
        serve(TorqueOptions(tool=GOOD)) as simulator,
        line(tmp_path, [wrench(simulator, reconcile_s=100_000)], [place]) as running,
    ):
        await ready(simulator)
        begun = len(asked)
        swap(simulator, DUE)
        for made in range(1, 4):
            simulator.tighten("SN1")
            await until(partial(has_results, running, made), f"result {made}")
        assert asked[begun:] == ["DUE-2"]
        reasons = {each["reason"] for each in running.records("requirement.refused")}
        assert reasons == {"tool DUE-2: the controller does not say when it was calibrated"}
    account(tmp_path, simulator)
