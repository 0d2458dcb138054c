"""Attacks on the checklist: a unit that seems complete, a record that lies, a gateway that stops."""

from dataclasses import replace
from typing import Any

import pytest

from linewitness.devices.base import Gap, When
from linewitness.stations.people.operators import MOST_SEEN
from linewitness.status.rows import station_row
from support.observations import BASE_NS, code, gap, notice, reading, tightening
from support.station_bench import LineBench, afters, changes, kinds, options_of, stamp

GATE = {"device": "press-10", "point": "hold", "hold": ["missing"], "pass_code": "PASS-(?P<reason>.+)"}
CODES = {"remove": "REMOVE-(?P<reason>.+)", "scrap": "SCRAP-(?P<reason>.+)"}
PCB = {"id": "pcb", "kind": "component", "part": "P1", "pattern": "P1-(?P<serial>.+)"}
BOLT = {"id": "bolt", "device": "wrench-10", "count": 1}
PLAIN = {"device": "wrench-10", "count": 1}
SIGN = {"id": "visual", "kind": "sign_off", "meaning": "visual inspection passed", "code": "SIGN"}
CHECK = {"id": "leak", "kind": "check", "point": "press-10/holding", "value": "true"}
WARM = {"id": "warm", "kind": "condition", "point": "press-10/holding", "low": "60", "high": "80"}
GLUE = {
    "id": "glue",
    "kind": "component",
    "part": "G1",
    "source": "loaded",
    "pattern": r"G1-(?P<lot>[A-Z0-9]+)(?:/(?P<quantity>[^/]+))?",
}
REEL = {**GLUE, "pattern": r"G1-(?P<lot>[A-Z])-(?P<serial>\d+)/(?P<quantity>\d+)"}
ANY_CODE = {"scanner": "scan-10"}
AT_ONCE = When(occurred_ns=BASE_NS, occurred_from="device", unc_ms=1)


def station(*requires: dict[str, Any], name: str = "st-10", **settings: Any) -> Any:
    return options_of(name, requires=requires, **{"gate": GATE, "codes": CODES, **settings})


def line(*requires: dict[str, Any], **settings: Any) -> LineBench:
    return LineBench(station(*requires, **settings))


def said_of(bench: LineBench, kind: str) -> list[str]:
    return [event.reason for event in bench.events if event.kind == kind]


def left(bench: LineBench) -> dict[str, object]:
    return {name: change.after for name, change in bench.left().items()}


def wrong(bench: LineBench, requirement: str, at_s: float = 0) -> str:
    view = bench.stations["st-10"].view(stamp(at_s))
    return next(each.wrong for each in view.requirements if each.id == requirement)


# Units at several stations.


def test_what_a_third_station_built_in_stays_known_when_the_first_one_sees_the_next_unit() -> None:
    bench = LineBench(*(station({**PCB, "id": f"pcb-{n}"}, name=f"st-{n}") for n in (1, 2, 3)))
    bench.scan("SN0001", at="st-1")
    bench.scan("SN0001", "SN0009", at="st-2")
    bench.scan("SN0001", "P1-7", at="st-3")
    bench.scan("SN0002", at="st-1")
    bench.scan("P1-7", at="st-1")
    assert said_of(bench, "component.refused") == ["it is in SN0001 already"]


def test_a_unit_that_a_station_still_holds_is_not_forgotten() -> None:
    bench = LineBench(station(PCB, name="st-1"), station(BOLT, name="st-2"))
    bench.shared.units.remember_at_most(2)
    bench.scan("SN0001", "P1-7", at="st-1")
    bench.scan("SN0001", "SN0002", "SN0003", "SN0004", "SN0005", at="st-2")
    assert bench.shared.units.holder_of("P1", "7") == "SN0001"


def test_a_unit_that_was_elsewhere_comes_back_as_a_new_attempt_and_needs_all_again() -> None:
    bench = LineBench(station(BOLT, name="st-1"), station(PCB, name="st-2"))
    bench.scan("SN0001", at="st-1")
    bench.tighten(1, at="st-1")
    assert bench.gate("st-1") == "opened"
    bench.scan("SN0001", at="st-2")
    bench.scan("SN0001", at="st-1")
    entered = [event for event in bench.events if event.kind == "unit.entered"][-1]
    assert afters(entered)["attempt"] == 2
    assert bench.gate("st-1") == "closed"


