"""Stations: what observations mean, decided without a network, right across a restart."""

import dataclasses
import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from linewitness.devices.base import Observation, Quality
from linewitness.evidence.format.record import Change, Event
from linewitness.stations.options import OperatorOptions, Requirement, StationOptions, UnitOptions
from linewitness.stations.rules import DeviceRule, PointRule
from linewitness.stations.shared_state import SharedState
from linewitness.stations.station import Station
from support.observations import code, gap, notice, reading, seen, tightening

RULES = {
    "press-10": DeviceRule(points={"holding": PointRule(unit="bar", low=Decimal("4.0"), high=Decimal("6.5"))})
}


class Bench:
    """A station with its durable state, which can be restarted like a crashed gateway."""

    def __init__(self, shared: SharedState | None = None, **settings: Any) -> None:
        devices = ("scan-10", "badge-10", "press-10", "wrench-10")
        self.options = StationOptions(id=settings.pop("id", "st-10"), devices=devices, **settings)
        self.shared = shared
        self.stored: dict[Any, Any] = {}
        self.restart()

    def restart(self) -> None:
        shared = self.shared or SharedState.load(self.stored)
        self.station = Station(self.options, RULES, shared=shared, state=self.stored)

    def say(self, *observations: Observation) -> list[Event]:
        events = []
        for observation in observations:
            outcome = self.station.interpret(observation)
            for key, value in outcome.state.items():
                if value is None:
                    self.stored.pop(key, None)
                else:
                    self.stored[key] = value
            events += outcome.events
        return events


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def changes(event: Event) -> dict[str, Change]:
    return {change.field: change for change in event.changes}


def with_scanner(**settings: Any) -> Bench:
    return Bench(unit=UnitOptions(scanner="scan-10", pattern=r"SN\d{4}"), **settings)


def test_the_first_value_has_no_before_and_the_next_one_has() -> None:
    bench = Bench()
    [first] = bench.say(reading("5.0"))
    [second] = bench.say(reading("5.5"))
    assert (changes(first)["holding"].before, changes(first)["holding"].after) == (None, "5.0")
    assert (changes(second)["holding"].before, changes(second)["holding"].after) == ("5.0", "5.5")


def test_the_same_value_again_is_no_event() -> None:
    bench = Bench()
    assert kinds(bench.say(reading("5.0"), reading("5.0"))) == ["parameter.changed"]


def test_before_is_right_and_nothing_is_said_twice_after_a_crash() -> None:
    bench = Bench()
    bench.say(reading("5.0"))
    bench.restart()
    assert bench.say(reading("5.0")) == []
    bench.restart()
    [event] = bench.say(reading("6.0"))
    assert changes(event)["holding"].before == "5.0"


def test_values_carry_unit_limits_and_status() -> None:
    bench = Bench()
    said = [changes(event)["holding"] for event in bench.say(reading("5.0"), reading("3.9"), reading("6.51"))]
    assert [change.status for change in said] == ["ok", "low", "high"]
    assert (said[0].unit, said[0].low, said[0].high) == ("bar", "4.0", "6.5")


def test_a_bad_value_is_a_quality_and_never_a_value() -> None:
    bench = Bench()
    bench.say(reading("5.0"))
    [bad] = bench.say(reading("0.0", quality=Quality.BAD, status="BadSensorFailure"))
    assert set(changes(bad)) == {"holding.quality"}
    assert changes(bad)["holding.quality"].after == "BadSensorFailure"
    [back] = bench.say(reading("5.2"))
    assert changes(back)["holding"].before == "5.0"
    assert changes(back)["holding.quality"].after == "Good"


def test_a_structure_changes_by_field() -> None:
    bench = Bench()
    bench.say(reading({"x": "1", "y": "2"}))
    [event] = bench.say(reading({"x": "1", "y": "3"}))
    assert list(changes(event)) == ["holding.y"]


