"""Components and materials: what is built into a unit, what is refused, and what a lot went into."""

from datetime import date
from typing import Any

import pytest

from linewitness.evidence.format.record import Event
from linewitness.stations.lists.book import ListBook, ListState, Lot
from support.observations import BASE_NS, gap
from support.station_bench import LineBench, afters, changes, kinds, options_of, stamp

PCB = {"id": "pcb", "kind": "component", "part": "P1", "pattern": "(?P<part>P[0-9])-(?P<serial>.+)"}
GS1 = {"id": "valve", "kind": "component", "part": "V7", "gtin": "04012345000016"}
GLUE = {
    "id": "glue",
    "kind": "component",
    "part": "G1",
    "source": "loaded",
    "pattern": r"G1-(?P<lot>[A-Z0-9]+)(?:/(?P<quantity>[0-9.]+))?(?:/(?P<expiry>[0-9-]+))?",
}
BOLT = {"id": "bolt", "device": "wrench-10", "count": 1}
GATE = {"device": "press-10", "point": "hold", "hold": ["missing"], "pass_code": "PASS-(?P<reason>.+)"}
CODES = {"remove": "REMOVE-(?P<reason>.+)", "scrap": "SCRAP-(?P<reason>.+)"}


def line(*requires: dict[str, Any], lists: ListBook | None = None, **settings: Any) -> LineBench:
    return LineBench(options_of(requires=requires, gate=GATE, **settings), lists=lists or ListBook())


def lots(*listed: Lot, only_listed: bool = False) -> ListBook:
    state = ListState("lots", "sha256:0", BASE_NS, only_listed=only_listed)
    return ListBook(states={"lots": state}, lots={(lot.part, lot.lot): lot for lot in listed})


def refusal(bench: LineBench) -> str:
    refused = [event for event in bench.events if event.kind == "component.refused"]
    return refused[-1].reason


def in_units(bench: LineBench) -> list[tuple[str, str]]:
    """Return what is in which unit, as the records say it."""
    found: list[tuple[str, str]] = []
    for event in bench.events:
        named = (event.resource.id, str(event.resource.unit))
        if event.kind == "component.installed":
            found.append(named)
        elif event.kind == "component.removed":
            found.remove(named)
    return found


def test_a_part_that_is_read_is_built_into_the_unit() -> None:
    bench = line(PCB)
    bench.badge("B1")
    bench.scan("SN0001")
    installed, changed, opened = bench.scan("P1-0815")
    assert kinds([installed, changed, opened]) == [
        "component.installed",
        "requirement.changed",
        "gate.opened",
    ]
    assert (installed.resource.id, installed.resource.unit) == ("P1/0815", "SN0001")
    assert installed.actor.id == "B1"
    assert afters(installed) == {"part": "P1", "serial": "0815", "quantity": "1", "requirement": "pcb"}
    assert afters(changed)["met_by"] == installed.event_id
    assert bench.stations["st-10"].unit == "SN0001"


def test_a_part_that_is_in_another_unit_is_refused_also_after_a_restart() -> None:
    bench = line(PCB)
    bench.scan("SN0001", "P1-0815", "SN0002", "P1-0815")
    assert refusal(bench) == "it is in SN0001 already"
    bench.restart()
    bench.scan("SN0003", "P1-0815")
    assert refusal(bench) == "it is in SN0001 already"
    assert bench.gate() == "closed"
    assert in_units(bench) == [("P1/0815", "SN0001")]


def test_another_part_is_refused_and_the_unit_stays_known() -> None:
    bench = line(PCB)
    bench.scan("SN0001", "P2-0815")
    assert refusal(bench) == "it is part P2, and P1 belongs here"
    assert bench.stations["st-10"].unit == "SN0001"


def test_a_part_of_another_product_is_refused() -> None:
    other = {**PCB, "id": "other", "part": "P2", "when": {"product": ["B"]}}
    bench = line(
        {**PCB, "when": {"product": ["A"]}},
        other,
        unit={"scanner": "scan-10", "pattern": "SN(?P<product>[AB])[0-9]+"},
    )
    bench.scan("SNA1", "P2-1")
    assert refusal(bench) == "it does not belong to A"
    bench.scan("P1-1")
    assert bench.gate() == "opened"


