"""A tool that knows no serial numbers, and a reader that misses units: no result under the wrong one."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from linewitness.demo.plant import Plant
from linewitness.devices.scanner.options import ScannerOptions
from linewitness.gateway.intake.arrival import PAUSE_NS
from linewitness.journal.file import JournalFile
from linewitness.stations.options import OperatorOptions, StationOptions, UnitOptions
from linewitness_simulators.scanner.server import RunningScanner, ScannerSimulation
from linewitness_simulators.scanner.server import serve as serve_scanner
from linewitness_simulators.torque import serve
from linewitness_simulators.torque.server import TorqueSimulator
from support.meaning import meaning_of
from support.plants import at_work, held, new_plant, settle
from support.torque_line import Line, account, fields_of, line, ready, records_of, station, unit_of, wrench
from support.waiting import until

SETTLE_MS = 500


class Table:
    """A station: a reader of units, a reader of badges, a tool, and what is really there."""

    def __init__(self, simulator: TorqueSimulator, reader: RunningScanner, badges: RunningScanner) -> None:
        self.simulator, self.reader, self.badges = simulator, reader, badges

    @property
    def devices(self) -> list[Any]:
        def scanner(name: str, port: int) -> ScannerOptions:
            return ScannerOptions(id=name, driver="scanner", host="127.0.0.1", port=port, settle_ms=SETTLE_MS)

        return [
            wrench(self.simulator),
            scanner("reader-10", self.reader.port),
            scanner("badge-10", self.badges.port),
        ]

    @property
    def place(self) -> StationOptions:
        return station(
            "reader-10",
            "badge-10",
            "wrench-10",
            unit=UnitOptions(scanner="reader-10", pattern=r"SN\d{4}"),
            operator=OperatorOptions(scanner="badge-10"),
        )

    async def connected(self) -> None:
        await ready(self.simulator)
        await until(lambda: self.reader.clients > 0 and self.badges.clients > 0)
        await asyncio.sleep(SETTLE_MS / 1000 + 0.2)  # what comes earlier is set aside

    async def enter(self, running: Line, serial: str) -> None:
        self.simulator.workplace.unit = serial
        await self.reader.scan(serial)
        await until(lambda: serial in entered(running), serial)

    async def sign_on(self, running: Line, badge: str) -> None:
        self.simulator.workplace.operator = badge
        await self.badges.scan(badge)
        await until(lambda: running.records("operator.signed_on"), badge)

    async def tighten_known(self, running: Line) -> dict[str, Any]:
        """Make results until one belongs to a unit: on a busy machine their order can be in doubt."""
        while unit_of(result := await self.tighten(running)) is None:  # noqa: ASYNC110 (each is another one)
            await asyncio.sleep(PAUSE_NS / 1e9)
        return result

    async def tighten(self, running: Line) -> dict[str, Any]:
        """Make a result, and return its record."""
        number = self.simulator.tighten("")
        await until(lambda: number in running.ids(), str(number))
        return running.records()[-1]


def entered(running: Line) -> list[Any]:
    return [fields_of(record)["unit"] for record in running.records("unit.entered")]


@asynccontextmanager
async def table() -> AsyncIterator[Table]:
    async with (
        serve() as simulator,
        serve_scanner(ScannerSimulation()) as reader,
        serve_scanner(ScannerSimulation()) as badges,
    ):
        yield Table(simulator, reader, badges)


def judged(tmp_path: Path, at: Table) -> None:
    found = meaning_of(records_of(tmp_path / "journal"), at.simulator.made_with)
    assert not found.wrong
    assert not found.unexplained
    account(tmp_path, at.simulator)


async def test_a_unit_that_came_while_the_reader_was_away_gets_no_results_of_the_one_before(
    tmp_path: Path,
) -> None:
    async with table() as at, line(tmp_path, at.devices, [at.place]) as running:
        await at.connected()
        await at.enter(running, "SN0001")
        assert unit_of(await at.tighten_known(running)) == "SN0001"
        at.reader.hang_up()
        await until(lambda: running.records("device.lost"))
        at.simulator.workplace.unit = "SN0002"
        result = await at.tighten(running)
        assert unit_of(result) is None
        assert fields_of(result)["unknown_because"] == "the connection to reader-10 ended"
    judged(tmp_path, at)


async def test_a_code_that_was_set_aside_ends_what_was_known(tmp_path: Path) -> None:
    async with table() as at, line(tmp_path, at.devices, [at.place]) as running:
        await at.connected()
        await at.enter(running, "SN0001")
        at.reader.hang_up()
        await until(lambda: at.reader.clients > 0, "back")
        at.simulator.workplace.unit = "SN0003"
        await at.reader.scan("SN0003")
        await until(lambda: running.records("identifier.scanned"), "set aside")
        assert unit_of(await at.tighten(running)) is None
        await asyncio.sleep(SETTLE_MS / 1000)
        await at.enter(running, "SN0003")
        assert unit_of(await at.tighten_known(running)) == "SN0003"
    judged(tmp_path, at)


async def test_a_reader_that_could_not_read_may_have_missed_a_unit(tmp_path: Path) -> None:
    async with table() as at, line(tmp_path, at.devices, [at.place]) as running:
        await at.connected()
        await at.enter(running, "SN0001")
        at.simulator.workplace.unit = "SN0002"
        await at.reader.garbage(16)
        await at.reader.send(b"\r\n")
        await until(lambda: running.records("identifier.scanned"), "not a code")
        result = await at.tighten(running)
        assert unit_of(result) is None
        assert "reader-10" in fields_of(result)["unknown_because"]
    judged(tmp_path, at)


async def test_a_unit_that_came_while_the_gateway_was_down_gets_no_results_of_the_one_before(
    tmp_path: Path,
) -> None:
    async with table() as at:
        async with line(tmp_path, at.devices, [at.place]) as running:
            await at.connected()
            await at.enter(running, "SN0001")
            await at.sign_on(running, "B17")
            result = await at.tighten_known(running)
            assert (unit_of(result), result["actor"]["id"]) == ("SN0001", "B17")
        at.simulator.workplace.unit = "SN0004"
        at.simulator.workplace.operator = "B18"
        async with line(tmp_path, at.devices, [at.place]) as running:
            await at.connected()
            [off] = running.records("operator.signed_off")
            assert off["reason"] == "the connection to badge-10 ended"
            result = await at.tighten(running)
            assert unit_of(result) is None
            assert result["actor"]["type"] == "device"
            assert fields_of(result)["unknown_because"] == "the gateway was restarted"
            assert fields_of(result)["unknown_since"]
            await at.enter(running, "SN0004")
            assert unit_of(await at.tighten_known(running)) == "SN0004"
    judged(tmp_path, at)


async def test_an_operator_whose_badge_reader_is_away_makes_nothing_any_more(tmp_path: Path) -> None:
    async with table() as at, line(tmp_path, at.devices, [at.place]) as running:
        await at.connected()
        await at.sign_on(running, "B17")
        at.badges.hang_up()
        await until(lambda: running.records("operator.signed_off"))
        at.simulator.workplace.operator = "B18"
        assert (await at.tighten(running))["actor"]["type"] == "device"
    judged(tmp_path, at)


async def test_a_unit_that_nobody_read_gets_the_name_of_the_one_before_until_its_time_is_over(
    tmp_path: Path,
) -> None:
    """The limit of what can be known: the reader works, and sees nothing."""
    async with table() as at:
        unit = UnitOptions(scanner="reader-10", valid_s=2)
        async with line(tmp_path, at.devices, [at.place.model_copy(update={"unit": unit})]) as running:
            await at.connected()
            await at.enter(running, "SN0001")
            at.simulator.workplace.unit = "SN0002"
            assert unit_of(await at.tighten_known(running)) == "SN0001"
            await asyncio.sleep(2)
            result = await at.tighten(running)
            assert unit_of(result) is None
            assert fields_of(result)["unknown_because"] == "reader-10 has not read it again for 2 s"


async def test_results_and_codes_keep_their_order_while_the_disk_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tool waits for its confirmation, and the next unit is read meanwhile."""
    slow = asyncio.Event()
    loop = asyncio.get_running_loop()
    append = JournalFile.append

    def wait_for_the_disk(self: JournalFile, batch: Any) -> Any:
        asyncio.run_coroutine_threadsafe(slow.wait(), loop).result()
        return append(self, batch)

    async with table() as at, line(tmp_path, at.devices, [at.place]) as running:
        slow.set()
        await at.connected()
        await at.enter(running, "SN0001")
        monkeypatch.setattr(JournalFile, "append", wait_for_the_disk)
        slow.clear()
        numbers = [at.simulator.tighten(""), at.simulator.tighten("")]
        await until(lambda: running.journal.waiting > 0)
        await asyncio.sleep(0.4)
        at.simulator.workplace.unit = "SN0002"
        await at.reader.scan("SN0002")
        await until(lambda: running.fleet.station("st-10").unit == "SN0002")
        slow.set()
        await until(lambda: set(numbers) <= set(running.ids()))
        first, second = running.records()
        assert unit_of(first) == "SN0001"
        assert unit_of(second) is None
        assert "may have been made before SN0002" in fields_of(second)["unknown_because"]
        await asyncio.sleep(1.2)  # a pause: the tool has nothing more from before
        assert unit_of(await at.tighten_known(running)) == "SN0002"
    judged(tmp_path, at)


