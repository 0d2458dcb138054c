"""What `linewitness clock` shows of a journal: offsets over time, steps, devices, and who was asked."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import NS_PER_S
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.journal.reader import JournalReader
from linewitness.journal.records.reading import PAGE
from linewitness.journal.submission import Submission
from linewitness.status.clock_history import ClockHistory, Point, history_of, in_units, last_hours, plot
from support.clocks import ManualClock
from support.journals import create, reopen, result_event
from support.lines import call, write_line


class Scene:
    """A journal that is written with a clock that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        create(folder, self.clock)
        self.journal = reopen(folder, self.clock)

    def say(self, *events: Event) -> None:
        self.journal.append([Submission(events=events)])

    def status(self, resource: Resource | None = None, **after: Any) -> None:
        event = Event(
            kind="clock.status",
            occurred_ns=self.clock.stamp().realtime_ns,
            occurred_from="gateway",
            actor=Actor("system", "clock"),
            resource=resource or Resource("clock", "realtime"),
            changes=tuple(Change(field, None, value) for field, value in after.items()),
            context={"device_id": resource.id} if resource else {},
            reason="told",
        )
        self.say(event)

    def device(self, offset_ms: int, device: str = "press-4") -> None:
        event = result_event(1, self.clock)
        self.say(replace(event, context={**event.context, "device_id": device}, device_offset_ms=offset_ms))

    def history(self, hours: float = 24) -> ClockHistory:
        with JournalReader(self.folder) as reader:
            return history_of(last_hours(reader, hours))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_offsets_and_bounds_are_those_that_were_told(scene: Scene) -> None:
    scene.status(sync="locked", bound_us=900, offset_us=-40)
    scene.status(sync="locked", bound_us=950)  # the offset did not change, so it is not told again
    scene.status(sync="unsynced", bound_us=None, offset_us=None)
    told = [(point.sync, point.offset_us, point.bound_us) for point in scene.history().points]
    assert told == [("locked", -40, 900), ("locked", -40, 950), ("unsynced", None, None)]


def test_steps_are_shown_with_what_the_clock_read_before_and_after(scene: Scene) -> None:
    scene.device(0)
    scene.clock.step_ns(-3600 * NS_PER_S)
    scene.device(0)
    history = scene.history()
    (step,) = history.steps
    assert (history.stepped, step.step_ms) == (1, -3_600_000)
    assert (step.before[11:16], step.after[11:16]) == ("08:00", "07:00")


def test_a_devices_newest_and_worst_offset_are_shown(scene: Scene) -> None:
    for offset_ms in (10, -7000, 30):
        scene.device(offset_ms)
    scene.status(Resource("device", "wrench-10"), offset_ms=2500)
    found = [(one.device, one.offset_ms, one.worst_ms) for one in scene.history().devices]
    assert found == [("press-4", 30, -7000), ("wrench-10", 2500, 2500)]


@pytest.mark.heavy
def test_only_the_last_hours_are_looked_at_and_never_less(scene: Scene) -> None:
    for _ in range(6):
        scene.say(*(result_event(number, scene.clock) for number in range(PAGE // 2)))
        scene.clock.advance_ns(3600 * NS_PER_S)
    with JournalReader(scene.folder) as reader:
        size, read = reader.size(), list(last_hours(reader, 2.5))
    assert 3 * PAGE // 2 <= len(read) <= 2 * PAGE < size


def points(*offsets_us: int | None) -> list[Point]:
    return [Point(number * NS_PER_S, "locked", offset_us, 0) for number, offset_us in enumerate(offsets_us)]


def test_the_plot_puts_zero_in_the_middle_and_the_extremes_at_the_edges() -> None:
    assert plot(points(-2000, 0, 2000), width=9, height=5) == [
        "   +2.000 ms |        o",
        "             |",
        "           0 |----o----",
        "             |",
        "   -2.000 ms |o",
    ]


def test_one_bad_moment_does_not_flatten_the_plot() -> None:
    drawn = plot(points(*[100, -100] * 20, 3_600_000_000), width=41, height=3)
    assert drawn[0].endswith("^")
    assert drawn[0].startswith("     +100 us |o")


def test_two_points_are_both_inside() -> None:
    assert plot(points(0, 64), width=2, height=3) == [
        "      +64 us | o",
        "           0 |o-",
        "      -64 us |",
    ]


def test_nothing_known_is_no_plot() -> None:
    assert plot(points(None, None)) == []
    assert plot([]) == []


def test_offsets_are_read_in_fitting_units() -> None:
    assert [in_units(value) for value in (-999, 1000, 1_795_000_000_000_000)] == [
        "-999 us",
        "+1.000 ms",
        "+1,795,000,000.000 s",
    ]


def test_the_command_asks_the_sources_and_reads_the_journal(tmp_path: Path) -> None:
    file = write_line(tmp_path, more="clock: {ntp: ['127.0.0.1:9'], chrony: 'off', timeout_s: 0.2}")
    assert "no journal yet" in call("clock", file).output
    assert call("init", file).exit_code == 0
    shown = call("clock", file)
    assert shown.exit_code == 0
    assert "unsynced: no source has answered yet\n" in shown.output
    assert "  127.0.0.1:9: it cannot be reached: Connection refused\n" in shown.output
    assert "no device reported its time" in shown.output
    said = json.loads(call("clock", file, "--json").output)
    assert said["now"]["sources"][0]["standing"] == "unheard"
    assert said["history"]["stepped"] == 0