def test_what_another_station_confirmed_counts_no_longer_when_the_unit_left_it_incomplete() -> None:
    first = {"id": "kitted", "kind": "after", "station": "kitting"}
    bench = LineBench(station(PCB, name="kitting"), station(first, name="bolting"))
    bench.badge("B1", at="kitting")
    bench.scan("SN0001", "P1-1", "SN0002", at="kitting")
    bench.scan("SN0001", at="bolting")
    assert bench.gate("bolting") == "opened"
    bench.scan("SN0001", "REMOVE-cracked", "P1-1", "SN0002", at="kitting")
    bench.scan("SN0001", at="bolting")
    assert bench.gate("bolting") == "closed"


def test_a_unit_that_was_read_at_the_next_station_too_early_may_go_there_when_it_has_all() -> None:
    first = {"id": "kitted", "kind": "after", "station": "kitting"}
    bench = LineBench(station(PCB, name="kitting"), station(first, name="bolting"))
    bench.badge("B1", at="kitting")
    bench.scan("SN0001", at="kitting")
    bench.scan("SN0001", at="bolting")
    assert bench.gate("bolting") == "closed"
    bench.scan("P1-1", at="kitting")
    bench.scan("SN0001", at="bolting")
    assert bench.gate("bolting") == "opened"
    assert said_of(bench, "exception.raised") == ["SN0001: it is at kitting as well"]


def test_a_waiting_time_does_not_begin_with_what_an_earlier_attempt_had() -> None:
    glued = {**BOLT, "id": "glued"}
    cure = {"id": "cure", "kind": "wait", "since": "gluing/glued", "at_least_s": 60}
    bench = LineBench(station(glued, name="gluing"), station(cure, name="curing"))
    bench.scan("SN0001", at="gluing")
    bench.tighten(1, at="gluing")
    bench.scan("SN0002", "SN0001", at="gluing", at_s=100)
    bench.tighten(2, at="gluing", at_s=110)
    bench.scan("SN0001", at="curing", at_s=120)
    assert bench.gate("curing") == "closed"


def test_what_came_after_a_component_that_another_station_took_out_is_to_be_done_again() -> None:
    bolted = {**BOLT, "after": ["pcb"]}
    bench = LineBench(
        station(PCB, bolted, SIGN, name="st-1", rework="open"),
        station({**PCB, "id": "spare"}, name="repair"),
    )
    bench.badge("B1", at="repair")
    bench.scan("SN0001", "P1-1", at="st-1")
    bench.tighten(1, at="st-1")
    bench.scan("SN0002", at="st-1")
    bench.scan("SN0001", "REMOVE-cracked", "P1-1", "SN0003", at="repair")
    bench.scan("SN0001", "P1-2", at="st-1")
    assert bench.state("bolt", "st-1") == "missing"


# Changed settings.


def test_a_unit_that_stands_there_when_components_are_asked_for_first_gets_its_material_once() -> None:
    bench = LineBench(options_of(requires=[PLAIN], gate=GATE))
    bench.scan("SN0001")
    bench.reload(station(GLUE, PCB), at_s=1)
    bench.scan("G1-A/10", at_s=2)
    for number in range(3):
        bench.tighten(number, at_s=3)
    assert kinds(bench.events).count("component.installed") == 1
    bench.scan("P1-1", at_s=4)
    assert bench.gate() == "opened"


def test_a_gateway_that_is_restarted_with_other_settings_knows_a_unit_when_it_is_read_again() -> None:
    bench = LineBench(options_of(requires=[PLAIN], gate=GATE))
    bench.scan("SN0001")
    bench.options["st-10"] = station({"id": "cure", "kind": "wait", "at_least_s": 10})
    bench.restart()
    bench.scan("SN0001", at_s=5)
    bench.wait(14)
    assert bench.gate() == "closed"
    bench.wait(15)
    assert bench.gate() == "opened"


def test_a_lot_of_the_part_of_before_does_not_count_for_the_part_of_now() -> None:
    bench = line(GLUE)
    bench.scan("G1-A/10")
    bench.reload(station({**GLUE, "part": "G2", "pattern": "G2-(?P<lot>.+)"}))
    bench.scan("SN0001")
    assert "component.installed" not in kinds(bench.events)
    assert (bench.gate(), wrong(bench, "glue")) == ("closed", "no lot is loaded")


