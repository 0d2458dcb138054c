"""What is lost on the way to a device: counted over its sessions, logged once."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

from structlog.testing import capture_logs

from linewitness.base.clock import NS_PER_S
from linewitness.devices.base import NetworkSession
from linewitness.gateway.intake import network
from linewitness.gateway.intake.network import LOSSY_NS, NetworkWatch
from linewitness.status.health import Health
from support.clocks import ManualClock
from support.waiting import until


def noted(lost: int) -> None:
    """Take the number, as the order of arrival does."""


def session(lost: int | None) -> Any:
    return cast("NetworkSession", SimpleNamespace(lost_segments=lost))


def test_losses_of_all_sessions_are_one_number(clock: ManualClock) -> None:
    watch = NetworkWatch("wrench-10", Health(), clock, noted)
    assert watch.lost == 0
    first = session(3)
    watch.begin(first)
    assert watch.lost == 3
    first.lost_segments = 2  # one was sent again for nothing
    assert watch.lost == 2
    first.lost_segments = None  # its socket is closed
    assert watch.lost == 2
    watch.begin(session(2))
    assert watch.lost == 4
    watch.begin(None)
    assert watch.lost == 4


async def test_a_loss_is_shown_and_logged_once_until_a_minute_without_one(
    clock: ManualClock, monkeypatch: Any
) -> None:
    monkeypatch.setattr(network, "SHOW_S", 0.001)
    health = Health()
    watch = NetworkWatch("wrench-10", health, clock, noted)
    watch.begin(now := session(0))

    def shown() -> int:
        return health.devices["wrench-10"].lost_segments if health.devices else 0

    with capture_logs() as logged:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch.run())
            for lost in (1, 2):
                now.lost_segments = lost
                await until(lambda: shown() == now.lost_segments)
            clock.advance_ns(LOSSY_NS + NS_PER_S)
            await until(lambda: len(logged) == 2)
            watching.cancel()
    assert [entry["event"] for entry in logged] == [
        "segments are lost on the way to the device",
        "no segments are lost any more",
    ]


async def test_what_is_taken_back_at_once_is_not_shown(clock: ManualClock, monkeypatch: Any) -> None:
    monkeypatch.setattr(network, "SHOW_S", 0.001)
    health = Health()
    watch = NetworkWatch("wrench-10", health, clock, noted)
    looks = iter([0, 1, 0, 1, 0, 2, 2])
    watch.begin(cast("NetworkSession", Falling(looks)))
    with capture_logs() as logged:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch.run())
            await until(lambda: logged)
            watching.cancel()
    assert [entry["lost"] for entry in logged] == [2]


class Falling:
    """A session whose number is another one at each look."""

    def __init__(self, looks: Iterator[int]) -> None:
        self._looks = looks

    @property
    def lost_segments(self) -> int:
        return next(self._looks, 2)