def test_a_part_before_any_unit_is_refused() -> None:
    bench = line(PCB)
    bench.scan("P1-1")
    assert refusal(bench) == "it is not known which unit is at the station"


def test_more_parts_than_needed_are_refused() -> None:
    bench = line(PCB)
    bench.scan("SN0001", "P1-1", "P1-2")
    assert refusal(bench) == "SN0001 has all 1 already"


def test_a_gs1_code_says_serial_lot_and_expiry() -> None:
    bench = line(GS1)
    bench.scan("SN0001", "]d201040123450000161726123110LOT7\x1d21S-99")
    [installed] = [event for event in bench.events if event.kind == "component.installed"]
    said = afters(installed)
    assert (said["part"], said["serial"], said["lot"], said["expiry"]) == ("V7", "S-99", "LOT7", "2026-12-31")


@pytest.mark.parametrize(
    "expiry",
    ["17251231", "70032512311200\x1d", "70032701010000\x1d17251231", "1727010170032512311200\x1d"],
    ids=["a day", "a time", "the day is earlier", "the time is earlier"],
)
def test_an_expired_part_is_refused(expiry: str) -> None:
    bench = line(GS1)
    bench.scan("SN0001", f"]d20104012345000016{expiry}21S-99")
    assert refusal(bench) == "it expired on 2025-12-31"
    [refused] = [event for event in bench.events if event.kind == "component.refused"]
    assert afters(refused)["expiry"] == "2025-12-31"


def test_a_record_says_quantity_position_supplier_and_expiry_of_what_is_built_in() -> None:
    bench = line(
        {
            **PCB,
            "pattern": "P1-(?P<serial>[0-9]+)/(?P<position>.+)/(?P<supplier>.+)/(?P<expiry>.+)"
            "/(?P<quantity>.+)",
        },
        {**GS1, "position": "inlet", "supplier": "Meyer"},
        {**GLUE, "position": "flange"},
        lists=lots(Lot("G1", "A", expiry=date(2026, 6, 30), supplier="Schmidt")),
    )
    bench.scan("G1-A", "SN0001", "P1-7/left/Acme/261231/4", "]d2010401234500001630012\x1d21S-99")
    bench.restart()
    bench.scan("SN0001")
    said = {event.resource.id: afters(event) for event in bench.events if event.kind == "component.installed"}
    wanted = ("quantity", "position", "supplier", "expiry")
    assert {name: tuple(each.get(field) for field in wanted) for name, each in said.items()} == {
        "G1/A": ("1", "flange", "Schmidt", "2026-06-30"),
        "P1/7": ("4", "left", "Acme", "2026-12-31"),
        "V7/S-99": ("12", "inlet", "Meyer", None),
    }


def test_a_lot_that_is_blocked_while_it_is_loaded_goes_into_no_further_unit() -> None:
    bench = line(GLUE, lists=lots(Lot("G1", "A")))
    bench.scan("G1-A", "SN0001")
    bench.take_lists(lots(Lot("G1", "A", blocked=True, reason="recall 12")))
    bench.scan("SN0002")
    assert in_units(bench) == [("G1/A", "SN0001")]
    [shown] = bench.stations["st-10"].view(stamp(0)).requirements
    assert shown.wrong == "lot A is blocked: recall 12"
    bench.scan("G1-A")
    assert refusal(bench) == "lot A is blocked: recall 12"


def test_a_blocked_lot_is_refused_with_its_reason() -> None:
    bench = line(GS1, lists=lots(Lot("V7", "LOT7", blocked=True, reason="supplier recall 12")))
    bench.scan("SN0001", "]d2010401234500001610LOT7\x1d21S-99")
    assert refusal(bench) == "lot LOT7 is blocked: supplier recall 12"


def test_a_lot_that_nobody_listed_is_refused_where_only_listed_ones_count() -> None:
    bench = line(GS1, lists=lots(only_listed=True))
    bench.scan("SN0001", "]d2010401234500001610LOT7\x1d21S-99")
    assert refusal(bench) == "lot LOT7 is not in the list of lots"


