"""What is asked to end does end, also where something breaks at that very moment."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from linewitness.base.clock import monotonic
from linewitness.base.errors import JournalError, UplinkUnavailable
from linewitness.base.stopping import attempted
from linewitness.gateway.answers.listener import AnswerListener
from linewitness.gateway.forward import NARROWING_S, Forwarder
from linewitness.gateway.sending.packet_limit import PacketLimit
from linewitness.status.health import Health
from linewitness.store import service
from linewitness.store.inbox.inbox import StoreInbox
from linewitness.store.inbox.quota import QuotaOptions
from linewitness.store.work import StoreWork
from linewitness.uplink.takeover import TakeoverWatch
from support.present import present
from support.waiting import until


class Breaking:
    """A link that can be broken."""

    def __init__(self) -> None:
        self.listened = asyncio.Event()
        self.broken = asyncio.Event()

    async def subscribe(self, topic: str) -> None:
        pass

    async def publish(self, topic: Any, payload: Any, *, retain: bool = False) -> None:
        await asyncio.Event().wait()

    async def messages(self) -> AsyncIterator[None]:
        self.listened.set()
        await self.broken.wait()
        raise UplinkUnavailable("the connection to the broker broke")
        yield


async def ends_although_the_link_breaks(work: Coroutine[Any, Any, Any], link: Breaking) -> None:
    """Break the link and cancel at once: the failure comes first, and takes the cancellation with it."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        await link.listened.wait()
        link.broken.set()
        task.cancel()
        began = monotonic()
        await asyncio.wait([task], timeout=5)
        assert task.done(), "it tries again for ever"
        assert task.cancelled()
        assert monotonic() - began < 1


async def test_a_store_that_is_stopped_while_its_broker_goes_away_ends() -> None:
    link = Breaking()

    @asynccontextmanager
    async def connect() -> AsyncIterator[Breaking]:
        yield link

    store = service._Service.__new__(service._Service)
    cast(Any, store)._connected = cast(Any, store)._disconnected = lambda *_: None
    cast(Any, store)._work = StoreWork()
    cast(Any, store)._inbox = StoreInbox(QuotaOptions())
    cast(Any, store)._options = SimpleNamespace(tenants=())
    cast(Any, store)._connector = SimpleNamespace(connect=connect)
    cast(Any, store)._topics = list
    cast(Any, store)._backoff = SimpleNamespace(next_s=lambda: 60.0)
    cast(Any, store)._gateways = SimpleNamespace(newest=list, names=list)
    cast(Any, store)._publish = cast(Any, store).in_thread = _nothing
    await ends_although_the_link_breaks(store.run(), link)


async def _nothing(*_: list[Any] | Breaking | type[list[Any]]) -> list[Any]:
    return []


async def _forever(*_: Breaking) -> None:
    await asyncio.Event().wait()


def forwarder_over(connect: Callable[..., Any]) -> Forwarder:
    """Return a forwarder that connects so, and whose tasks but the listening one do nothing."""
    forwarder = Forwarder.__new__(Forwarder)
    forwarder._connect = connect
    forwarder._logged = ""
    cast(Any, forwarder)._judge = SimpleNamespace(recall=_nothing, receipted=0, contradiction=None)
    forwarder._health = cast(Any, Health())
    forwarder._takeovers = TakeoverWatch()
    cast(Any, forwarder)._answers = AnswerListener(
        cast(Any, forwarder)._judge, cast(Any, None), topic="receipt", health=forwarder._health
    )
    cast(Any, forwarder)._tell_ahead = _forever
    cast(Any, forwarder)._topics = SimpleNamespace(receipt="receipt")
    cast(Any, forwarder)._announce = _nothing
    cast(Any, forwarder)._records = SimpleNamespace(run=_forever, limit=PacketLimit(1))
    cast(Any, forwarder)._show_contradiction = _forever
    signals = SimpleNamespace(run=_forever, limit=PacketLimit(1), connected=lambda: None)
    cast(Any, forwarder)._signals = signals
    cast(Any, forwarder)._learned = SimpleNamespace(recall=_nothing, keep=lambda: None)
    cast(Any, forwarder)._follow_journal = _forever
    return forwarder


async def test_a_gateway_that_is_stopped_while_its_broker_goes_away_ends() -> None:
    link = Breaking()

    @asynccontextmanager
    async def dial() -> AsyncIterator[Breaking]:
        yield link

    forwarder = forwarder_over(dial)
    await ends_although_the_link_breaks(forwarder.run(), link)


async def test_connections_that_end_before_anything_is_sent_are_no_matter_of_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One ended with a large message on its way, the next ones at once: another client has our id."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 8:
            raise asyncio.CancelledError

    @asynccontextmanager
    async def dial() -> AsyncIterator[Any]:
        yield SimpleNamespace(subscribe=hangs_up)

    async def hangs_up(_: str) -> None:
        raise UplinkUnavailable("the connection to the broker broke")

    forwarder = forwarder_over(dial)
    cast(Any, forwarder)._records.limit.leaves(5000, 3)
    monkeypatch.setattr("linewitness.gateway.forward.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await forwarder.run()
    assert "another client may use our client id" in cast(Any, forwarder)._health.takeover
    assert max(waits) > NARROWING_S


async def fails_in_a_group(error: UplinkUnavailable) -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise error

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
    except* type(error):
        pass
    raise error


async def test_a_part_that_fails_is_no_request_to_end() -> None:
    """Before Python 3.13 a TaskGroup counts a cancellation for it that nobody asked for."""
    task = asyncio.current_task()
    for _ in range(3):
        with pytest.raises(UplinkUnavailable):
            await attempted(fails_in_a_group(UplinkUnavailable("gone")), retried=UplinkUnavailable)
        assert present(task).cancelling() == 0


async def test_a_failure_that_is_not_retried_outweighs_the_request_to_end() -> None:
    async def ends_badly() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise JournalError("the disk is full")

    task = asyncio.ensure_future(attempted(ends_badly(), retried=UplinkUnavailable))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(JournalError):
        await task


@pytest.mark.heavy
async def test_a_link_that_breaks_is_found_again_and_again() -> None:
    dialled = []

    @asynccontextmanager
    async def dial() -> AsyncIterator[Breaking]:
        dialled.append(1)
        link = Breaking()
        link.broken.set()
        yield link

    forwarder = forwarder_over(dial)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(forwarder.run())
        await until(lambda: len(dialled) >= 3)
        assert not task.done()
        task.cancel()
