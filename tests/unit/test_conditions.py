"""Conditions, checks and waiting times: what is not known does not count, and no clock is trusted blindly."""

from typing import Any

import pytest

from linewitness.devices.base import Quality
from support.observations import gap
from support.station_bench import LineBench, kinds, options_of, stamp

GATE = {"device": "press-10", "point": "hold", "hold": ["missing"]}
TEMPERATURE = {"id": "cured", "kind": "condition", "point": "press-10/holding", "low": "60", "high": "80"}
CHECK = {"id": "leak", "kind": "check", "point": "press-10/holding", "value": "true"}
BOLT = {"id": "bolt", "device": "wrench-10", "count": 1}
GLUED = {"id": "glued", "device": "wrench-10", "count": 1, "program": "9"}


def line(*requires: dict[str, Any], **settings: Any) -> LineBench:
    return LineBench(options_of(requires=requires, gate=GATE, **settings))


def test_a_value_that_stays_within_its_limits_long_enough_is_a_condition_met() -> None:
    bench = line({**TEMPERATURE, "for_s": 10})
    bench.read("70")
    bench.scan("SN0001", at_s=5)
    bench.wait(14)
    assert bench.state("cured") == "missing"
    [changed, _] = bench.wait(15)
    assert changed.kind == "requirement.changed"
    assert bench.state("cured") == "done"


def test_a_value_outside_begins_the_time_anew() -> None:
    bench = line({**TEMPERATURE, "for_s": 10})
    bench.read("70")
    bench.scan("SN0001")
    bench.read("59.9", at_s=9)
    bench.read("60", at_s=9.5)
    bench.wait(19)
    assert bench.state("cured") == "missing"
    bench.wait(19.5)
    assert bench.state("cured") == "done"


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_point_that_a_reload_newly_watches_is_known_without_a_change(is_lost: bool) -> None:
    bench = line(BOLT)
    bench.read("70")
    bench.scan("SN0001")
    bench.reload(options_of(requires=[{**TEMPERATURE, "for_s": 10}], gate=GATE), at_s=2)
    if is_lost:
        bench.lose("press-10", at_s=2.5)
    bench.wait(3)
    bench.wait(12.9)
    assert bench.state("cured") == "missing"
    bench.wait(13.1)
    assert (bench.state("cured") == "done") is not is_lost


def test_time_in_which_the_device_was_not_heard_does_not_count() -> None:
    bench = line({**TEMPERATURE, "for_s": 10})
    bench.read("70")
    bench.scan("SN0001")
    bench.wait(30, heard_s=9.9)
    assert bench.state("cured") == "missing"
    bench.read("70.1", at_s=31)
    assert bench.state("cured") == "missing"
    bench.wait(32, heard_s=31.5)
    assert bench.state("cured") == "done"


def test_a_value_that_was_outside_while_the_device_was_not_heard_is_no_condition_met() -> None:
    bench = line({**TEMPERATURE, "for_s": 10})
    bench.read("70")
    bench.scan("SN0001")
    bench.wait(30, heard_s=0)
    bench.read("20", at_s=31)
    bench.wait(45)
    assert bench.state("cured") == "missing"


@pytest.mark.parametrize("doubt", ["lost", "bad", "restart", "unit"])
def test_what_is_not_known_is_not_within_limits(doubt: str) -> None:
    bench = line({**TEMPERATURE, "for_s": 10})
    bench.read("70")
    bench.scan("SN0001")
    if doubt == "lost":
        bench.lose("press-10", at_s=5)
    elif doubt == "bad":
        bench.read("70", quality=Quality.BAD, status="Bad", at_s=5)
    elif doubt == "restart":
        bench.restart()
    else:
        bench.lose("scan-10", at_s=5)
    bench.wait(11)
    if doubt in ("restart", "unit"):
        bench.scan("SN0001", at_s=12)
    bench.read("70", at_s=12, initial=True)
    bench.wait(21)
    assert bench.state("cured") == "missing"
    bench.wait(22)
    assert bench.state("cured") == "done"


def test_a_condition_between_two_requirements_is_broken_for_good() -> None:
    bench = line(GLUED, {**TEMPERATURE, "since": "glued", "until": "bolt"}, {**BOLT, "program": "3"})
    bench.read("70")
    bench.scan("SN0001")
    bench.tighten(1, pset=9)
    bench.read("81")
    bench.read("70")
    bench.tighten(2, pset=3)
    assert bench.state("cured") == "not_met"
    assert bench.gate() == "closed"
    bench.scan("SN0002")
    bench.tighten(3, pset=9)
    bench.tighten(4, pset=3)
    assert bench.state("cured") == "done"
    assert bench.gate() == "opened"


