"""What a controller is told of the unit at its station: on record before it is sent, and its answer after."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from linewitness.devices.open_protocol.session.commands.units import UnitCommands
from linewitness.devices.scanner.options import ScannerOptions
from linewitness.gateway.stations import unit_commands
from linewitness.stations.options import GateOptions, UnitOptions
from linewitness_simulators.scanner.server import RunningScanner, ScannerSimulation
from linewitness_simulators.scanner.server import serve as serve_scanner
from linewitness_simulators.torque import TorqueOptions, serve, without
from linewitness_simulators.torque.server import TorqueSimulator
from support.torque_line import Line, account, fields_of, line, ready, station, unit_of, wrench
from support.waiting import until

PROGRAMS = (
    {"unit": r"SN7\d+", "parameter_set": 9},
    {"unit": r"SN8\d+", "parameter_set": 8, "batch_size": 3},
    {"unit": r"SN9\d+", "job": 2, "abort_job": True, "restart_job": True},
)
BOTH: dict[str, Any] = {"commands": ("identifier", "program"), "programs": PROGRAMS}


@asynccontextmanager
async def told(
    tmp_path: Path, simulator: TorqueSimulator, gate: GateOptions | None = None, **settings: Any
) -> AsyncIterator[tuple[RunningScanner, Line]]:
    """Run a station whose units a reader names, and whose tool is told of them."""
    place = station(
        "reader-10", "wrench-10", unit=UnitOptions(scanner="reader-10", pattern=r"SN\d+"), gate=gate
    )
    async with serve_scanner(ScannerSimulation()) as reader:
        options = ScannerOptions(
            id="reader-10", driver="scanner", host="127.0.0.1", port=reader.port, settle_ms=0, duplicate_s=0
        )
        async with line(tmp_path, [wrench(simulator, **settings), options], [place]) as running:
            await until(lambda: running.health.states.count("up") == 2, "both are connected")
            yield reader, running


def commands(simulator: TorqueSimulator) -> list[tuple[int, str]]:
    return [(entry.mid, entry.text) for entry in simulator.ledger.entries if entry.what == "command"]


def orders(running: Line) -> list[tuple[str, Any, Any]]:
    """Return what the records say of commands: name and value, and `sent` or whether it was confirmed."""
    found = []
    for record in running.records("parameter.changed"):
        fields = fields_of(record)
        if "command" in fields or "confirmed" in fields:
            name = record["changes"][0]["field"]
            found.append((name, fields[name], fields.get("command", fields.get("confirmed"))))
    return found


async def answered(running: Line, count: int) -> list[tuple[str, Any, Any]]:
    """Wait until so many outcomes are on record."""
    await until(lambda: sum(last != "sent" for _, _, last in orders(running)) >= count, f"{count} outcomes")
    return orders(running)


async def test_the_unit_at_the_station_chooses_the_program_and_stands_in_the_next_result(
    tmp_path: Path,
) -> None:
    async with serve() as simulator, told(tmp_path, simulator, **BOTH) as (reader, running):
        await reader.scan("SN7001")
        assert await answered(running, 2) == [
            ("identifier", "SN7001", "sent"),
            ("identifier", "SN7001", True),
            ("parameter_set", "9", "sent"),
            ("parameter_set", "9", True),
        ]
        assert commands(simulator) == [(50, "SN7001"), (18, "009")]
        simulator.tighten()
        await until(running.records)
        result = running.records()[0]
        assert (fields_of(result)["pset"], unit_of(result)) == (9, "SN7001")
        assert fields_of(result)["bound_by"] == "result"
        asked = [each for each in running.records("parameter.changed") if "command" in fields_of(each)]
        assert {unit_of(each) for each in asked} == {"SN7001"}
        assert {each["actor"]["id"] for each in asked} == {"linewitness"}
    account(tmp_path, simulator)


async def test_a_command_is_on_record_before_it_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the journal on the disk says when the controller receives a command."""
    seen: list[list[tuple[str, Any, Any]]] = []
    async with serve() as simulator, told(tmp_path, simulator, **BOTH) as (reader, running):
        controller = simulator.controller
        identify, select = controller.identify, controller.select_parameter_set

        def identified(text: str) -> None:
            seen.append(orders(running))
            identify(text)

        def selected(number: int) -> None:
            seen.append(orders(running))
            select(number)

        monkeypatch.setattr(controller, "identify", identified)
        monkeypatch.setattr(controller, "select_parameter_set", selected)
        await reader.scan("SN7001")
        await answered(running, 2)
    assert seen[0] == [("identifier", "SN7001", "sent")]
    assert seen[1][-1] == ("parameter_set", "9", "sent")