@given(st.lists(st.sampled_from(["1.0", "2.0", "3.0"]), max_size=30), st.sets(st.integers(0, 30)))
def test_befores_and_afters_form_one_chain_whatever_crashes(values: list[str], crashes: set[int]) -> None:
    bench = Bench()
    said = []
    for position, value in enumerate(values):
        if position in crashes:
            bench.restart()
        said += [changes(event)["holding"] for event in bench.say(reading(value))]
    for earlier, later in itertools.pairwise(said):
        assert later.before == earlier.after
    assert all(change.before != change.after for change in said)


def test_a_scanned_serial_enters_the_unit_and_results_belong_to_it() -> None:
    bench = with_scanner()
    events = bench.say(code("SN0001"), tightening(1))
    assert kinds(events) == ["unit.entered", "tightening.result"]
    assert events[1].resource.parent == ("unit", "SN0001")
    assert changes(events[1])["bound_by"].after == "station"


def test_the_station_still_holds_its_unit_after_a_crash() -> None:
    bench = with_scanner()
    bench.say(code("SN0001"))
    bench.restart()
    [event] = bench.say(tightening(1))
    assert event.resource.parent == ("unit", "SN0001")


def test_the_next_unit_lets_the_last_one_leave_with_its_count() -> None:
    bench = with_scanner(requires=(Requirement(device="wrench-10", count=2),))
    bench.say(code("SN0001"), tightening(1), tightening(2, ok=False))
    left, entered = bench.say(code("SN0002"))
    assert kinds([left, entered]) == ["unit.left", "unit.entered"]
    assert left.resource.parent == ("unit", "SN0001")
    assert changes(left)["wrench-10.tightening.done"].after == 1
    assert changes(left)["wrench-10.tightening.missing"].after == 1
    assert changes(left)["wrench-10.tightening.not_ok"].after == 1


def test_requirements_may_ask_for_one_program() -> None:
    bench = with_scanner(requires=(Requirement(device="wrench-10", count=1, program="7"),))
    bench.say(code("SN0001"), tightening(1, pset=3), tightening(2, pset=7))
    left, _ = bench.say(code("SN0002"))
    assert changes(left)["wrench-10.tightening.7.done"].after == 1
    assert changes(left)["results_ok"].after == 2


def test_a_code_that_is_no_serial_is_only_recorded() -> None:
    bench = with_scanner()
    assert kinds(bench.say(code("hello"), tightening(1))) == ["identifier.scanned", "tightening.result"]
    assert bench.station.unit is None


def test_reading_the_same_unit_again_does_not_enter_it_twice() -> None:
    bench = with_scanner()
    assert kinds(bench.say(code("SN0001"), code("SN0001"))) == ["unit.entered", "identifier.scanned"]


def test_a_result_that_names_another_unit_than_the_station_stays_unbound() -> None:
    bench = with_scanner()
    _, event = bench.say(code("SN0001"), tightening(1, identifier="SN0002"))
    assert event.resource.parent is None
    assert changes(event)["binding_conflict"].status == "nok"


def test_without_a_scanner_the_results_own_identifier_enters_the_unit() -> None:
    bench = Bench()
    events = bench.say(
        tightening(1, identifier="SN0001"),
        tightening(2, identifier="SN0001"),
        tightening(3, identifier="SN0002"),
    )
    assert kinds(events) == [
        "unit.entered",
        "tightening.result",
        "tightening.result",
        "unit.left",
        "unit.entered",
        "tightening.result",
    ]
    assert events[-1].resource.parent == ("unit", "SN0002")


def test_a_fetched_result_binds_by_its_own_identifier_only() -> None:
    bench = with_scanner()
    bench.say(code("SN0009"))
    [own, none] = bench.say(
        tightening(1, identifier="SN0001", backfilled=True), tightening(2, backfilled=True)
    )
    assert own.resource.parent == ("unit", "SN0001")
    assert none.resource.parent is None
    assert changes(own)["backfilled"].after is True


