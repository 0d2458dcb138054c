"""What disturbed the making of a unit is in its package, its report and its text, and in no other verdict."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from linewitness.cli import app
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.journal.submission import Submission
from support.browser_verifier import judge_with_page
from support.chain_builder import Stream, time_of
from support.clocks import ManualClock
from support.held_streams import packed_units
from support.journals import create, reopen
from support.packages import judge_with_python, policy_for, selection
from support.report_texts import parsed
from support.zips import unzipped

UNIT = "SN-0815"


def about(device: str, station: str | None = "st-10") -> dict[str, Any]:
    where = {"device_id": device, "line_id": "line-02"} | ({"station_id": station} if station else {})
    return {"context": where}


class Line(Stream):
    """A line whose devices come and go while it makes one unit."""

    def __init__(self) -> None:
        super().__init__()
        self.create()
        self.add("gateway.started", **about("gateway", None))

    def result(self, *, device: str = "tool-1", unit: str = UNIT, **other: Any) -> int:
        resource = {"type": "result", "id": str(len(self.records)), "parent": {"type": "unit", "id": unit}}
        return self.told("tightening.result", resource=resource, **(about(device) | other))

    def lost(self, device: str = "tool-1", station: str | None = "st-10") -> int:
        return self.told("device.lost", reason=f"{device} does not answer", **about(device, station))

    def back(self, device: str = "tool-1", *, away_ms: int | None, station: str | None = "st-10") -> int:
        changes = () if away_ms is None else (Change("away_ms", None, away_ms),)
        return self.told("device.back", changes, **about(device, station))

    def told(self, kind: str, changes: tuple[Change, ...] = (), **other: Any) -> int:
        self.add(kind, changes, **other)
        return len(self.records) - 1


def packed(line: Line, folder: Path) -> tuple[list[int], dict[str, Any], str]:
    """Return the records in the unit's package, its verdict, and what its report says."""
    path = packed_units(line, folder / "unit.zip", UNIT)
    files = unzipped(path)
    numbers = [json.loads(each)["sequence_no"] for each in files["records.ndjson"].splitlines()]
    policy = policy_for(line).canonical
    python, page = judge_with_python(path, policy), judge_with_page(path, policy)
    for member in ("status", "text", "without_capture"):
        assert json.loads(json.dumps(python[member])) == page[member]
    assert [one["text"] for one in python["remarks"]] == [one["text"] for one in page["remarks"]]
    assert not any("is missing here" in one["text"] for one in page["remarks"])
    return numbers, page, parsed(files["report.html"].decode()).text


@pytest.mark.heavy
def test_a_tool_that_was_away_while_its_results_were_kept_is_in_the_package(tmp_path: Path) -> None:
    """All of the unit's records were written after the tool was back, and are of the time before."""
    line = Line()
    lost = line.lost()
    line.tick(60_000)
    made = time_of(line.now_ms)
    line.tick(60_000)
    back = line.back(away_ms=121_000)
    first, last = line.result(occurred_at=made), line.result(occurred_at=made)
    numbers, verdict, report = packed(line, tmp_path)
    assert numbers == [lost, back, first, last]
    (stretch,) = verdict["without_capture"]
    assert (stretch["subject"], stretch["first"], stretch["last"]) == ("tool-1", lost, back)
    assert "None is on record" not in report
    assert "tool-1 does not answer" in report


@pytest.mark.heavy
def test_what_a_clock_states_that_is_wrong_by_years_does_not_bring_the_whole_history(tmp_path: Path) -> None:
    line = Line()
    line.lost()
    line.back(away_ms=1000)
    line.tick(40 * 86_400_000)
    first = line.result(occurred_at="1970-01-01T00:00:00.000Z")
    assert packed(line, tmp_path)[0] == [first]