async def test_batch_size_and_job_are_told_too(tmp_path: Path) -> None:
    async with serve() as simulator, told(tmp_path, simulator, **BOTH) as (reader, running):
        await reader.scan("SN8001")
        await answered(running, 3)
        await reader.scan("SN9001")
        found = await answered(running, 7)
        assert commands(simulator) == [
            *((50, "SN8001"), (19, "00803"), (18, "008")),
            *((127, ""), (50, "SN9001"), (38, "0002"), (39, "0002")),
        ]
        assert [each for each in found if each[2] == "sent"][3:] == [
            ("abort_job", "running", "sent"),
            ("identifier", "SN9001", "sent"),
            ("job", "2", "sent"),
            ("restart_job", "2", "sent"),
        ]
        simulator.tighten()
        await until(running.records)
        assert fields_of(running.records()[0])["job"] == 2
    account(tmp_path, simulator)


async def test_nothing_is_sent_unless_the_yaml_says_so(tmp_path: Path) -> None:
    async with serve() as simulator, told(tmp_path, simulator) as (reader, running):
        await reader.scan("SN7001")
        await until(lambda: running.records("unit.entered"))
        simulator.tighten()
        await until(running.records)
        assert commands(simulator) == []


async def test_a_unit_that_fits_no_program_sends_nothing_and_is_a_problem(tmp_path: Path) -> None:
    async with serve() as simulator, told(tmp_path, simulator, **BOTH) as (reader, running):
        await reader.scan("SN1234")
        assert await answered(running, 1) == [("choice", "SN1234", False)]
        record = running.records("parameter.changed")[-1]
        assert "no program of wrench-10 fits the unit SN1234" in record["reason"]
        assert "add an entry to programs" in record["reason"]
        assert "SN1234" in running.health.not_told
        assert commands(simulator) == []
        await reader.scan("SN7001")
        await answered(running, 3)
        await until(lambda: not running.health.not_told, "the problem is over")


async def test_what_the_controller_refuses_is_on_record_and_sent_again_when_the_unit_is_read_again(
    tmp_path: Path,
) -> None:
    async with serve() as simulator, told(tmp_path, simulator, **BOTH) as (reader, running):
        simulator.faults.refuse[18] = 3
        await reader.scan("SN7001")
        found = await answered(running, 2)
        assert found[-1] == ("parameter_set", "9", False)
        reason = running.records("parameter.changed")[-1]["reason"]
        assert "error 03" in reason
        assert "selection source" in reason
        assert "7, 8, 9" in reason
        await until(lambda: "error 03" in running.health.not_told)
        del simulator.faults.refuse[18]
        await reader.scan("SN7001")
        assert (await answered(running, 3))[-1] == ("parameter_set", "9", True)
        assert commands(simulator) == [(50, "SN7001"), (18, "009")]
        await until(lambda: not running.health.not_told)
    account(tmp_path, simulator)


async def test_a_controller_that_is_busy_is_asked_again_and_locks_meanwhile(tmp_path: Path) -> None:
    """While a tightening keeps the controller from taking the program, its result locks the tool at once."""
    gate = GateOptions(device="wrench-10", hold=("not_ok",))
    async with serve() as simulator, told(tmp_path, simulator, gate, **BOTH) as (reader, running):
        simulator.faults.refuse[18] = 101
        await reader.scan("SN7001")
        await until(lambda: simulator.ledger.numbers("refused", 18))
        simulator.tighten(ok=False)
        await until(lambda: not simulator.controller.state.tool_enabled, "locked")
        assert orders(running)[-1] == ("parameter_set", "9", "sent")
        del simulator.faults.refuse[18]
        assert (await answered(running, 2))[-2:] == [
            ("parameter_set", "9", "sent"),
            ("parameter_set", "9", True),
        ]
    account(tmp_path, simulator)


async def test_a_controller_that_stays_busy_has_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_commands, "BUSY_TRIES", 2)
    async with serve() as simulator, told(tmp_path, simulator, **BOTH) as (reader, running):
        simulator.faults.refuse[18] = 101
        await reader.scan("SN7001")
        assert (await answered(running, 2))[-1] == ("parameter_set", "9", False)
        assert "a tightening is in progress" in running.health.not_told
        assert simulator.ledger.numbers("refused", 18) == [101, 101]


async def test_a_batch_size_that_is_refused_keeps_the_program_from_being_selected(tmp_path: Path) -> None:
    async with serve() as simulator, told(tmp_path, simulator, **BOTH) as (reader, running):
        simulator.faults.refuse[19] = 79
        await reader.scan("SN8001")
        assert (await answered(running, 2))[-1] == ("batch_size", "8:3", False)
        simulator.tighten()
        await until(running.records)
        assert 18 not in [mid for mid, _ in commands(simulator)]


