"""Records that claim another time than that at which they were written, judged by each machine verifier."""

from pathlib import Path
from typing import Any

import pytest

from support.chain_builder import START_MS, Stream
from support.cited import cite
from support.packages import WITNESS, Judge, policy_for, receipt, selection

START_S = START_MS // 1000
YEAR_S = 365 * 86_400
STORE_CLOCK = "by the clock of auditor (store store.example)"


class Line:
    """A gateway whose clock is wrong by some seconds; those of store and witness are right."""

    def __init__(self, wrong_s: int, **clock: Any) -> None:
        self.stream = Stream()
        self.stream.now_ms += wrong_s * 1000
        self.wrong_s = wrong_s
        self.clock = clock
        self.receipts: list[tuple[str, str]] = []
        self.stream.create()

    @property
    def now_s(self) -> int:
        return self.stream.now_ms // 1000 - self.wrong_s

    def stated(self) -> dict[str, Any]:
        """Return what the gateway says of its clock: a bound only where one was given."""
        clock: dict[str, Any] = self.stream.members()["clock"]
        del clock["bound_us"]
        return clock | self.clock

    def add(self, count: int) -> None:
        for _ in range(count):
            self.stream.add(clock=self.stated())

    def receive(self, *, cited: bool = True, **other: Any) -> str:
        note = receipt(self.stream, **{"time_s": self.now_s} | other)
        self.receipts.append((f"receipts/{len(self.receipts)}.receipt", note))
        if cited:
            cite(self.stream, note, self.now_s, clock=self.stated())
        return note

    def judged(self, judge: Judge, **other: Any) -> dict[str, Any]:
        given = {"statements": self.receipts, "policy": policy_for(self.stream).canonical} | other
        return judge(None if "path" in given else self.stream.records, **given)


def backdated(**clock: Any) -> Line:
    """Return what a clock writes that was set back by a year before `init`, and got its broker later."""
    line = Line(-YEAR_S, **clock)
    line.add(5)
    line.receive()
    line.add(5)
    line.receive(cited=False)
    return line


def remarks(verdict: dict[str, Any]) -> list[tuple[int | None, str]]:
    return [(one["index"], one["text"]) for one in verdict["remarks"]]


def test_a_clock_that_was_set_back_by_a_year_before_the_stream_began(judge: Judge) -> None:
    """All that it has stamped is named, also what came before the first receipt."""
    verdict = backdated().judged(judge)
    assert verdict["status"] == "COMPLETE"
    contradiction, waited = remarks(verdict)
    claim = "records 0 to 11 claim to have been written up to 365 days earlier than possible"
    assert contradiction == (0, f"{claim} {STORE_CLOCK}, and the gateway states no bound for its own")
    assert waited[0] == 11
    assert waited[1].startswith(
        "nobody outside has signed for it until 365 days after the time that it claims"
    )


def test_a_bound_of_a_year_does_not_excuse_a_year(judge: Judge) -> None:
    contradiction, _ = remarks(backdated(bound_us=YEAR_S * 1_000_000).judged(judge))
    assert contradiction[1].endswith(
        "beyond the hour that counts of the bound which the gateway states for its own"
    )


def test_what_the_gateway_itself_noted_is_enough(judge: Judge) -> None:
    """The receipt that it cites is not in the package: its own note contradicts its clock all the same."""
    line = backdated()
    verdict = line.judged(judge, statements=line.receipts[1:])
    assert "by the clock of store.example, as the gateway noted" in remarks(verdict)[0][1]


def test_the_record_that_cites_is_no_earlier_than_what_it_cites(judge: Judge) -> None:
    line = Line(-YEAR_S)
    line.add(3)
    line.receive()
    contradiction, _ = remarks(line.judged(judge))
    assert contradiction[0] == 0
    assert contradiction[1].startswith("records 0 to 4 claim to have been written up to 365 days earlier")


