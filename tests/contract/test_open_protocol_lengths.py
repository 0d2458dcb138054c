"""Telegrams that are longer in their header than on the wire, and what is logged without an answer."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

import pytest

from linewitness.devices.open_protocol.session import link
from support.awkward_controller import AwkwardController, captured, listening, pushed, telegram
from support.open_protocol_rig import Journal
from support.waiting import until


async def test_a_length_that_is_too_long_ends_the_connection_although_telegrams_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "PARTIAL_TIMEOUT_S", 0.5)
    journal, controller = Journal(), AwkwardController()
    async with listening(controller), captured(controller, journal, keepalive_s=0.2) as running:
        await until(lambda: running.connected)
        controller.results.append(1)
        controller.send(b"9999" + pushed(1)[4:])
        for _ in range(10):  # what follows is swallowed, and keeps the link from being silent
            controller.send(telegram(9999))
            await asyncio.sleep(0.1)
        await until(lambda: running.error, timeout_s=10)
        assert "length field is too long" in str(running.error)
        await until(lambda: journal.ids == [1])


async def test_parts_that_never_become_whole_end_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "PARTIAL_TIMEOUT_S", 0.5)
    journal, controller = Journal(), AwkwardController()
    async with listening(controller), captured(controller, journal, keepalive_s=0.2) as running:
        await until(lambda: running.connected)
        first = pushed(1)
        controller.send(first[:18] + b"21" + first[20:])
        await until(lambda: running.error, timeout_s=10)
        assert "did not complete it" in str(running.error)


async def test_a_long_telegram_in_many_pieces_is_no_reason_to_end_it() -> None:
    journal, controller = Journal(), AwkwardController()
    async with listening(controller), captured(controller, journal) as running:
        await until(lambda: running.connected)
        for number in (1, 2, 3):
            for byte in pushed(number):
                controller.send(bytes([byte]))
        await until(lambda: journal.ids == [1, 2, 3])
        assert running.connected == 1


async def complaints(provoke: Coroutine[Any, Any, None]) -> list[str]:
    """Return what asyncio logs with a traceback while this runs, and when its objects are gone."""
    found: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: found.append(context["message"]))
    try:
        await provoke
        gc.collect()
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(None)
    return found


async def left_without_answer(mid: int) -> None:
    """Connect to a controller that answers neither this question nor signs of life."""

    def answer(each: int, *_: Any) -> Any:
        return None if each in (mid, 9999) or (each == 3 and mid == 1) else ...

    controller = AwkwardController(answer=answer)
    quick = {"dead_after_s": 1, "keepalive_s": 0.5, "request_timeout_s": 0.4}
    async with listening(controller), captured(controller, Journal(), **quick) as running:
        await until(lambda: running.error and len(controller.writers) >= 2)


async def broken_while_asking() -> None:
    """Break the connection while an answer is awaited."""
    controller = AwkwardController(answer=lambda mid, *_: None if mid == 64 else ...)
    async with listening(controller), captured(controller, Journal(), request_timeout_s=30) as running:
        await until(lambda: controller.asked(64))
        controller.writers[-1].transport.abort()
        await until(lambda: running.error and len(controller.asked(64)) > 1)


@pytest.mark.parametrize("mid", [1, 40, 60, 64, 80])
async def test_an_answer_that_does_not_come_leaves_no_traceback_in_the_log(mid: int) -> None:
    assert await complaints(left_without_answer(mid)) == []


async def test_a_connection_that_breaks_while_an_answer_is_awaited_leaves_no_traceback() -> None:
    assert await complaints(broken_while_asking()) == []
