"""A point that says nothing is known only as long as its device is heard."""

import asyncio
from typing import Any, cast

import pytest

from linewitness.base.clock import SystemClock
from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.base import Reading
from linewitness.devices.following import FollowingSession
from linewitness_simulators.oven.server import OvenServerOptions
from linewitness_simulators.oven.server import serve as serve_oven
from linewitness_simulators.press.server import PressSimulation
from linewitness_simulators.press.server import serve as serve_press
from support.one_by_one import one_by_one
from support.opcua_rig import Memory, listening, options, point, reading
from support.oven_rig import DOOR, driver_for
from support.present import present
from support.waiting import until

CLOCK = SystemClock()


async def is_known_past(session: FollowingSession, moment_ns: int) -> None:
    """Wait until the session knows that nothing changed until after a moment."""
    await until(
        lambda: session.known_until is not None and session.known_until.boottime_ns > moment_ns,
        lambda: f"known until {session.known_until}",
    )


@pytest.mark.parametrize("mode", [{}, {"mode": "poll", "poll_ms": 50}], ids=["subscribe", "poll"])
async def test_a_point_of_a_server_is_known_until_the_server_was_heard_last(mode: dict[str, Any]) -> None:
    async with (
        serve_press(PressSimulation(tick_s=0)) as press,
        listening(options(press, point("Holding"), silence_s=1, timeout_s=1, **mode)) as ear,
    ):
        await ear.first(reading("holding"))
        assert isinstance(ear.session, FollowingSession)
        quiet = asyncio.ensure_future(ear.end())
        await is_known_past(ear.session, CLOCK.stamp().boottime_ns)
        assert not quiet.done()
        press.wire.passing.clear()
        pulled_ns = CLOCK.stamp().boottime_ns
        try:
            with pytest.raises(DeviceUnavailable):
                await quiet
        finally:
            press.wire.passing.set()
        # What was under way when the cable was pulled may have arrived.
        assert present(ear.session.known_until).boottime_ns < pulled_ns + 50_000_000


async def test_a_point_is_known_only_until_the_server_may_have_looked_at_it_last() -> None:
    # This server says of each point that it looks at it as often as it publishes.
    async with (
        serve_press(PressSimulation(tick_s=0)) as press,
        listening(options(press, point("Holding"), silence_s=3, publishing_ms=700)) as ear,
    ):
        await ear.first(reading("holding"))
        assert isinstance(ear.session, FollowingSession)
        quiet = asyncio.ensure_future(ear.end())
        await is_known_past(ear.session, 0)
        known = present(ear.session.known_until)
        heard = cast(Any, ear.session).contact
        assert heard.boottime_ns - known.boottime_ns >= 700_000_000
        assert heard.realtime_ns - known.realtime_ns >= 700_000_000
        quiet.cancel()
        await asyncio.wait([quiet])


async def test_a_change_was_said_before_its_time_is_known() -> None:
    async with (
        serve_press(PressSimulation(tick_s=0)) as press,
        listening(options(press, point("Holding"), silence_s=1)) as ear,
    ):
        await ear.first(reading("holding", "125"))
        assert isinstance(ear.session, FollowingSession)
        await press.set("Holding", 130.0)
        changed = await ear.first(reading("holding", "130"))
        known = ear.session.known_until
        assert known is None or known.boottime_ns < changed.received.boottime_ns


async def test_a_register_is_known_until_the_last_round_that_was_answered() -> None:
    async with (
        serve_oven(OvenServerOptions()) as oven,
        driver_for(oven, DOOR, retries=0, timeout_s=0.1).connect(Memory()) as session,
    ):
        observations = one_by_one(session.observations())
        assert isinstance(await anext(observations), Reading)
        assert isinstance(session, FollowingSession)
        assert session.known_until is None
        quiet = asyncio.ensure_future(anext(observations))
        await is_known_past(session, CLOCK.stamp().boottime_ns)
        assert not quiet.done()
        oven.faults.dead_units.add(1)
        dead_ns = CLOCK.stamp().boottime_ns
        with pytest.raises(DeviceUnavailable):
            await quiet
        assert present(session.known_until).boottime_ns < dead_ns