REEL = {**GLUE, "pattern": r"G1-(?P<serial>R[0-9]+)"}


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        ([Lot("G1", "R1")], "lot R7 is not in the list of lots"),
        ([Lot("G1", "R7", blocked=True, reason="bubbles")], "lot R7 is blocked: bubbles"),
        ([Lot("G1", "R7", expiry=date(2026, 2, 28))], "lot R7 expired on 2026-02-28"),
    ],
)
def test_a_reel_that_has_a_serial_number_only_is_refused_when_it_is_loaded(
    listed: list[Lot], why: str
) -> None:
    bench = line(REEL, lists=lots(*listed, only_listed=True))
    events = bench.scan("G1-R7")
    assert kinds(events) == ["component.refused"]
    assert (events[0].reason, events[0].resource.id) == (why, "G1/R7")
    bench.scan("SN0001")
    assert bench.gate() == "closed"


def test_a_reel_whose_serial_number_is_listed_is_loaded() -> None:
    bench = line(REEL, lists=lots(Lot("G1", "R7"), only_listed=True))
    assert kinds(bench.scan("G1-R7")) == ["material.loaded"]
    bench.scan("SN0001")
    assert in_units(bench) == [("G1/R7", "SN0001")]


def test_a_loaded_lot_counts_for_each_unit_until_it_is_used_up() -> None:
    bench = line({**GLUE, "quantity": "0.5"})
    bench.scan("G1-A/1.2", "SN0001", "SN0002", "SN0003")
    assert in_units(bench) == [("G1/A", "SN0001"), ("G1/A", "SN0002")]
    assert bench.gate() == "closed"
    [shown] = bench.stations["st-10"].view(stamp(0)).requirements
    assert shown.wrong == "lot A is used up"
    bench.scan("G1-B/5")
    assert in_units(bench)[2:] == [("G1/B", "SN0003")]
    assert bench.gate() == "opened"


def test_a_lot_that_another_one_replaced_counts_no_longer() -> None:
    bench = line(GLUE)
    loaded = bench.scan("G1-A") + bench.scan("G1-B")
    assert [(changes(e)["lot"].before, changes(e)["lot"].after) for e in loaded] == [(None, "A"), ("A", "B")]
    bench.scan("SN0001")
    assert in_units(bench) == [("G1/B", "SN0001")]


def test_material_that_a_requirement_uses_is_taken_when_that_is_done() -> None:
    bench = line({**GLUE, "consumed": "bolt"}, BOLT)
    bench.scan("G1-A", "SN0001")
    assert in_units(bench) == []
    bench.scan("G1-B")
    bench.tighten(1)
    assert in_units(bench) == [("G1/B", "SN0001")]
    assert bench.gate() == "opened"


@pytest.mark.parametrize("doubt", ["restart", "lost", "gap"])
def test_a_lot_that_may_have_been_replaced_unseen_counts_when_it_was_read_again(doubt: str) -> None:
    bench = line(GLUE)
    bench.scan("G1-A/10")
    if doubt == "restart":
        bench.restart()
    elif doubt == "lost":
        bench.lose("scan-10")
    else:
        bench.say(gap(1, 2, device="scan-10"))
    bench.scan("SN0001")
    assert in_units(bench) == []
    [again, *_] = bench.scan("G1-A/10")
    assert again.reason == "the lot that is loaded was read again"
    assert in_units(bench) == [("G1/A", "SN0001")]


def test_a_lot_that_expires_while_it_is_loaded_counts_no_longer() -> None:
    bench = line(GLUE)
    bench.scan("G1-A/10/2026-03-01", "SN0001")
    assert len(in_units(bench)) == 1
    bench.scan("SN0002", at_s=2 * 86_400)
    assert len(in_units(bench)) == 1
    assert bench.gate() == "closed"


def test_what_was_taken_out_is_missing_again_with_all_that_came_after_it() -> None:
    bench = line(PCB, {**BOLT, "after": ["pcb"]}, codes=CODES)
    bench.badge("B1")
    bench.scan("SN0001", "P1-1")
    bench.tighten(1)
    assert bench.gate() == "opened"
    bench.scan("REMOVE-solder joint cracked")
    events = bench.scan("P1-1")
    assert kinds(events)[0] == "component.removed"
    assert (events[0].reason, events[0].actor.id) == ("solder joint cracked", "B1")
    assert (bench.state("pcb"), bench.state("bolt")) == ("missing", "missing")
    assert bench.gate() == "closed"
    bench.scan("P1-2")
    assert bench.gate() == "closed"
    bench.tighten(2)
    assert bench.gate() == "opened"
    assert in_units(bench) == [("P1/2", "SN0001")]