def test_a_component_of_the_part_of_before_does_not_count_for_the_part_of_now() -> None:
    bench = line(PCB)
    bench.scan("SN0001", "P1-1")
    assert bench.gate() == "opened"
    bench.reload(station({**PCB, "part": "P2", "pattern": "P2-(?P<serial>.+)"}))
    assert bench.gate() == "closed"
    bench.scan("P2-1")
    assert bench.gate() == "opened"


def test_a_sign_off_that_becomes_something_else_while_its_badge_is_awaited_stops_nobody() -> None:
    bench = line(SIGN)
    bench.scan("SN0001", "SIGN")
    bench.reload(station({**CHECK, "id": "visual"}))
    assert kinds(bench.badge("B1")) == ["operator.signed_on"]


# Codes.


@pytest.mark.parametrize("text", ["P1-1", "SIGN", "REMOVE-cracked", "G1-A"])
def test_a_code_that_is_still_there_is_no_unit(text: str) -> None:
    bench = line(PCB, SIGN, GLUE, unit=ANY_CODE)
    bench.badge("B1")
    bench.scan("SN0001", text)
    bench.say(code(text, again=True))
    assert bench.stations["st-10"].unit == "SN0001"


def test_the_code_of_a_sign_off_is_no_unit_where_any_code_is_a_serial_number() -> None:
    bench = line(SIGN, unit=ANY_CODE)
    bench.scan("SIGN")
    assert bench.stations["st-10"].unit is None
    bench = line(
        {**SIGN, "when": {"product": ["A"]}}, unit=ANY_CODE, work_order={"product": "press-10/holding"}
    )
    bench.read("B")
    bench.scan("SN0001", "SIGN")
    assert bench.stations["st-10"].unit == "SN0001"


def test_two_sign_offs_with_one_code_are_signed_one_after_the_other() -> None:
    bench = line(SIGN, {**SIGN, "id": "clean", "meaning": "cleanliness is good"})
    for _ in range(2):
        bench.scan("SN0001", "SIGN")
        bench.badge("B1")
    assert bench.gate() == "opened"


def test_a_tag_that_is_no_serial_number_does_not_open_the_gate() -> None:
    bench = line(PCB, unit={"point": "press-10/holding", "pattern": r"SN\d{4}"})
    bench.read("SN0001")
    assert bench.gate() == "closed"
    bench.read("S?0002")
    assert bench.gate() == "closed"
    assert bench.stations["st-10"].unit is None
    assert "unit.left" not in kinds(bench.events)
    bench.read("")
    assert "unit.left" in kinds(bench.events)


def test_spaces_around_the_name_of_a_unit_in_a_result_are_no_part_of_it() -> None:
    bench = line(BOLT, unit={})
    bench.tighten(1, identifier="SN0001   ")
    assert bench.stations["st-10"].unit == "SN0001"
    assert bench.gate() == "opened"
    bench.tighten(2, identifier="   ")
    assert bench.stations["st-10"].unit == "SN0001"


@pytest.mark.parametrize("amount", ["1e400", "1e-400", "NaN", "-1", "1e30", "0." + "1" * 40, "x"])
def test_a_quantity_that_nobody_can_count_down_is_refused(amount: str) -> None:
    bench = line({**GLUE, "quantity": "0.5"})
    bench.scan(f"G1-A/{amount}", "SN0001")
    assert kinds(bench.events).count("component.refused") == 1
    assert bench.gate() == "closed"


def test_the_label_of_a_reel_that_is_read_twice_does_not_fill_it() -> None:
    bench = line(REEL)
    bench.scan("G1-A-77/1", "SN0001", "G1-A-77/1", "SN0002")
    assert kinds(bench.events).count("component.installed") == 1
    assert wrong(bench, "glue") == "lot A is used up"


@pytest.mark.heavy
@pytest.mark.parametrize("more", ["\x1d21OTHER", "\x1d10LOT9"])
def test_a_gs1_code_that_says_one_thing_twice_is_refused(more: str) -> None:
    bench = line({"id": "valve", "kind": "component", "part": "V7", "gtin": "04012345000016"})
    bench.scan("SN0001", f"]d2010401234500001610LOT7\x1d21S-99{more}")
    assert kinds(bench.events).count("component.refused") == 1
    assert bench.gate() == "closed"


