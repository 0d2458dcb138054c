"""Devices, stations and records as rows of the status page."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final, Protocol, Self

import orjson

from linewitness.base.clock import NS_PER_S
from linewitness.devices.options import DeviceOptions
from linewitness.stations.options import StationOptions
from linewitness.stations.unit.units import HeldUnit
from linewitness.status.health import DeviceHealth, Health

#: Of a result so many values are shown.
_VALUES: Final = 3
_NOT_GOOD: Final = frozenset({"low", "high", "nok", "notok", "not_ok"})


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What the YAML says of a device."""

    id: str
    driver: str
    description: str
    station: str | None


class LineNames(Protocol):
    """How the YAML names a line."""

    @property
    def name(self) -> str:
        """Its name for people."""

    @property
    def tenant(self) -> str:
        """Who owns its data."""

    @property
    def plant(self) -> str:
        """Its plant."""

    @property
    def line(self) -> str:
        """Its name in records."""

    @property
    def gateway(self) -> str:
        """Its gateway."""

    @property
    def origin(self) -> str:
        """Its stream."""


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What the YAML says of the line, as it is now."""

    name: str
    tenant: str
    plant: str
    line: str
    gateway: str
    stream: str
    version: str
    devices: tuple[DeviceFacts, ...]
    stations: tuple[tuple[str, str], ...]

    @classmethod
    def of(
        cls, line: LineNames, devices: Iterable[DeviceOptions], stations: Iterable[StationOptions]
    ) -> Self:
        """Return the facts of a line's settings."""
        places = tuple(stations)
        station_of = {device: station.id for station in places for device in station.devices}
        return cls(
            name=line.name,
            tenant=line.tenant,
            plant=line.plant,
            line=line.line,
            gateway=line.gateway,
            stream=line.origin,
            version=version("linewitness"),
            devices=tuple(
                DeviceFacts(device.id, device.driver, device.description, station_of.get(device.id))
                for device in devices
            ),
            stations=tuple((station.id, station.name) for station in places),
        )


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One device: what it is and how it does."""

    facts: DeviceFacts
    health: DeviceHealth
    since_s: int | None


@dataclass(frozen=True, slots=True)
class StationRow:
    """One station: its unit, how that was recognised, good results and others, and who works there."""

    id: str
    name: str
    unit: str | None
    by: str | None
    results: tuple[int, int]
    operator: str | None


@dataclass(frozen=True, slots=True)
class EventRow:
    """One of the last records, for people."""

    sequence_no: int
    at: str
    kind: str
    resource: str
    where: str
    text: str
    good: bool


def event_row(sequence_no: int, members: dict[str, Any]) -> EventRow:
    """Return one record as a row."""
    context = members.get("context", {})
    where = [context[name] for name in ("station_id", "device_id") if name in context]
    parent = members["resource"].get("parent")
    resource = f"{members['resource']['id']} of {parent['id']}" if parent else members["resource"]["id"]
    changes = members["changes"]
    return EventRow(
        sequence_no,
        members["occurred_at"],
        members["kind"],
        resource,
        " · ".join(where),
        _text(members["kind"], changes) or members["reason"],
        not any(change.get("status") in _NOT_GOOD for change in changes),
    )


def _text(kind: str, changes: list[dict[str, Any]]) -> str:
    """Return the values of a change or a result in a few words, or nothing."""
    if kind == "parameter.changed" and changes:
        change = changes[0]
        before = "nothing" if change["before"] is None else change["before"]
        return f"{before} → {change['after']} {change.get('unit', '')}".rstrip()
    if kind in ("tightening.result", "measurement.result"):
        measured = [change for change in changes if "unit" in change][:_VALUES]
        return ", ".join(f"{change['field']} {change['after']} {change['unit']}" for change in measured)
    return ""


def device_row(facts: DeviceFacts, health: Health, state: dict[str, str], now_ns: int) -> DeviceRow:
    """Return a device as a row; `state` is the journal's stored state."""
    seen = orjson.loads(state.get(f"capture/{facts.id}", "{}"))
    since_s = max(0, now_ns - seen["since_ns"]) // NS_PER_S if "since_ns" in seen else None
    return DeviceRow(facts, health.devices.get(facts.id, DeviceHealth()), since_s)


def station_row(name: str, title: str, state: dict[str, str]) -> StationRow:
    """Return a station as a row; `state` is the journal's stored state."""
    operator = state.get(f"station/{name}/operator")
    if (stored := state.get(f"station/{name}/unit")) is None:
        return StationRow(name, title, None, None, (0, 0), operator)
    held = HeldUnit.load(stored)
    counted = (held.results_ok, held.results_not_ok)
    return StationRow(name, title, held.serial, held.by, counted, operator)
