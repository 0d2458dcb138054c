"""The watchdog: fed while every loop goes on, withheld and ended where one does not."""

import asyncio
import contextlib
import threading

import pytest

from linewitness.base.errors import ExitCode
from linewitness.gateway.clock_watch import ClockBoard
from linewitness.gateway.supervise import (
    CARRY_S,
    COMMIT_S,
    CONNECT_S,
    Dialling,
    GatewayLoops,
    Lifeline,
    Looks,
    Loop,
    Stuck,
    look_period_s,
    loops_of_store,
    supervise,
)
from linewitness.journal.journal import Journal
from linewitness.status.health import Health
from linewitness.store.work import StoreWork
from linewitness.uplink.forwarding import ForwardOptions
from support.waiting import until


class Counter:
    def __init__(self):
        self.value = 0

    def __call__(self):
        return self.value


def test_a_loop_that_goes_on_is_never_stuck():
    counter, looks = Counter(), Looks(10.0)
    for _ in range(100):
        looks.look([Loop("journal", 20.0, counter)])
        counter.value += 1


def test_a_loop_that_waits_for_the_world_is_never_stuck():
    looks = Looks(10.0)
    for _ in range(100):
        looks.look([Loop("capture:press-4", 20.0, lambda: None)])


def test_a_loop_without_progress_is_stuck_after_its_limit_and_named():
    looks, loop = Looks(10.0), Loop("capture:press-4", 20.0, Counter())
    looks.look([loop])
    looks.look([loop])
    with pytest.raises(Stuck, match="capture:press-4 for 20 s") as stuck:
        looks.look([loop])
    assert stuck.value.exit_code == ExitCode.BUG


def test_waiting_in_between_counts_as_progress():
    busy, looks = Counter(), Looks(10.0)
    for _ in range(50):
        looks.look([Loop("journal", 20.0, busy)])
        looks.look([Loop("journal", 20.0, lambda: None)])


def test_several_stuck_loops_are_all_named():
    looks = Looks(10.0)
    loops = [Loop("journal", 10.0, Counter()), Loop("forward", 10.0, Counter())]
    looks.look(loops)
    with pytest.raises(Stuck, match="journal for 10 s, forward for 10 s"):
        looks.look(loops)


async def test_watchdog_is_fed_until_a_loop_is_stuck():
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


async def test_watchdog_goes_on_with_loops_that_go_on():
    told, counter = [], Counter()

    def loops():
        counter.value += 1
        return [Loop("journal", 0.02, counter)]

    async with asyncio.TaskGroup() as group:
        task = group.create_task(supervise(loops, status=str, period_s=0.005, tell=told.append))
        await until(lambda: len(told) > 20)
        task.cancel()
    assert set(told) == {"WATCHDOG=1\nSTATUS="}


def test_a_loop_that_does_not_turn_is_found_from_outside():
    found, said = threading.Event(), []
    lifeline = Lifeline(limit_s=0.05, end=lambda why: (said.append(why), found.set()))
    with lifeline:
        assert found.wait(5)
    assert said == ["the event loop does not turn"]


def test_a_loop_that_turns_is_left_alone():
    said = []
    with Lifeline(limit_s=0.2, end=said.append) as lifeline:
        for _ in range(20):
            lifeline.beat()
            threading.Event().wait(0.02)
    lifeline._thread.join(5)
    assert not lifeline._thread.is_alive()
    assert said == []


def test_others_get_a_moment_to_end_and_no_more(monkeypatch):
    monkeypatch.setattr("linewitness.gateway.supervise.GRACE_S", 0.05)
    found, said = threading.Event(), []
    lifeline = Lifeline(end=lambda why: (said.append(why), found.set()))
    with contextlib.suppress(Stuck), lifeline:
        raise Stuck("no progress: journal for 60 s")
    assert found.wait(5)
    assert said == ["no progress: journal for 60 s"]


def test_looks_come_often_enough_for_the_watchdog(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "6000000")
    assert look_period_s() == 2.0
    monkeypatch.setenv("WATCHDOG_USEC", "90000000")
    assert look_period_s() == 10.0
    monkeypatch.delenv("WATCHDOG_USEC")
    assert look_period_s() == 10.0


class Head:
    size = 10


class Pressure:
    full = False
    rounds = 0


class FakeJournal:
    def __init__(self):
        self.waiting, self.head, self.pressure = 0, Head(), Pressure()