def test_the_record_that_closes_the_next_attempt_says_what_was_removed_and_replaced() -> None:
    bench = line(PCB, codes=CODES)
    bench.badge("B1")
    bench.scan("SN0001", "P1-1", "SN0002", "SN0001", "REMOVE-solder joint cracked", "P1-1")
    bench.restart()
    bench.badge("B1")
    [replaced, *_] = bench.scan("SN0001", "P1-2")[1:]
    bench.scan("SN0003")
    left = {name: change.after for name, change in bench.left().items()}
    assert (left["attempt"], left["removed"], left["complete"]) == (2, "P1/1", True)
    assert left["pcb.met_by"] == replaced.event_id
    bench.scan("SN0001", "SN0004")
    assert "removed" not in bench.left()


def test_very_many_removals_are_counted() -> None:
    bench = line(PCB, codes=CODES)
    bench.badge("B1")
    bench.scan("SN0001")
    for number in range(23):
        bench.scan(f"P1-{number}", "REMOVE-solder joint cracked", f"P1-{number}")
    bench.scan("SN0002")
    assert str(bench.left()["removed"].after).endswith("P1/19; and 3 more")


def test_a_part_that_was_taken_out_may_go_into_another_unit() -> None:
    bench = line(PCB, codes=CODES)
    bench.badge("B1")
    bench.scan("SN0001", "P1-1", "REMOVE-wrong unit", "P1-1", "SN0002", "P1-1")
    assert in_units(bench) == [("P1/1", "SN0002")]


def test_nothing_is_taken_out_that_is_not_in_the_unit() -> None:
    bench = line(PCB, codes=CODES)
    bench.badge("B1")
    bench.scan("SN0001", "P1-1", "SN0002", "REMOVE-wrong unit", "P1-1")
    assert refusal(bench) == "it is not in SN0002: nothing was taken out"


def test_the_word_for_taking_out_counts_for_a_minute() -> None:
    bench = line(PCB, codes=CODES)
    bench.badge("B1")
    bench.scan("SN0001", "P1-1", "REMOVE-wrong unit")
    bench.scan("P1-1", at_s=61)
    assert refusal(bench) == "it is in SN0001 already"


def test_scrap_closes_the_unit_for_good() -> None:
    bench = line(PCB, codes=CODES)
    bench.badge("B1")
    bench.scan("SN0001", "SCRAP-housing cracked")
    assert "unit.scrapped" in kinds(bench.events)
    assert bench.gate() == "opened"
    bench.scan("SN0002")
    left = {name: change.after for name, change in bench.left().items()}
    assert (left["complete"], left["scrapped"]) == (False, "housing cracked")
    bench.scan("P1-9", "SN0001", "P1-1")
    assert bench.gate() == "closed"
    assert refusal(bench) == "SN0001 is scrap"
    codes = [afters(event)["code"] for event in bench.events if event.kind == "exception.raised"]
    assert codes == ["scrapped_unit"]


def test_the_oldest_units_are_forgotten_where_there_are_too_many() -> None:
    bench = line(PCB)
    bench.shared.units.remember_at_most(3)
    for number in range(10):
        bench.scan(f"SN000{number}", f"P1-{number}")
    assert len(bench.shared.units) == 3
    assert sorted(key for key in bench.stored if key.startswith("unit/")) == [
        "unit/SN0007",
        "unit/SN0008",
        "unit/SN0009",
    ]
    assert bench.shared.units.holder_of("P1", "9") == "SN0009"
    assert bench.shared.units.holder_of("P1", "1") is None


def with_repair(*requires: dict[str, Any], **repair: Any) -> LineBench:
    """Return a line whose second station repairs what the first one does."""
    return LineBench(
        options_of("kitting", requires=requires, gate=GATE),
        options_of("repair", gate=GATE, codes=CODES, **repair),
        options_of("test", requires=[{"id": "kitted", "kind": "after", "station": "kitting"}], gate=GATE),
    )


