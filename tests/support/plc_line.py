"""PLCs on a line as the gateway runs it: real drivers, real captures, a real journal; no uplink."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from linewitness.base.clock import SystemClock, monotonic
from linewitness.devices.context import DriverContext
from linewitness.devices.options import DeviceOptions
from linewitness.devices.table import known
from linewitness.gateway.fleet import Fleet
from linewitness.gateway.intake.arrival import Standstills
from linewitness.journal.journal import Journal
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.stations.options import StationOptions
from linewitness.status.health import Health
from support.journals import create, members_of, running, verdict_of

CLOCK = SystemClock()


def wall() -> float:
    """Return the time in Unix seconds, as records have it."""
    return CLOCK.stamp().realtime_ns / 1e9


class PlcLine:
    """A running line, and what its journal says."""

    def __init__(self, folder: Path, journal: Journal, telemetry: TelemetryBuffer, fleet: Fleet) -> None:
        self.folder = folder
        self.journal = journal
        self.fleet = fleet
        self._telemetry = telemetry

    def records(self, *kinds: str) -> list[dict[str, Any]]:
        return [record for record in members_of(self.folder) if record["kind"] in kinds]

    def changes(self, point: str) -> list[tuple[Any, Any]]:
        """Return (before, after) of each recorded change of a point, bad quality included as its status."""
        return [
            (change["before"], change["after"])
            for record in self.records("parameter.changed")
            if record["resource"]["id"].endswith("/" + point)
            for change in record["changes"]
        ]

    def value(self, point: str) -> Any:
        """Return the last value on record, None if there is none."""
        changes = self.changes(point)
        return changes[-1][1] if changes else None

    def gaps(self) -> list[tuple[str, Any, Any]]:
        """Return (source, first, last) of each gap; times as Unix seconds where they are times."""
        return self._gaps_of(self.records("source.gap"))

    def outages(self) -> list[tuple[str, Any, Any]]:
        """Return the gaps but those of single polls, which a busy machine makes late."""
        return self._gaps_of([gap for gap in self.records("source.gap") if not is_of_missed_polls(gap)])

    @staticmethod
    def _gaps_of(records: list[dict[str, Any]]) -> list[tuple[str, Any, Any]]:
        found = []
        for record in records:
            fields = {change["field"]: change["after"] for change in record["changes"]}
            found.append((record["resource"]["id"], _time(fields["first"]), _time(fields["last"])))
        return found

    def kinds(self) -> list[str]:
        """Return the kind of each record, in order."""
        return [record["kind"] for record in members_of(self.folder)]

    def size(self) -> int:
        return self.journal.head.size

    def signals(self) -> list[Any]:
        """Return the telemetry messages so far."""
        connection = sqlite3.connect(self.folder / "telemetry.sqlite")
        try:
            return [json.loads(row[0]) for row in connection.execute("SELECT payload FROM block ORDER BY id")]
        finally:
            connection.close()

    async def all_move(self, points: Iterable[str], *, within_s: float = 15) -> float:
        """Wait until each point has a change on record that is newer than now; return the seconds it took."""
        begun = monotonic()
        first = self.size()
        missing = set(points)
        async with asyncio.timeout(within_s):
            while missing:
                await asyncio.sleep(0.05)
                fresh = [record for record in members_of(self.folder) if record["sequence_no"] >= first]
                missing -= {
                    record["resource"]["id"].rpartition("/")[2]
                    for record in fresh
                    if record["kind"] == "parameter.changed"
                    and not any(change["field"].endswith(".quality") for change in record["changes"])
                }
        return monotonic() - begun


@asynccontextmanager
async def plc_line(
    folder: Path,
    *devices: dict[str, Any],
    stations: Sequence[StationOptions] = (),
    health: Health | None = None,
) -> AsyncIterator[PlcLine]:
    """Run a line with these devices, given as in the YAML; at the end its journal must verify."""
    if not folder.exists():  # noqa: ASYNC240
        create(folder, CLOCK)
    telemetry = TelemetryBuffer(folder, max_bytes=100_000_000)
    try:
        async with running(folder, CLOCK) as journal, asyncio.TaskGroup() as group:
            buffering = group.create_task(telemetry.run())
            context = DriverContext(clock=CLOCK)
            fleet = Fleet(
                group,
                build=lambda options: known(options.driver).build(options, context),
                journal=journal,
                telemetry=telemetry,
                clock=CLOCK,
                health=health or Health(),
                standstills=Standstills(CLOCK),
            )
            await fleet.apply([options_of(device) for device in devices], stations)
            try:
                yield PlcLine(folder, journal, telemetry, fleet)
            finally:
                await fleet.stop()
                buffering.cancel()
    finally:
        telemetry.close()
    assert verdict_of(folder).status == "INTACT"


def is_of_missed_polls(gap: dict[str, Any]) -> bool:
    """Return whether a gap counts polls that were not made, of a device that was there."""
    counted = any(change["field"] == "count" for change in gap["changes"])
    return counted and gap["resource"]["id"] == "poll"


def options_of(device: dict[str, Any]) -> DeviceOptions:
    """Return the options of a device as the YAML gives it."""
    return known(device["driver"]).options_class().model_validate(device)


def _time(text: str | None) -> float | str | None:
    if text is None or "T" not in text:
        return text
    return datetime.fromisoformat(text).timestamp()
