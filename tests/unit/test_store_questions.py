"""Questions to the store: what a plant did, as the answers tell it, over several lines of one tenant."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.errors import ConfigurationError
from linewitness.store.questions.answers import AskedSpan, ViewAnswer
from linewitness.store.questions.changes import ChangesAsked, changes, week_span
from linewitness.store.questions.times import gaps, late, sessions
from linewitness.store.questions.tools import tool_work
from linewitness.store.questions.unit import unit_history, went_into
from linewitness.store.questions.where_used import where_used
from support.fake_gateway import FakeGateway
from support.histories import LineHistory
from support.questions import Plant

pytestmark = pytest.mark.usefixtures("both_databases")


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path)
    yield plant
    plant.database.close()


def told(answer: ViewAnswer, *columns: str) -> list[tuple[Any, ...]]:
    places = [answer.columns.index(column) for column in columns]
    return [tuple(row[place] for place in places) for row in answer.rows]


def test_a_lot_is_followed_into_units_and_into_what_they_are_built_into(plant: Plant) -> None:
    plant.one.install("PUMP-1", "seal", lot="L-12")
    plant.one.install("PUMP-2", "seal", lot="L-12")
    plant.one.remove("PUMP-2", "seal", lot="L-12")
    plant.one.install("PUMP-3", "seal", lot="L-13")
    plant.two.install("CAR-1", "pump", serial="PUMP-1")
    plant.two.install("TRUCK-1", "car", serial="CAR-1")
    plant.hear()
    answer = where_used(plant.database, "lot", "L-12")
    assert told(answer, "unit", "how", "through", "stream") == [
        ("PUMP-1", "is in it", None, "acme.example/line-1/1"),
        ("PUMP-2", "was removed", None, "acme.example/line-1/1"),
        ("CAR-1", "is in it", "PUMP-1", "acme.example/line-2/1"),
        ("TRUCK-1", "is in it", "CAR-1", "acme.example/line-2/1"),
    ]
    assert told(where_used(plant.database, "serial", "CAR-1"), "unit") == [("TRUCK-1",)]
    assert {unit for (unit,) in told(where_used(plant.database, "material", "seal"), "unit")} == {
        *("PUMP-1", "PUMP-2", "PUMP-3", "CAR-1", "TRUCK-1")
    }
    assert where_used(plant.database, "lot", "L-99").rows == []


def test_components_that_are_in_each_other_end(plant: Plant) -> None:
    plant.one.install("A", "part", serial="B")
    plant.one.install("B", "part", serial="A")
    plant.hear()
    assert {unit for (unit,) in told(where_used(plant.database, "serial", "A"), "unit")} == {"A", "B"}
    assert [unit for (unit,) in told(went_into(plant.database, "A"), "unit")] == ["A", "B"]


def test_a_loaded_lot_is_in_the_units_whose_requirement_it_met(plant: Plant) -> None:
    first = plant.one.load("glue", "G-6")
    plant.one.leave("SN-1", met=first)
    second = plant.one.load("glue", "G-7")
    plant.one.leave("SN-2", met=second)
    plant.hear()
    answer = where_used(plant.database, "lot", "G-7")
    assert told(answer, "unit", "how", "part", "lot") == [("SN-2", "was loaded", "glue", "G-7")]
    assert told(went_into(plant.database, "SN-1"), "depth", "how", "lot") == [(1, "was loaded", "G-6")]


def test_a_tool_a_program_and_a_person_lead_to_units(plant: Plant) -> None:
    plant.one.tighten("SN-1", tool="T-1", program=7, by="B-17")
    plant.one.tighten("SN-1", tool="T-1", program=7, ok=False)
    plant.one.tighten("SN-2", tool="T-2", program=8)
    plant.two.wait(1000)
    plant.two.tighten("SN-3", tool="T-1", program=8, by="B-18")
    plant.hear()
    by_tool = where_used(plant.database, "tool", "T-1")
    assert told(by_tool, "unit", "records", "not_ok", "stream") == [
        ("SN-1", 2, 1, "acme.example/line-1/1"),
        ("SN-3", 1, 0, "acme.example/line-2/1"),
    ]
    assert told(where_used(plant.database, "program", "8"), "unit") == [("SN-2",), ("SN-3",)]
    assert told(where_used(plant.database, "operator", "B-17"), "unit") == [("SN-1",)]
    later = AskedSpan.of("2023-11-14T22:20:00Z")
    assert told(where_used(plant.database, "tool", "T-1", span=later), "unit") == [("SN-3",)]
    earlier = AskedSpan.of(None, "2023-11-14T22:20:00Z")
    assert told(where_used(plant.database, "tool", "T-1", span=earlier), "unit") == [("SN-1",)]


def test_changes_say_who_what_when_and_why(plant: Plant) -> None:
    plant.one.order(None, "PO-1")
    plant.one.change("force", 5, 6, by="B-17", why="worn")
    plant.one.order("PO-1", "PO-2")
    plant.one.change("force", 6, 7, by="B-18")
    plant.one.change("speed", 1, 2)
    plant.two.change("force", 1, 2, by="B-17")
    plant.hear()

    def asked(**what: Any) -> list[tuple[Any, ...]]:
        answer = changes(plant.database, ChangesAsked(**what))
        return told(answer, "point", "before", "after", "actor", "stream")

    one, two = "acme.example/line-1/1", "acme.example/line-2/1"
    assert asked(actor="B-17") == [("force", "1", "2", "B-17", two), ("force", "5", "6", "B-17", one)]
    assert asked(device="press-4", point="speed") == [("speed", "1", "2", "press-4", one)]
    assert [row[2] for row in asked(order="PO-1", point="force")] == ["6"]
    assert [row[2] for row in asked(order="PO-2", device="press-4")] == ["7", "2"]
    (reason,) = told(changes(plant.database, ChangesAsked(point="force", span=AskedSpan.of())), "reason")[1:2]
    assert reason == ("worn",)
    assert len(asked(span=week_span("2023-W46"))) == len(asked()) == 6
    assert asked(span=week_span("2023-W47")) == []


def test_wrong_times_are_refused() -> None:
    assert week_span("2023-W46") == AskedSpan("2023-11-13T00:00:00.000Z", "2023-11-20T00:00:00.000Z")
    assert AskedSpan.of("2023-11-13").since == "2023-11-13T00:00:00.000Z"
    for wrong in ("2023-W54", "W46", "2023"):
        with pytest.raises(ConfigurationError, match="no week"):
            week_span(wrong)
    with pytest.raises(ConfigurationError, match="no time"):
        AskedSpan.of("yesterday")


def test_a_tool_between_its_calibrations(plant: Plant) -> None:
    plant.one.tighten("SN-0", tool="T-1")
    plant.one.calibrate("T-1", "2026-01-01")
    plant.one.tighten("SN-1", tool="T-1", ok=False)
    plant.one.tighten("SN-1", tool="T-1")
    plant.one.tighten("SN-2", tool="T-2")
    plant.one.calibrate("T-1", "2026-02-01")
    plant.one.tighten("SN-3", tool="T-1")
    plant.one.tighten("SN-4", tool="T-1", calibrated="2026-03-01")
    plant.one.calibrate("T-1", "2026-04-01")
    plant.hear()
    periods = tool_work(plant.database, "T-1")
    assert told(periods, "calibrated", "next_calibration", "results", "not_ok", "units") == [
        (None, "2026-01-01", 1, 0, 1),
        ("2026-01-01", "2026-02-01", 2, 1, 1),
        ("2026-02-01", "2026-03-01", 1, 0, 1),
        ("2026-03-01", "2026-04-01", 1, 0, 1),
    ]
    affected = tool_work(plant.database, "T-1", between_calibrations=True)
    assert told(affected, "calibrated", "unit", "results", "not_ok")[1] == ("2026-01-01", "SN-1", 2, 1)
    assert [unit for (unit,) in told(affected, "unit")] == ["SN-0", "SN-1", "SN-3", "SN-4"]


def test_gaps_and_disturbances_of_one_device(plant: Plant) -> None:
    plant.one.start()
    plant.one.back("press-4")
    plant.one.lose("press-4")
    plant.one.lose("torque-1")
    plant.one.back("press-4")
    plant.one.alarm("press-4", "pressure")
    plant.two.alarm("press-5", "heat")
    plant.hear()
    answer = gaps(plant.database, device="press-4")
    assert told(answer, "what", "subject", "why") == [
        (
            "gap",
            "gateway",
            "the stream was created, and the gateway had not been started; a restored copy is not excluded",
        ),
        ("gap", "gateway", "the stream was created, and the gateway had not been started"),
        ("gap", "press-4", "not connected: no answer"),
        ("disturbance", "alarm press-4/E1", "alarm.raised: pressure"),
    ]
    every = told(gaps(plant.database), "subject", "until")
    assert ("torque-1", None) in every
    assert "alarm press-5/E1" in [subject for subject, _ in every]
    assert gaps(plant.database, span=AskedSpan.of(None, "2020-01-01")).rows == []


def test_what_came_late_and_why(plant: Plant) -> None:
    for _ in range(3):
        plant.one.at -= 1  # three results with one and the same time
        plant.one.tighten("SN-1", late_s=30)
    plant.one.tighten("SN-2", clock={"sync": "unsynced"})
    plant.one.tighten("SN-3")
    plant.store.clock.ns = 1_700_000_010_000_000_000
    plant.store.send(plant.gateways[0])
    plant.store.clock.ns += 3600 * 10**9
    plant.one.tighten("SN-4")
    plant.hear()
    answer = late(plant.database, device="torque-1")
    found = told(answer, "unit", "why", "same_time")
    assert found[:3] == [("SN-1", "late on record", 3)] * 3
    assert found[3:5] == [("SN-2", "clock not synchronised", None), ("SN-4", "late in the store", None)]
    assert ("SN-3",) not in told(answer, "unit")
    assert told(late(plant.database, over_s=3000, device="torque-1"), "unit") == [("SN-4",)]


def test_sessions_begin_and_end(plant: Plant) -> None:
    plant.one.sign("B-17", "on")
    plant.one.sign("B-18", "on", "testing")
    plant.one.sign("B-17", "off")
    plant.hear()
    answer = sessions(plant.database)
    assert told(answer, "operator", "station", "ended_by", "last_record") == [
        ("B-17", "bolting", "badge", 3),
        ("B-18", "testing", None, None),
    ]
    assert told(sessions(plant.database, operator="B-18"), "station") == [("testing",)]
    ended = AskedSpan.of("2023-11-14T23:00:00Z")
    assert told(sessions(plant.database, span=ended), "operator") == [("B-18",)]


def test_a_unit_that_crossed_two_lines_is_one_answer(plant: Plant) -> None:
    plant.one.enter("SN-1")
    plant.one.tighten("SN-1", program=7)
    plant.two.wait(100)
    plant.two.tighten("SN-1", tool="T-9", ok=False, station="testing")
    plant.one.tighten("SN-2")
    plant.hear()
    history = unit_history(plant.database, "SN-1")
    found = told(history.answer, "kind", "station", "result", "tool", "program", "stream")
    assert found == [
        ("unit.entered", "bolting", None, None, None, "acme.example/line-1/1"),
        ("tightening.result", "bolting", "ok", "T-1", "7", "acme.example/line-1/1"),
        ("tightening.result", "testing", "not ok", "T-9", "7", "acme.example/line-2/1"),
    ]
    assert told(history.answer, "measured")[2] == ("torque 9.10 Nm",)


def test_an_answer_says_how_far_it_holds_and_which_gaps_are_inside(plant: Plant) -> None:
    plant.one.start()
    plant.two.start()
    plant.one.tighten("SN-1")
    plant.one.lose("torque-1")
    plant.one.back("torque-1")
    plant.one.tighten("SN-1")
    plant.hear()
    plant.one.lose("torque-1")
    plant.store.send(plant.gateways[0])
    answer = where_used(plant.database, "tool", "T-1")
    one, two = answer.streams
    assert (one.origin, one.holds, one.size) == ("acme.example/line-1/1", 6, 7)
    assert [gap.subject for gap in one.gaps] == ["torque-1"]
    assert one.gaps[0].why == "not connected: no answer"
    assert (two.origin, two.holds, two.size, two.gaps) == ("acme.example/line-2/1", 2, 2, ())
    assert "1 more are not in the views" in one.text
    history = unit_history(plant.database, "SN-1").answer
    assert [stream.holds for stream in history.streams] == [7, 2]
    assert "known for its first 6 records" in history.remarks[0]


def test_tenants_see_nothing_of_each_other(plant: Plant) -> None:
    plant.one.tighten("SN-1", by="B-17")
    plant.one.install("SN-1", "seal", lot="L-1")
    other = FakeGateway(tenant="other", origin="acme.example/line-1/1", gateway="ber-01", seed="other")
    plant.store.enroll(other)
    theirs = LineHistory(other)
    theirs.tighten("SN-1", by="B-17", ok=False)
    theirs.install("CAR", "part", serial="SN-1")
    plant.gateways.append(other)
    plant.hear()
    with pytest.raises(ConfigurationError, match="2 tenants"):
        where_used(plant.database, "tool", "T-1")
    assert told(where_used(plant.database, "operator", "B-17", tenant="acme"), "not_ok") == [(0,)]
    assert told(where_used(plant.database, "lot", "L-1", tenant="acme"), "unit") == [("SN-1",)]
    assert len(where_used(plant.database, "lot", "L-1", tenant="other").rows) == 0
    assert len(unit_history(plant.database, "SN-1", tenant="other").records) == 1
    assert [one.origin for one in where_used(plant.database, "lot", "L", tenant="other").streams] == [
        other.origin
    ]
