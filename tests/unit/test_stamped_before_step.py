"""What was stamped before the clock was set is marked by it, though the clock is right by now."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua

from linewitness.base.clock import NS_PER_MS, NS_PER_S, ClockState, SharedClockState, Stamp, from_rfc3339
from linewitness.devices.base import Reading, When
from linewitness.devices.opcua.decoding.times import ClockWitness, ServerClock, moment_of
from linewitness.devices.open_protocol.content.times import FORMAT, ClockOffset, measure, resolve
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.record import Resource
from linewitness.journal.journal import Journal, open_journal
from linewitness.stations.shared_state import SharedState
from linewitness.stations.station import Station
from support.clocks import START_NS, ManualClock
from support.journals import create, members_of, options, verdict_of

HOUR_NS = 3600 * NS_PER_S
YEARS_NS = 73 * 365 * 24 * HOUR_NS
BOUND_US = 1_000_000


class WatchedLine:
    """A journal whose writer has not begun yet, and the state of the clock that its records state."""

    def __init__(self, journal: Journal, clock: ManualClock, state: SharedClockState) -> None:
        self.journal, self.clock, self.state = journal, clock, state
        self._station = Station(None, {}, shared=SharedState(), state={}, now=clock.stamp())
        self._values = 0

    def judge(self, sync: Any, bound_us: int) -> None:
        """Say what the time sources say of the clock now."""
        self.state.set(ClockState(sync, bound_us), self.clock.stamp())

    def observe(self) -> Reading:
        """Read a value now, stamped by this clock."""
        self._values += 1
        received = self.clock.stamp()
        return Reading(
            device="press-10",
            session_id="s1",
            received=received,
            when=When(occurred_ns=received.realtime_ns, occurred_from="poll", unc_ms=5),
            point="holding",
            value=f"12.{self._values}",
        )

    def submit(self, observation: Reading) -> None:
        self.journal.submit(self._station.interpret(observation).events)


@asynccontextmanager
async def watched(directory: Path, clock: ManualClock) -> AsyncIterator[WatchedLine]:
    """At the end of the block the writer writes what is queued."""
    create(directory, clock)
    state = SharedClockState()
    async with (
        open_journal(options(directory), clock=clock, clock_state=state) as journal,
        asyncio.TaskGroup() as group,
    ):
        await journal.look()
        yield WatchedLine(journal, clock, state)
        group.create_task(journal.run())
        await journal.drain()


@pytest.mark.parametrize("ahead_ns", [HOUR_NS, YEARS_NS, -HOUR_NS])
@pytest.mark.parametrize("queued", ["in the driver", "in the journal"])
async def test_a_result_stamped_before_the_step_is_not_said_to_be_right_within_a_second(
    tmp_path: Path, ahead_ns: int, queued: str
) -> None:
    clock = ManualClock()
    clock.step_ns(ahead_ns)
    async with watched(tmp_path, clock) as line:
        line.judge("unsynced", abs(ahead_ns) // 1000)
        before = line.observe()
        if queued == "in the journal":
            line.submit(before)
        clock.step_ns(-ahead_ns)
        line.judge("locked", BOUND_US)
        if queued == "in the driver":
            line.submit(before)
        line.submit(line.observe())
    step, stamped_before, after = members_of(tmp_path)[-3:]
    assert step["kind"] == "clock.stepped"
    off_ms = from_rfc3339(stamped_before["occurred_at"]) - from_rfc3339(stamped_before["ingested_at"])
    assert abs(off_ms - ahead_ns) < NS_PER_S
    assert stamped_before["clock"]["sync"] == "unsynced"
    assert stamped_before["clock"]["bound_us"] >= abs(ahead_ns) // 1000
    said = f"occurred_at was stamped before the clock was set by {-ahead_ns / NS_PER_S:+.3f} s"
    assert said in stamped_before["reason"]
    assert (after["clock"]["sync"], after["clock"]["bound_us"]) == ("locked", BOUND_US)
    assert "clock was set" not in after["reason"]
    assert verdict_of(tmp_path).status == "INTACT"


async def test_what_the_gateway_itself_states_is_marked_too(tmp_path: Path) -> None:
    clock = ManualClock()
    async with watched(tmp_path, clock) as line:
        event = gateway_event(
            "clock.status",
            clock.stamp().realtime_ns,
            resource=Resource("clock", "realtime"),
            reason="one source answers",
        )
        line.journal.submit([event])
        clock.step_ns(-HOUR_NS)
        line.judge("locked", BOUND_US)
    record = members_of(tmp_path)[-1]
    assert (record["kind"], record["clock"]["sync"]) == ("clock.status", "unsynced")
    assert record["clock"]["bound_us"] == BOUND_US + HOUR_NS // 1000
    assert record["reason"].startswith("one source answers; occurred_at was stamped before")


async def test_less_than_a_step_widens_the_bound_and_no_more(tmp_path: Path) -> None:
    clock = ManualClock()
    async with watched(tmp_path, clock) as line:
        before = line.observe()
        clock.step_ns(-40 * NS_PER_MS)
        line.judge("locked", 900)
        line.submit(before)
    record = members_of(tmp_path)[-1]
    assert (record["clock"]["sync"], record["clock"]["bound_us"]) == ("locked", 40_900)
    assert "clock was set" not in record["reason"]


async def test_there_and_back_leaves_the_time_as_good_as_it_was(tmp_path: Path) -> None:
    """The stamp was taken when the clock was as it is now."""
    clock = ManualClock()
    async with watched(tmp_path, clock) as line:
        before = line.observe()
        clock.step_ns(HOUR_NS)
        clock.step_ns(-HOUR_NS)
        line.judge("locked", 900)
        line.submit(before)
    assert members_of(tmp_path)[-1]["clock"]["sync"] == "locked"


BERLIN = timezone(timedelta(hours=2))


def controller_says(stamp: Stamp) -> str:
    """Return a controller's local time; its clock follows UTC, and nobody set it."""
    utc = datetime.fromtimestamp((START_NS + stamp.boottime_ns) / 1e9, UTC)
    return utc.astimezone(BERLIN).strftime(FORMAT)


