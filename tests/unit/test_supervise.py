"""The loops of a line: which of them are stuck if nothing moves any more."""

from typing import Any, cast

import pytest

from linewitness.base.watchdog import CARRY_S, COMMIT_S, CONNECT_S, Looks
from linewitness.gateway.clock_watch import ClockBoard
from linewitness.gateway.supervise import GatewayLoops
from linewitness.journal.journal import Journal
from linewitness.status.health import Health
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.mqtt import MqttConnector
from linewitness.uplink.options import MqttOptions
from support.loops import stuck_after


class Head:
    size = 10


class Pressure:
    full = False
    refusal = ""
    rounds = 0


class FakeJournal:
    def __init__(self) -> None:
        self.waiting, self.head, self.pressure = 0, Head(), Pressure()


class Buffer:
    waiting, stored = 0, 0


@pytest.fixture
def parts() -> GatewayLoops:
    health, journal = Health(), FakeJournal()
    health.device("wrench-10", "up", "")
    return GatewayLoops(
        journal=cast(Any, journal),
        telemetry=cast(Any, Buffer()),
        health=health,
        board=ClockBoard(),
        forward=ForwardOptions(),
        connector=MqttConnector(MqttOptions(url="mqtt://broker.example")),
        devices=lambda: health.devices,
    )


def progress(parts: GatewayLoops) -> dict[str, object]:
    return {loop.name: loop.progress() for loop in parts()}


async def test_silent_devices_and_an_idle_journal_are_no_reason_to_end(parts: GatewayLoops) -> None:
    parts.health.receipt(10)
    assert set(progress(parts).values()) == {None}
    assert stuck_after(parts) == ""


async def test_a_writer_that_does_not_commit_is_stuck(parts: GatewayLoops) -> None:
    parts.health.receipt(10)
    cast(Any, parts.journal).waiting = 3
    assert stuck_after(parts) == f"no progress: journal for {COMMIT_S:.0f} s"


async def test_a_capture_that_does_not_come_to_its_end_is_stuck(parts: GatewayLoops) -> None:
    parts.health.receipt(10)
    parts.health.at_work("wrench-10", True)
    assert stuck_after(parts) == f"no progress: capture:wrench-10 for {CARRY_S:.0f} s"
    parts.health.at_work("wrench-10", False)
    assert stuck_after(parts) == ""


async def test_a_connect_that_never_ends_is_stuck_but_one_that_fails_again_and_again_is_not(
    parts: GatewayLoops,
) -> None:
    parts.health.receipt(10)
    parts.health.device("wrench-10", "lost", "no route")
    assert stuck_after(parts) == f"no progress: connect:wrench-10 for {CONNECT_S:.0f} s"
    looks = Looks(10.0)
    for _ in range(200):
        parts.health.device("wrench-10", "lost", "no route")
        looks.look(parts())


async def test_a_full_journal_is_no_stuck_loop(parts: GatewayLoops) -> None:
    parts.health.receipt(10)
    journal: Any = parts.journal
    journal.waiting, journal.pressure.full = 3, True
    parts.health.at_work("wrench-10", True)
    assert stuck_after(parts) == ""


async def test_a_forwarder_with_records_that_takes_no_step_is_stuck(parts: GatewayLoops) -> None:
    parts.health.uplink("up", "")
    assert "forward" in stuck_after(parts)
    parts.health.uplink("conflict", "the store holds another history")
    assert stuck_after(parts) == ""


def test_a_thin_network_gets_the_time_that_its_batches_take(parts: GatewayLoops) -> None:
    slow = GatewayLoops(
        **{name: getattr(parts, name) for name in parts.__slots__ if name != "forward"},
        forward=ForwardOptions(batch_size=1024 * 1024, max_rate=1024),
    )
    (limit,) = [loop.limit_s for loop in slow() if loop.name == "forward"]
    assert limit > 1024


def test_the_real_journal_has_what_is_looked_at() -> None:
    assert isinstance(Journal.waiting, property)
    assert isinstance(Journal.pressure, property)


def test_forwarding_that_waits_for_a_full_disk_to_take_a_receipt_is_not_stuck(parts: GatewayLoops) -> None:
    assert stuck_after(parts).startswith("no progress: forward")
    cast(Any, parts.journal).pressure.refusal = "the disk is full"
    assert stuck_after(parts) == ""
