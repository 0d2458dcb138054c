"""A device is told of the unit at its station: not of one that left, not twice, and what failed is shown."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from linewitness.base.clock import Stamp, SystemClock
from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.base import CommandingSession
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.unit_commands import UnitCommand
from linewitness.evidence.format.record import Event
from linewitness.gateway.stations.unit_commands import UnitTelling
from linewitness.stations.options import StationOptions, UnitOptions
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.parts import StationParts
from linewitness.stations.shared_state import SharedState
from linewitness.stations.unit.unit_holder import UnitHolder
from linewitness.stations.unit.units import HeldUnit
from support.observations import reading

BOTH = {
    "commands": ("identifier", "program"),
    "programs": ({"unit": r"A\d+", "parameter_set": 1}, {"unit": r"B\d+", "parameter_set": 2}),
}


class Units:
    """The unit at a station, as a test says."""

    def __init__(self, serial: str, by: str = "scan") -> None:
        self.arrive(serial, by)

    def arrive(self, serial: str, by: str = "scan") -> None:
        self.present = (HeldUnit(serial, by), "reader")

    def tell(self, held: HeldUnit, command: str) -> Mapping[str, str]:
        held.told.add(command)
        return self.noted(held)

    def noted(self, held: HeldUnit) -> Mapping[str, str]:
        return {"told": held.dump_told()}


class Device:
    """A session whose device answers, or not, and remembers what it was sent."""

    session_id = "S"
    identity: Mapping[str, str] = {}

    def __init__(self, *, silent: int = 0) -> None:
        self.sent: list[tuple[str, str]] = []
        self._silent = silent

    async def command(self, point: str, value: str) -> str:
        return value

    async def command_unit(self, command: UnitCommand) -> str:
        self.sent.append((command.name, command.value))
        if self._silent:
            self._silent -= 1
            raise DeviceUnavailable("no answer")
        return command.value

    async def confirm(self, observation: object) -> None: ...

    def observations(self) -> None: ...


class Journal:
    """Keeps events and state; `meanwhile` happens while the first commit waits for the disk."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.state: dict[str, str] = {}
        self.meanwhile: Callable[[], None] = lambda: None

    def submit(self, events: Sequence[Event], state: Mapping[str, str] | None = None) -> asyncio.Future[None]:
        self.events += events
        self.state |= state or {}
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


class Health:
    """Why the device was not told."""

    why = "of a unit before"

    def untold(self, name: str, why: str) -> None:
        self.why = why


def telling(units: object, journal: Journal, health: Health, **settings: Any) -> UnitTelling:
    options = OpenProtocolOptions(id="w", host="127.0.0.1", **(settings or BOTH))
    station = cast("Any", SimpleNamespace(units=units))
    parts: dict[str, Any] = {"journal": journal, "clock": SystemClock(), "health": health}
    return UnitTelling("w", "s", options, station, **parts)


def session_of(device: Device) -> CommandingSession:
    return cast("CommandingSession", device)


async def test_a_unit_that_left_while_its_record_waited_for_the_disk_is_not_sent() -> None:
    units, device, journal = Units("A1"), Device(), Journal()
    journal.meanwhile = lambda: units.arrive("B1")
    teller = telling(units, journal, Health())
    left = units.present[0]
    await teller.tell(session_of(device))
    assert not device.sent
    assert "the unit left" in journal.events[-1].reason
    assert ("confirmed", False) in [(each.field, each.after) for each in journal.events[-1].changes]
    assert not left.tried
    await teller.tell(session_of(device))
    assert device.sent == [("identifier", "B1"), ("parameter_set", "2")]


def holder(state: Mapping[str, str]) -> UnitHolder:
    """Where a PLC's point names the unit."""
    unit = UnitOptions(point="plc/unit", pattern=r"A\d+")
    options = StationOptions(id="s", devices=("plc",), unit=unit)
    return StationParts.build(options, SharedState(), state, Stamp(0, 0)).units


def named(units: UnitHolder, state: dict[str, str]) -> None:
    outcome = StationOutcome(state=cast("Any", state))
    units.enter(reading("A1", device="plc", point="unit"), "A1", "tag", outcome)


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_got_no_answer_is_not_repeated_where_nobody_read_the_unit_again(restarted: bool) -> None:
    device, journal, health = Device(silent=1), Journal(), Health()
    units = holder({})
    named(units, journal.state)
    teller = telling(units, journal, health)
    with pytest.raises(DeviceUnavailable):
        await teller.tell(session_of(device))
    if restarted:
        units, health = holder(journal.state), Health()
        teller = telling(units, journal, health)
    else:
        units.lose("plc", "the device is lost", 2)
    named(units, journal.state)
    await teller.tell(session_of(device))
    assert device.sent.count(("identifier", "A1")) == 1
    assert "not repeated" in health.why


@pytest.mark.parametrize("by", ["scan", "result"])
async def test_a_new_unit_ends_what_is_shown_of_one_before_a_reload(by: str) -> None:
    health = Health()
    await telling(Units("A1", by), Journal(), health).tell(session_of(Device()))
    assert not health.why


async def test_a_choice_that_no_setting_makes_stays_on_show_until_another_unit_comes() -> None:
    units, health = Units("C1"), Health()
    teller = telling(units, Journal(), health)
    for _ in range(2):
        await teller.tell(session_of(Device()))
        assert "C1" in health.why
    units.arrive("A1")
    await teller.tell(session_of(Device()))
    assert not health.why