def test_a_tag_of_the_plc_names_the_unit() -> None:
    bench = Bench(unit=UnitOptions(point="press-10/serial"))
    events = bench.say(reading("SN0001", point="serial"), tightening(1))
    assert kinds(events) == ["parameter.changed", "unit.entered", "tightening.result"]
    assert events[2].resource.parent == ("unit", "SN0001")
    assert kinds(bench.say(reading("", point="serial"))) == ["parameter.changed", "unit.left"]


def test_an_operators_badge_signs_on_and_off_and_results_are_his() -> None:
    bench = Bench(operator=OperatorOptions(scanner="badge-10", names={"B17": "M. Weber"}))
    on, result = bench.say(code("B17", device="badge-10"), tightening(1))
    assert on.kind == "operator.signed_on"
    assert (result.actor.type, result.actor.id, result.actor.display_name) == ("user", "B17", "M. Weber")
    [off] = bench.say(code("B17", device="badge-10"))
    assert off.kind == "operator.signed_off"
    [after] = bench.say(tightening(2))
    assert (after.actor.type, after.actor.id) == ("device", "wrench-10")


def test_one_badge_at_two_stations_is_recorded_as_such() -> None:
    shared = SharedState()
    first = Bench(shared, id="st-10", operator=OperatorOptions(scanner="badge-10"))
    second = Bench(shared, id="st-20", operator=OperatorOptions(scanner="badge-10"))
    first.say(code("B17", device="badge-10"))
    [event] = second.say(code("B17", device="badge-10"))
    assert changes(event)["also_signed_on_at"].after == "st-10"


def test_gaps_notices_and_duplicates() -> None:
    bench = Bench()
    events = bench.say(gap(5, 9), notice("tool.changed", changes=(("serial", "A1", "A2"),)), seen())
    assert kinds(events) == ["source.gap", "tool.changed"]
    assert (changes(events[0])["first"].after, changes(events[0])["last"].after) == ("5", "9")


def test_what_a_driver_remembers_is_stored_under_its_device() -> None:
    bench = Bench()
    bench.say(seen(remember={"watermark": "17", "old": None}))
    assert bench.stored == {"device/wrench-10/watermark": "17"}


def test_every_event_names_its_place_and_the_hash_of_the_raw_bytes() -> None:
    bench = with_scanner()
    [event] = bench.say(code("SN0001"))
    assert event.context["station_id"] == "st-10"
    assert event.context["device_id"] == "scan-10"
    assert len(event.context["raw_sha256"]) == 64


def test_a_station_that_names_a_device_it_does_not_have_is_refused() -> None:
    with pytest.raises(ValidationError, match="press-99 is not among"):
        StationOptions(id="st-1", devices=("a",), unit=UnitOptions(point="press-99/serial"))


def test_a_unit_that_enters_lets_the_scale_be_asked_for_it() -> None:
    bench = with_scanner(ask=("press-10",))
    outcome = bench.station.interpret(code("SN0001"))
    assert [(ask.device, ask.unit) for ask in outcome.asks] == [("press-10", "SN0001")]
    assert bench.station.interpret(code("SN0001")).asks == []


def test_where_results_must_name_their_unit_a_blank_one_stays_unbound() -> None:
    bench = Bench(unit=UnitOptions(scanner="scan-10", require_in_result=True))
    _, event = bench.say(code("SN0001"), tightening(1))
    assert event.resource.parent is None


def test_a_result_that_cannot_be_read_counts_as_not_ok_for_the_unit_at_the_station() -> None:
    bench = with_scanner(requires=(Requirement(device="wrench-10", count=1),))
    unreadable = dataclasses.replace(tightening(1), ok=None, counts=False, decoded=False)
    bench.say(code("SN0001"), unreadable)
    left, _ = bench.say(code("SN0002"))
    assert changes(left)["results_not_ok"].after == 1