class Buffer:
    waiting, stored = 0, 0


@pytest.fixture
def parts():
    health, journal = Health(), FakeJournal()
    health.device("wrench-10", "up", "")
    return GatewayLoops(
        journal=journal,
        telemetry=Buffer(),
        health=health,
        board=ClockBoard(),
        forward=ForwardOptions(),
        dialling=Dialling(lambda: None),
        devices=lambda: health.devices,
    )


def progress(parts):
    return {loop.name: loop.progress() for loop in parts()}


def stuck_after(parts):
    """Return the names of the loops that are stuck if nothing moves any more."""
    looks = Looks(10.0)
    for _ in range(200):
        try:
            looks.look(parts())
        except Stuck as stuck:
            return stuck.what
    return ""


def test_silent_devices_and_an_idle_journal_are_no_reason_to_end(parts):
    parts.health.receipt(10)
    assert set(progress(parts).values()) == {None}
    assert stuck_after(parts) == ""


def test_a_writer_that_does_not_commit_is_stuck(parts):
    parts.health.receipt(10)
    parts.journal.waiting = 3
    assert stuck_after(parts) == f"no progress: journal for {COMMIT_S:.0f} s"


def test_a_capture_that_does_not_come_to_its_end_is_stuck(parts):
    parts.health.receipt(10)
    parts.health.at_work("wrench-10", True)
    assert stuck_after(parts) == f"no progress: capture:wrench-10 for {CARRY_S:.0f} s"
    parts.health.at_work("wrench-10", False)
    assert stuck_after(parts) == ""


def test_a_connect_that_never_ends_is_stuck_but_one_that_fails_again_and_again_is_not(parts):
    parts.health.receipt(10)
    parts.health.device("wrench-10", "lost", "no route")
    assert stuck_after(parts) == f"no progress: connect:wrench-10 for {CONNECT_S:.0f} s"
    looks = Looks(10.0)
    for _ in range(200):
        parts.health.device("wrench-10", "lost", "no route")
        looks.look(parts())


def test_a_full_journal_is_no_stuck_loop(parts):
    parts.health.receipt(10)
    parts.journal.waiting, parts.journal.pressure.full = 3, True
    parts.health.at_work("wrench-10", True)
    assert stuck_after(parts) == ""


def test_a_forwarder_with_records_that_takes_no_step_is_stuck(parts):
    parts.health.uplink("up", "")
    assert "forward" in stuck_after(parts)
    parts.health.uplink("conflict", "the store holds another history")
    assert stuck_after(parts) == ""


def test_a_thin_network_gets_the_time_that_its_batches_take(parts):
    slow = GatewayLoops(
        **{name: getattr(parts, name) for name in parts.__slots__ if name != "forward"},
        forward=ForwardOptions(batch_size=1024 * 1024, max_rate=1024),
    )
    (limit,) = [loop.limit_s for loop in slow() if loop.name == "forward"]
    assert limit > 1024


def test_the_real_journal_has_what_is_looked_at():
    assert isinstance(Journal.waiting, property)
    assert isinstance(Journal.pressure, property)


@pytest.mark.parametrize(
    ("part", "name"), [("receiving", "receive"), ("judging", "judge and commit"), ("answering", "answer")]
)
def test_a_loop_of_the_store_is_stuck_with_work_at_hand_and_not_without(part, name):
    work = StoreWork(connected=True)
    assert stuck_after(lambda: loops_of_store(work)) == ""
    with getattr(work, part).going_on():
        assert stuck_after(lambda: loops_of_store(work)).startswith(f"no progress: {name} for")
    assert stuck_after(lambda: loops_of_store(work)) == ""


def test_a_store_that_tries_its_broker_again_and_again_is_not_stuck_but_one_that_does_not_is():
    work, looks = StoreWork(), Looks(10.0)
    for _ in range(200):
        work.attempts += 1
        looks.look(loops_of_store(work))
    assert stuck_after(lambda: loops_of_store(work)) == f"no progress: connect for {CONNECT_S:.0f} s"


def test_the_stores_sentence_says_what_a_person_should_read():
    work = StoreWork(connected=True, messages=7)
    assert work.sentence == "broker connected, 7 messages judged"
    work.remark = lambda: "mqtt.tls.ca ends in 3 days"
    assert work.sentence.endswith("; mqtt.tls.ca ends in 3 days")
