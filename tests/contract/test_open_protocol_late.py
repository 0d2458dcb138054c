"""An answer that comes when its time is just over, as after a process that stood still: it is an answer."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from linewitness.base.clock import SystemClock
from linewitness.devices.open_protocol.options import LinkTiming
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.refusals import RefusedByController
from linewitness.devices.open_protocol.wire.telegram import Telegram

TIMEOUT_S = 0.1
TIMING = LinkTiming(request_s=TIMEOUT_S, optional_s=TIMEOUT_S, keepalive_s=60, dead_after_s=60)
STARTED = Telegram(mid=Mid.STARTED, data=b"010001" + b"020001" + b"03" + b"Station".ljust(25))
TIME = Telegram(mid=Mid.TIME, data=b"2026-05-03:12:00:00")
REFUSED = Telegram(mid=Mid.REFUSED, data=b"008002")


@asynccontextmanager
async def started() -> AsyncIterator[Any]:
    """A link whose start was answered, and the controller's end of its connection."""
    ours, theirs = socket.socketpair()
    link = ControllerLink(
        streams=await asyncio.open_connection(sock=ours), name="wrench-10", timing=TIMING, clock=SystemClock()
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(link.read_forever())
        theirs.send(STARTED.wire())
        await link.ask(Telegram(mid=Mid.START), Mid.STARTED)
        yield link, theirs
        theirs.close()
    await link.stop()


async def asked(link: Any, controller: Any, answer: Any, *, optional: Any) -> Any:
    """Ask for the time, and let the process stand still until the answer is there and its time is over."""
    loop = asyncio.get_running_loop()

    def stand_still() -> None:
        controller.send(answer.wire())
        time.sleep(3 * TIMEOUT_S)

    loop.call_later(TIMEOUT_S / 2, stand_still)
    return await link.ask(Telegram(mid=Mid.TIME_REQUEST), Mid.TIME, optional=optional)


@pytest.mark.parametrize("optional", [True, False])
async def test_an_answer_in_the_last_moment_counts(optional: Any) -> None:
    async with started() as (link, controller):
        received = await asked(link, controller, TIME, optional=optional)
        assert received.telegram.mid == Mid.TIME
        assert link.failure is None


@pytest.mark.parametrize("optional", [True, False])
async def test_a_refusal_in_the_last_moment_counts(optional: Any) -> None:
    async with started() as (link, controller):
        with pytest.raises(RefusedByController) as refused:
            await asked(link, controller, REFUSED, optional=optional)
        assert refused.value.code == 2
        assert link.failure is None