def reopened(events: list[Event]) -> list[tuple[str, str]]:
    """Return which requirements of which stations are not done any more, and why."""
    changed = [each for each in events if each.kind == "requirement.changed"]
    return [(each.resource.id, each.reason) for each in changed if afters(each)["state"] == "missing"]


@pytest.mark.parametrize("next_unit_is_read_first", [True, False])
@pytest.mark.parametrize("restarted", [True, False])
def test_a_repair_station_takes_out_what_another_station_built_in(
    next_unit_is_read_first: bool, restarted: bool
) -> None:
    bench = with_repair(PCB, {**BOLT, "after": ["pcb"]})
    bench.scan("SN0001", "P1-1", at="kitting")
    bench.tighten(1, at="kitting")
    if next_unit_is_read_first:
        bench.scan("SN0002", at="kitting")
    bench.scan("SN0001", at="repair", at_s=5)
    if restarted:
        bench.restart()
        bench.scan("SN0001", at="repair", at_s=5)
    bench.badge("B1", at="repair", at_s=5)
    events = bench.scan("REMOVE-solder joint cracked", "P1-1", at="repair", at_s=6)
    [removed] = [each for each in events if each.kind == "component.removed"]
    assert (removed.resource.id, removed.actor.id) == ("P1/1", "B1")
    assert removed.reason == "solder joint cracked"
    why = "P1 1 was taken out at repair"
    assert reopened(events) == [
        ("kitting/pcb", why),
        ("kitting/bolt", f"what comes before it was undone: {why}"),
    ]
    assert in_units(bench) == []
    assert "requirement.changed" not in kinds(bench.badge("B2", at="kitting", at_s=7))
    bench.scan("SN0003", at="kitting", at_s=7)
    if not next_unit_is_read_first:
        assert bench.left()["complete"].after is True, "the visit is told as it was"
    bench.scan("SN0004", at="repair", at_s=7)
    raised = [each.reason for each in bench.events if each.kind == "exception.raised"]
    assert not [each for each in raised if each.startswith("SN0001")]
    assert bench.left()["removed"].after == "P1/1"
    bench.scan("SN0001", at="test", at_s=8)
    assert bench.gate("test") == "closed"
    bench.scan("SN0001", at="kitting", at_s=9)
    assert (bench.state("pcb", "kitting"), bench.state("bolt", "kitting")) == ("missing", "missing")
    bench.scan("P1-2", at="kitting", at_s=9)
    bench.tighten(2, at="kitting", at_s=10)
    bench.scan("SN0005", at="kitting", at_s=11)
    bench.scan("SN0006", "SN0001", at="test", at_s=12)
    assert bench.gate("test") == "opened"


def test_what_was_loaded_at_another_station_is_taken_out_by_the_code_of_its_lot() -> None:
    bench = with_repair(GLUE)
    bench.scan("G1-L1/5", "SN0001", "SN0002", at="kitting")
    bench.scan("SN0001", at="repair")
    bench.badge("B1", at="repair")
    events = bench.scan("REMOVE-glue beside the groove", "G1-L1/5", at="repair")
    assert reopened(events) == [("kitting/glue", "G1 L1 was taken out at repair")]
    assert in_units(bench) == [("G1/L1", "SN0002")]


def test_another_stations_part_that_is_not_in_the_unit_is_refused_and_the_unit_stays_known() -> None:
    bench = with_repair(PCB)
    bench.scan("SN0001", "P1-1", "SN0002", at="kitting")
    bench.scan("SN0001", at="repair")
    bench.badge("B1", at="repair")
    bench.scan("REMOVE-wrong part", "P1-7", at="repair")
    assert refusal(bench) == "it is not in SN0001: nothing was taken out"
    assert bench.stations["repair"].unit == "SN0001"


def test_who_reads_the_next_unit_in_place_of_a_part_has_changed_his_mind() -> None:
    anything = {"id": "any", "kind": "component", "part": "P9", "pattern": "(?P<serial>.+)"}
    bench = with_repair(anything)
    bench.scan("SN0001", at="repair")
    bench.badge("B1", at="repair")
    bench.scan("REMOVE-wrong part", "SN0002", at="repair")
    assert bench.stations["repair"].unit == "SN0002"
