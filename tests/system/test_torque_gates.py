"""A gate that locks the tool: on record before it is sent, accepted, and given again when it was lost."""

from pathlib import Path
from typing import Any

import pytest

from linewitness.stations.options import GateOptions, OperatorOptions, StationOptions
from linewitness_simulators.torque import Tool, TorqueOptions, serve
from linewitness_simulators.torque.server import TorqueSimulator
from support import torque_line
from support.torque_line import Line, account, fields_of, line, station, wrench
from support.waiting import until


def gated(**more: Any) -> StationOptions:
    return station("wrench-10", gate=GateOptions(device="wrench-10", hold=("not_ok",), **more))


def commands(simulator: TorqueSimulator) -> list[int]:
    return [entry.mid for entry in simulator.ledger.entries if entry.what == "command"]


def locked(simulator: TorqueSimulator) -> bool:
    return not simulator.controller.state.tool_enabled


async def ready(running: Line, simulator: TorqueSimulator) -> None:
    """Wait until results count as live and the controller has answered the gate's first order.

    A result that is made before is fetched from the controller's memory: it names no unit at the station.
    """
    await torque_line.ready(simulator)
    await until(
        lambda: any("confirmed" in fields_of(each) for each in running.records("gate.opened")),
        "the gate's first order answered",
    )


async def test_a_result_out_of_tolerance_locks_the_tool_after_the_order_is_on_record(tmp_path: Path) -> None:
    async with serve() as simulator, line(tmp_path, [wrench(simulator)], [gated()]) as running:
        await ready(running, simulator)
        assert commands(simulator) == [43]
        simulator.tighten("SN1", ok=False)
        await until(lambda: locked(simulator), "locked")
        ordered = running.records("gate.closed")
        assert ordered, "the tool was locked before the order was on record"
        assert ordered[0]["resource"] == {
            "id": "wrench-10",
            "type": "gate",
            "parent": {"id": "SN1", "type": "unit"},
        }
        await until(lambda: any(fields_of(each).get("confirmed") for each in running.records("gate.closed")))
    account(tmp_path, simulator)


async def test_the_next_unit_releases_the_tool(tmp_path: Path) -> None:
    async with serve() as simulator, line(tmp_path, [wrench(simulator)], [gated()]) as running:
        await ready(running, simulator)
        simulator.tighten("SN1", ok=False)
        await until(lambda: locked(simulator))
        simulator.controller.enable_tool(True)
        simulator.tighten("SN2")
        await until(lambda: commands(simulator)[-1] == 43)
        await until(lambda: len(running.records("gate.opened")) >= 3)
    account(tmp_path, simulator)


async def test_a_lock_is_given_again_on_a_new_connection(tmp_path: Path) -> None:
    async with serve() as simulator, line(tmp_path, [wrench(simulator)], [gated()]) as running:
        await ready(running, simulator)
        simulator.tighten("SN1", ok=False)
        await until(lambda: locked(simulator))
        simulator.controller.enable_tool(True)
        simulator.drop()
        await until(lambda: locked(simulator), "locked again")
        await until(
            lambda: any(
                "new connection" in each["reason"] and each["kind"] == "gate.closed"
                for each in running.records("gate.closed")
            )
        )
    account(tmp_path, simulator)


async def test_a_controller_that_takes_no_commands_is_on_record_and_results_still_flow(
    tmp_path: Path,
) -> None:
    async with serve() as simulator:
        simulator.faults.commands_disabled = True
        async with line(tmp_path, [wrench(simulator)], [gated()]) as running:
            await ready(running, simulator)
            simulator.tighten("SN1", ok=False)
            await until(
                lambda: any(
                    fields_of(each).get("confirmed") is False for each in running.records("gate.closed")
                )
            )
            simulator.tighten("SN1")
            await until(lambda: simulator.acked == [1, 2])
            refused = [
                each for each in running.records("gate.closed") if fields_of(each).get("confirmed") is False
            ]
            assert "92" in refused[0]["reason"]
            assert "Actor" in refused[0]["reason"]
    account(tmp_path, simulator)


async def test_the_tool_is_left_locked_when_the_gateway_stops_if_that_is_safe(tmp_path: Path) -> None:
    async with serve() as simulator, line(tmp_path, [wrench(simulator)], [gated(safe="closed")]) as running:
        await ready(running, simulator)
        assert not locked(simulator)
    assert locked(simulator)
    account(tmp_path, simulator)


@pytest.mark.parametrize(("number", "code"), [(1, None), (2, "29")])
async def test_one_of_several_tools_can_be_locked(tmp_path: Path, number: int, code: str) -> None:
    options = TorqueOptions(tool=Tool(number=1))
    async with (
        serve(options) as simulator,
        line(tmp_path, [wrench(simulator, tool_number=number)], [gated()]) as running,
    ):
        await ready(running, simulator)
        simulator.tighten("SN1", ok=False)
        confirmed = code is None
        await until(
            lambda: any(
                fields_of(each).get("confirmed") is confirmed for each in running.records("gate.closed")
            )
        )
        assert locked(simulator) is confirmed
        sent = {
            entry.text for entry in simulator.ledger.entries if (entry.what, entry.mid) == ("command", 42)
        }
        assert sent == {f"01{number:04d}0200"}
        assert code is None or any(
            f"error {code}" in each["reason"] for each in running.records("gate.closed")
        )
    account(tmp_path, simulator)


async def test_a_controller_without_revision_2_says_what_to_change(tmp_path: Path) -> None:
    async with (
        serve(TorqueOptions(max_revision=1)) as simulator,
        line(tmp_path, [wrench(simulator, tool_number=1)], [gated()]) as running,
    ):
        await until(
            lambda: any("remove tool_number" in each["reason"] for each in running.records("gate.opened"))
        )
    account(tmp_path, simulator)


async def test_a_badge_lets_the_unit_pass(tmp_path: Path) -> None:
    """The controller's own reader tells the badge and the code to let pass (0052)."""
    place = station(
        "wrench-10",
        operator=OperatorOptions(scanner="wrench-10", pattern=r"B\d+"),
        gate=GateOptions(device="wrench-10", hold=("not_ok",), pass_code="PASS-(?P<reason>.+)"),
    )
    async with (
        serve() as simulator,
        line(tmp_path, [wrench(simulator, identifiers="single")], [place]) as running,
    ):
        await until(lambda: simulator.subscribed(51) and commands(simulator))
        simulator.set_vin("B17")
        await until(lambda: running.records("operator.signed_on"))
        simulator.tighten("SN1", ok=False)
        await until(lambda: locked(simulator))
        simulator.set_vin("PASS-reworked")
        await until(lambda: not locked(simulator), "released")
        opened = running.records("gate.opened")
        assert any(each["actor"]["id"] == "B17" for each in opened)
    account(tmp_path, simulator)
