"""The watch keeps the state current, asks politely and tells what changed, on a driven loop."""

import asyncio
import contextlib
import gc
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import async_solipsism
import pytest

from linewitness.base.clock import NS_PER_S, SharedClockState, Stamp, monotonic
from linewitness.evidence.format.record import Event
from linewitness.gateway.clock_watch import HISTORY, ClockBoard, watch_clock
from linewitness.timesources.options import ClockOptions
from linewitness.timesources.polling import measure
from linewitness.timesources.sample import Leap, Sample, SourceDeclined, SourceSilent

START_NS = 1_795_000_000 * NS_PER_S
BEGAN_NS = 5_000 * NS_PER_S


class LoopClock:
    """CLOCK_BOOTTIME is the loop's time; CLOCK_REALTIME can be set."""

    boot_id = "00000000-0000-4000-8000-000000000001"

    def __init__(self) -> None:
        self.ahead_ns = 0

    def stamp(self) -> Stamp:
        boottime_ns = BEGAN_NS + round(monotonic() * NS_PER_S)
        return Stamp(START_NS + boottime_ns + self.ahead_ns, boottime_ns)


class Server:
    """A time source with true time, until it is told otherwise."""

    def __init__(self, clock: LoopClock, name: str = "a") -> None:
        self.name = name
        self.clock = clock
        self.asked: list[float] = []
        self.fault: SourceSilent | None = None
        self.leap = Leap.NONE
        self.wrong_ns = 0

    async def ask(self) -> Sample:
        self.asked.append(monotonic())
        if self.fault is not None:
            raise self.fault
        boottime_ns = self.clock.stamp().boottime_ns
        return Sample(
            source=self.name,
            boottime_ns=boottime_ns,
            utc_ns=START_NS + boottime_ns + self.wrong_ns,
            half_ns=1_000_000,
            offset_ns=0,
            delay_ns=1_000_000,
            root_dispersion_ns=0,
            stratum=2,
            reference="GPS",
            leap=self.leap,
        )


class Scene:
    """A watch on one server, and what it said."""

    def __init__(self, *names: str, **settings: Any) -> None:
        self.clock = LoopClock()
        self.servers = [Server(self.clock, name) for name in names or ("a",)]
        servers = [name for name in names or ("a",) if name != "chrony"]
        chrony = "auto" if "chrony" in names else "off"
        self.options = ClockOptions.model_validate({"ntp": servers, "chrony": chrony, **settings})
        self.state = SharedClockState()
        self.board = ClockBoard()
        self.events: list[tuple[float, Event]] = []
        self.states_at_events: list[Any] = []
        self.happened = 0
        self.looks: list[tuple[float, int | None]] = []

    def submit(self, events: Sequence[Event]) -> "asyncio.Future[Any]":
        self.events += [(monotonic(), event) for event in events]
        self.states_at_events.append(self.state.get())
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_exception(RuntimeError("the journal has stopped"))  # nobody must stumble over it
        return future

    async def run(self) -> None:
        await watch_clock(
            self.options,
            clock=self.clock,
            state=self.state,
            submit=self.submit,
            board=self.board,
            sources=self.servers,
            happened=lambda: self.happened,
            look=self.look,
        )

    async def look(self) -> None:
        self.looks.append((monotonic(), self.state.at(self.clock.stamp()).bound_us))

    def told(self, field: str) -> list[tuple[Any, Any]]:
        changes = [change for _, event in self.events for change in event.changes]
        return [(change.before, change.after) for change in changes if change.field == field]


Play = Callable[[Scene], Coroutine[Any, Any, None]]


def watched(play: Play, *names: str, **settings: Any) -> Scene:
    """Run the watch while `play` lets time pass."""

    async def run() -> Scene:
        scene = Scene(*names, **settings)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(scene.run())
            await play(scene)
            watching.cancel()
        return scene

    complaints: list[dict[str, Any]] = []
    loop = async_solipsism.EventLoop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    try:
        scene: Scene = loop.run_until_complete(run())
        gc.collect()  # a failed submission that nobody looked at would complain now
        assert not complaints
        return scene
    finally:
        loop.close()