# Signatures, overrides, scrap.


def test_who_did_the_work_and_signed_off_is_no_second_person() -> None:
    bench = line(BOLT, {**SIGN, "second_person": True})
    bench.badge("B1")
    bench.scan("SN0001")
    bench.tighten(1)
    bench.badge("B1", "B2")
    bench.restart()
    bench.badge("B2")
    bench.scan("SN0001", "SIGN")
    [refused] = bench.badge("B1")
    assert refused.reason == "B1 did some of the work: another person signs"
    bench.badge("B3")
    assert bench.gate() == "opened"


def test_who_built_a_part_in_is_no_second_person() -> None:
    bench = line(PCB, {**SIGN, "second_person": True})
    bench.badge("B1")
    bench.scan("SN0001", "P1-1")
    bench.badge("B2")
    bench.scan("SIGN")
    assert kinds(bench.badge("B1")) == ["requirement.refused"]


def test_a_signature_after_what_it_is_about_was_undone_is_refused() -> None:
    bench = line(PCB, {**BOLT, "after": ["pcb"]}, {**SIGN, "after": ["bolt"]})
    bench.badge("B1")
    bench.scan("SN0001", "P1-1")
    bench.tighten(1)
    bench.scan("SIGN", "REMOVE-cracked", "P1-1")
    assert kinds(bench.badge("B2")) == ["requirement.refused"]
    bench.scan("P1-2")
    bench.tighten(2)
    assert bench.gate() == "closed"


def test_an_override_covers_what_it_names_and_nothing_else() -> None:
    bench = line(PCB, BOLT)
    bench.badge("B1")
    bench.scan("SN0001", "P1-1", "PASS-tool is broken")
    assert bench.gate() == "opened"
    bench.scan("REMOVE-cracked", "P1-1")
    assert bench.gate() == "closed"
    bench.restart()
    bench.scan("SN0001")
    assert bench.gate() == "closed"
    bench.scan("SN0002")
    said = left(bench)
    assert (said["bolt"], said["pcb"]) == ("overridden", "missing")
    assert "exception.raised" in kinds(bench.events)


def test_no_material_goes_into_scrap() -> None:
    bench = line(GLUE, PCB)
    bench.badge("B1")
    bench.scan("SN0001", "SCRAP-cracked", "SN0002", "SN0001", "G1-A/9")
    assert "component.installed" not in kinds(bench.events)


def test_scrap_is_held_also_where_only_bad_results_hold() -> None:
    bench = line(BOLT, gate={**GATE, "hold": ["not_ok"]})
    bench.badge("B1")
    bench.scan("SN0001", "SCRAP-cracked", "SN0002", "SN0001")
    assert bench.gate() == "closed"


def test_a_gate_that_does_not_ask_for_what_is_missing_does_not_say_that_nothing_is() -> None:
    bench = line(BOLT, gate={**GATE, "hold": ["not_ok"]})
    bench.scan("SN0001")
    order = bench.stations["st-10"].order()
    assert order is not None
    assert order.reason == "SN0001 has no result out of tolerance"


# Time, and what was not seen.


def test_a_value_that_was_polled_may_be_older_than_the_unit() -> None:
    bench = line(CHECK)
    bench.read("false")
    bench.scan("SN0001", at_s=10)
    half_s = When(occurred_ns=BASE_NS + 9_800_000_000, occurred_from="poll", unc_ms=500)
    bench.say(replace(reading("true", at_ms=10_300), when=half_s))
    assert bench.state("leak") == "missing"
    bench.read("false", at_s=20)
    bench.read("true", at_s=21)
    assert bench.state("leak") == "done"


@pytest.mark.parametrize("missing", ["untaken", "gap", "notice"])
def test_a_condition_is_broken_by_values_that_are_missing(missing: str) -> None:
    bench = line({**WARM, "for_s": 10})
    bench.read("70")
    bench.scan("SN0001")
    lost = gap(1, 2, device="press-10", at_ms=5000)
    if missing == "notice":
        bench.say(notice("alarm.raised", device="press-10", at_ms=5000, missed=True))
    else:
        bench.say(replace(lost, untaken=missing == "untaken"))
    bench.wait(14)
    assert bench.state("warm") == "missing"
    bench.wait(15)
    assert bench.state("warm") == "done"


