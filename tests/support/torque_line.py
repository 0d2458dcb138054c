"""A line with torque controllers: simulators, the real fleet of captures, a real journal; in this process."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from linewitness.base.clock import SystemClock
from linewitness.devices.modbus.driver import ModbusDriver
from linewitness.devices.modbus.wire.bus import Buses
from linewitness.devices.mt_sics.driver import MtSicsDriver
from linewitness.devices.open_protocol.driver import OpenProtocolDriver
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.options import DeviceOptions
from linewitness.devices.scanner.driver import ScannerDriver
from linewitness.gateway.fleet import Fleet
from linewitness.gateway.intake.arrival import Standstills
from linewitness.journal.journal import Journal
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.stations.options import StationOptions, UnitOptions
from linewitness_simulators.torque import TorqueSimulator
from support.devices import Health
from support.journals import create, members_of, running, verdict_of
from support.waiting import until

PATIENCE_S = 20
DRIVERS: dict[str, Any] = {
    "modbus": partial(ModbusDriver, buses=Buses()),
    "open_protocol": OpenProtocolDriver,
    "scanner": ScannerDriver,
    "mt_sics": MtSicsDriver,
}


def wrench(simulator: Any, name: str = "wrench-10", **more: Any) -> OpenProtocolOptions:
    """Return the options of a device: one controller, asked quickly."""
    quick = {"back_fill_per_s": 50, "request_timeout_s": 3, "keepalive_s": 0.5, "dead_after_s": 3}
    place = {"id": name, "host": "127.0.0.1", "port": simulator.port, "timezone": "UTC", "start_after": 0}
    return OpenProtocolOptions(**{**place, **quick, **more})


def station(*devices: str, **more: Any) -> StationOptions:
    """Return a station whose units are known by the tools' own identifiers."""
    return StationOptions(
        **{"id": "st-10", "devices": devices, "unit": UnitOptions(pattern=r"SN\d+"), **more}
    )


class Watched(Health):
    """What the status page would say of the devices."""

    def __init__(self) -> None:
        super().__init__()
        self.why: dict[str, str] = {}

    def device(self, name: str, state: str, why: str) -> None:
        super().device(name, state, why)
        self.why[name] = why


class Line:
    """A running gateway, as far as devices are concerned."""

    def __init__(self, directory: Path, journal: Journal, fleet: Fleet, health: Watched) -> None:
        self.directory, self.journal, self.fleet, self.health = directory, journal, fleet, health

    def records(self, kind: str = "tightening.result") -> list[dict[str, Any]]:
        """Return the records of one kind, in order."""
        return records_of(self.directory, kind)

    def ids(self) -> list[int | str]:
        """Return the tightening ids on record, in order."""
        return [id_of(record)[2] for record in self.records() if fields_of(record).get("decoded", True)]


def records_of(directory: Path, kind: str = "tightening.result") -> list[dict[str, Any]]:
    return [record for record in members_of(directory) if record["kind"] == kind]


def fields_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return what a record's changes say, by field."""
    return {change["field"]: change["after"] for change in record["changes"]}


def id_of(record: dict[str, Any]) -> tuple[str, int, int | str]:
    """Return source, epoch and the device's own id of a result."""
    source, epoch, number = record["resource"]["id"].rsplit("/", 2)
    return source, int(epoch), int(number) if number.isdigit() else number


def unit_of(record: dict[str, Any]) -> Any:
    """Return the unit that a result is bound to."""
    return record["resource"].get("parent", {}).get("id")


@asynccontextmanager
async def line(
    tmp_path: Path,
    devices: Sequence[DeviceOptions],
    stations: Sequence[StationOptions] | None = None,
    **journal_settings: Any,
) -> AsyncIterator[Line]:
    """Run a gateway on the journal in this folder; the end of the block stops it in order."""
    directory, clock = tmp_path / "journal", SystemClock()
    if not directory.exists():
        create(directory, clock)
    if stations is None:
        stations = [station(*(each.id for each in devices))]
    health = Watched()
    telemetry = TelemetryBuffer(directory, max_bytes=1_000_000)
    try:
        async with running(directory, clock, **journal_settings) as journal, asyncio.TaskGroup() as group:
            fleet = Fleet(
                group,
                build=lambda options: DRIVERS[options.driver](options, clock=clock),
                journal=journal,
                telemetry=telemetry,
                clock=clock,
                health=health,
                standstills=Standstills(clock),
            )
            watch = group.create_task(
                journal.pressure.watch(journal.read, journal.submit, clock=clock, spare=telemetry.make_do)
            )
            await fleet.apply(devices, stations)
            try:
                yield Line(directory, journal, fleet, health)
            finally:
                await fleet.stop()
                watch.cancel()
    finally:
        telemetry.close()


def account(tmp_path: Path, *simulators: TorqueSimulator, missing: Iterable[int] = ()) -> None:
    """Verify the journal and compare it with what the simulated controllers made and were told.

    Each result is on record exactly once, or named by a gap; nothing was confirmed that is not on record.
    """
    directory = tmp_path / "journal"
    assert verdict_of(directory).status == "INTACT"
    found: Counter[Any] = Counter()
    undecided = {fields_of(each).get("recorded_as") for each in records_of(directory, "source.conflict")}
    for record in records_of(directory):
        if fields_of(record).get("decoded", True) and "spindle" not in fields_of(record):
            source, epoch, number = id_of(record)
            if number in undecided:
                continue  # nobody can say whether it was made twice
            found[source.split(":")[1], epoch, number] += 1
    twice = {key for key, count in found.items() if count > 1}
    assert not twice, f"on record twice: {twice}"
    for simulator in simulators:
        serial = simulator.options.station.serial
        made: Counter[Any] = Counter(made_by(simulator))
        mine = Counter(number for source, _, number in found if source == serial)
        assert made - mine == Counter(missing), f"{serial}: lost {made - mine}, expected {missing}"
        assert not mine - made, f"{serial}: on record and never made: {mine - made}"
        told = {*simulator.acked} - mine.keys()
        assert not told, f"{serial}: confirmed and not on record: {told}"
    for number in missing:
        assert any(named(gap, number) for gap in records_of(directory, "source.gap")), (
            f"no gap names {number}"
        )


def made_by(simulator: TorqueSimulator) -> list[int]:
    """Return the ids of all results that a controller ever made, in order."""
    return [result.id for result in simulator.results()]


def named(gap: dict[str, Any], number: int) -> bool:
    """Say whether a gap record names this id."""
    fields = fields_of(gap)
    first, last = fields.get("first"), fields.get("last")
    return first is not None and last is not None and int(first) <= number <= int(last)


async def ready(simulator: TorqueSimulator) -> None:
    """Wait until the gateway has subscribed to everything, and confirmed what came at once."""
    await until(
        lambda: (
            simulator.subscribed() and any((e.what, e.mid) == ("acked", 15) for e in simulator.ledger.entries)
        ),
        "subscribed",
    )
