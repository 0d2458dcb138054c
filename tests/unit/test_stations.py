"""Stations: what observations mean, decided without a network, right across a restart."""

import dataclasses
import itertools
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from linewitness.devices.base import Measured, Observation, Quality
from linewitness.evidence.format.record import Change, Event
from linewitness.stations.checklist.options import ResultRequirement
from linewitness.stations.options import (
    GateOptions,
    OperatorOptions,
    StationOptions,
    UnitOptions,
)
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.rules import DeviceRule, PointRule
from linewitness.stations.shared_state import SharedState
from linewitness.stations.station import Station
from support.observations import BOOT_NS, START, code, gap, notice, reading, seen, tightening, together_of
from support.present import present
from support.single_events import single_events

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

    def restart(self) -> list[Event]:
        shared = self.shared or SharedState.load(self.stored)
        self.station = Station(self.options, RULES, shared=shared, state=self.stored, now=START)
        return self._stored(self.station.begin(START))

    def lose(self, device: str) -> list[Event]:
        return self._stored(self.station.lose(device, f"the connection to {device} ended", START))

    def say(self, *observations: Observation) -> list[Event]:
        events = []
        for observation in observations:
            events += self._stored(self.station.interpret(observation))
        return events

    def single(self, observation: Observation, *, delayed_since_ns: int) -> list[Event]:
        outcome = self.station.interpret(observation, delayed_since_ns=delayed_since_ns)
        return single_events(outcome.events)

    def _stored(self, outcome: StationOutcome) -> list[Event]:
        for key, value in outcome.state.items():
            if value is None:
                self.stored.pop(key, None)
            else:
                self.stored[key] = value
        return single_events(outcome.events)


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def changes(event: Event) -> dict[str, Change]:
    return {change.field: change for change in event.changes}


def unknown(event: Event) -> object:
    """Return why it is not known to which unit a result belongs, None where it is known."""
    found = changes(event)
    assert ("unknown_because" in found) == (found.get("binding") is not None)
    return found["unknown_because"].after if "binding" in found else None


def with_scanner(*, valid_s: float | None = None, **settings: Any) -> Bench:
    unit = UnitOptions(scanner="scan-10", pattern=r"SN\d{4}", valid_s=valid_s)
    return Bench(unit=unit, **settings)


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


def test_after_a_restart_results_belong_to_no_unit_until_it_is_read_again() -> None:
    bench = with_scanner(requires=(ResultRequirement(device="wrench-10", count=2),))
    bench.say(code("SN0001"), tightening(1))
    bench.restart()
    [event] = bench.say(tightening(2))
    assert event.resource.parent is None
    assert unknown(event) == "the gateway was restarted"
    [entered, known] = bench.say(code("SN0001"), tightening(3))
    assert changes(entered)["unknown_because"].after == "the gateway was restarted"
    assert known.resource.parent == ("unit", "SN0001")
    left, _ = bench.say(code("SN0002"))
    assert changes(left)["wrench-10.tightening.done"].after == 2


def test_the_next_unit_lets_the_last_one_leave_with_its_count() -> None:
    bench = with_scanner(requires=(ResultRequirement(device="wrench-10", count=2),))
    bench.say(code("SN0001"), tightening(1), tightening(2, ok=False))
    left, entered = bench.say(code("SN0002"))
    assert kinds([left, entered]) == ["unit.left", "unit.entered"]
    assert left.resource.parent == ("unit", "SN0001")
    assert changes(left)["wrench-10.tightening.done"].after == 1
    assert changes(left)["wrench-10.tightening.missing"].after == 1
    assert changes(left)["wrench-10.tightening.not_ok"].after == 1


def test_requirements_may_ask_for_one_program() -> None:
    bench = with_scanner(requires=(ResultRequirement(device="wrench-10", count=1, program="7"),))
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


def test_an_operator_named_by_a_tag_is_recorded_as_such() -> None:
    bench = Bench(operator=OperatorOptions(point="press-10/who", names={"B17": "M. Weber"}))
    _, on = bench.say(reading("B17", point="who"))
    assert (on.kind, on.actor.id, on.actor.auth_method) == ("operator.signed_on", "B17", "tag")
    [made] = bench.say(tightening(1))
    assert (made.actor.id, made.actor.display_name, made.actor.auth_method) == ("B17", "M. Weber", "tag")
    bench.say(reading("5.0"))
    [changed] = bench.say(reading("5.5"))
    assert (changed.actor.id, changed.actor.auth_method) == ("B17", "tag")
    off = bench.say(reading("", point="who"))[-1]
    assert (off.kind, off.actor.id, off.actor.auth_method) == ("operator.signed_off", "B17", "tag")