@pytest.mark.parametrize("zone", [BERLIN, None], ids=["zone in the YAML", "zone measured"])
@pytest.mark.parametrize("live", [True, False], ids=["live", "from memory"])
@pytest.mark.parametrize("wrong_s", [3600, 90, -3600, 73 * 365 * 86_400])
def test_an_offset_of_a_controller_that_was_measured_before_the_step_is_not_used_after_it(
    zone: timezone | None, live: bool, wrong_s: int
) -> None:
    """Our clock was wrong when the controller was asked for its time, and was set right since."""
    asked = Stamp(START_NS + wrong_s * NS_PER_S, 0)
    offset = measure(controller_says(asked), asked, asked, zone)
    assert offset is not None
    received = Stamp(START_NS + 10 * NS_PER_S, 10 * NS_PER_S)
    found = resolve(controller_says(received), received=received, live=live, zone=zone, offset=offset).when
    assert abs(found.occurred_ns - received.realtime_ns) <= NS_PER_S
    assert found.device_offset_ms == 0
    assert (found.occurred_from, found.unc_ms) == ("device", 1000)


def test_an_offset_that_nothing_happened_to_is_used_as_it_was_measured() -> None:
    asked = Stamp(START_NS, 0)
    offset = measure(controller_says(asked), asked, asked, BERLIN)
    assert offset == ClockOffset(0, BERLIN, zone_measured=False, setting_ns=START_NS)
    assert offset.at(Stamp(START_NS + HOUR_NS, HOUR_NS), BERLIN) is offset


def server_shows(moment_ns: int) -> Any:
    shown: Any = ua.DataValue(ua.Variant(1))
    shown.SourceTimestamp = moment_of(moment_ns)
    return shown


@pytest.mark.parametrize("wrong_s", [3600, -3600, 30])
def test_an_offset_of_a_server_that_was_measured_before_the_step_is_not_used_after_it(wrong_s: int) -> None:
    """The server is right. Our clock was wrong when it was compared, and was set right since."""
    server_clock = ServerClock()
    asked = Stamp(START_NS + wrong_s * NS_PER_S, 0)
    offset = server_clock.measure(asked=asked, answered=asked, server=moment_of(START_NS))
    witness = ClockWitness(offset=offset, tolerance_ms=2000, delivery_ms=500)
    received = Stamp(START_NS + 10 * NS_PER_S, 10 * NS_PER_S)
    when = witness.live(server_shows(received.realtime_ns), received)
    assert (when.occurred_ns, when.occurred_from) == (received.realtime_ns, "device")
    assert when.device_offset_ms == 0
    again = server_clock.measure(asked=received, answered=received, server=moment_of(received.realtime_ns))
    assert again.ahead_ns == 0
