"""What ended connections to the broker, one after the other: whether it is a fight for the client id."""

import pytest
import structlog

from linewitness.base import retry
from linewitness.base.errors import UplinkUnavailable
from linewitness.uplink import takeover
from linewitness.uplink.takeover import TakenOver, TakeoverWatch

BROKE = UplinkUnavailable("the connection to the broker broke")
TAKEN = TakenOver("the broker ended the connection: another client took over the session (0x8e)")


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(takeover, "monotonic", clock)
    monkeypatch.setattr(retry, "monotonic", clock)
    return clock


def session(watch: TakeoverWatch, now: Clock, lasted_s: float, error: UplinkUnavailable = BROKE) -> float:
    watch.connected()
    now.now += lasted_s
    return watch.ended(error)


def test_a_reason_code_says_it_at_once_and_each_time_we_wait_longer(now: Clock) -> None:
    watch = TakeoverWatch()
    with structlog.testing.capture_logs() as logged:
        waits = [session(watch, now, 1, TAKEN) for _ in range(10)]
    assert "start: 10" in watch.what
    assert waits[0] <= 0.5
    assert all(5 <= wait <= 10 for wait in waits[-4:])
    assert len(logged) == 1, "logged once"


def test_a_fight_over_a_day_stays_slow_although_each_connection_lasts_a_while(now: Clock) -> None:
    """Two gateways of one name: each comes back as soon as its wait is over."""
    watch = TakeoverWatch()
    waits = [session(watch, now, 15, TAKEN) for _ in range(10)]
    assert waits[-1] >= 5


def test_without_a_reason_code_short_connections_in_a_row_are_the_sign(now: Clock) -> None:
    watch = TakeoverWatch()
    waits = [session(watch, now, 2) for _ in range(takeover.IN_A_ROW)]
    assert waits[:-1] == [0.0] * (takeover.IN_A_ROW - 1)
    assert waits[-1] > 0
    assert "may use our client id" in watch.what


def test_connections_that_end_for_a_known_reason_are_no_fight(now: Clock) -> None:
    watch = TakeoverWatch()
    for _ in range(2 * takeover.IN_A_ROW):
        watch.connected()
        watch.explained()
        assert session(watch, now, 2) == 0.0
    assert watch.what == ""


def test_outages_are_no_fight(now: Clock) -> None:
    watch = TakeoverWatch()
    for _ in range(20):
        assert session(watch, now, 2) == 0.0
        assert session(watch, now, 3600) == 0.0
        assert watch.ended(BROKE) == 0.0, "an attempt that reached nobody"
    assert watch.what == ""


def test_what_was_noticed_is_shown_for_an_hour(now: Clock) -> None:
    watch = TakeoverWatch()
    session(watch, now, 1, TAKEN)
    watch.connected()
    now.now += takeover.SHOWN_S - 1
    assert watch.what
    now.now += 2
    assert watch.what == ""
