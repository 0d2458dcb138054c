"""Through steps, 1970, summer time, leap seconds and drift: order and chain hold, all is on record."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from linewitness.base.clock import NS_PER_S, Clock, ClockState, SharedClockState, Stamp, from_rfc3339
from linewitness.evidence.format import keys
from linewitness.evidence.format.keys import StreamKeys
from linewitness.evidence.verify.stream import verify
from linewitness.evidence.verify.verdict import Verdict
from linewitness.journal.file import JournalFile
from linewitness.journal.submission import Submission
from linewitness.timesources.judge import Judge
from linewitness.timesources.options import ClockOptions
from linewitness.timesources.sample import Sample
from support.chain_builder import Stream
from support.clocks import ManualClock
from support.journals import create, members_of, reopen, result_event, running, verdict_of

HOUR_NS = 3600 * NS_PER_S
Play = Callable[["Line"], None]


class Line:
    """A journal and the clock by which it is written."""

    def __init__(self, folder: Path, clock: ManualClock | None = None) -> None:
        self.folder = folder
        self.clock = clock or ManualClock()
        create(folder, self.clock)
        self.journal = reopen(folder, self.clock)

    def result(self, number: int) -> None:
        self.journal.append([Submission(events=(result_event(number, self.clock),))])

    def results(self, count: int, apart_s: float) -> None:
        for number in range(count):
            self.result(number)
            self.clock.advance_ns(int(apart_s * NS_PER_S))


def steps(jump_ns: int) -> Play:
    def play(line: Line) -> None:
        line.results(3, 10)
        line.clock.step_ns(jump_ns)
        line.results(3, 10)

    return play


def there_and_back(line: Line) -> None:
    for jump_ns in (HOUR_NS, -HOUR_NS, NS_PER_S, -NS_PER_S):
        steps(jump_ns)(line)


def starts_in_1970(line: Line) -> None:
    line.results(3, 10)
    line.clock.step_ns(1_795_000_000 * NS_PER_S)
    line.results(3, 10)


def leap_second(line: Line) -> None:
    """The kernel lets the last second of the day pass twice."""
    line.results(10, 1)
    line.clock.step_ns(-NS_PER_S)
    line.results(10, 1)


NOW = "2026-03-01T08:00:00.000Z"
#: What the clock reads at the start, and what happens then.
CASES: dict[str, tuple[str, Play]] = {
    "an hour ahead": (NOW, steps(HOUR_NS)),
    "an hour back": (NOW, steps(-HOUR_NS)),
    "a second ahead": (NOW, steps(NS_PER_S)),
    "a second back": (NOW, steps(-NS_PER_S)),
    "there and back": (NOW, there_and_back),
    "a start in 1970": ("1970-01-01T00:01:40.000Z", starts_in_1970),
    "a leap second": ("2026-06-30T23:59:50.000Z", leap_second),
}


@pytest.fixture(params=CASES)
def stepped(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[dict[str, Any]], Path, int]:
    """Return the records of one case, where they are, and how many steps the clock made."""
    began, play = CASES[request.param]
    clock = ManualClock()
    clock.realtime_ns = from_rfc3339(began)
    line = Line(tmp_path, clock)
    play(line)
    line.journal.close()
    return members_of(tmp_path), tmp_path, 4 if play is there_and_back else 1


def test_each_step_is_on_record_before_the_next_record_and_order_does_not_care(
    stepped: tuple[list[dict[str, Any]], Path, int],
) -> None:
    records, folder, count = stepped
    assert [record["sequence_no"] for record in records] == list(range(len(records)))
    assert len({record["event_id"] for record in records}) == len(records)
    boottimes = [record["clock"]["boottime_us"] for record in records]
    assert boottimes == sorted(boottimes)
    counts = [record["clock"]["step"] for record in records]
    for index, record in enumerate(records[1:], 1):
        assert (counts[index] - counts[index - 1] == 1) == (record["kind"] == "clock.stepped")
    assert counts[-1] == count
    verdict = verdict_of(folder)
    assert verdict.status == "INTACT"
    assert sum("the clock was set by" in remark.text for remark in verdict.remarks) == count


def test_the_same_data_without_the_record_of_the_step_is_broken(
    stepped: tuple[list[dict[str, Any]], Path, int],
) -> None:
    records, _, _ = stepped
    assert judged(records).status == "INTACT"
    at = next(index for index, record in enumerate(records) if record["kind"] == "clock.stepped")
    forged = [record for record in records if record["kind"] != "clock.stepped"]
    verdict = judged(forged)
    assert (verdict.status, verdict.broken_at) == ("BROKEN", at)
    assert "clock.stepped" in (verdict.reason or "")


@pytest.mark.parametrize("jump_ns", [HOUR_NS, -HOUR_NS, 2 * NS_PER_S, -4 * NS_PER_S])
def test_a_forger_who_also_corrects_the_count_is_betrayed_by_the_boot_time(
    jump_ns: int, tmp_path: Path
) -> None:
    line = Line(tmp_path)
    steps(jump_ns)(line) if abs(jump_ns) > 5 * NS_PER_S else quick(line, jump_ns)
    line.journal.close()
    forged = [record for record in members_of(tmp_path) if record["kind"] != "clock.stepped"]
    for record in forged:
        record["clock"]["step"] = 0
    verdict = judged(forged)
    assert verdict.status == "BROKEN"
    assert "the clock moved by" in (verdict.reason or "")


def quick(line: Line, jump_ns: int) -> None:
    line.results(3, 0.1)
    line.clock.step_ns(jump_ns)
    line.results(3, 0.1)


def judged(records: list[dict[str, Any]]) -> Verdict:
    """Return the verdict on a chain that a forger with all keys built from these records."""
    stream = Stream()
    names = StreamKeys(
        keys.log_vkey(stream.origin, stream.log_key), keys.event_vkey(stream.origin, stream.event_key)
    )
    creation = [
        {"field": change.field, "before": None, "after": change.after}
        for change in keys.creation_changes(names)
    ]
    for record in records:
        members = {name: value for name, value in record.items() if name != "integrity"}
        members["sequence_no"] = len(stream.records)
        if members["kind"] == "stream.created":
            members["changes"] = creation
        stream.append(stream.seal(members))
    return verify(stream.records)


@pytest.mark.heavy
def test_a_slow_slew_is_no_step(tmp_path: Path) -> None:
    line = Line(tmp_path)
    for number in range(200):
        line.result(number)
        line.clock.advance_ns(30 * NS_PER_S)
        line.clock.step_ns(15_000_000)  # 500 ppm
    line.journal.close()
    assert "clock.stepped" not in {record["kind"] for record in members_of(tmp_path)}
    assert verdict_of(tmp_path).remarks == ()


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the process live in Berlin."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("night", ["2026-03-29T00:30:00.000Z", "2026-10-25T00:30:00.000Z"])
def test_the_nights_of_summer_time_change_nothing(night: str, tmp_path: Path) -> None:
    clock = ManualClock()
    clock.realtime_ns = from_rfc3339(night)
    line = Line(tmp_path, clock)
    line.results(61, 60)
    line.journal.close()
    records = members_of(tmp_path)
    assert {record["kind"] for record in records} == {"stream.created", "tightening.result"}
    times = [from_rfc3339(record["ingested_at"]) for record in records]
    assert times == sorted(times)
    assert times[-1] - times[0] < HOUR_NS + NS_PER_S
    verdict = verdict_of(tmp_path)
    assert (verdict.status, verdict.remarks) == ("INTACT", ())


async def test_a_small_step_on_an_idle_line_is_on_record_when_the_journal_looks(tmp_path: Path) -> None:
    clock = ManualClock()
    create(tmp_path, clock)
    async with running(tmp_path, clock) as journal:
        await journal.look()
        size = journal.head.size
        clock.advance_ns(2 * NS_PER_S)
        await journal.look()
        assert journal.head.size == size
        clock.advance_ns(2 * NS_PER_S)
        clock.step_ns(-100_000_000)
        await journal.look()
        assert journal.head.size == size + 1
        await journal.look()
        assert journal.head.size == size + 1
    step = members_of(tmp_path)[-1]
    assert (step["kind"], step["clock"]["step"]) == ("clock.stepped", 1)


async def test_a_look_without_a_step_writes_nothing_to_the_disk(tmp_path: Path) -> None:
    clock = ManualClock()
    create(tmp_path, clock)
    async with running(tmp_path, clock) as journal:
        wal = tmp_path / "journal.sqlite-wal"
        before = wal.stat().st_size if wal.exists() else 0
        for _ in range(10):
            await journal.look()
        assert (wal.stat().st_size if wal.exists() else 0) == before


def test_records_right_after_a_step_do_not_carry_the_old_bound(tmp_path: Path) -> None:
    clock = ManualClock()
    create(tmp_path, clock)
    state = SharedClockState()
    journal = JournalFile.open(tmp_path, clock=clock, clock_state=state)
    state.set(ClockState("locked", 900), clock.stamp())
    journal.append([Submission(events=(result_event(1, clock),))])
    clock.step_ns(NS_PER_S)
    journal.append([Submission(events=(result_event(2, clock),))])
    journal.close()
    told = [
        (record["kind"], record["clock"]["sync"], record["clock"].get("bound_us"))
        for record in members_of(tmp_path)
    ]
    assert told[1:] == [
        ("tightening.result", "locked", 900),
        ("clock.stepped", "unsynced", 1_000_900),
        ("tightening.result", "unsynced", 1_000_900),
    ]


class Drifting:
    """A machine whose quartz is off by `ppm` of true time: both of its clocks are."""

    boot_id = "00000000-0000-4000-8000-000000000001"

    def __init__(self, ppm: int) -> None:
        self.true_ns = from_rfc3339("2026-03-01T00:00:00.000Z")
        self._began_ns = self.true_ns
        self._ppm = ppm

    def stamp(self) -> Stamp:
        elapsed_ns = self.true_ns - self._began_ns
        elapsed_ns += elapsed_ns * self._ppm // 1_000_000
        return Stamp(self._began_ns + elapsed_ns, 60 * NS_PER_S + elapsed_ns)


@pytest.mark.heavy
@pytest.mark.parametrize("ppm", [50, -50])
def test_over_a_drifting_day_the_truth_is_within_the_bound_of_every_record(ppm: int, tmp_path: Path) -> None:
    """The server answers each minute, and is silent for three hours around noon."""
    clock = Drifting(ppm)
    create(tmp_path, clock)
    state, judge = SharedClockState(), Judge(ClockOptions(ntp=("a",), chrony="off", fail_ms=10_000))
    journal = JournalFile.open(tmp_path, clock=clock, clock_state=state)
    truths = []
    for minute in range(24 * 60):
        clock.true_ns += 58 * NS_PER_S
        if not 11 * 60 <= minute < 14 * 60:
            judge.heard(answer(clock, clock.true_ns))
        stamp = clock.stamp()
        state.set(judge.at(stamp).state, stamp)
        clock.true_ns += 2 * NS_PER_S
        if minute % 4 == 0:
            journal.append([Submission(events=(result_event(minute, cast(Any, clock)),))])
            truths.append(clock.true_ns)
    journal.close()
    records = members_of(tmp_path)[1:]
    assert len(records) == len(truths) == 360
    for record, true_ns in zip(records, truths, strict=True):
        wrong_us = abs(from_rfc3339(record["ingested_at"]) - true_ns) / 1000
        assert wrong_us <= record["clock"]["bound_us"] + 1000  # a stamp is cut to milliseconds
    assert {record["clock"]["sync"] for record in records} == {"locked", "holdover"}
    assert max(abs(clock.stamp().realtime_ns - clock.true_ns), 0) > 4 * NS_PER_S


def answer(clock: Clock, true_ns: int) -> Sample:
    stamp = clock.stamp()
    return Sample(
        source="a",
        boottime_ns=stamp.boottime_ns,
        utc_ns=true_ns + 800_000,  # wrong within what it claims
        half_ns=1_000_000,
        offset_ns=true_ns - stamp.realtime_ns,
        delay_ns=400_000,
        root_dispersion_ns=800_000,
        stratum=2,
        reference="GPS",
    )
