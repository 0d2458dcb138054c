"""Visits of units: attempts, routes, two stations at once; and tools and people that must not be."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from linewitness.stations.lists.book import ListBook, ListName, ListState
from linewitness.stations.people import operators
from support.observations import BASE_NS, tightening
from support.station_bench import LineBench, afters, kinds, options_of

BOLT = {"id": "bolt", "device": "wrench-10", "count": 1}
PCB = {"id": "pcb", "kind": "component", "part": "P1", "pattern": "P1-(?P<serial>.+)"}
GATE = {"device": "press-10", "point": "hold", "hold": ["missing"], "pass_code": "PASS-(?P<reason>.+)"}
PRODUCT = {"scanner": "scan-10", "pattern": "SN(?P<product>[AB])[0-9]+"}


def book(name: ListName, **content: Any) -> ListBook:
    return ListBook(states={name: ListState(name, "sha256:0", BASE_NS)}, **content)


def exceptions(bench: LineBench) -> list[object]:
    return [afters(event)["code"] for event in bench.events if event.kind == "exception.raised"]


def entered(bench: LineBench) -> dict[str, object]:
    return dict(afters([event for event in bench.events if event.kind == "unit.entered"][-1]))


def test_a_unit_that_comes_back_is_attempt_two_and_needs_all_again() -> None:
    bench = LineBench(options_of(requires=[BOLT], gate=GATE))
    bench.scan("SN0001")
    bench.tighten(1, ok=False)
    bench.scan("SN0002", "SN0001")
    assert entered(bench)["attempt"] == 2
    assert bench.gate() == "closed"
    bench.tighten(2)
    bench.scan("SN0003")
    left = {name: change.after for name, change in bench.left().items()}
    assert (left["attempt"], left["complete"]) == (2, True)


def test_a_unit_that_comes_back_may_need_only_what_was_open() -> None:
    bench = LineBench(options_of(requires=[BOLT, PCB], gate=GATE, rework="open"))
    bench.scan("SN0001")
    bench.tighten(1)
    bench.scan("SN0002", "SN0001")
    bench.restart()
    bench.scan("SN0001")
    assert (bench.state("bolt"), bench.state("pcb")) == ("done", "missing")
    bench.scan("P1-1")
    assert bench.gate() == "opened"


def test_what_is_in_a_unit_stays_in_it_when_it_comes_back() -> None:
    bench = LineBench(options_of(requires=[PCB], gate=GATE))
    bench.scan("SN0001", "P1-1", "SN0002", "SN0001")
    assert bench.gate() == "opened"


def two(**settings: Any) -> LineBench:
    return LineBench(
        options_of("kitting", requires=[PCB], gate=GATE, unit=PRODUCT, **settings),
        options_of("bolting", requires=[BOLT], gate=GATE, unit=PRODUCT, **settings),
    )


def test_a_unit_at_two_stations_is_an_exception() -> None:
    bench = two()
    bench.scan("SNA1", at="kitting")
    bench.scan("SNA1", at="bolting")
    assert exceptions(bench) == ["unit_at_two_stations"]


def test_a_unit_that_has_all_may_be_read_at_the_next_station_before_another_one_is_read_here() -> None:
    after = {"id": "kitted", "kind": "after", "station": "kitting"}
    bench = LineBench(
        options_of("kitting", requires=[PCB], gate=GATE, route=True, unit=PRODUCT),
        options_of("bolting", requires=[after], gate=GATE, route=True, unit=PRODUCT),
    )
    bench.take_lists(book("routes", routes={"A": ("kitting", "bolting")}))
    bench.scan("SNA1", "P1-1", at="kitting")
    bench.restart()
    bench.scan("SNA1", at="bolting")
    assert exceptions(bench) == []
    assert bench.gate("bolting") == "opened"
    bench.scan("SNA2", at="kitting")
    assert bench.left()["complete"].after is True
    bench.scan("SNA2", at="bolting")
    assert exceptions(bench) == ["unit_at_two_stations", "station_skipped"]
    assert bench.gate("bolting") == "closed"


def test_a_station_that_was_skipped_is_an_exception() -> None:
    bench = two(route=True)
    bench.take_lists(book("routes", routes={"A": ("kitting", "bolting")}))
    bench.scan("SNA1", at="bolting")
    assert exceptions(bench) == ["station_skipped"]
    bench.scan("SNA2", "P1-1", "SNA3", at="kitting")
    bench.scan("SNA2", at="bolting")
    assert exceptions(bench) == ["station_skipped", "left_incomplete"]


def test_stations_of_which_nothing_is_remembered_cannot_be_skipped() -> None:
    bench = LineBench(
        options_of("kitting", requires=[PCB], unit=PRODUCT),
        options_of("washing", requires=[PLAIN], unit=PRODUCT),
        options_of("bolting", requires=[BOLT], route=True, unit=PRODUCT),
    )
    bench.take_lists(book("routes", routes={"A": ("elsewhere", "kitting", "washing", "bolting")}))
    bench.scan("SNA1", "P1-1", at="kitting")
    bench.scan("SNA1", at="bolting")
    assert exceptions(bench) == []
    bench.scan("SNA2", at="bolting")
    [raised] = [event for event in bench.events if afters(event).get("code") == "station_skipped"]
    assert raised.reason == "SNA2: it did not pass kitting"


def test_a_station_may_demand_that_another_one_came_first() -> None:
    first = {"id": "kitted", "kind": "after", "station": "kitting"}
    bench = LineBench(
        options_of("kitting", requires=[PCB], gate=GATE),
        options_of("bolting", requires=[first], gate=GATE),
    )
    bench.scan("SN0001", at="bolting")
    assert bench.gate("bolting") == "closed"
    bench.scan("SN0002", "P1-2", "SN0003", at="kitting")
    bench.scan("SN0002", at="bolting")
    assert bench.gate("bolting") == "opened"
    bench.scan("SN0004", at="kitting")
    bench.scan("SN0003", at="bolting")
    assert bench.gate("bolting") == "closed"


def test_one_badge_at_two_stations_is_an_exception() -> None:
    bench = two()
    bench.badge("B1", at="kitting")
    bench.badge("B1", at="bolting")
    assert exceptions(bench) == ["shared_badge"]


def test_results_of_one_operator_at_two_stations_within_a_time_that_nobody_walks_are_an_exception() -> None:
    walking = {"scanner": "badge-10", "pattern": r"B\d+", "walk_s": 20}
    bench = LineBench(
        options_of("st-1", requires=[BOLT], operator=walking),
        options_of("st-2", requires=[BOLT], operator=walking),
    )
    for at, at_s in (("st-1", 0.0), ("st-2", 19.0), ("st-1", 60.0)):
        bench.badge("B1", at=at, at_s=at_s)
        bench.scan("SN0001", at=at, at_s=at_s)
        bench.tighten(int(at_s) + 1, at=at, at_s=at_s)
        bench.badge("B1", at=at, at_s=at_s)
    assert exceptions(bench).count("impossible_walk") == 1


def walked(bench: LineBench, at: str, at_s: float, operator: str = "B1") -> None:
    """Let an operator come to a station, tighten once and sign off."""
    bench.badge(operator, at=at, at_s=at_s)
    bench.scan("SN0001", at=at, at_s=at_s)
    bench.tighten(int(at_s) + 1, at=at, at_s=at_s)
    bench.badge(operator, at=at, at_s=at_s)


def walkers() -> LineBench:
    walking = {"scanner": "badge-10", "pattern": r"B\d+", "walk_s": 20}
    return LineBench(*(options_of(name, requires=[BOLT], operator=walking) for name in ("st-1", "st-2")))


@pytest.mark.parametrize("reboot", [False, True])
@pytest.mark.parametrize(("at_s", "raised"), [(19.0, 1), (21.0, 0)])
def test_a_restart_hides_no_walk_that_nobody_can_do(reboot: bool, at_s: float, raised: int) -> None:
    bench = walkers()
    walked(bench, "st-1", 0)
    bench.restart(reboot=reboot)
    walked(bench, "st-2", at_s)
    assert exceptions(bench).count("impossible_walk") == raised


def test_nobody_is_accused_by_a_clock_that_was_set_back_while_the_machine_was_off() -> None:
    bench = walkers()
    walked(bench, "st-1", 3600)
    bench.restart(reboot=True)
    walked(bench, "st-2", 0)
    assert "impossible_walk" not in exceptions(bench)


def test_where_people_worked_is_kept_of_so_many_and_of_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "MOST_SEEN", 3)
    bench = walkers()
    for number in range(6):
        walked(bench, "st-1", number, f"B{number}")
    assert sorted(key for key in bench.stored if key.startswith("seen/")) == ["seen/B3", "seen/B4", "seen/B5"]
    bench.restart()
    walked(bench, "st-1", 6, "B6")
    assert sorted(key for key in bench.stored if key.startswith("seen/")) == ["seen/B4", "seen/B5", "seen/B6"]


PLAIN = {"device": "wrench-10", "count": 1}


def test_people_are_watched_at_stations_that_only_count_results_too() -> None:
    walking = {"scanner": "badge-10", "pattern": r"B\d+", "walk_s": 20}
    bench = LineBench(
        options_of("st-1", requires=[PLAIN]), options_of("st-2", requires=[BOLT], operator=walking)
    )
    bench.badge("B1", at="st-1")
    bench.scan("SN0001", at="st-1")
    bench.tighten(1, at="st-1")
    bench.badge("B1", at="st-2", at_s=5)
    bench.scan("SN0002", at="st-2", at_s=5)
    bench.tighten(2, at="st-2", at_s=5)
    assert exceptions(bench) == ["shared_badge", "impossible_walk"]


@pytest.mark.parametrize(("second", "raised"), [(BOLT, ["shared_badge"]), (PLAIN, [])])
def test_one_badge_at_a_station_that_only_counts_results_is_an_exception_of_a_line_that_watches(
    second: dict[str, Any], raised: list[str]
) -> None:
    bench = LineBench(options_of("st-1", requires=[PLAIN]), options_of("st-2", requires=[second]))
    bench.badge("B1", at="st-2")
    bench.badge("B1", at="st-1")
    assert exceptions(bench) == raised


@pytest.mark.parametrize(
    ("tool", "why"),
    [
        ("T1", ""),
        ("T2", "the calibration of tool T2 was due on 2026-02-28"),
        ("T3", "tool T3 is not in the list of calibrations"),
    ],
)
def test_results_of_a_tool_that_is_due_or_unknown_do_not_count(tool: str, why: str) -> None:
    calibrations = {"T1": date(2026, 3, 1), "T2": date(2026, 2, 28)}
    bench = LineBench(
        options_of(requires=[BOLT], gate=GATE, tools={"calibration": "list"}),
        lists=book("calibrations", calibrations=calibrations),
    )
    bench.scan("SN0001")
    events = bench.tighten(1, serial=tool)
    assert [event.reason for event in events if event.kind == "requirement.refused"] == ([why] if why else [])
    assert bench.gate() == ("closed" if why else "opened")


def test_without_a_list_of_calibrations_no_result_counts() -> None:
    bench = LineBench(options_of(requires=[BOLT], tools={"calibration": "list"}))
    bench.scan("SN0001")
    assert "there is no list of calibrations" in bench.tighten(1)[1].reason


def test_the_controllers_own_date_of_calibration_may_count() -> None:
    bench = LineBench(options_of(requires=[BOLT], tools={"calibration": "controller", "interval_days": 90}))
    bench.scan("SN0001")
    assert "does not say" in bench.tighten(1)[1].reason
    assert "was due on 2026-02-28" in bench.tighten(2, calibrated="2025-11-30:08:00:00")[1].reason
    assert kinds(bench.tighten(3, calibrated="2025-12-02:08:00:00"))[1] == "requirement.changed"


def unnamed(bench: LineBench, number: int, connected: str, calibrated: str | None = None) -> list[str]:
    """Send a result that does not name its tool, and return why it does not count."""
    result = tightening(number)
    told = (("tool_serial", connected), ("tool_serial_from", "tool data (0041) of this session"))
    date_told = (("tool_last_calibration", calibrated),) if calibrated else ()
    events = bench.say(replace(result, facts=(*result.facts, *told, *date_told)))
    return [event.reason for event in events if event.kind == "requirement.refused"]


def test_a_result_that_does_not_name_its_tool_does_not_count_by_the_date_of_the_tool_that_was_there() -> None:
    bench = LineBench(options_of(requires=[BOLT], tools={"calibration": "controller", "interval_days": 90}))
    bench.scan("SN0001")
    [why] = unnamed(bench, 1, "T1", "2026-02-27:08:00:00")
    assert why == (
        "the tool at wrench-10 is not known: the result does not name it, and another one may be connected "
        "by now"
    )
    assert bench.state("bolt") == "missing"


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        (
            {"T1": date(2026, 3, 1)},
            ["the tool at wrench-10 is not in the list of calibrations, and the result does not name it"],
        ),
        ({"wrench-10": date(2026, 3, 1)}, []),
        (
            {"wrench-10": date(2026, 3, 1), "T1": date(2026, 2, 28)},
            ["the calibration of the tool at wrench-10 was due on 2026-02-28"],
        ),
    ],
)
def test_a_result_that_does_not_name_its_tool_counts_by_the_entry_of_its_device_only(
    listed: dict[str, date], why: list[str]
) -> None:
    bench = LineBench(
        options_of(requires=[BOLT], tools={"calibration": "list"}),
        lists=book("calibrations", calibrations=listed),
    )
    bench.scan("SN0001")
    assert unnamed(bench, 1, "T1") == why


def test_a_swap_of_the_tool_during_a_unit_is_an_exception() -> None:
    bench = LineBench(options_of(requires=[{**BOLT, "count": 2}]))
    bench.scan("SN0001")
    bench.tighten(1, serial="T1")
    bench.tighten(2, serial="T2")
    assert exceptions(bench) == ["tool_swapped"]
    bench.scan("SN0002")
    bench.tighten(3, serial="T1")
    assert exceptions(bench) == ["tool_swapped"]


def test_a_unit_whose_product_is_another_one_here_is_an_exception() -> None:
    bench = LineBench(
        options_of("kitting", requires=[PCB], unit={"scanner": "scan-10", "pattern": r"(?P<order>SN)\d+"}),
        options_of("bolting", requires=[BOLT], work_order={"product": "press-10/holding"}),
    )
    bench.read("A", at="bolting")
    bench.scan("SN0001", "SN0002", at="bolting")
    bench.read("B", at="bolting")
    bench.scan("SN0001", at="bolting")
    assert "product_conflict" in exceptions(bench)