def test_a_condition_up_to_a_requirement_is_not_met_where_values_are_missing() -> None:
    bench = line({**WARM, "until": "bolt"}, BOLT)
    bench.read("70")
    bench.scan("SN0001", at_s=1)
    bench.say(gap(1, 2, device="press-10", at_ms=5000))
    bench.tighten(1, at_s=6)
    assert bench.state("warm") == "not_met"


def test_a_flood_of_a_reader_puts_the_loaded_lot_in_doubt() -> None:
    bench = line(GLUE)
    bench.scan("G1-A/9")
    flood: Gap = replace(gap(1, 2, device="scan-10"), untaken=True)
    bench.say(flood)
    bench.scan("SN0001")
    assert bench.gate() == "closed"


def test_a_condition_up_to_a_requirement_that_was_undone_goes_on() -> None:
    bench = line(PCB, {**BOLT, "after": ["pcb"]}, {**WARM, "until": "bolt"})
    bench.badge("B1")
    bench.read("70")
    bench.scan("SN0001", "P1-1")
    bench.tighten(1)
    assert bench.state("warm") == "done"
    bench.scan("REMOVE-cracked", "P1-1", "P1-2")
    bench.read("10")
    bench.tighten(2)
    assert bench.state("warm") == "not_met"


def test_values_of_before_are_not_what_a_point_says_now() -> None:
    bench = line({**CHECK, "holds": "throughout"})
    bench.read("false")
    bench.scan("SN0001")
    bench.read("true", backfilled=True)
    assert bench.gate() == "closed"


def test_the_order_of_before_is_not_the_order_of_now() -> None:
    bench = line({**PCB, "when": {"product": ["A"]}}, work_order={"product": "press-10/holding"})
    bench.read("A")
    bench.read("B", backfilled=True)
    bench.scan("SN0001")
    assert bench.gate() == "closed"


def test_results_of_an_earlier_attempt_that_come_late_do_not_count_for_this_one() -> None:
    bench = line(BOLT)
    bench.scan("SN0001", "SN0002")
    bench.scan("SN0001", at_s=600)
    late = tightening(1, identifier="SN0001", backfilled=True, at_ms=601_000)
    bench.say(replace(late, when=AT_ONCE))
    assert bench.gate() == "closed"
    assert said_of(bench, "requirement.refused") == ["it was made before SN0001 came"]
    bench.say(tightening(2, identifier="SN0001", backfilled=True, at_ms=605_000))
    assert bench.gate() == "opened"


def test_a_result_that_comes_late_was_made_before_its_turn() -> None:
    bench = line(PCB, {**BOLT, "after": ["pcb"]})
    bench.scan("SN0001")
    bench.scan("P1-1", at_s=100)
    late = tightening(1, identifier="SN0001", backfilled=True, at_ms=110_000)
    bench.say(replace(late, when=replace(AT_ONCE, occurred_ns=BASE_NS + 50_000_000_000)))
    assert bench.gate() == "closed"
    assert said_of(bench, "requirement.refused") == ["out of order: it was made before pcb was done"]


def test_an_open_time_is_not_known_when_the_clock_was_set_back_over_a_restart_of_the_machine() -> None:
    open_time = {"id": "open", "kind": "wait", "since": "bolt", "at_most_s": 60}
    bench = line(BOLT, open_time)
    bench.scan("SN0001", at_s=3600)
    bench.tighten(1, at_s=3600)
    bench.restart(reboot=True)
    bench.scan("SN0001", at_s=10)
    assert bench.state("open") == "not_met"


def test_a_date_of_calibration_that_no_calendar_holds_stops_nobody() -> None:
    bench = line(BOLT, tools={"calibration": "controller", "interval_days": 90})
    bench.scan("SN0001")
    bench.tighten(1, calibrated="9999-12-31:08:00:00")
    assert bench.gate() == "closed"


def test_nobody_loads_a_lot_where_somebody_must_be_signed_on() -> None:
    bench = line(GLUE, operator={"scanner": "badge-10", "pattern": r"B\d+", "needed": "signed_on"})
    bench.scan("G1-A/9", "SN0001")
    assert said_of(bench, "component.refused") == ["nobody is known to be signed on"]
    assert bench.gate() == "closed"