@pytest.mark.heavy
def test_what_began_before_the_unit_and_lasted_into_it_is_in_the_package(tmp_path: Path) -> None:
    line = Line()
    source = {"resource": {"type": "source", "id": "force"}} | about("press-4")
    closed = {"resource": {"type": "source", "id": "temperature"}} | about("press-4")
    refused = line.told("source.gap", (Change("first", None, time_of(line.now_ms)),), **source)
    line.told("source.gap", (Change("first", None, time_of(line.now_ms)),), **closed)
    line.told("source.gap", (Change("first", None, "1"), Change("last", None, "2")), **closed)
    full = line.told("journal.pressure", (Change("level", "high", "full"),), **about("gateway", None))
    lost = line.lost()
    first = line.result(device="press-4")
    eased = line.told("journal.pressure", (Change("level", "full", "high"),), **about("gateway", None))
    back = line.back(away_ms=3000)
    last = line.result(device="press-4")
    numbers, verdict, report = packed(line, tmp_path)
    assert numbers == [refused, full, lost, first, eased, back, last]
    assert [one["subject"] for one in verdict["without_capture"]] == ["gateway", "tool-1", "press-4/force"]
    assert "press-4/force" in report


@pytest.mark.heavy
def test_a_loss_before_the_last_start_is_there_if_the_device_came_back_in_the_unit(tmp_path: Path) -> None:
    line = Line()
    lost = line.lost()
    stopped = line.told("gateway.stopped", **about("gateway", None))
    line.told("gateway.started", **about("gateway", None))
    first = line.result(device="press-4")
    back = line.back(away_ms=4000)
    last = line.result(device="press-4")
    numbers, verdict, _ = packed(line, tmp_path)
    assert stopped not in numbers
    assert numbers == [lost, first, back, last]
    assert [(one["first"], one["last"]) for one in verdict["without_capture"]] == [(lost, back)]


@pytest.mark.heavy
def test_a_device_of_the_unit_counts_at_whatever_station_it_is(tmp_path: Path) -> None:
    line = Line()
    first = line.result(**about("plc-1", "st-10"))
    lost = line.lost("plc-1", "st-20")
    line.lost("plc-2", "st-20")
    back = line.back("plc-1", away_ms=2000, station="st-20")
    last = line.result(**about("plc-1", "st-10"))
    assert packed(line, tmp_path)[0] == [first, lost, back, last]


@pytest.mark.heavy
@pytest.mark.parametrize("judge", [judge_with_python, judge_with_page])
def test_a_loss_that_was_left_out_shows(tmp_path: Path, judge: Any) -> None:
    line = Line()
    first = line.result()
    line.tick(1000)
    line.lost()
    line.tick(10_000)
    back = line.back(away_ms=11_000)
    again = line.back("tool-2", away_ms=3_600_000)
    last = line.result()
    path = selection(line, tmp_path / "unit.zip", [first, back, again, last])
    said = [one["text"] for one in judge(path, policy_for(line).canonical)["remarks"]]
    assert "tool-1 was away before it, and the device.lost that says so is missing here" in said
    assert not any("tool-2" in each for each in said), "it was lost before the first record that is here"


def test_the_text_says_when_the_tool_was_away(tmp_path: Path) -> None:
    clock = ManualClock()
    create(tmp_path / "journal", clock)
    file = reopen(tmp_path / "journal", clock)

    def write(kind: str, resource: Resource, reason: str, *changes: Change) -> None:
        clock.advance_ns(1_000_000_000)
        event = Event(
            kind=kind,
            occurred_ns=clock.realtime_ns,
            occurred_from="gateway",
            actor=Actor("device", "tool-1"),
            resource=resource,
            reason=reason,
            changes=changes,
            context={"device_id": "tool-1", "station_id": "st-10"},
        )
        file.append([Submission(events=(event,))])

    ours, theirs = (Resource("result", unit, ("unit", unit)) for unit in (UNIT, "SN-0816"))
    write("tightening.result", ours, "tightened")
    write("device.lost", Resource("device", "tool-1"), "no answer for 5 s")
    write("device.back", Resource("device", "tool-1"), "the device answers", Change("away_ms", None, 1000))
    write("tightening.result", ours, "tightened")
    write("tightening.result", theirs, "tightened")
    file.close()
    said = CliRunner().invoke(app, ["unit", str(tmp_path / "journal"), UNIT]).output
    assert "device.lost tool-1: no answer for 5 s" in said
    (line,) = [each for each in said.splitlines() if each.startswith("without capture: ")]
    assert line.endswith(" s), tool-1: not connected: no answer for 5 s")
    said = CliRunner().invoke(app, ["unit", str(tmp_path / "journal"), "SN-0816"]).output
    assert "without capture: nothing of its devices and stations is on record" in said
