"""Which records of a commit bear a signature."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from linewitness.evidence.format.record import Change, is_signed
from linewitness.evidence.format.signed_run import LONGEST_RUN
from linewitness.evidence.verify.stream import verify
from linewitness.journal.file import JournalFile
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness.records.commit import RUN_BYTES
from support.clocks import ManualClock
from support.journals import create, members_of, reopen, result_event


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@contextmanager
def journal(directory: Path, clock: ManualClock) -> Iterator[JournalFile]:
    create(directory, clock)
    with closing(reopen(directory, clock)) as file:
        yield file


def signed(directory: Path) -> list[int]:
    with JournalReader(directory) as reader:
        found = list(reader.records())
        assert verify(data for _, data in found).status == "INTACT"
    return [number for number, data in found if is_signed(data)]


def test_one_signature_a_commit(directory: Path, clock: ManualClock) -> None:
    with journal(directory, clock) as file:
        file.append([Submission(events=(result_event(1, clock), result_event(2, clock)))])
        file.append([Submission(events=(result_event(number, clock),)) for number in range(3, 8)])
        file.append([Submission(events=(result_event(8, clock),))])
    assert signed(directory) == [0, 2, 7, 8]


def test_a_rotation_within_a_commit_is_signed_by_the_old_key(directory: Path, clock: ManualClock) -> None:
    with journal(directory, clock) as file:
        file.append(
            [
                Submission(events=(result_event(1, clock),)),
                Submission(rotate=True),
                Submission(events=(result_event(2, clock), result_event(3, clock))),
            ]
        )
    assert signed(directory) == [0, 2, 4]


def test_no_more_than_256_records_go_with_one_signature(directory: Path, clock: ManualClock) -> None:
    with journal(directory, clock) as file:
        file.append([Submission(events=tuple(result_event(number, clock) for number in range(1, 601)))])
    found = signed(directory)
    assert found[-1] == 600
    assert max(after - before for before, after in pairwise(found)) <= LONGEST_RUN


def test_large_records_are_signed_so_often_that_they_fit_into_a_message(
    directory: Path, clock: ManualClock
) -> None:
    text = (Change("text", None, "x" * 20_000),)
    with journal(directory, clock) as file:
        events = (replace(result_event(number, clock), changes=text) for number in range(1, 31))
        file.append([Submission(events=tuple(events))])
    with JournalReader(directory) as reader:
        sizes = [(len(data), is_signed(data)) for _, data in reader.records()]
        batch = reader.batch(1, 100_000)
    run = 0
    for size, ends in sizes:
        run += size
        assert run <= RUN_BYTES or size > RUN_BYTES
        run = 0 if ends else run
    assert json.loads(batch[-1])["integrity"]["signature"], "a batch ends with a commit"
    assert sum(map(len, batch)) <= 100_000


def test_what_becomes_durable_together_has_one_reading_of_the_clock(
    directory: Path, clock: ManualClock
) -> None:
    with journal(directory, clock) as file:
        file.append(
            [
                Submission(events=tuple(result_event(number, clock) for number in range(3))),
                Submission(events=(result_event(4, clock),)),
            ]
        )
        file.append([Submission(events=(result_event(5, clock),))])
    found = [(each["ingested_at"], each["clock"]["boottime_us"]) for each in members_of(directory)[1:]]
    assert len(set(found[:4])) == 1
    assert found[4] > found[0], "what was committed later has a later one"


def test_state_of_one_submission_is_written_and_deleted(directory: Path, clock: ManualClock) -> None:
    with journal(directory, clock) as file:
        file.append([Submission(state={"a": "1", "b": "2"})])
        file.append(
            [Submission(state={"a": None, "b": "3", "c": "4"}), Submission(state={"c": None, "d": "5"})]
        )
    with JournalReader(directory) as reader:
        assert reader.state() == {"b": "3", "d": "5"}