def seconds(duration: float) -> Play:
    async def play(_: Scene) -> None:
        await asyncio.sleep(duration)

    return play


@pytest.mark.heavy
def test_the_state_is_locked_soon_and_that_is_told_once() -> None:
    scene = watched(seconds(300))
    assert scene.state.get().sync == "locked"
    assert scene.told("sync") == [("unsynced", "locked")]
    assert scene.told("warning") == [(True, False)]
    ((at, event),) = scene.events
    assert at == pytest.approx(0, abs=0.1)
    assert (event.kind, event.occurred_from, event.reason) == (
        "clock.status",
        "gateway",
        "1 source answering",
    )


@pytest.mark.heavy
def test_a_server_is_asked_in_a_short_burst_and_then_each_poll() -> None:
    (server,) = watched(seconds(200)).servers
    assert server.asked == pytest.approx([0, 2, 4, 6, 70, 134, 198])


@pytest.mark.heavy
def test_a_dead_server_leads_to_holdover_which_is_told_with_the_reason() -> None:
    async def play(scene: Scene) -> None:
        await asyncio.sleep(100)
        scene.servers[0].fault = SourceSilent("no answer within 2.0 s")
        await asyncio.sleep(500)
        scene.servers[0].fault = None
        await asyncio.sleep(100)

    scene = watched(play)
    assert scene.told("sync") == [("unsynced", "locked"), ("locked", "holdover"), ("holdover", "locked")]
    at, lost = scene.events[1]
    assert 370 <= at <= 373
    assert lost.reason == "no source has answered for 300 s: a: no answer within 2.0 s"


@pytest.mark.heavy
@pytest.mark.parametrize("jump_s", [3600, -3600, 1, -1])
def test_a_step_is_told_within_5_s_and_the_state_already_knows(jump_s: int) -> None:
    async def play(scene: Scene) -> None:
        await asyncio.sleep(101)
        scene.clock.ahead_ns = jump_s * NS_PER_S
        await asyncio.sleep(20)

    scene = watched(play, fail_ms=500)
    at, event = scene.events[1]
    assert 101 < at < 106
    assert event.reason.startswith("the clock was set; ")
    bound_us = scene.states_at_events[1].bound_us
    assert abs(bound_us - abs(jump_s) * 1_000_000) < 20_000
    assert scene.servers[0].asked[4:6] == pytest.approx([70, at])  # asked again at once


@pytest.mark.heavy
def test_a_step_on_a_line_without_a_time_source_is_told_too() -> None:
    async def play(scene: Scene) -> None:
        scene.servers[0].fault = SourceSilent("no answer")
        await asyncio.sleep(101)
        scene.clock.ahead_ns = NS_PER_S
        await asyncio.sleep(5)

    scene = watched(play)
    assert [event.reason.startswith("the clock was set") for _, event in scene.events] == [True]


@pytest.mark.heavy
def test_a_clock_that_starts_in_1970_is_said_to_be_wrong_by_decades() -> None:
    async def play(scene: Scene) -> None:
        scene.clock.ahead_ns = -START_NS
        await asyncio.sleep(60)

    scene = watched(play)
    ((before, after),) = scene.told("bound_us")
    assert before is None
    assert after > START_NS // 1000
    assert "more than 1000 ms" in scene.events[0][1].reason


@pytest.mark.heavy
def test_a_slow_slew_is_no_step() -> None:
    async def play(scene: Scene) -> None:
        for _ in range(300):
            await asyncio.sleep(1)
            scene.clock.ahead_ns += 500_000  # 500 ppm

    assert len(watched(play).events) in {1, 2}  # locked, and at most the warning