def test_an_operator_signed_on_by_a_badge_is_recorded_as_such() -> None:
    bench = Bench(operator=OperatorOptions(scanner="badge-10", point="press-10/who"))
    bench.say(reading("A1", point="who"))
    before, on = bench.say(code("B17", device="badge-10"))
    assert (before.actor.id, before.actor.auth_method) == ("A1", "tag")
    assert (on.actor.id, on.actor.auth_method) == ("B17", "badge")
    [made] = bench.say(tightening(1))
    assert (made.actor.id, made.actor.auth_method) == ("B17", "badge")


def test_who_changed_a_value_is_named_by_a_tag_or_by_the_devices_account() -> None:
    bench = Bench()
    bench.say(reading("5.0"))
    [by_tag] = bench.say(reading("5.1", operator="anna", operator_by="tag"))
    [by_account] = bench.say(reading("5.2", operator="anna", operator_by="device"))
    assert [event.actor.auth_method for event in (by_tag, by_account)] == ["tag", "device"]


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(reading("5.0", operator="anna"), id="never-seen-before"),
        pytest.param(together_of(("holding", "5.0"), ("speed", "7")), id="never-seen-before-in-a-group"),
    ],
)
def test_nobody_is_the_actor_of_the_first_value_seen(first: Observation) -> None:
    bench = Bench(operator=OperatorOptions(scanner="badge-10"))
    bench.say(code("B17", device="badge-10"))
    for event in bench.say(first):
        assert event.reason == "first value seen"
        assert (event.actor.type, event.actor.id) == ("device", "press-10")
    assert bench.say(reading("6.0"))[0].actor.id == "B17"


def test_a_first_value_and_a_change_that_come_together_have_actors_of_their_own() -> None:
    bench = Bench(operator=OperatorOptions(scanner="badge-10"))
    bench.say(reading("5.0"), code("B17", device="badge-10"))
    said = bench.say(together_of(("speed", "7"), ("holding", "5.5"), ("program", "2")))
    assert [event.actor.id for event in said] == ["press-10", "B17", "press-10"]
    assert [event.changes[0].field for event in said] == ["speed", "holding", "program"]


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(reading("6.0", initial=True), id="alone"),
        pytest.param(together_of(("holding", "6.0"), ("speed", "9"), initial=True), id="in-a-group"),
        pytest.param(reading("6.0", backfilled=True), id="from-memory"),
    ],
)
def test_a_value_that_changed_while_nobody_looked_is_not_the_operators(later: Observation) -> None:
    bench = Bench(operator=OperatorOptions(scanner="badge-10"))
    bench.say(reading("5.0"), reading("7", point="speed"), code("B17", device="badge-10"))
    for event in bench.say(later):
        assert event.reason == "the device reports another value"
        assert (event.actor.type, event.actor.id) == ("device", "press-10")


def test_one_badge_at_two_stations_is_recorded_as_such() -> None:
    shared = SharedState()
    first = Bench(shared, id="st-10", operator=OperatorOptions(scanner="badge-10"))
    second = Bench(shared, id="st-20", operator=OperatorOptions(scanner="badge-10"))
    first.say(code("B17", device="badge-10"))
    [event] = second.say(code("B17", device="badge-10"))
    assert changes(event)["also_signed_on_at"].after == "st-10"


JUDGED: tuple[tuple[str, bool | None, str, dict[str, str]], ...] = (
    # whose verdict counts, what the PLC says, the value (limits 11 to 13): what is recorded
    ("stricter", True, "14", {"result": "nok", "result.plc": "ok", "result.limits": "nok"}),
    ("stricter", False, "12", {"result": "nok", "result.plc": "nok", "result.limits": "ok"}),
    ("ours", True, "14", {"result": "nok", "result.plc": "ok", "result.limits": "nok"}),
    ("ours", False, "12", {"result": "ok", "result.plc": "nok", "result.limits": "ok"}),
    ("plc", True, "14", {"result": "ok", "result.plc": "ok", "result.limits": "nok"}),
    ("plc", False, "12", {"result": "nok", "result.plc": "nok", "result.limits": "ok"}),
    ("stricter", True, "12", {"result": "ok"}),
    ("stricter", False, "14", {"result": "nok"}),
    ("stricter", None, "14", {"result": "nok"}),
    ("plc", None, "14", {}),
)