def test_a_word_needs_somebody_also_where_a_tag_says_who_is_there() -> None:
    bench = line(PCB, operator={"point": "press-10/holding"})
    bench.scan("SN0001", "SCRAP-cracked")
    assert "unit.scrapped" not in kinds(bench.events)


@pytest.mark.heavy
def test_very_many_pieces_name_as_many_records_as_a_record_holds() -> None:
    bench = line({**PCB, "count": 120})
    bench.scan("SN0001", *(f"P1-{number}" for number in range(120)), "SN0002")
    said = left(bench)
    assert len(str(said["pcb.met_by"]).split()) == 100
    assert said["pcb.met_by_left_out"] == 20


def test_odd_characters_in_names_of_units_and_parts_survive_a_restart() -> None:
    bench = line(PCB, unit=ANY_CODE)
    odd = "unit a|b/c \x00\x1d \u202e\U0001f600"
    bench.scan(odd, "P1- x|y/z")
    bench.restart()
    bench.scan(odd)
    assert (bench.stations["st-10"].unit, bench.gate()) == (odd, "opened")
    bench.scan("another", "P1- x|y/z")
    assert said_of(bench, "component.refused") == [f"it is in {odd} already"]
    assert changes(bench.events[-1])["serial"].after == " x|y/z"


# The state that an earlier version left.


def upgraded(unit: str, gate: str) -> LineBench:
    """Return a station that begins with what an earlier version stored of its unit and its gate."""
    bench = LineBench(options_of(requires=[{**PLAIN, "count": 2}], gate=GATE))
    bench.stored = {"station/st-10/unit": unit, "station/st-10/gate": gate}
    bench.restart()
    return bench


OLD_UNIT = '["SN0001","scan",{"wrench-10|tightening|":[1,1],"wrench-10|tightening|3":[1,1]}]'


def test_a_gate_that_an_earlier_version_closed_stays_closed_until_the_unit_is_known() -> None:
    bench = upgraded(OLD_UNIT, '["closed","",0]')
    assert bench.gate() == "closed"


def test_results_that_an_earlier_version_counted_still_count() -> None:
    bench = upgraded(OLD_UNIT, '["closed","",0]')
    bench.scan("SN0001")
    assert bench.gate() == "closed"
    bench.tighten(2)
    assert bench.gate() == "opened"
    bench.scan("SN0002")
    said = left(bench)
    assert (said["results_ok"], said["results_not_ok"]) == (2, 1)


def test_results_of_an_earlier_version_do_not_count_where_limits_are_asked_for_now() -> None:
    bench = upgraded(OLD_UNIT, '["closed","",0]')
    limits = {"torque": {"low": "1"}}
    bench.reload(options_of(requires=[{**PLAIN, "limits": limits}], gate=GATE))
    bench.scan("SN0001")
    assert bench.gate() == "closed"


def test_the_status_page_shows_the_unit_of_this_version_and_of_an_earlier_one() -> None:
    bench = LineBench(options_of(requires=[PLAIN]))
    bench.scan("SN0002")
    bench.tighten(1)
    bench.tighten(2, ok=False)
    for stored, serial in ((bench.stored, "SN0002"), ({"station/st-10/unit": OLD_UNIT}, "SN0001")):
        row = station_row("st-10", "", stored)
        assert (row.unit, row.by, row.results) == (serial, "scan", (1, 1))


# What grows, and what the screen says.


@pytest.mark.heavy
def test_badges_that_a_reader_invents_take_bounded_memory() -> None:
    bench = LineBench(options_of(requires=[BOLT]))
    bench.scan("SN0001")
    for number in range(MOST_SEEN + 50):
        bench.badge(f"B{number}")
        bench.tighten(number)
    assert len(bench.shared.badges.seen) == MOST_SEEN


def test_a_word_to_let_a_unit_pass_that_does_nothing_is_on_the_screen() -> None:
    bench = line(BOLT)
    bench.scan("SN0001", "PASS-tool is broken")
    view = bench.stations["st-10"].view(stamp(0))
    assert "nobody is signed on, or no unit is there: nothing was let pass" in {n.text for n in view.notes}
