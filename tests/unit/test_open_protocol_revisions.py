"""What is remembered of a controller's revisions and of who it is, without a connection."""

import pytest

from linewitness.devices.open_protocol.session.identity import (
    ControllerIdentity,
    KnownController,
    known_controllers,
    source_of,
)
from linewitness.devices.open_protocol.session.revisions import (
    IN_VAIN,
    ClosedStart,
    LearnedRevisions,
    RevisionLimit,
    StartAttempts,
)

FULL = ControllerIdentity(supplier="ACT", serial="SIM1", station=3, revision=6)
POOR = ControllerIdentity(revision=1)
SOURCE = "ACT:SIM1:3"
REMEMBERED = {f"head/{SOURCE}": "0 4 exact 0 0"}


def test_a_limit_that_was_found_once_is_neither_used_nor_stored() -> None:
    learned = LearnedRevisions().started(7, 1, 7)
    assert learned.start.begin_with(7) == 7
    assert LearnedRevisions.load(learned.dump()).start == RevisionLimit()


def test_a_limit_that_was_found_again_is_used_and_stored() -> None:
    learned = LearnedRevisions().started(7, 4, 7).started(7, 4, 7)
    assert learned.start.begin_with(7) == 4
    assert LearnedRevisions.load(learned.dump()).start.begin_with(7) == 4


def test_another_limit_begins_the_count_anew() -> None:
    learned = LearnedRevisions().started(7, 1, 7).started(7, 4, 7)
    assert learned.start.begin_with(7) == 7


def test_software_that_a_low_revision_does_not_name_changes_nothing() -> None:
    learned = LearnedRevisions(software="1.0").started(7, 4, 7).started(7, 4, 7)
    assert learned.of("") == learned
    assert learned.of("2.0").start == RevisionLimit()


def test_silence_begins_one_lower_at_the_next_connection_and_at_the_top_after_the_lowest() -> None:
    attempts = StartAttempts()
    attempts.silent(7, answered=0)
    assert attempts.first(7) == 6
    attempts.silent(1, answered=0)
    assert attempts.first(7) == 7


def test_a_known_revision_that_is_not_answered_is_asked_again_before_a_lower_one() -> None:
    attempts = StartAttempts()
    for _ in range(IN_VAIN):
        attempts.silent(6, answered=6)
        assert attempts.first(6) == 6
    attempts.silent(6, answered=6)
    assert attempts.first(6) == 5


def test_a_close_is_too_high_only_where_it_comes_again_at_the_same_revision() -> None:
    attempts = StartAttempts()
    said = [attempts.closed(revision, answered=0) for revision in (7, 6, 7, 7, 6, 6)]
    once, too_high = ClosedStart.ONCE, ClosedStart.TOO_HIGH
    assert said == [once, once, once, too_high, once, too_high]


def test_a_close_before_the_controller_was_away_is_none_of_two_in_a_row() -> None:
    attempts = StartAttempts()
    assert attempts.closed(7, answered=0) is ClosedStart.ONCE
    assert attempts.first(7) == 7
    assert attempts.closed(7, answered=0) is ClosedStart.ONCE


def test_a_known_revision_is_closed_in_several_connections_and_twice_more_before_it_is_too_high() -> None:
    attempts = StartAttempts()
    for _ in range(IN_VAIN):
        attempts.first(6)
        assert attempts.closed(6, answered=6) is ClosedStart.STARTS_UP
    attempts.first(6)
    assert attempts.closed(6, answered=6) is ClosedStart.ONCE
    assert attempts.closed(6, answered=6) is ClosedStart.TOO_HIGH
    assert attempts.closed(5, answered=6) is ClosedStart.ONCE


def test_a_lower_revision_keeps_source_and_station() -> None:
    known = known_controllers(REMEMBERED, "wrench-10")
    assert source_of(POOR, known, None) == SOURCE
    assert known[SOURCE].with_told(POOR).station == 3


def test_a_serial_that_a_higher_revision_adds_is_of_the_same_controller() -> None:
    known = known_controllers({"head/-:wrench-10:-": ""}, "wrench-10")
    assert source_of(FULL, known, None) == "-:wrench-10:-"


def test_a_serial_that_was_not_told_in_this_revision_is_of_another_controller() -> None:
    before = KnownController(supplier="ACT", station=3, revision=6)
    stored = {"head/ACT:wrench-10:3": "", "identity/ACT:wrench-10:3": before.dump()}
    assert source_of(FULL, known_controllers(stored, "wrench-10"), None) is None


@pytest.mark.parametrize("last", ["ACT:SIM1:3", "ACT:SIM2:3"])
def test_of_several_controllers_the_last_one_is_the_one_that_tells_nothing(last: str) -> None:
    known = known_controllers({"head/ACT:SIM1:3": "", "head/ACT:SIM2:3": ""}, "wrench-10")
    assert source_of(POOR, known, last) == last
    assert source_of(POOR, known, None) is None


def test_another_station_is_another_controller() -> None:
    known = known_controllers(REMEMBERED, "wrench-10")
    assert source_of(ControllerIdentity(serial="SIM1", station=4, revision=6), known, SOURCE) is None