@pytest.mark.parametrize(("decided_by", "plc", "value", "said"), JUDGED)
def test_a_broken_limit_is_shown_whatever_the_plc_says(
    decided_by: Any, plc: bool | None, value: str, said: dict[str, str]
) -> None:
    bench = with_scanner()
    status: Any = "high" if value == "14" else "ok"
    measured = Measured(field="torque", value=value, low="11", high="13", status=status)
    result = dataclasses.replace(tightening(1), ok=plc, measured=(measured,), decided_by=decided_by)
    _, made = bench.say(code("SN0001"), result)
    found = changes(made)
    assert {name: found[name].after for name in found if name.split(".")[0] == "result"} == said | (
        {"result.decided_by": decided_by} if "result.plc" in said else {}
    )
    assert found["torque"].status == status
    # What counts is what the unit's count and its gate go by.
    [left] = bench.say(code("SN0002"))[:1]
    good = said.get("result") == "ok"
    assert (changes(left)["results_ok"].after, changes(left)["results_not_ok"].after) == (good, not good)


def test_gaps_notices_and_duplicates() -> None:
    bench = Bench()
    events = bench.say(gap(5, 9), notice("tool.changed", changes=(("serial", "A1", "A2"),)), seen())
    assert kinds(events) == ["source.gap", "tool.changed"]
    assert (changes(events[0])["first"].after, changes(events[0])["last"].after) == ("5", "9")


def test_what_a_driver_remembers_is_stored_under_its_device() -> None:
    bench = Bench()
    bench.say(seen(remember={"watermark": "17", "old": None}))
    assert bench.stored == {"device/wrench-10/watermark": "17"}


def test_every_event_names_its_place_and_carries_the_raw_bytes() -> None:
    bench = with_scanner()
    [event] = bench.say(code("SN0001"))
    assert event.context["station_id"] == "st-10"
    assert event.context["device_id"] == "scan-10"
    assert event.raw == b"SN0001"


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
    bench = with_scanner(requires=(ResultRequirement(device="wrench-10", count=1),))
    unreadable = dataclasses.replace(tightening(1), ok=None, counts=False, decoded=False)
    bench.say(code("SN0001"), unreadable)
    left, _ = bench.say(code("SN0002"))
    assert changes(left)["results_not_ok"].after == 1


def test_when_the_reader_is_lost_results_belong_to_no_unit() -> None:
    bench = with_scanner()
    bench.say(code("SN0001"), tightening(1))
    bench.lose("scan-10")
    [event] = bench.say(tightening(2))
    assert event.resource.parent is None
    assert unknown(event) == "the connection to scan-10 ended"
    assert changes(event)["unknown_since"].after == "2026-03-01T08:00:00.000Z"
    *_, bound = bench.say(code("SN0002"), tightening(3))
    assert bound.resource.parent == ("unit", "SN0002")


def test_another_device_that_is_lost_takes_no_unit_away() -> None:
    bench = with_scanner()
    bench.say(code("SN0001"))
    bench.lose("wrench-10")
    [event] = bench.say(tightening(1))
    assert event.resource.parent == ("unit", "SN0001")


def set_aside(reason: str = "not a code", **more: Any) -> Observation:
    said = notice("identifier.scanned", device="scan-10", **more)
    return dataclasses.replace(said, missed=True, reason=reason)


def test_a_line_that_was_set_aside_may_have_been_another_unit() -> None:
    bench = with_scanner()
    bench.say(code("SN0001"))
    *_, event = bench.say(set_aside("buffered from before the connection"), tightening(1))
    assert event.resource.parent is None
    assert "buffered" in str(unknown(event))


def test_a_code_of_another_form_may_be_another_unit_and_a_pass_code_is_not() -> None:
    gate = GateOptions(device="press-10", point="hold", pass_code="PASS-(?P<reason>.+)")
    bench = with_scanner(gate=gate)
    bench.say(code("SN0001"))
    *_, bound = bench.say(code("PASS-cleaned"), tightening(1))
    assert bound.resource.parent == ("unit", "SN0001")
    *_, event = bench.say(code("hello"), tightening(2))
    assert unknown(event) == "a code was read that is not a serial number"


def test_codes_that_are_missing_end_what_the_reader_named() -> None:
    bench = with_scanner()
    bench.say(code("SN0001"))
    *_, event = bench.say(gap(1, 9, device="scan-10"), tightening(1))
    assert event.resource.parent is None
    bench.say(code("SN0001"))
    *_, bound = bench.say(gap(1, 9), tightening(2))
    assert bound.resource.parent == ("unit", "SN0001")