async def test_an_answer_that_does_not_come_is_on_record_and_nothing_is_repeated(tmp_path: Path) -> None:
    async with (
        serve(TorqueOptions(keep_alive_s=0)) as simulator,
        told(tmp_path, simulator, request_timeout_s=1, **BOTH) as (reader, running),
    ):
        simulator.faults.reply_delay_s = 2
        await reader.scan("SN7001")
        found = await answered(running, 1)
        assert found == [("identifier", "SN7001", "sent"), ("identifier", "SN7001", None)]
        assert "not known" in running.records("parameter.changed")[-1]["reason"]
        simulator.faults.reply_delay_s = 0
        # On the next connection what was not sent yet is sent, and what may have been carried out is not.
        assert (await answered(running, 2))[2:] == [
            ("parameter_set", "9", "sent"),
            ("parameter_set", "9", True),
        ]
        assert [mid for mid, _ in commands(simulator)] == [50, 18]
    account(tmp_path, simulator)


@pytest.mark.parametrize(
    ("missing", "words"),
    [((51, 151), "serial numbers (0051, 0151)"), ((10, 14), "parameter sets (0010, 0014)")],
    ids=["identifier", "program"],
)
async def test_what_the_controller_did_not_offer_is_refused_and_not_sent(
    tmp_path: Path, missing: tuple[int, ...], words: str
) -> None:
    options = TorqueOptions(revisions=without(*missing))
    async with (
        serve(options) as simulator,
        told(tmp_path, simulator, parameter_sets=False, **BOTH) as (reader, running),
    ):
        await reader.scan("SN7001")
        found = await answered(running, 2)
        refused = [
            each for each in running.records("parameter.changed") if fields_of(each).get("confirmed") is False
        ]
        assert len(refused) == 1
        assert (
            f"did not offer to take {words}" in refused[0]["reason"]
            or f"select {words}" in refused[0]["reason"]
        )
        sent = [mid for mid, _ in commands(simulator)]
        assert sent == ([18] if 51 in missing else [50])
        assert len(found) == 4


async def test_a_unit_that_arrived_while_the_controller_was_away_is_told_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with serve() as simulator, told(tmp_path, simulator, **BOTH) as (reader, running):
        await simulator.unplug()
        await reader.scan("SN9001")
        await until(lambda: running.records("unit.entered"))
        await reader.scan("SN7001")
        await until(lambda: len(running.records("unit.entered")) == 2)
        await simulator.plug_in()
        await answered(running, 2)
        assert commands(simulator) == [(50, "SN7001"), (18, "009")]


async def test_after_a_restart_what_was_accepted_is_not_sent_again(tmp_path: Path) -> None:
    async with serve() as simulator:
        async with told(tmp_path, simulator, **BOTH) as (reader, running):
            await reader.scan("SN7001")
            await answered(running, 2)
        async with told(tmp_path, simulator, **BOTH) as (reader, running):
            await reader.scan("SN7001")
            await until(lambda: len(running.records("unit.entered")) == 2)
            await reader.scan("SN7002")
            await answered(running, 4)
        assert commands(simulator) == [(50, "SN7001"), (18, "009"), (50, "SN7002"), (18, "009")]
    account(tmp_path, simulator)


async def test_a_crash_between_the_record_and_the_command_leaves_it_to_the_next_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway ends before a byte of the command was written; the unit is not known after the start."""
    async with serve() as simulator:
        with monkeypatch.context() as patched:
            patched.setattr(UnitCommands, "give", lambda *_: asyncio.Event().wait())
            async with told(tmp_path, simulator, **BOTH) as (reader, running):
                await reader.scan("SN7001")
                await until(lambda: orders(running) == [("identifier", "SN7001", "sent")])
        async with told(tmp_path, simulator, **BOTH) as (reader, running):
            assert commands(simulator) == []
            await reader.scan("SN7001")
            await answered(running, 2)
        assert commands(simulator) == [(50, "SN7001"), (18, "009")]
    account(tmp_path, simulator)


async def test_the_tool_is_released_only_after_it_was_told_of_the_next_unit(tmp_path: Path) -> None:
    gate = GateOptions(device="wrench-10", hold=("not_ok",))
    async with serve() as simulator, told(tmp_path, simulator, gate, **BOTH) as (reader, running):
        await reader.scan("SN7001")
        await answered(running, 2)
        simulator.tighten(ok=False)
        await until(lambda: not simulator.controller.state.tool_enabled, "locked")
        await reader.scan("SN8001")
        await until(lambda: simulator.controller.state.tool_enabled, "released")
        assert [mid for mid, _ in commands(simulator)][-5:] == [42, 50, 19, 18, 43]
    account(tmp_path, simulator)


async def test_a_unit_that_the_tools_own_result_names_is_not_sent_back_to_it(tmp_path: Path) -> None:
    async with serve() as simulator, line(tmp_path, [wrench(simulator, **BOTH)]) as running:
        await ready(simulator)
        simulator.tighten("SN7001")
        await until(lambda: running.records("unit.entered"))
        simulator.tighten("SN7001")
        await until(lambda: len(running.ids()) == 2)
        assert commands(simulator) == []
