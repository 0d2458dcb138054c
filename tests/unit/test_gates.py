"""Gates: a unit is held while it lacks results; each command is on record first, and read back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from linewitness.base.errors import DeviceRefused, DeviceUnavailable
from linewitness.devices.base import Code, Memory, Observation, Result
from linewitness.devices.options import DeviceOptions
from linewitness.evidence.format.record import Event
from linewitness.gateway.fleet import Fleet
from linewitness.gateway.intake.arrival import Standstills
from linewitness.journal.journal import Journal
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.stations.checklist.options import ResultRequirement
from linewitness.stations.options import (
    GateOptions,
    OperatorOptions,
    StationOptions,
    UnitOptions,
)
from linewitness.stations.shared_state import SharedState
from linewitness.stations.station import Station
from support.clocks import ManualClock
from support.devices import Health, ScriptedDriver, ScriptedSession
from support.journals import create, members_of, running, verdict_of
from support.observations import START, code, tightening
from support.present import present
from support.single_events import single_events
from support.waiting import until


def station_options(**gate: Any) -> StationOptions:
    return StationOptions(
        id="st-10",
        devices=("scan-10", "badge-10", "wrench-10", "plc-10"),
        unit=UnitOptions(scanner="scan-10", pattern=r"SN\d{4}"),
        operator=OperatorOptions(scanner="badge-10"),
        requires=(ResultRequirement(device="wrench-10", count=2),),
        gate=GateOptions(**{"device": "plc-10", "point": "hold", **gate}),
    )


def a_station(stored: dict[str, str] | None = None, **gate: str) -> Station:
    return Station(station_options(**gate), {}, shared=SharedState(), state=stored or {}, now=START)


def say(station: Station, *observations: Code | Result, stored: dict[Any, Any] | None = None) -> list[Event]:
    events = []
    for observation in observations:
        outcome = station.interpret(observation)
        if stored is not None:
            stored.update(outcome.state)
        events += single_events(outcome.events)
    return events


def positions(events: list[Event]) -> list[str]:
    return [event.kind for event in events if event.kind.startswith("gate.")]


def test_a_unit_is_held_until_it_has_what_it_needs() -> None:
    station = a_station()
    assert positions(say(station, code("SN0001"))) == ["gate.closed"]
    assert positions(say(station, tightening(1))) == []
    [opened] = [event for event in say(station, tightening(2)) if event.kind == "gate.opened"]
    assert opened.resource.parent == ("unit", "SN0001")
    assert opened.reason == "SN0001 has what it needs"


def test_a_result_out_of_tolerance_holds_the_unit_although_nothing_is_missing() -> None:
    station = a_station()
    events = say(station, code("SN0001"), tightening(1, ok=False), tightening(2), tightening(3))
    assert positions(events) == ["gate.closed"]
    assert present(station.order()).reason == "SN0001 has 1 result(s) out of tolerance"


def test_the_operator_signed_on_can_let_it_pass_and_says_why() -> None:
    station = a_station(pass_code="PASS-(?P<reason>.+)")
    say(station, code("B17", device="badge-10"), code("SN0001"), tightening(1, ok=False))
    events = say(station, code("PASS-reworked by hand"))
    assert [event.kind for event in events] == ["identifier.scanned", "gate.overridden", "gate.opened"]
    assert events[0].reason == "the operator lets SN0001 pass: reworked by hand"
    assert (events[1].actor.type, events[1].actor.id) == ("user", "B17")
    assert events[1].reason == "reworked by hand"
    assert positions(say(station, tightening(2, ok=False))) == ["gate.closed"]


def test_nobody_signed_on_lets_nothing_pass() -> None:
    station = a_station(pass_code="PASS-(?P<reason>.+)")
    say(station, code("SN0001"))
    [event] = say(station, code("PASS-please"))
    assert event.kind == "identifier.scanned"
    assert present(station.order()).position == "closed"


def test_the_gate_is_where_it_was_after_a_crash() -> None:
    stored: dict[Any, Any] = {}
    say(a_station(), code("SN0001"), tightening(1), stored=stored)
    again = a_station(stored)
    assert present(again.order()).position == "closed"
    assert positions(say(again, code("SN0001"))) == []
    assert positions(say(again, tightening(2))) == ["gate.opened"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"point": None}, "cannot make the results"),
        ({"point": None, "hold": ("not_ok",), "alive": "life"}, "no life counter"),
        ({"closed": "1", "opened": "1"}, "must be different"),
        ({"pass_code": "PASS"}, "group named reason"),
        ({"device": "elsewhere"}, "elsewhere is not among"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        station_options(**settings)


class CommandedSession(ScriptedSession):
    async def command(self, point: str, value: str) -> str:
        driver: Any = self._driver
        driver.commands.append((point, value, len(driver.events())))
        if value == driver.slow:
            # The device does what it was sent, whether or not somebody still waits for its answer.
            await asyncio.shield(asyncio.ensure_future(self._do_late(point, value)))
            return value
        await driver.answering.wait()
        if driver.command_fails:
            raise driver.command_fails
        driver.holds[point] = value
        return driver.answer or value

    async def _do_late(self, point: str, value: str) -> None:
        driver: Any = self._driver
        await driver.late.wait()
        driver.holds[point] = value

    async def confirm(self, observation: Observation) -> None:
        driver: Any = self._driver
        await driver.confirming.wait()
        await super().confirm(observation)


class CommandedDriver(ScriptedDriver):
    def __init__(self, device: str, events: Callable[..., Any] = list) -> None:
        super().__init__(device)
        self.commands: list[Any] = []
        self.command_fails: Exception | None = None
        self.answer: str | None = None
        self.holds: dict[str, str] = {}
        #: What the device does only when it is `late`.
        self.slow: str | None = None
        self.late = asyncio.Event()
        self.answering, self.confirming = asyncio.Event(), asyncio.Event()
        self.answering.set()
        self.confirming.set()
        self.events = events

    @asynccontextmanager
    async def connect(self, memory: Memory) -> AsyncIterator[CommandedSession]:
        async with super().connect(memory):
            yield CommandedSession(self)


class Line:
    """A reader, a wrench and a PLC with a gate, on a real journal."""

    def __init__(
        self,
        directory: Path,
        journal: Journal,
        telemetry: TelemetryBuffer,
        clock: ManualClock,
        group: asyncio.TaskGroup,
    ) -> None:
        self.directory = directory
        self.drivers = {
            name: CommandedDriver(name, self.gate_events) for name in ("scan-10", "wrench-10", "plc-10")
        }
        self.health = Health()
        self.fleet = Fleet(
            group,
            build=cast(Any, lambda options: self.drivers[options.id]),
            journal=journal,
            telemetry=telemetry,
            clock=clock,
            health=self.health,
            standstills=Standstills(clock),
        )
        self.plc = self.drivers["plc-10"]

    def gate_events(self) -> list[dict[str, Any]]:
        return [record for record in members_of(self.directory) if record["kind"].startswith("gate.")]

    def written(self) -> list[tuple[str, str]]:
        return [(point, value) for point, value, _ in self.plc.commands if point == "hold"]

    async def start(self, **gate: Any) -> None:
        await self.load(**gate)
        await until(lambda: all(driver.connections for driver in self.drivers.values()))

    async def load(self, *, gated: bool = True, **gate: Any) -> None:
        devices = [DeviceOptions(id=name, driver="scripted") for name in self.drivers]
        changed: dict[str, Any] = {"devices": tuple(self.drivers), "operator": OperatorOptions()}
        if not gated:
            changed["gate"] = None
        await self.fleet.apply(devices, [station_options(**gate).model_copy(update=changed)])


@asynccontextmanager
async def line(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Line]:
    directory = tmp_path / "journal"
    create(directory, clock)
    telemetry = TelemetryBuffer(directory, max_bytes=1_000_000)
    try:
        async with running(directory, clock) as journal, asyncio.TaskGroup() as group:
            it = Line(directory, journal, telemetry, clock, group)
            yield it
            await it.fleet.stop()
    finally:
        telemetry.close()


async def test_a_command_is_sent_after_its_event_is_durable_and_confirmed_by_reading_back(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with line(tmp_path, clock) as it:
        await it.start()
        await it.drivers["scan-10"].says.put(code("SN0001"))
        await until(lambda: ("hold", "1") in it.written())
        durable = next(count for point, value, count in it.plc.commands if (point, value) == ("hold", "1"))
        decided = it.gate_events()[:durable]
        assert any(event["kind"] == "gate.closed" for event in decided)
        await until(
            lambda: any(_confirmed(event) for event in it.gate_events() if event["kind"] == "gate.closed")
        )
        for number in (1, 2):
            await it.drivers["wrench-10"].says.put(tightening(number))
        await until(lambda: it.written()[-1] == ("hold", "0"))
    assert verdict_of(it.directory).status == "INTACT"


def _confirmed(event: dict[str, Any]) -> bool:
    return any(change["field"] == "confirmed" and change["after"] is True for change in event["changes"])


async def test_a_plc_that_reads_back_something_else_is_on_record(tmp_path: Path, clock: ManualClock) -> None:
    async with line(tmp_path, clock) as it:
        cast(Any, it.plc).answer = "7"
        await it.start()
        await until(it.gate_events)
        await until(lambda: any("confirmed" in str(event) for event in it.gate_events()))
    found = {change["field"]: change["after"] for change in it.gate_events()[1]["changes"]}
    assert (found["read_back"], found["confirmed"]) == ("7", False)


async def test_a_plc_that_refuses_is_on_record_with_its_reason(tmp_path: Path, clock: ManualClock) -> None:
    async with line(tmp_path, clock) as it:
        cast(Any, it.plc).command_fails = DeviceRefused("not writable", hint="allow it")
        await it.start()
        await until(lambda: any("not writable" in event["reason"] for event in it.gate_events()))


@pytest.mark.heavy
@pytest.mark.parametrize(
    "failure", [DeviceUnavailable("no answer within 3 s"), DeviceRefused("the PLC is busy")], ids=type
)
async def test_what_was_not_done_is_tried_again_and_shown_until_it_is_done(
    failure: Exception, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linewitness.gateway.stations.gate_orders.ALIVE_S", 0.01)
    monkeypatch.setattr("linewitness.gateway.stations.gates.RETRY_S", 0.01)
    async with line(tmp_path, clock) as it:
        await it.start()
        await until(lambda: it.written() == [("hold", "0")])
        cast(Any, it.plc).command_fails = failure
        await it.drivers["scan-10"].says.put(code("SN0001"))
        await until(lambda: it.written().count(("hold", "1")) >= 3)
        await until(lambda: f"st-10: {failure}" in it.health.not_moved)
        cast(Any, it.plc).command_fails = None
        await until(lambda: not it.health.not_moved)
        tried = len(it.written())
        await it.drivers["wrench-10"].says.put(tightening(1))
        await it.drivers["wrench-10"].says.put(tightening(2))
        await until(lambda: len(it.written()) > tried)
        assert it.plc.connections == 1
    said = [event["reason"] for event in it.gate_events()].count(str(failure))
    assert said == 1


async def test_a_gate_that_reads_back_something_else_is_shown_and_not_written_again(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linewitness.gateway.stations.gate_orders.ALIVE_S", 0.01)
    async with line(tmp_path, clock) as it:
        cast(Any, it.plc).answer = "7"
        await it.start(alive="life")
        await until(lambda: it.health.not_moved)
        assert it.health.not_moved == "st-10: 0 was written, and 7 read back"
        beats = len(it.plc.commands)
        await until(lambda: len(it.plc.commands) > beats + 3)
        assert it.written() == [("hold", "0")]


@pytest.mark.heavy
async def test_the_order_is_written_again_on_a_new_connection(tmp_path: Path, clock: ManualClock) -> None:
    async with line(tmp_path, clock) as it:
        await it.start()
        await it.drivers["scan-10"].says.put(code("SN0001"))
        await until(lambda: it.written()[-1:] == [("hold", "1")])
        before = len(it.written())
        await it.plc.says.put(DeviceUnavailable("the cable was pulled"))
        await until(lambda: len(it.written()) > before)
        assert it.written()[-1] == ("hold", "1")


async def test_the_gate_is_left_in_its_safe_position_when_the_gateway_stops(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with line(tmp_path, clock) as it:
        await it.start(safe="closed")
        await until(lambda: it.written() == [("hold", "0")])
    assert it.written() == [("hold", "0"), ("hold", "1")]
    assert it.gate_events()[-1]["reason"] == "the gateway leaves its safe position"


async def test_the_life_counter_moves(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linewitness.gateway.stations.gate_orders.ALIVE_S", 0.01)
    async with line(tmp_path, clock) as it:
        await it.start(alive="life")
        await until(lambda: len([1 for point, _, _ in it.plc.commands if point == "life"]) > 3)
    beats = [int(value) for point, value, _ in it.plc.commands if point == "life"]
    assert beats == sorted(set(beats))


async def test_a_device_without_unit_commands_shows_nothing_of_them(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with line(tmp_path, clock) as it:
        it.health.not_told = "refused before the configuration changed"
        await it.start()
        assert not it.health.not_told


@pytest.mark.heavy
async def test_what_is_under_way_when_the_gateway_stops_does_not_undo_the_safe_position(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with line(tmp_path, clock) as it:
        await it.start(safe="opened")
        await until(lambda: it.plc.holds == {"hold": "0"})
        it.plc.slow = "1"
        await it.drivers["scan-10"].says.put(code("SN0001"))
        await until(lambda: it.written()[-1] == ("hold", "1"))
        stopping = asyncio.ensure_future(it.fleet.stop())
        await asyncio.wait([stopping], timeout=0.2)  # nothing tells when the stop waits
        it.plc.late.set()
        await stopping
    assert it.plc.holds == {"hold": "0"}
    assert it.written() == [("hold", "0"), ("hold", "1"), ("hold", "0")]


async def test_a_gateway_stops_in_time_although_a_gate_does_not_answer(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linewitness.gateway.stations.gates.LEAVE_S", 0.05)
    async with line(tmp_path, clock) as it:
        await it.start(safe="closed")
        await until(lambda: it.plc.holds == {"hold": "0"})
        it.plc.answering.clear()
    last = it.gate_events()[-1]
    assert (last["kind"], last["reason"]) == ("gate.closed", "no answer came before the gateway stopped")


async def test_a_gate_that_new_settings_bring_is_moved_at_once(tmp_path: Path, clock: ManualClock) -> None:
    async with line(tmp_path, clock) as it:
        await it.load(gated=False)
        await until(lambda: it.plc.connections == 1)
        await it.load()
        await until(lambda: it.plc.holds == {"hold": "0"})
        assert it.plc.connections == 1


async def test_a_gate_that_new_settings_leave_out_is_left_in_its_safe_position(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with line(tmp_path, clock) as it:
        await it.start(safe="opened")
        await it.drivers["scan-10"].says.put(code("SN0001"))
        await until(lambda: it.plc.holds == {"hold": "1"})
        await it.load(safe="opened", point="other")
        await until(lambda: it.plc.holds == {"hold": "0", "other": "1"})
        await it.load(gated=False, safe="opened")
        await until(lambda: it.plc.holds == {"hold": "0", "other": "0"})


async def test_a_gate_that_cannot_be_moved_is_no_problem_any_more_without_it(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with line(tmp_path, clock) as it:
        cast(Any, it.plc).command_fails = DeviceUnavailable("no answer within 3 s")
        await it.start()
        await until(lambda: it.health.not_moved)
        await it.load(gated=False)
        await until(lambda: not it.health.not_moved)


async def test_an_order_that_comes_late_does_not_undo_a_later_one(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linewitness.gateway.stations.gate_orders.ALIVE_S", 0.01)
    async with line(tmp_path, clock) as it:
        await it.start(alive="life")
        wrench, reader = it.drivers["wrench-10"], it.drivers["scan-10"]
        await reader.says.put(code("SN0001"))
        await until(lambda: it.plc.holds.get("hold") == "1")
        wrench.confirming.clear()
        await wrench.says.put(tightening(1))
        await until(lambda: any("tightening" in record["kind"] for record in members_of(it.directory)))
        await wrench.says.put(tightening(2))
        await until(lambda: it.gate_events()[-1]["kind"] == "gate.opened")
        await reader.says.put(code("SN0002"))
        await until(lambda: it.written().count(("hold", "1")) == 2)
        wrench.confirming.set()
        await until(lambda: len(wrench.confirmed) == 2)
        beats = len(it.plc.commands)
        await until(lambda: len(it.plc.commands) > beats + 3)
        assert it.plc.holds["hold"] == "1"


@pytest.mark.heavy
async def test_a_gate_that_reads_back_something_else_begins_a_new_connection_with_a_record(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with line(tmp_path, clock) as it:
        cast(Any, it.plc).answer = "7"
        await it.start()
        await until(lambda: it.health.not_moved)
        await it.plc.says.put(DeviceUnavailable("the cable was pulled"))
        await until(lambda: len(it.written()) == 2)
        again = next(count for _, _, count in it.plc.commands[1:])
        assert it.gate_events()[again - 1]["reason"].endswith("written on a new connection")