def test_a_unit_counts_as_long_as_the_settings_let_it_and_is_renewed_by_reading_it_again() -> None:
    bench = with_scanner(valid_s=10)
    bench.say(code("SN0001"), code("SN0001", at_ms=9_000))
    [bound] = bench.say(tightening(1, at_ms=18_000))
    assert bound.resource.parent == ("unit", "SN0001")
    assert bench.say(code("SN0001", at_ms=18_500, again=True)) == []
    [bound] = bench.say(tightening(2, at_ms=28_000))
    assert bound.resource.parent == ("unit", "SN0001")
    [event] = bench.say(tightening(3, at_ms=29_000))
    assert event.resource.parent is None
    assert unknown(event) == "scan-10 has not read it again for 10 s"


def test_a_code_that_is_still_there_is_known_again_after_it_was_not() -> None:
    bench = with_scanner()
    bench.say(code("SN0001"), set_aside())
    [entered] = bench.say(code("SN0001", again=True))
    assert entered.kind == "unit.entered"
    assert changes(entered)["binding"].after == "known"


def test_a_result_that_waited_since_before_the_unit_was_read_belongs_to_none() -> None:
    bench = with_scanner()
    bench.say(code("SN0001", at_ms=1_000), code("SN0002", at_ms=5_000))
    result = tightening(1, at_ms=6_000)
    [waited] = bench.single(result, delayed_since_ns=BOOT_NS + 4_000_000_000)
    assert waited.resource.parent is None
    assert unknown(waited) == "the result may have been made before SN0002 was read"
    [at_once] = bench.single(result, delayed_since_ns=BOOT_NS + 5_500_000_000)
    assert at_once.resource.parent == ("unit", "SN0002")


def test_a_result_that_its_device_made_before_the_unit_was_read_belongs_to_none() -> None:
    bench = with_scanner()
    bench.say(code("SN0001", at_ms=1_000))
    late = dataclasses.replace(tightening(1, at_ms=500), received=tightening(1, at_ms=9_000).received)
    [event] = bench.say(late)
    assert event.resource.parent is None


def test_a_result_that_arrived_before_the_unit_was_read_belongs_to_none() -> None:
    bench = with_scanner()
    bench.say(code("SN0001", at_ms=1_000))
    late = dataclasses.replace(tightening(1, at_ms=9_000), received=tightening(1, at_ms=900).received)
    [event] = bench.say(late)
    assert event.resource.parent is None


def test_a_polled_result_may_be_as_old_as_the_last_poll() -> None:
    bench = with_scanner()
    bench.say(code("SN0001", at_ms=1_000))
    polled = tightening(1, at_ms=1_500)
    polled = dataclasses.replace(
        polled, when=dataclasses.replace(polled.when, occurred_from="poll", unc_ms=600)
    )
    [event] = bench.say(polled)
    assert event.resource.parent is None
    polled = dataclasses.replace(polled, when=dataclasses.replace(polled.when, unc_ms=400))
    [event] = bench.say(polled)
    assert event.resource.parent == ("unit", "SN0001")
    polled = dataclasses.replace(polled, when=dataclasses.replace(polled.when, unc_ms=None))
    [event] = bench.say(polled)
    assert event.resource.parent is None


def test_a_result_whose_delivery_takes_time_may_be_that_much_older() -> None:
    bench = with_scanner()
    bench.say(code("SN0001", at_ms=1_000))
    for at_ms, unit in ((1_100, None), (1_300, "SN0001")):
        result = tightening(1, at_ms=at_ms)
        delivered = dataclasses.replace(result.when, occurred_from="gateway", unc_ms=200)
        [event] = bench.say(dataclasses.replace(result, when=delivered))
        assert event.resource.unit == unit


@pytest.mark.parametrize("quality", [Quality.BAD, Quality.UNCERTAIN])
def test_a_tag_without_a_good_value_names_no_unit(quality: Quality) -> None:
    bench = Bench(unit=UnitOptions(point="press-10/serial"))
    bench.say(reading("SN0001", point="serial"))
    *_, event = bench.say(
        reading("SN0001", point="serial", quality=quality, status="BadNoCommunication"), tightening(1)
    )
    assert event.resource.parent is None
    assert "BadNoCommunication" in str(unknown(event))
    *_, bound = bench.say(reading("SN0001", point="serial"), tightening(2))
    assert bound.resource.parent == ("unit", "SN0001")


