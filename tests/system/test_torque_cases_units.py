"""Failure cases of binding, through the journal: wrong identifiers, bookkeeping results, several spindles."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from linewitness.devices.scanner.options import ScannerOptions
from linewitness.gateway.intake.arrival import NEXT_NS
from linewitness.stations.options import UnitOptions
from linewitness_simulators.scanner.server import RunningScanner, ScannerSimulation
from linewitness_simulators.scanner.server import serve as serve_scanner
from linewitness_simulators.torque import TorqueOptions, serve
from linewitness_simulators.torque.server import TorqueSimulator
from support.torque_line import Line, account, fields_of, line, ready, records_of, station, unit_of, wrench
from support.waiting import until


@asynccontextmanager
async def scanned(tmp_path: Path, simulator: TorqueSimulator) -> AsyncIterator[tuple[RunningScanner, Line]]:
    """A station whose units are known by a reader, and a tool that names units too."""
    place = station("reader-10", "wrench-10", unit=UnitOptions(scanner="reader-10", pattern=r"SN\d{4}"))
    async with serve_scanner(ScannerSimulation()) as reader:
        options = ScannerOptions(
            id="reader-10", driver="scanner", host="127.0.0.1", port=reader.port, settle_ms=0
        )
        async with line(tmp_path, [wrench(simulator), options], [place]) as running:
            await ready(simulator)
            await until(lambda: reader.clients > 0)
            # What a tool sends soon after a confirmation may be older; it has just told its parameter set.
            await asyncio.sleep(NEXT_NS / 1e9)
            yield reader, running


async def enter(reader: RunningScanner, running: Line, serial: str) -> None:
    await reader.scan(serial)
    await until(lambda: unit_of_station(running) == serial, serial)


def unit_of_station(running: Line) -> str | None:
    entered = running.records("unit.entered")
    return fields_of(entered[-1])["unit"] if entered else None


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        pytest.param("SN9999", "the station holds 'SN0002'", id="wrong"),
        pytest.param("SN0001", "the station holds 'SN0002'", id="previous unit"),
        pytest.param("SN00", "not a serial number", id="truncated"),
        pytest.param("SN0002-AND-MORE-THAN-25-CHARACTERS", "not a serial number", id="cut by the telegram"),
    ],
)
async def test_case_21_a_result_that_contradicts_the_station_is_unbound_and_says_why(
    tmp_path: Path, identifier: str, words: str
) -> None:
    async with serve() as simulator, scanned(tmp_path, simulator) as (reader, running):
        await enter(reader, running, "SN0001")
        await enter(reader, running, "SN0002")
        simulator.tighten("SN0002")
        simulator.tighten(identifier)
        await until(lambda: running.ids() == [1, 2])
    good, wrong = records_of(tmp_path / "journal")
    assert (unit_of(good), fields_of(good)["bound_by"]) == ("SN0002", "result")
    assert (unit_of(wrong), fields_of(wrong)["bound_by"]) == (None, "none")
    assert words in fields_of(wrong)["binding_conflict"]
    account(tmp_path, simulator)


async def test_case_21_a_blank_identifier_is_never_taken_for_one_and_never_binds_what_was_fetched(
    tmp_path: Path,
) -> None:
    """Live it belongs to what stands at the station and says that only the station says so."""
    async with serve() as simulator:
        simulator.tighten("")
        async with scanned(tmp_path, simulator) as (reader, running):
            await enter(reader, running, "SN0002")
            simulator.tighten("")
            await until(lambda: running.ids() == [1, 2])
    fetched, live = records_of(tmp_path / "journal")
    assert (unit_of(fetched), fields_of(fetched)["bound_by"]) == (None, "none")
    assert fields_of(live)["bound_by"] == "station"
    account(tmp_path, simulator)


async def test_case_22_bookkeeping_is_on_record_by_its_name_and_decides_nothing(tmp_path: Path) -> None:
    async with serve() as simulator, line(tmp_path, [wrench(simulator)]) as running:
        await ready(simulator)
        for kind in range(1, 11):
            simulator.tighten("SN1", result_type=kind)
        simulator.tighten("SN2")
        await until(lambda: len(running.ids()) == 11)
        await until(lambda: running.records("unit.left"))
        left = fields_of(running.records("unit.left")[0])
    results = records_of(tmp_path / "journal")[:10]
    kinds = [fields_of(each)["result_type"] for each in results]
    assert kinds == [
        *("tightening", "loosening", "batch increment", "batch decrement", "bypass parameter set"),
        *("abort job", "sync tightening", "reference setup", "batch reset", "job restart"),
    ]
    silent = [fields_of(each).get("counts") is False for each in results]
    # A synchronised tightening tightens a screw, so it counts; the others are none.
    assert silent == [kind not in ("tightening", "sync tightening") for kind in kinds]
    assert (left["results_ok"], left["results_not_ok"]) == (2, 0)
    account(tmp_path, simulator)


async def test_case_23_sync_ids_that_wrap_give_no_repeat_and_no_gap(tmp_path: Path) -> None:
    options = TorqueOptions(spindles=2, ack_timeout_s=0.3)
    async with (
        serve(options) as simulator,
        line(tmp_path, [wrench(simulator, multi_spindle=True)]) as running,
    ):
        await ready(simulator)
        await until(lambda: simulator.subscribed(100))
        simulator.set_sync_id(65534)
        for made in range(1, 5):
            simulator.tighten(f"SN{made}")
            await until(partial(lambda made: len(spindles(running.records())) == 2 * made, made))
        simulator.faults.lose_acks = 1
        simulator.tighten("SN5")
        await until(lambda: simulator.ledger.numbers("lost-ack", 61) or simulator.ledger.entries[-1].what)
        await until(lambda: len(spindles(running.records())) == 10)
        assert not running.records("source.gap")
    found = spindles(records_of(tmp_path / "journal"))
    syncs = [int(each["resource"]["id"].rpartition("/")[2].split("-")[0]) for each in found]
    assert syncs == [65534, 65534, 65535, 65535, 0, 0, 1, 1, 2, 2]
    assert len({each["resource"]["id"] for each in found}) == 10
    account(tmp_path, simulator)


def spindles(records: Any) -> Any:
    return [each for each in records if "spindle" in fields_of(each)]