@pytest.mark.heavy
def test_the_journal_may_look_often_and_finds_a_current_state() -> None:
    async def play(scene: Scene) -> None:
        await asyncio.sleep(11)
        scene.clock.ahead_ns = NS_PER_S
        await asyncio.sleep(10)

    looks = watched(play, stamp_s=2).looks
    assert {round(at) for at, _ in looks} >= set(range(0, 21, 2))
    assert {(bound_us or 0) > 900_000 for at, bound_us in looks if at < 11} == {False}
    assert {(bound_us or 0) > 900_000 for at, bound_us in looks if at > 11} == {True}


@pytest.mark.heavy
def test_between_two_judgements_a_step_is_already_in_the_bound() -> None:
    async def play(scene: Scene) -> None:
        await asyncio.sleep(100.5)
        scene.clock.ahead_ns = NS_PER_S
        state = scene.state.at(scene.clock.stamp())
        assert (state.sync, scene.state.get().sync) == ("unsynced", "locked")
        assert 1_000_000 <= (state.bound_us or 0) < 1_020_000

    watched(play)


@pytest.mark.heavy
def test_a_leap_second_is_told_when_it_is_announced() -> None:
    async def play(scene: Scene) -> None:
        await asyncio.sleep(50)
        scene.servers[0].leap = Leap.INSERT
        await asyncio.sleep(100)

    assert watched(play).told("leap") == [("none", "insert")]


@pytest.mark.heavy
def test_a_minute_in_which_something_happened_gets_a_status_and_an_idle_one_does_not() -> None:
    async def play(scene: Scene) -> None:
        await asyncio.sleep(70)
        scene.happened += 5
        await asyncio.sleep(120)

    scene = watched(play)
    assert len(scene.events) == 2
    assert 119 <= scene.events[1][0] <= 125


@pytest.mark.heavy
def test_a_server_that_begins_to_lie_is_told_within_a_minute() -> None:
    async def play(scene: Scene) -> None:
        await asyncio.sleep(100)
        scene.servers[2].wrong_ns = NS_PER_S
        await asyncio.sleep(200)

    scene = watched(play, "a", "b", "c")
    assert scene.told("falsetickers") == [(None, "c")]
    assert scene.events[1][0] <= 134 + 60


@pytest.mark.heavy
@pytest.mark.parametrize(("code", "most"), [("RATE", 6), ("DENY", 1), ("RSTR", 1)])
def test_a_server_that_declines_is_left_in_peace(code: str, most: int) -> None:
    async def play(scene: Scene) -> None:
        scene.servers[0].fault = SourceDeclined(code)
        await asyncio.sleep(1000)
        scene.clock.ahead_ns = 60 * NS_PER_S  # not even a step hurries it
        await asyncio.sleep(1000)

    (server,) = watched(play).servers
    assert 1 <= len(server.asked) <= most


@pytest.mark.heavy
def test_servers_are_not_asked_while_chrony_answers_but_are_when_it_does_not() -> None:
    async def play(scene: Scene) -> None:
        await asyncio.sleep(500)
        quiet = len(scene.servers[1].asked)
        assert quiet <= 1
        scene.servers[0].fault = SourceSilent("chronyd does not answer")
        await asyncio.sleep(500)
        assert len(scene.servers[1].asked) > quiet
        assert scene.state.get().sync == "locked"

    watched(play, "chrony", "a")


@pytest.mark.heavy
def test_the_board_keeps_one_verdict_a_minute_for_a_day() -> None:
    scene = watched(seconds(90_000), stamp_s=4)
    assert len(scene.board.history) == HISTORY
    assert scene.board.verdict is not None
    assert scene.board.verdict.offset_us == 0


def test_everything_can_be_measured_once() -> None:
    async def run() -> None:
        clock = LoopClock()
        good, dead = Server(clock, "good"), Server(clock, "dead")
        dead.fault = SourceSilent("no answer")
        options = ClockOptions(ntp=("good", "dead"), chrony="off")
        verdict = await measure(options, clock=clock, sources=[good, dead])
        assert verdict.state.sync == "locked"
        assert [view.trouble for view in verdict.sources] == ["", "no answer"]

    loop = async_solipsism.EventLoop()
    with contextlib.closing(loop):
        loop.run_until_complete(run())
