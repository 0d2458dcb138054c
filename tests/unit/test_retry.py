"""Waits between attempts: longer each time, short again only after a success that lasted."""

import pytest

from linewitness.base import retry
from linewitness.base.retry import CAP_S, FIRST_S, STEADY_S, Backoff


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    at = [1000.0]
    monkeypatch.setattr(retry, "monotonic", lambda: at[0])
    return at


def waits(backoff: Backoff, count: int) -> list[float]:
    return [backoff.next_s() for _ in range(count)]


def test_waits_grow_to_the_cap_and_are_never_in_step() -> None:
    found = waits(Backoff(), 12)
    assert FIRST_S / 2 <= found[0] <= FIRST_S
    assert all(CAP_S / 2 <= wait <= CAP_S for wait in found[6:])
    assert len(set(found)) == len(found)


def test_after_a_success_that_lasted_the_next_attempt_comes_at_once(now: list[float]) -> None:
    backoff = Backoff()
    waits(backoff, 8)
    backoff.succeeded()
    now[0] += STEADY_S
    assert backoff.next_s() <= FIRST_S


def test_what_breaks_at_once_is_not_hurried(now: list[float]) -> None:
    """As with two gateways of one name, of which the broker drops one whenever the other comes."""
    backoff, began = Backoff(), now[0]
    count = 0
    while now[0] - began < 3600:
        backoff.succeeded()
        now[0] += 0.01 + backoff.next_s()
        count += 1
    assert count < 3600 / (CAP_S / 2) + 10


def test_an_old_success_does_not_count_for_later_failures(now: list[float]) -> None:
    backoff = Backoff()
    backoff.succeeded()
    now[0] += STEADY_S
    found = waits(backoff, 3)
    now[0] += STEADY_S
    assert backoff.next_s() > max(found) / 2
    assert backoff.next_s() > FIRST_S
