"""A cause is logged a few times for each source, and then counted; nobody can make the log grow."""

import pytest

from linewitness.base import log_limits
from linewitness.base.log_limits import FIRST, PERIOD_S, LogLimits


class Time:
    now = 1000.0


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> type[Time]:
    monkeypatch.setattr(log_limits, "elapsed_s", lambda: Time.now)
    Time.now = 1000.0
    return Time


def test_the_first_messages_are_written_and_the_others_counted(time: type[Time]) -> None:
    limits = LogLimits()
    written = [limits.admit("not a telegram", "wrench-10") for _ in range(1000)]
    assert sum(written) == FIRST
    assert all(written[:FIRST])
    assert limits.suppressed == 1000 - FIRST
    assert list(limits.ended()) == []
    time.now += PERIOD_S
    assert list(limits.ended()) == [("not a telegram", "wrench-10", 1000 - FIRST)]
    assert list(limits.ended()) == [], "said once"
    assert limits.admit("not a telegram", "wrench-10"), "a new period"


def test_other_sources_and_other_causes_have_their_own_limit(time: type[Time]) -> None:
    limits = LogLimits(first=1)
    assert limits.admit("device lost", "wrench-10")
    assert not limits.admit("device lost", "wrench-10")
    assert limits.admit("device lost", "press-4")
    assert limits.admit("device connected", "wrench-10")


@pytest.mark.heavy
def test_nobody_gets_more_room_by_many_names(time: type[Time]) -> None:
    limits = LogLimits(first=2, most=10)
    assert sum(limits.admit("refused", f"peer {number}") for number in range(100_000)) <= 2 * 10
    assert sum(limits.admit(f"cause {number}", "") for number in range(100_000)) <= 2
    assert len(limits._windows) <= 11
    assert limits.admit("refused", "peer 0"), "who was known before is told apart"


def test_at_the_end_everything_is_said(time: type[Time]) -> None:
    limits = LogLimits(first=1)
    limits.admit("a", "x")
    limits.admit("a", "x")
    assert list(limits.ended(all_of_them=True)) == [("a", "x", 1)]
