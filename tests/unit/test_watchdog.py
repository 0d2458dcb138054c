"""The watchdog: fed while every loop goes on, withheld and ended where one does not."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from linewitness.base.errors import ExitCode
from linewitness.base.watchdog import Lifeline, Looks, Loop, Stuck, look_period_s, supervise
from support.waiting import until


class Counter:
    def __init__(self) -> None:
        self.value = 0

    def __call__(self) -> int:
        return self.value


def noting(said: list[str], found: threading.Event) -> Callable[[str], None]:
    """Return what notes why a process ends, and that it does."""

    def end(why: str) -> None:
        said.append(why)
        found.set()

    return end


def test_a_loop_that_goes_on_is_never_stuck() -> None:
    counter, looks = Counter(), Looks(10.0)
    for _ in range(100):
        looks.look([Loop("journal", 20.0, counter)])
        counter.value += 1


def test_a_loop_that_waits_for_the_world_is_never_stuck() -> None:
    looks = Looks(10.0)
    for _ in range(100):
        looks.look([Loop("capture:press-4", 20.0, lambda: None)])


def test_a_loop_without_progress_is_stuck_after_its_limit_and_named() -> None:
    looks, loop = Looks(10.0), Loop("capture:press-4", 20.0, Counter())
    looks.look([loop])
    looks.look([loop])
    with pytest.raises(Stuck, match="capture:press-4 for 20 s") as stuck:
        looks.look([loop])
    assert stuck.value.exit_code == ExitCode.BUG


def test_waiting_in_between_counts_as_progress() -> None:
    busy, looks = Counter(), Looks(10.0)
    for _ in range(50):
        looks.look([Loop("journal", 20.0, busy)])
        looks.look([Loop("journal", 20.0, lambda: None)])


def test_several_stuck_loops_are_all_named() -> None:
    looks = Looks(10.0)
    loops = [Loop("journal", 10.0, Counter()), Loop("forward", 10.0, Counter())]
    looks.look(loops)
    with pytest.raises(Stuck, match="journal for 10 s, forward for 10 s"):
        looks.look(loops)


async def test_watchdog_is_fed_until_a_loop_is_stuck() -> None:
    told: list[Any]
    told, counter = [], Counter()
    with pytest.raises(Stuck):
        await supervise(
            lambda: [Loop("journal", 0.05, counter)],
            status=lambda: "3 of 3 devices up",
            period_s=0.01,
            tell=told.append,
            lifeline=Lifeline(end=lambda _: None),
        )
    assert "WATCHDOG=1\nSTATUS=3 of 3 devices up" in told
    assert told[-1].startswith("STATUS=no progress: journal")
    assert "WATCHDOG" not in told[-1]


async def test_watchdog_goes_on_with_loops_that_go_on() -> None:
    told: list[Any]
    told, counter = [], Counter()

    def loops() -> list[Loop]:
        counter.value += 1
        return [Loop("journal", 0.02, counter)]

    async with asyncio.TaskGroup() as group:
        task = group.create_task(supervise(loops, status=str, period_s=0.005, tell=told.append))
        await until(lambda: len(told) > 20)
        task.cancel()
    assert set(told) == {"WATCHDOG=1\nSTATUS="}


def test_an_event_loop_that_does_not_run_is_found_from_outside() -> None:
    found = threading.Event()
    said: list[str] = []
    lifeline = Lifeline(limit_s=0.05, end=noting(said, found))
    with lifeline:
        assert found.wait(5)
    assert said == ["the event loop does not run"]


@pytest.mark.heavy
def test_an_event_loop_that_runs_is_left_alone() -> None:
    said: list[Any] = []
    with Lifeline(limit_s=0.2, end=said.append) as lifeline:
        for _ in range(20):
            lifeline.beat()
            threading.Event().wait(0.02)
    lifeline._thread.join(5)
    assert not lifeline._thread.is_alive()
    assert said == []


def test_others_get_a_moment_to_end_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("linewitness.base.watchdog.GRACE_S", 0.05)
    found = threading.Event()
    said: list[str] = []
    lifeline = Lifeline(end=noting(said, found))
    with contextlib.suppress(Stuck), lifeline:
        raise Stuck("no progress: journal for 60 s")
    assert found.wait(5)
    assert said == ["no progress: journal for 60 s"]


def test_looks_come_often_enough_for_the_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "6000000")
    assert look_period_s() == 2.0
    monkeypatch.setenv("WATCHDOG_USEC", "90000000")
    assert look_period_s() == 10.0
    monkeypatch.delenv("WATCHDOG_USEC")
    assert look_period_s() == 10.0