def test_a_clock_put_right_before_the_first_receipt_is_named_by_its_step(judge: Judge) -> None:
    line = Line(-YEAR_S, bound_us=900)
    line.add(5)
    line.stream.now_ms += YEAR_S * 1000
    line.wrong_s, line.stream.step = 0, 1
    line.stream.add("clock.stepped")
    line.receive()
    line.add(2)
    assert remarks(line.judged(judge)) == [(6, "the clock was set by +31536000.000 s, on record")]


def test_backdated_records_without_anything_that_they_cite(judge: Judge) -> None:
    """The end with the first citation is cut off: what is left was attested a year after its time."""
    line = Line(-YEAR_S, bound_us=900)
    line.add(5)
    line.receive(cited=False)
    verdict = line.judged(judge)
    ((index, text),) = remarks(verdict)
    assert (verdict["status"], index) == ("COMPLETE", 5)
    assert text.startswith("nobody outside has signed for it until 365 days after the time that it claims")
    assert verdict["age"]["text"].startswith(
        "the newest attestation is of 2026-03-01T00:00:06Z, 365 days after"
    )


def test_a_clock_that_is_an_hour_fast(judge: Judge) -> None:
    line = Line(3600, bound_us=900)
    line.add(5)
    line.receive()
    ((index, text),) = remarks(line.judged(judge))
    claim = "records 0 to 5 claim to have been written up to 59 min later than possible"
    assert (index, text) == (
        0,
        f"{claim} {STORE_CLOCK}, beyond the bound that the gateway states for its own",
    )


@pytest.mark.parametrize(("wrong_s", "clock"), [(-9, {}), (9, {}), (-3600, {"bound_us": 3_600_000_000})])
def test_a_few_seconds_or_a_bound_that_admits_it_make_no_remark(
    judge: Judge, wrong_s: int, clock: Any
) -> None:
    line = Line(wrong_s, **clock)
    line.add(5)
    line.receive()
    line.add(4)
    assert remarks(line.judged(judge)) == []


def test_selected_records_are_compared_too(judge: Judge, tmp_path: Path) -> None:
    line = backdated()
    path = selection(line.stream, tmp_path / "some.zip", [3, 6, 8])
    verdict = line.judged(judge, path=path)
    assert verdict["status"] == "INCLUDED"
    claim = "records 3 to 8 claim to have been written up to 365 days earlier than possible"
    ((index, text),) = remarks(verdict)
    assert (index, text.startswith(claim)) == (3, True)


def test_a_store_that_signs_more_before_it_signs_less(judge: Judge, stream: Stream) -> None:
    more, fewer = receipt(stream, time_s=START_S + 100), receipt(stream, 20, time_s=START_S + 7200)
    verdict = judge(statements=(("receipts/1.receipt", more), ("receipts/2.receipt", fewer)))
    said = (
        "store.example signed 24 records 118 min before it signed 20 of them: one of these times is not true"
    )
    assert (None, said) in remarks(verdict)
    other = receipt(stream, 20, time_s=START_S + 7200, key=WITNESS, name="witness.example")
    two = judge(statements=(("receipts/1.receipt", more), ("receipts/2.receipt", other)))
    assert remarks(two) == []


def test_a_time_of_no_calendar_bounds_nothing_and_is_said(judge: Judge, stream: Stream) -> None:
    note = receipt(stream, time_s=2**63 - 1)
    verdict = judge(statements=(("receipts/1.receipt", note),))
    assert remarks(verdict) == [(None, "receipts/1.receipt: store.example signed at a time that is no date")]
    assert verdict["age"]["attested_s"] is None


def test_records_of_a_reboot_with_the_clock_set_back(judge: Judge) -> None:
    """What was cited before the reboot is earlier than what comes after it."""
    line = Line(0, bound_us=900)
    line.add(3)
    line.receive()
    line.stream.now_ms -= 7 * 86_400_000
    line.stream.boottime_us = 30_000_000
    line.stream.boot_id = "6b6f7a0e-0000-4000-8000-000000000002"
    line.stream.add("gateway.started")
    line.add(3)
    contradiction, reboot = remarks(line.judged(judge))
    assert reboot[1].startswith("after a reboot the clock is 604")
    assert contradiction[0] == 5
    assert contradiction[1].startswith("records 5 to 8 claim to have been written up to 6 days earlier")
