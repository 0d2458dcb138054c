"""What is sent a moment after it was written comes out of memory, and is what the disk has."""

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.evidence.format.merkle import root_at
from linewitness.evidence.format.record import is_signed
from linewitness.journal import recent as recent_module
from linewitness.journal.attestations import JournalHead
from linewitness.journal.reader import JournalReader
from linewitness.journal.recent import RecentCommits
from linewitness.journal.submission import Submission
from support.clocks import ManualClock
from support.journals import create, reopen, result_event, running
from support.present import present


def filled(directory: Path, clock: ManualClock, sizes: list[int]) -> RecentCommits:
    """Write commits of so many records, and return what memory keeps of them."""
    create(directory, clock)
    file = reopen(directory, clock)
    number = 0
    try:
        for size in sizes:
            events = tuple(result_event(number + one, clock) for one in range(size))
            file.append([Submission(events=events)])
            number += size
        return file.recent
    finally:
        file.close()


@pytest.mark.heavy
def test_batches_out_of_memory_are_those_of_the_disk(tmp_path: Path, clock: ManualClock) -> None:
    recent = filled(tmp_path / "journal", clock, [1, 30, 2, 100, 7])
    with JournalReader(tmp_path / "journal") as reader:
        size = reader.size()
        for first in range(1, size):
            for most in (0, 1, 2000, 5000, 50_000, 10**6):
                assert recent.batch(first, most) == reader.batch(first, most)
        assert recent.batch(0, 1000) is None  # written before the file was opened
        assert recent.batch(size, 1000) is None
        for end in (2, 32, 34, 134, 141):
            assert recent.root(end) == root_at(end, reader.tree().subtree)
        assert recent.root(20) is None


def test_the_roots_at_signatures_within_a_commit_are_in_memory(tmp_path: Path, clock: ManualClock) -> None:
    recent = filled(tmp_path / "journal", clock, [3, 400, 1])
    with JournalReader(tmp_path / "journal") as reader:
        signed = [number for number, data in reader.records() if number and is_signed(data)]
        assert len(signed) > 8
        for number in signed:
            assert recent.root(number + 1) == root_at(number + 1, reader.tree().subtree)


async def test_the_journal_reads_what_memory_does_not_have(tmp_path: Path, clock: ManualClock) -> None:
    create(tmp_path / "journal", clock)
    async with running(tmp_path / "journal", clock) as journal:
        for number in range(3):
            await journal.submit([result_event(number, clock)])
        assert len(await journal.batch(0, 10**6)) == journal.head.size
        assert len(await journal.batch(1, 10**6)) == journal.head.size - 1
        assert await journal.batch(journal.head.size, 10**6) == []
        assert await journal.root(journal.head.size) == journal.head.root
        assert len(await journal.root(1)) == 32


@given(st.lists(st.integers(1, 50), max_size=30))
def test_memory_is_bounded(sizes: list[int]) -> None:
    recent, total = RecentCommits(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent_module, "MOST_BYTES", 3000)
        patch.setattr(recent_module, "MOST_ROOTS", 5)
        for size in sizes:
            total += size
            recent.add([b"x" * 100] * size, JournalHead(total, "", bytes([size]) * 32))
            kept = sum(len(one.records) for one in recent._written)
            assert kept * 100 <= 3000
            assert len(recent._roots) <= 5
            if kept:
                assert len(present(recent.batch(total - kept, 10**6))) == kept


def test_after_a_hole_only_what_follows_is_known() -> None:
    """A commit that came to be durable although it ended with an error is not in memory."""
    recent = RecentCommits()
    recent.add([b"0", b"1"], JournalHead(2, "", b"a" * 32))
    recent.add([b"5"], JournalHead(6, "", b"b" * 32))
    assert recent.batch(0, 100) is None
    assert recent.batch(3, 100) is None
    assert recent.batch(5, 100) == [b"5"]


def test_several_threads_may_ask() -> None:
    recent, stop = RecentCommits(), threading.Event()
    found: list[bool] = []

    def ask() -> None:
        while not stop.is_set():
            batch = recent.batch(0, 10**9)
            found.append(batch is None or batch == [b"r"] * len(batch))

    asking = threading.Thread(target=ask)
    asking.start()
    for number in range(2000):
        recent.add([b"r"], JournalHead(number + 1, "", b"a" * 32))
    stop.set()
    asking.join()
    assert all(found)