def test_a_check_counts_only_what_the_plc_said_after_the_unit_came() -> None:
    bench = line(CHECK)
    bench.read("true")
    bench.scan("SN0001")
    assert bench.state("leak") == "missing"
    bench.read("false")
    bench.read("true")
    assert bench.state("leak") == "done"
    bench.read("false")
    assert bench.state("leak") == "done"


def test_the_first_value_of_a_session_may_be_of_any_age() -> None:
    bench = line(CHECK)
    bench.scan("SN0001")
    bench.read("true", initial=True, at_s=1)
    assert bench.state("leak") == "missing"


def test_a_check_that_must_hold_throughout_is_missing_when_it_ends_or_is_not_known() -> None:
    bench = line({**CHECK, "holds": "throughout"})
    bench.read("true")
    bench.scan("SN0001")
    assert bench.gate() == "opened"
    bench.read("false")
    assert bench.gate() == "closed"
    bench.read("true")
    assert bench.gate() == "opened"
    bench.lose("press-10")
    assert bench.gate() == "closed"


def test_a_unit_that_cures_leaves_after_its_time() -> None:
    bench = line(GLUED, {"id": "cure", "kind": "wait", "since": "glued", "at_least_s": 600})
    bench.scan("SN0001")
    bench.tighten(1, pset=9, at_s=10)
    bench.wait(609)
    assert bench.gate() == "closed"
    bench.wait(610)
    assert bench.gate() == "opened"


def test_what_a_device_says_late_undoes_no_time_that_has_passed() -> None:
    bench = line({"id": "settled", "kind": "wait", "at_least_s": 5})
    bench.scan("SN0001", at_s=10)
    bench.wait(15)
    assert bench.gate() == "opened"
    assert kinds(bench.say(gap(1, 2, device="press-10", at_ms=12_000))) == ["source.gap"]
    assert bench.gate() == "opened"


def test_an_open_time_that_ran_out_is_not_met_any_more() -> None:
    bench = line(
        GLUED,
        {"id": "open", "kind": "wait", "since": "glued", "at_most_s": 60, "before": "bolt"},
        {**BOLT, "program": "3"},
    )
    bench.scan("SN0001")
    bench.tighten(1, pset=9, at_s=10)
    bench.tighten(2, pset=3, at_s=71)
    assert bench.state("open") == "not_met"
    bench.scan("SN0002", at_s=100)
    bench.tighten(3, pset=9, at_s=101)
    bench.tighten(4, pset=3, at_s=160)
    assert bench.state("open") == "done"


def test_a_wait_goes_on_over_a_restart_of_the_gateway() -> None:
    bench = line(GLUED, {"id": "cure", "kind": "wait", "since": "glued", "at_least_s": 600})
    bench.scan("SN0001")
    bench.tighten(1, pset=9, at_s=10)
    bench.restart()
    bench.scan("SN0001", at_s=500)
    assert bench.gate() == "closed"
    bench.wait(611)
    assert bench.gate() == "opened"


def test_a_wait_may_begin_at_another_station() -> None:
    glue = options_of("gluing", requires=[GLUED], gate=GATE)
    cure = options_of(
        "curing",
        requires=[{"id": "cure", "kind": "wait", "since": "gluing/glued", "at_least_s": 60}],
        gate=GATE,
    )
    bench = LineBench(glue, cure)
    bench.scan("SN0001", at="gluing")
    bench.tighten(1, pset=9, at="gluing", at_s=10)
    bench.scan("SN0002", at="gluing", at_s=20)
    bench.scan("SN0001", at="curing", at_s=30)
    assert bench.gate("curing") == "closed"
    bench.wait(70, at="curing")
    assert bench.gate("curing") == "opened"
    bench.scan("SN0003", at="curing", at_s=80)
    bench.wait(500, at="curing")
    assert bench.gate("curing") == "closed"


def test_the_picture_of_a_unit_that_waits_is_the_same_at_each_look() -> None:
    bench = line(
        GLUED,
        {"id": "cure", "kind": "wait", "since": "glued", "at_least_s": 600},
        {**TEMPERATURE, "for_s": 300},
        operator={"scanner": "badge-10", "needed": "signed_on"},
    )
    bench.badge("B1")
    bench.read("70")
    bench.scan("SN0001")
    bench.tighten(1, pset=9, at_s=10)
    bench.badge("B1", at_s=11)
    bench.wait(12)
    first, second = (bench.stations["st-10"].view(stamp(at_s)) for at_s in (20, 21.5))
    assert first == second
    until = {each.id: each.until_ns for each in first.requirements}
    assert until["cure"] == stamp(610).realtime_ns
    assert until["cured"] == stamp(300).realtime_ns
    assert [note.text for note in first.notes] == ["nobody is signed on"]
