"""Sync ids against what a controller truly made: what is missing is known, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.devices.open_protocol.content.pairs import Half, SyncPairs
from linewitness.devices.open_protocol.ledger.sync_ids import (
    COUNT,
    MOST_SKIPPED,
    SyncLedger,
    given_up,
    spans,
    take,
)


@pytest.mark.heavy
@given(st.integers(0, COUNT - 1), st.lists(st.integers(1, 50), max_size=30))
def test_what_was_skipped_is_missing_over_the_wrap_too(start: int, steps: list[int]) -> None:
    ledger, made, seen = take(SyncLedger(), start, "").ledger, start, {start}
    skipped: list[int] = []
    named: list[int] = []
    for step in steps:
        skipped += [(made + each) % COUNT for each in range(1, step)]
        made = (made + step) % COUNT
        seen.add(made)
        taken = take(ledger, made, "")
        ledger = taken.ledger
        named += taken.dropped
    assert [*named, *ledger.missing] == skipped
    assert len(ledger.missing) <= MOST_SKIPPED
    assert SyncLedger.load({key: text for key, text in ledger.remember.items() if text}) == ledger


def test_what_came_late_is_missing_no_more_and_moves_nothing() -> None:
    ledger = SyncLedger()
    for sync in (1, 2, 5, 3):
        ledger = take(ledger, sync, "2026-03-14:09:00:00").ledger
    assert (ledger.last, ledger.missing) == (5, (4,))
    assert given_up(ledger, frozenset({4})).missing == ()


def test_ids_that_began_anew_are_known_by_their_time_or_by_the_second_one() -> None:
    later = take(SyncLedger(20, "2026-03-14:09:00:00"), 1, "2026-03-14:09:01:00")
    assert (later.anew, later.ledger.last, later.ledger.lowest) == (True, 1, 1)
    fallen = take(SyncLedger(20, "2026-03-14:09:00:00"), 1, "2000-01-01:00:01:00")
    assert (fallen.anew, fallen.ledger.last) == (False, 20)
    second = take(fallen.ledger, 3, "2000-01-01:00:03:00")
    assert (second.anew, second.ledger.last, second.ledger.missing) == (True, 3, (2,))
    stray = take(fallen.ledger, 21, "2026-03-14:09:02:00")
    assert (stray.anew, stray.ledger.last, stray.ledger.missing) == (False, 21, ())


def test_what_was_missing_when_the_ids_began_anew_is_named_and_not_asked_for_under_the_new_ids() -> None:
    ledger = take(SyncLedger(20, "2026-03-14:09:00:00"), 23, "2026-03-14:09:01:00").ledger
    step = take(ledger, 7, "2026-03-14:09:02:00")
    assert (step.anew, step.dropped, step.ledger.missing) == (True, (21, 22), ())


def test_ranges_pass_the_highest_id() -> None:
    assert spans((65_534, 65_535, 0, 1, 7)) == [(65_534, 1), (7, 7)]


def half(spindle: bool, name: str, torque: int, *, sync: int | None = 5, second: int = 0) -> Half:
    return Half(spindle, name, sync, f"2026-03-14:09:00:{second:02d}", torque, 40, ok=True)


def test_a_tightening_waits_for_no_other_half_where_none_can_come() -> None:
    pairs = SyncPairs({})
    pairs.expects_spindles = False
    assert pairs.tightening(half(False, "7", 2502)).remember == {}


def test_halves_find_each_other_by_values_first() -> None:
    pairs = SyncPairs({})
    assert pairs.tightening(half(False, "7", 2502)).same_as is None
    found = pairs.spindles(half(True, f"5-{n}", 2500 + n) for n in (1, 2, 3))
    assert [each.same_as for each in found] == [None, "7", None]
    assert pairs.tightening(half(False, "8", 2501)).same_as == "5-1"


def test_another_tightening_is_no_half() -> None:
    pairs = SyncPairs({})
    pairs.spindles([half(True, "0-1", 2501, sync=0)])
    assert pairs.tightening(half(False, "1", 2501, sync=0, second=30)).same_as is None
    assert pairs.tightening(half(False, "2", 2600, sync=0)).same_as is None
    assert pairs.tightening(half(False, "3", 2501, sync=6)).same_as is None
    assert pairs.tightening(half(False, "4", 2501, sync=None)).same_as == "0-1"


def test_what_waits_for_its_other_half_is_bounded_and_survives() -> None:
    pairs, kept = SyncPairs({}), dict[str, str]()
    for number in range(400):
        for key, text in pairs.tightening(half(False, str(number), number, sync=number + 1)).remember.items():
            if text is None:
                del kept[key]
            else:
                kept[key] = text
    assert len(kept) == 300
    (found,) = SyncPairs(kept).spindles([half(True, "x", 399, sync=400)])
    assert found.same_as == "399"