def test_a_lost_plc_names_no_unit_and_the_same_value_names_it_again() -> None:
    bench = Bench(unit=UnitOptions(point="press-10/serial"))
    bench.say(reading("SN0001", point="serial"))
    bench.lose("press-10")
    [event] = bench.say(tightening(1))
    assert event.resource.parent is None
    *_, bound = bench.say(reading("SN0001", point="serial"), tightening(2))
    assert bound.resource.parent == ("unit", "SN0001")


def test_a_result_without_a_unit_says_so_from_the_beginning() -> None:
    bench = with_scanner()
    [event] = bench.say(tightening(1))
    assert unknown(event) == "no unit has been read yet"
    tag = Bench(unit=UnitOptions(point="press-10/serial"))
    *_, event = tag.say(reading("", point="serial"), tightening(1))
    assert unknown(event) == "no unit is at the station"


def with_badges(**operator: Any) -> Bench:
    return Bench(operator=OperatorOptions(scanner="badge-10", **operator))


def test_an_operator_is_signed_off_when_the_badge_reader_is_lost() -> None:
    bench = with_badges()
    bench.say(code("B17", device="badge-10"))
    [off] = bench.lose("badge-10")
    assert (off.kind, off.reason) == ("operator.signed_off", "the connection to badge-10 ended")
    assert changes(off)["operator"].before == "B17"
    [result] = bench.say(tightening(1))
    assert result.actor.id == "wrench-10"


def test_an_operator_is_signed_off_by_a_restart() -> None:
    bench = with_badges()
    bench.say(code("B17", device="badge-10"))
    [off] = bench.restart()
    assert (off.kind, off.reason) == ("operator.signed_off", "the gateway was restarted")
    assert bench.restart() == []
    [result] = bench.say(tightening(1))
    assert result.actor.id == "wrench-10"


def test_an_operator_is_signed_off_after_the_time_that_the_settings_give() -> None:
    bench = with_badges(valid_s=60)
    bench.say(code("B17", device="badge-10"))
    [result] = bench.say(tightening(1, at_ms=60_000))
    assert result.actor.id == "B17"
    off, result = bench.say(tightening(2, at_ms=60_001))
    assert (off.kind, result.actor.id) == ("operator.signed_off", "wrench-10")


def test_a_result_that_may_be_older_than_the_badge_is_not_the_operators() -> None:
    bench = with_badges()
    bench.say(code("B17", device="badge-10", at_ms=5_000))
    [late] = bench.say(tightening(1, at_ms=6_000, backfilled=True))
    assert late.actor.id == "wrench-10"


def test_settings_that_name_another_reader_end_what_the_first_one_named() -> None:
    bench = with_scanner(operator=OperatorOptions(scanner="badge-10"))
    bench.say(code("SN0001"), code("B17", device="badge-10"))
    other = bench.options.model_copy(
        update={"unit": UnitOptions(scanner="press-10"), "operator": OperatorOptions(scanner="press-10")}
    )
    outcome = bench.station.take_over(other, RULES, START)
    assert kinds(single_events(outcome.events)) == ["operator.signed_off"]
    [event] = bench.say(tightening(1))
    assert unknown(event) == "the settings name another source of units"


def test_a_gate_stays_as_it_is_while_the_unit_is_not_known() -> None:
    gate = GateOptions(device="press-10", point="hold")
    bench = with_scanner(gate=gate, requires=(ResultRequirement(device="wrench-10", count=1),))
    assert kinds(bench.say(code("SN0001"))) == ["unit.entered", "gate.closed"]
    bench.lose("scan-10")
    assert kinds(bench.say(tightening(1))) == ["tightening.result"]
    assert present(bench.station.order()).position == "closed"
    bench.restart()
    assert present(bench.station.order()).position == "closed"


def test_a_measurement_that_the_gateway_asked_for_is_of_the_unit_only_while_that_is_known() -> None:
    bench = with_scanner(ask=("wrench-10",))
    result = tightening(1, identifier="SN0001")
    result = dataclasses.replace(
        result, when=dataclasses.replace(result.when, occurred_from="gateway", unc_ms=100)
    )
    *_, asked = bench.say(code("SN0001"), result)
    assert asked.resource.parent == ("unit", "SN0001")
    bench.lose("scan-10")
    [event] = bench.say(tightening(2, identifier="SN0001"))
    assert event.resource.parent is None
    assert unknown(event) == "the connection to scan-10 ended"