async def test_what_arrived_while_the_gateway_stood_still_has_no_order(tmp_path: Path) -> None:
    """Code and result lie in two sockets when the gateway runs again: which was first, nobody knows."""
    async with new_plant(tmp_path) as plant:
        devices = plant.devices
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        await asyncio.sleep(0.5)
        devices.torque.workplace.unit = "SN0001"
        await devices.scanner.scan("SN0001")
        made: set[int] = set()
        # On a busy machine the gateway may stand still by itself: the first results may be of unknown order.
        while len(made) == len(unknown_in(plant)):
            made.add(devices.torque.tighten())
            await until(lambda: made <= set(devices.torque.acked))
            await asyncio.sleep(PAUSE_NS / 1e9)
        before = len(made)
        os.kill(plant.gateway.pid, signal.SIGSTOP)
        await asyncio.sleep(1.0)
        devices.torque.workplace.unit = "SN0002"
        await devices.scanner.scan("SN0002")
        made.add(devices.torque.tighten())
        await asyncio.sleep(0.5)
        os.kill(plant.gateway.pid, signal.SIGCONT)
        await until(lambda: made <= set(devices.torque.acked))
        await settle(plant, made)
        records = held(plant).kind("tightening.result")
        found = meaning_of(records, devices.torque.made_with)
    assert not found.wrong
    assert found.right == 1
    assert len(made) == before + 1
    assert found.unknown["the result may have been made before SN0002 was read"] == 1


def unknown_in(plant: Plant) -> list[Any]:
    """Return the results in the gateway's journal of which the unit is not known."""
    with plant.journal() as journal:
        records = [json.loads(data) for _, data in journal.records()]
    results = [record for record in records if record["kind"] == "tightening.result"]
    return [result for result in results if unit_of(result) is None]
