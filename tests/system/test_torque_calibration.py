"""A controller that says when its tool was calibrated: results of one that is due do not count."""

from dataclasses import replace
from pathlib import Path

from linewitness.base.clock import NS_PER_S, SystemClock, to_rfc3339
from linewitness.stations.work_options import ToolOptions
from linewitness_simulators.torque import Tool, TorqueOptions, serve
from support.torque_line import account, fields_of, line, ready, station, wrench
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
