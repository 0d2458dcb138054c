"""The order of arrival: when it is the order of events, and since when it is not."""

import asyncio
import dataclasses
import time

import pytest

from linewitness.base.clock import NS_PER_MS, Stamp, SystemClock
from linewitness.devices.base import Observation
from linewitness.gateway.intake.arrival import ArrivalOrder, Standstills
from support.clocks import ManualClock
from support.observations import BASE_NS, BOOT_NS, tightening
from support.waiting import until


class Tool:
    """A tool whose results arrive and are confirmed at given moments, in milliseconds."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.begun_ms = BOOT_NS // NS_PER_MS
        self.order = ArrivalOrder(Standstills(clock), clock)

    def result(self, at_ms: int, *, confirmed_after_ms: int, lost: int = 0) -> int | None:
        """Return since when the result may have waited, in milliseconds."""
        observation = tightening(1, at_ms=at_ms)
        since_ns = self.order.delayed_since_ns(observation, lost)
        now_ns = (self.begun_ms + at_ms + confirmed_after_ms) * NS_PER_MS
        self.clock.advance_ns(now_ns - self.clock.boottime_ns)
        self.order.confirmed(observation)
        return None if since_ns is None else since_ns // NS_PER_MS - self.begun_ms


def test_a_tool_that_makes_a_pause_after_its_confirmation_sends_its_results_as_it_makes_them(
    clock: ManualClock,
) -> None:
    tool = Tool(clock)
    assert tool.result(0, confirmed_after_ms=5) is None
    assert tool.result(600, confirmed_after_ms=5) is None


def test_what_comes_soon_after_a_confirmation_may_have_been_made_before_it(clock: ManualClock) -> None:
    """A result that is made just before the confirmation, by a tool that is slow to send it."""
    tool = Tool(clock)
    assert tool.result(0, confirmed_after_ms=5) is None
    assert tool.result(450, confirmed_after_ms=5) == 0
    assert tool.result(500, confirmed_after_ms=5) == 0
    assert tool.result(1_100, confirmed_after_ms=5) is None


def test_what_a_tool_made_while_it_waited_follows_at_once_and_may_be_as_old_as_the_wait(
    clock: ManualClock,
) -> None:
    tool = Tool(clock)
    assert tool.result(0, confirmed_after_ms=4_000) is None
    assert tool.result(4_010, confirmed_after_ms=5) == 0
    assert tool.result(4_800, confirmed_after_ms=5) == 0
    assert tool.result(7_000, confirmed_after_ms=5) is None


def test_a_pause_ends_the_doubt(clock: ManualClock) -> None:
    tool = Tool(clock)
    assert tool.result(0, confirmed_after_ms=4_000) is None
    assert tool.result(6_100, confirmed_after_ms=5) is None


def test_what_arrives_over_a_cable_that_loses_segments_may_have_been_sent_three_seconds_ago(
    clock: ManualClock,
) -> None:
    tool = Tool(clock)
    assert tool.result(0, confirmed_after_ms=5) is None
    assert tool.result(5_000, confirmed_after_ms=5, lost=1) == 0, "its confirmation may have come just now"
    assert tool.result(20_000, confirmed_after_ms=5, lost=1) == 17_000
    assert tool.result(64_000, confirmed_after_ms=5, lost=1) == 61_000
    assert tool.result(66_000, confirmed_after_ms=5, lost=1) is None, "a minute without a loss"


def test_each_further_loss_prolongs_the_doubt(clock: ManualClock) -> None:
    tool = Tool(clock)
    assert tool.result(0, confirmed_after_ms=5, lost=2) == -3_000
    assert tool.result(10_000, confirmed_after_ms=5, lost=2) == 7_000
    assert tool.result(20_000, confirmed_after_ms=5, lost=3) == 17_000, "the doubt is not without end"
    assert tool.result(79_000, confirmed_after_ms=5, lost=3) == 76_000


def test_what_was_sent_again_for_nothing_is_no_doubt(clock: ManualClock) -> None:
    tool = Tool(clock)
    assert tool.result(0, confirmed_after_ms=5, lost=1) == -3_000
    assert tool.result(10_000, confirmed_after_ms=5, lost=0) is None, "the tool had it"
    assert tool.result(20_000, confirmed_after_ms=5, lost=1) is not None, "a loss after that counts"
    assert tool.result(30_000, confirmed_after_ms=5, lost=1) == 27_000


def test_a_tool_that_waited_long_has_to_pause_long(clock: ManualClock) -> None:
    """A machine that kept it waiting for 5 s may let it send the next one after more than a second."""
    tool = Tool(clock)
    assert tool.result(0, confirmed_after_ms=5_000) is None
    assert tool.result(6_500, confirmed_after_ms=5) == 0
    assert tool.result(8_500, confirmed_after_ms=5) == 0
    assert tool.result(11_100, confirmed_after_ms=5) is None, "2.5 s without a result"
    assert tool.result(11_700, confirmed_after_ms=5) is None


def test_a_standstill_is_no_pause(clock: ManualClock) -> None:
    """The rest of a backlog lay in the socket while the process stood still after a confirmation."""
    tool = Tool(clock)
    assert tool.result(10_000, confirmed_after_ms=2_000) is None
    assert tool.result(12_010, confirmed_after_ms=5) == 10_000
    begun_ns = (tool.begun_ms + 12_050) * NS_PER_MS
    tool.order._standstills._last = (begun_ns, begun_ns + 5_950 * NS_PER_MS)
    assert tool.result(18_010, confirmed_after_ms=5) == 10_000


def test_a_loss_is_seen_although_the_number_fell_before(clock: ManualClock) -> None:
    """A second transmission under way at a result, taken back while nothing arrives; then a real loss."""
    tool = Tool(clock)
    assert tool.result(0, confirmed_after_ms=5, lost=1) == -3_000
    tool.order.notice(0)
    tool.order.notice(1)
    assert tool.result(5_000, confirmed_after_ms=5, lost=1) == 0, "its confirmation may have come just now"
    assert tool.result(20_000, confirmed_after_ms=5, lost=1) == 17_000


def arrived_at(boottime_ns: int) -> Observation:
    return dataclasses.replace(tightening(1), received=Stamp(BASE_NS, boottime_ns))


@pytest.mark.heavy
async def test_a_process_that_does_not_run_is_noticed() -> None:
    clock = SystemClock()
    standstills = Standstills(clock)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(standstills.run())
        await asyncio.sleep(0.1)
        before_ns = clock.stamp().boottime_ns
        time.sleep(0.4)  # noqa: ASYNC251 (this is the fault)
        after_ns = clock.stamp().boottime_ns
        await until(lambda: standstills.before_ns(after_ns) is not None)
        begun_ns = standstills.before_ns(after_ns)
        assert begun_ns is not None
        assert begun_ns <= before_ns + 60 * NS_PER_MS
        assert standstills.before_ns(before_ns - 10**9) is None
        assert standstills.before_ns(after_ns + 10**9) is None
        # A device that waits for no confirmation keeps nothing back: the doubt ends with the standstill.
        pushed = ArrivalOrder(standstills, clock)
        assert pushed.delayed_since_ns(arrived_at(after_ns)) == begun_ns
        assert pushed.delayed_since_ns(arrived_at(after_ns + 10**9)) is None
        watching.cancel()
