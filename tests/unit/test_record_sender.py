"""What the sender does with records that are no longer here."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from linewitness.gateway.sending.record_sender import RecordSender
from linewitness.gateway.sending.send_window import SendWindow
from linewitness.status.health import Health
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.topics import Topics
from support.waiting import until


class Broker:
    """A broker that a store listens to, and that takes everything."""

    maximum_packet_bytes = None

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        return 0


class PrunedJournal:
    """A journal without records 2 to 344, while whose reading the store answers that it holds 345."""

    def __init__(self, judge: Any) -> None:
        self.head = SimpleNamespace(size=400)
        self.judge = judge
        self.asked: list[int] = []

    async def batch(self, first: int, size: int) -> list[bytes]:
        self.asked.append(first)
        self.judge.held = 345
        return []


@pytest.mark.heavy
async def test_an_answer_that_comes_while_records_are_read_is_no_reason_for_an_alarm() -> None:
    """The empty message, which anybody may send, asks for all records; the store then says what it holds."""
    judge = SimpleNamespace(held=2, contradiction=None, continuity=SimpleNamespace(released=nothing))
    journal, health, options = PrunedJournal(judge), Health(), ForwardOptions(receipt_timeout_s=1)
    sender = RecordSender(
        SendWindow(cast(Any, judge), journal=cast(Any, journal), options=options),
        cast(Any, judge),
        journal=cast(Any, journal),
        signer=cast(Any, SimpleNamespace(at=signed)),
        topics=Topics("acme", "gw-02"),
        options=options,
        health=health,
    )
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(sender.run(cast(Any, Broker())))
        await until(lambda: 345 in journal.asked or health.uplink_state == "conflict")
        sending.cancel()
    assert (journal.asked[:2], health.uplink_state) == ([2, 345], Health().uplink_state)


async def nothing() -> None:
    """Wait for no place."""


async def signed(size: int) -> str:
    return f"checkpoint over {size}"
