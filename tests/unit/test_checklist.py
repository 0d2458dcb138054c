"""The checklist of a station: what counts, what does not, and what the records say of both."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from linewitness.devices.base import Measured
from linewitness.evidence.format.record import Change, Event
from linewitness.stations.lists.book import ListBook, ListState
from support.observations import BASE_NS, tightening
from support.station_bench import LineBench, afters, changes, kinds, options_of, stamp

BOLTS = {"id": "bolts", "device": "wrench-10", "count": 2}
PCB = {"id": "pcb", "kind": "component", "part": "P1", "pattern": "P1-(?P<serial>.+)"}
GATE = {"device": "press-10", "point": "hold", "hold": ["missing"], "pass_code": "PASS-(?P<reason>.+)"}


QUALIFIED = {"scanner": "badge-10", "pattern": r"B\d+", "needed": "qualified"}


def line(*requires: dict[str, Any], lists: ListBook | None = None, **settings: Any) -> LineBench:
    options = options_of(requires=requires, gate=GATE, **settings)
    return LineBench(options, lists=lists or ListBook())


def qualified(**until: str) -> ListBook:
    """Return a list of who may work at every station until which day."""
    return ListBook(
        states={"qualifications": ListState("qualifications", "sha256:0", BASE_NS)},
        qualifications={(person, "*"): date.fromisoformat(day) for person, day in until.items()},
    )


def test_a_requirement_with_an_id_says_on_record_when_it_is_done_and_by_which_records() -> None:
    bench = line(BOLTS)
    bench.scan("SN0001")
    first, second = bench.tighten(1), bench.tighten(2)
    assert kinds(first) == ["tightening.result"]
    assert kinds(second) == ["tightening.result", "requirement.changed", "gate.opened"]
    said = changes(second[1])
    assert (said["state"].before, said["state"].after) == ("missing", "done")
    assert second[1].resource.id == "st-10/bolts"
    assert second[1].resource.unit == "SN0001"
    assert said["met_by"].after == f"{first[0].event_id} {second[0].event_id}"


def test_the_record_that_closes_the_unit_lists_each_requirement() -> None:
    bench = line(BOLTS, PCB)
    bench.scan("SN0001")
    results = bench.tighten(1) + bench.tighten(2, ok=False)
    bench.scan("SN0002")
    left = {name: change.after for name, change in bench.left().items()}
    assert left["complete"] is False
    assert (left["bolts"], left["bolts.done"], left["bolts.not_ok"]) == ("not_met", 1, 1)
    assert left["bolts.met_by"] == results[0].event_id
    assert (left["pcb"], left["pcb.kind"], left["pcb.done"]) == ("missing", "component", 0)
    assert left["lacking"] == "bolts; pcb"
    [raised] = [event for event in bench.events if event.kind == "exception.raised"]
    assert afters(raised)["code"] == "left_incomplete"


def test_limits_of_our_own_stand_beside_those_of_the_tool() -> None:
    bench = line({**BOLTS, "count": 1, "limits": {"torque": {"low": "12.5"}}})
    bench.scan("SN0001")
    bench.tighten(1)
    assert bench.state("bolts") == "not_met"
    assert bench.gate() == "closed"


def test_a_result_without_the_value_that_has_a_limit_does_not_count() -> None:
    bench = line({**BOLTS, "count": 1, "limits": {"angle": {"high": "90"}}})
    bench.scan("SN0001")
    bench.tighten(1)
    assert bench.state("bolts") == "not_met"
    [shown] = bench.stations["st-10"].view(stamp(0)).requirements
    assert shown.wrong == "angle was not measured"


@pytest.mark.parametrize("value", ["nan", "x", "", None])
def test_a_value_that_is_no_number_is_outside_every_limit(value: str | None) -> None:
    bench = line({**BOLTS, "count": 1, "limits": {"torque": {"low": "1"}}})
    bench.scan("SN0001")
    bench.say(replace(tightening(1), measured=(Measured(field="torque", value=value),)))
    assert bench.state("bolts") == "not_met"


def test_what_comes_before_its_turn_is_refused_and_does_not_count() -> None:
    bench = line(PCB, {**BOLTS, "count": 1, "after": ["pcb"]})
    bench.scan("SN0001")
    events = bench.tighten(1)
    assert kinds(events) == ["tightening.result", "requirement.refused"]
    assert events[1].reason == "out of order: pcb comes first"
    assert afters(events[1])["refused"] == events[0].event_id
    bench.scan("P1-7")
    assert bench.gate() == "closed"
    bench.tighten(2)
    assert bench.gate() == "opened"


def test_what_comes_before_its_turn_may_count_and_is_on_record_as_such() -> None:
    bench = line(PCB, {**BOLTS, "count": 1, "after": ["pcb"], "out_of_order": "record"})
    bench.scan("SN0001")
    bench.tighten(1)
    bench.scan("P1-7", "SN0002")
    left = {name: change.after for name, change in bench.left().items()}
    assert left["complete"] is True
    assert left["bolts.out_of_order"] is True


@pytest.mark.parametrize(
    "need",
    [
        {"kind": "check", "point": "press-10/holding", "value": "true"},
        {"kind": "condition", "point": "press-10/holding", "low": "1", "for_s": 1},
        {"kind": "wait", "at_least_s": 1},
        {"kind": "after", "station": "st-20"},
    ],
    ids=lambda need: need["kind"],
)
@pytest.mark.parametrize("out_of_order", ["refuse", "record"])
def test_what_is_found_to_be_so_before_its_turn_waits_or_is_on_record_as_such(
    need: dict[str, Any], out_of_order: str
) -> None:
    early = {**need, "id": "early", "after": ["pcb"], "out_of_order": out_of_order}
    bench = LineBench(options_of(requires=[PCB, early], gate=GATE), options_of("st-20", requires=[PCB]))
    bench.scan("SN0001", "P1-1", "SN0002", at="st-20")
    value = "true" if need["kind"] == "check" else "2"
    bench.read("0")
    bench.scan("SN0001", at_s=1)
    bench.read(value, at_s=2)
    bench.wait(4)
    assert bench.state("early") == ("missing" if out_of_order == "refuse" else "done")
    bench.scan("P1-7", at_s=5)
    bench.wait(9)
    assert bench.gate() == "opened"
    bench.scan("SN0002", at_s=10)
    assert ("early.out_of_order" in bench.left()) is (out_of_order == "record")


@pytest.mark.parametrize(
    ("when", "wanted"), [({"work_order": ["7"]}, "ORD-7-3"), ({"batch": ["9"]}, "ORD-5-9")]
)
def test_a_requirement_is_for_the_orders_and_batches_that_it_names(
    when: dict[str, list[str]], wanted: str
) -> None:
    order = {"scanner": "scan-10", "pattern": "ORD-(?P<order>[0-9]+)-(?P<batch>[0-9]+)"}
    bench = line({**BOLTS, "when": when}, work_order=order)
    bench.scan("ORD-5-3", "SN0001")
    assert bench.gate() == "opened"
    bench.scan(wanted, "SN0002")
    assert bench.gate() == "closed"


def test_a_requirement_is_for_the_products_that_it_names() -> None:
    bench = line(
        {**BOLTS, "count": 1, "when": {"product": ["A"]}},
        PCB,
        work_order={"scanner": "scan-10", "pattern": "ORD-(?P<order>\\d+)-(?P<product>[AB])"},
    )
    bench.scan("ORD-1-B", "SN0001", "P1-7")
    assert bench.gate() == "opened"
    bench.scan("ORD-2-A", "SN0002", "P1-8")
    assert bench.gate() == "closed"


def test_a_unit_whose_product_is_not_known_lacks_that() -> None:
    bench = line(
        {**BOLTS, "count": 1, "when": {"product": ["A"]}},
        work_order={"scanner": "scan-10", "pattern": "ORD-(?P<order>\\d+)-(?P<product>[AB])"},
    )
    bench.scan("SN0001")
    assert bench.gate() == "closed"
    assert bench.stations["st-10"].order().reason == "SN0001 lacks its product"  # type: ignore[union-attr]


def test_a_change_of_the_order_while_a_unit_stands_there_has_before_and_after() -> None:
    bench = line(
        {**BOLTS, "count": 1, "when": {"product": ["A"]}},
        work_order={"scanner": "scan-10", "pattern": "ORD-(?P<order>\\d+)-(?P<product>[AB])"},
    )
    bench.scan("ORD-1-B", "SN0001")
    assert bench.gate() == "opened"
    events = bench.scan("ORD-2-A")
    assert kinds(events)[:1] == ["order.changed"]
    assert (changes(events[0])["product"].before, changes(events[0])["product"].after) == ("B", "A")
    of_the_unit = changes_of_the_unit(events, "SN0001")
    assert (of_the_unit["product"].before, of_the_unit["product"].after) == ("B", "A")
    assert (of_the_unit["order"].before, of_the_unit["order"].after) == ("1", "2")
    assert bench.gate() == "closed"


def changes_of_the_unit(events: list[Event], unit: str) -> dict[str, Change]:
    """Return what the one record of a change of the order that names the unit says."""
    [named] = [event for event in events if event.kind == "order.changed" and event.resource.unit == unit]
    return changes(named)


def test_a_plc_that_names_another_product_changes_what_the_unit_that_stands_there_needs() -> None:
    order = {"product": "press-10/holding"}
    bench = line({**BOLTS, "count": 1, "when": {"product": ["A"]}}, work_order=order)
    bench.read("B")
    bench.scan("SN0001")
    assert bench.gate() == "opened"
    of_the_unit = changes_of_the_unit(bench.read("A", at_s=1), "SN0001")
    assert (of_the_unit["product"].before, of_the_unit["product"].after) == ("B", "A")
    assert bench.gate() == "closed"
    bench.tighten(1, at_s=2)
    assert bench.gate() == "opened"


def test_an_order_that_is_named_again_after_a_restart_is_on_record_with_the_unit_that_waited_for_it() -> None:
    bench = line(
        {**BOLTS, "count": 1, "when": {"product": ["A"]}},
        work_order={"scanner": "scan-10", "pattern": "ORD-(?P<product>[AB])"},
    )
    bench.scan("ORD-B")
    bench.restart()
    bench.scan("SN0001")
    assert bench.gate() == "closed"
    of_the_unit = changes_of_the_unit(bench.scan("ORD-B"), "SN0001")
    assert (of_the_unit["product"].before, of_the_unit["product"].after) == (None, "B")
    assert bench.gate() == "opened"


def test_results_count_only_while_somebody_qualified_is_signed_on() -> None:
    bench = line({**BOLTS, "count": 1}, operator=QUALIFIED, lists=qualified(B1="2026-03-31", B2="2026-02-01"))
    bench.scan("SN0001")
    assert bench.tighten(1)[1].reason == "nobody is known to be signed on"
    bench.badge("B2")
    assert "ended on 2026-02-01" in bench.tighten(2)[1].reason
    bench.badge("B3")
    assert bench.tighten(3)[1].reason == "B3 is not qualified for st-10"
    bench.badge("B1")
    assert "requirement.changed" in kinds(bench.tighten(4))
    assert bench.gate() == "opened"


def test_a_stale_list_of_qualifications_qualifies_nobody() -> None:
    lists = qualified(B1="2026-03-31")
    stale = ListBook(
        states={"qualifications": ListState("qualifications", "sha256:0", BASE_NS, max_age_s=3600)},
        qualifications=lists.qualifications,
    )
    bench = line({**BOLTS, "count": 1}, operator=QUALIFIED, lists=stale)
    bench.scan("SN0001", at_s=7200)
    bench.badge("B1", at_s=7200)
    assert "too old" in bench.tighten(1, at_s=7201)[1].reason


def test_an_override_is_a_record_with_person_reason_and_what_was_unmet() -> None:
    bench = line(BOLTS)
    bench.badge("B1")
    bench.scan("SN0001", "PASS-customer waits for it")
    [given] = [event for event in bench.events if event.kind == "gate.overridden"]
    assert (given.actor.id, given.reason, afters(given)["unmet"]) == ("B1", "customer waits for it", "bolts")
    assert bench.gate() == "opened"
    bench.scan("SN0002")
    left = {name: change.after for name, change in bench.left().items()}
    assert (left["bolts"], left["overridden_by"]) == ("overridden", "B1")
    assert "exception.raised" not in kinds(bench.events)


def test_an_override_is_for_one_visit_only() -> None:
    bench = line(BOLTS)
    bench.badge("B1")
    bench.scan("SN0001", "PASS-customer waits for it", "SN0002", "SN0001")
    assert bench.gate() == "closed"


@pytest.mark.parametrize("said", ["ok", "see email", "OK.", "short"])
def test_a_generic_reason_is_refused(said: str) -> None:
    bench = line(BOLTS, reasons={})
    bench.badge("B1")
    bench.scan("SN0001")
    [scanned] = bench.scan(f"PASS-{said}")
    assert "says nothing" in scanned.reason
    assert bench.gate() == "closed"


def test_a_checklist_without_reasons_takes_any_reason_that_says_something() -> None:
    bench = line(BOLTS)
    bench.badge("B1")
    bench.scan("SN0001")
    assert "says nothing: say what is so:" in bench.scan("PASS-ok")[0].reason
    assert bench.gate() == "closed"
    bench.scan("PASS-short")
    assert bench.gate() == "opened"


def test_a_reason_is_one_of_the_listed_codes() -> None:
    bench = line(BOLTS, reasons={"codes": {"R1": "tool broken, checked by hand"}})
    bench.badge("B1")
    bench.scan("SN0001", "PASS-R9")
    assert bench.gate() == "closed"
    bench.scan("PASS-R1")
    [given] = [event for event in bench.events if event.kind == "gate.overridden"]
    assert given.reason == "R1: tool broken, checked by hand"


def test_a_reason_may_need_a_text_that_says_something() -> None:
    gate = {**GATE, "pass_code": "PASS-(?P<reason>[A-Z0-9]+)(?:/(?P<text>.*))?"}
    reasons = {"codes": {"R1": "tool broken"}, "text": "required"}
    bench = LineBench(options_of(requires=[BOLTS], gate=gate, reasons=reasons))
    bench.badge("B1")
    bench.scan("SN0001")
    said = [bench.scan(code)[0].reason for code in ("PASS-R1", "PASS-R1/ok", "PASS-R1/see email")]
    assert [reason.partition(":")[0] for reason in said] == [
        "a text must come with the code",
        "'ok' says nothing",
        "'see email' says nothing",
    ]
    assert bench.gate() == "closed"
    bench.scan("PASS-R1/checked by hand at 12 Nm")
    [given] = [event for event in bench.events if event.kind == "gate.overridden"]
    assert (afters(given)["reason_code"], afters(given)["reason"]) == ("R1", "checked by hand at 12 Nm")


def test_an_override_names_by_their_ids_what_was_unmet() -> None:
    bench = line({**BOLTS, "title": "Two bolts M6"}, {**PCB, "title": "Control board"})
    bench.badge("B1")
    bench.scan("SN0001", "PASS-customer waits for it")
    [given] = [event for event in bench.events if event.kind == "gate.overridden"]
    assert afters(given)["unmet"] == "bolts; pcb"


def test_two_requirements_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="give each an id of its own"):
        line(BOLTS, BOLTS)


def test_a_circle_of_requirements_is_refused() -> None:
    with pytest.raises(ValidationError, match="each waits for the other: a → b → a"):
        line({**BOLTS, "id": "a", "after": ["b"]}, {**BOLTS, "id": "b", "after": ["a"]})


def test_what_was_counted_under_other_settings_counts_no_longer() -> None:
    bench = line({**BOLTS, "count": 1})
    bench.scan("SN0001")
    bench.tighten(1)
    assert bench.gate() == "opened"
    bench.reload(options_of(requires=[{**BOLTS, "count": 1, "program": "9"}], gate=GATE))
    assert bench.gate() == "closed"


def test_a_device_is_told_of_another_product_and_not_again_who_the_unit_is() -> None:
    bench = line(BOLTS, work_order={"scanner": "scan-10", "pattern": "ORD-(?P<product>[AB])"})
    bench.scan("ORD-A", "SN0001")
    held = bench.stations["st-10"].units.held
    assert held is not None
    for command in ("identifier", "parameter_set"):
        bench.stored |= bench.stations["st-10"].units.tell(held, f"wrench-10/{command}")
    bench.scan("ORD-A")
    assert held.told == {"wrench-10/identifier", "wrench-10/parameter_set"}
    bench.scan("ORD-B")
    assert held.told == {"wrench-10/identifier"}
    bench.restart()
    again = bench.stations["st-10"].units.held
    assert again is not None
    assert again.told == {"wrench-10/identifier"}


PLAIN = {"device": "wrench-10", "count": 2}


def test_a_station_that_only_counts_results_judges_anew_under_settings_that_changed_unseen() -> None:
    bench = line(PLAIN)
    bench.scan("SN0001")
    bench.tighten(1)
    bench.lose("scan-10")
    bench.reload(options_of(requires=[{**PLAIN, "count": 1}], gate=GATE))
    assert bench.gate() == "closed"
    bench.scan("SN0001")
    assert bench.gate() == "opened"
    assert bench.state("wrench-10.tightening") == "done"


def test_an_override_at_a_station_that_only_counts_results_is_known_after_a_restart() -> None:
    bench = line(PLAIN)
    bench.badge("B1")
    bench.scan("SN0001", "PASS-customer waits for it")
    assert bench.gate() == "opened"
    bench.restart()
    bench.scan("SN0001")
    assert bench.gate() == "opened"
    bench.scan("SN0002")
    assert bench.gate() == "closed"
