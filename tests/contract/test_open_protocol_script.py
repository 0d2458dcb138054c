"""A controller that plays a script: what the simulator is too well-behaved to do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from linewitness.base.clock import SystemClock
from linewitness.devices.open_protocol.driver import OpenProtocolDriver
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.wire.codec import encode
from linewitness.devices.open_protocol.wire.framing import Framer
from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.telegram import Telegram, parse
from support.open_protocol_rig import Gateway, Journal
from support.waiting import until

Reply = Callable[[Telegram], list[Telegram]]


def result(number: int, *, torque: int = 2500) -> dict[str, Any]:
    return {
        "tightening_id": number,
        "vin": f"SN{number}",
        "pset_id": 7,
        "tightening_status": 1,
        "torque_status": 1,
        "angle_status": 1,
        "torque": torque,
        "angle": 40,
        "timestamp": "2026-03-14:09:26:53",
    }


def minimal(telegram: Telegram) -> list[Telegram]:
    """Start, stay alive and take a subscription in revision 1; ignore everything else."""
    if telegram.mid == Mid.START:
        return [encode(Mid.STARTED, 1, {"cell_id": 1, "channel_id": 1, "controller_name": "TINY"})]
    if telegram.mid == Mid.KEEP_ALIVE:
        return [telegram]
    if telegram.mid == Mid.RESULT_SUBSCRIBE:
        if telegram.revision > 1:
            return [encode(Mid.REFUSED, 1, {"failed_mid": 60, "error_code": 97})]
        return [encode(Mid.ACCEPTED, 1, {"accepted_mid": 60})]
    if telegram.mid == Mid.OLD_RESULT_REQUEST:
        return [encode(Mid.REFUSED, 1, {"failed_mid": 64, "error_code": 15})]
    return []


@contextlib.asynccontextmanager
async def scripted(
    reply: Reply, journal: Journal, **more: Any
) -> AsyncIterator[tuple[Gateway, list[Telegram], list[Any]]]:
    """Run a gateway against a script; yields it, what it sent, and the writers of its connections."""
    heard: list[Telegram] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        framer = Framer()
        while data := await reader.read(4096):
            for raw in framer.feed(data):
                heard.append(parse(raw))
                for answer in reply(heard[-1]):
                    writer.write(answer.wire())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    quick = {"request_timeout_s": 1, "keepalive_s": 0.3, "dead_after_s": 2}
    options = OpenProtocolOptions(id="tiny", host="127.0.0.1", port=port, **{**quick, **more})
    gateway = Gateway(journal, OpenProtocolDriver(options, clock=SystemClock()))
    async with server, asyncio.TaskGroup() as group:
        task = group.create_task(gateway.run())
        try:
            yield gateway, heard, writers
        finally:
            task.cancel()


async def test_a_controller_that_ignores_what_it_does_not_know_is_captured_all_the_same() -> None:
    journal = Journal()
    async with scripted(minimal, journal) as (gateway, heard, writers):
        await until(lambda: gateway.connected and any(each.mid == 70 for each in heard))
        writers[-1].write(encode(Mid.RESULT, 1, result(1)).wire())
        await until(lambda: any(each.mid == Mid.RESULT_ACK for each in heard))
        assert gateway.connected == 1
    assert journal.ids == [1]
    assert journal.results[0].source == "-:tiny:-"
    assert journal.results[0].measured[0].value == "25.00"


async def test_a_conflicting_result_is_recorded_confirmed_and_overwrites_nothing() -> None:
    journal = Journal()

    def remembers(telegram: Telegram) -> list[Telegram]:
        if telegram.mid == Mid.OLD_RESULT_REQUEST:
            values = result(1)
            stored = {key: text for key, text in values.items() if key != "tightening_status"}
            return [encode(Mid.OLD_RESULT, 1, stored | {"tightening_status": 1})]
        return minimal(telegram)

    async with scripted(remembers, journal, start_after=0) as (_, heard, writers):
        await until(lambda: journal.ids == [1])
        writers[-1].write(encode(Mid.RESULT, 1, result(1, torque=2600)).wire())
        await until(lambda: any(each.mid == Mid.RESULT_ACK for each in heard))
    assert journal.ids == [1]
    (conflict,) = journal.notices("source.conflict")
    assert "2600" in str(conflict.changes)
    assert "2500" in str(conflict.changes)
    assert len(journal.notices("source.epoch")) == 1


async def test_each_push_is_acknowledged_exactly_once_and_in_order() -> None:
    journal = Journal()
    async with scripted(minimal, journal) as (gateway, heard, writers):
        await until(lambda: gateway.connected and any(each.mid == 70 for each in heard))
        alarm = encode(Mid.ALARM, 1, {"error_code": "E1", "time": "2026-03-14:09:26:53"})
        pushes = [encode(Mid.RESULT, 1, result(1)), alarm, encode(Mid.RESULT, 1, result(1)), alarm]
        pushes.append(Telegram(mid=Mid.RESULT, revision=1, data=b"99 nonsense"))
        pushes.append(encode(Mid.RESULT, 1, result(2)))
        for push in pushes:
            writers[-1].write(push.wire())
        await until(lambda: sum(each.mid in (62, 72) for each in heard) >= len(pushes))
    acks = [int(each.mid) for each in heard if each.mid in (62, 72)]
    assert acks == [62, 72, 62, 72, 62, 62]
    assert journal.ids == [1, 2]


async def test_the_sign_of_life_is_sent_when_idle() -> None:
    async with scripted(minimal, Journal()) as (gateway, heard, _):
        await until(lambda: gateway.connected)
        await until(lambda: sum(each.mid == Mid.KEEP_ALIVE for each in heard) >= 3)
        assert gateway.connected == 1


async def test_a_telegram_that_is_never_completed_ends_the_connection() -> None:
    async with scripted(lambda _: [], Journal(), start_revision=1) as (gateway, _, writers):
        await until(lambda: writers)
        writers[-1].write(b"0057000200")
        await until(lambda: gateway.error)
    assert "did not answer" in str(gateway.error)


async def test_bytes_that_are_no_telegram_end_the_connection_and_it_is_made_again() -> None:
    journal = Journal()
    async with scripted(minimal, journal) as (gateway, _, writers):
        await until(lambda: gateway.connected)
        writers[-1].write(b"\xff\xfe garbage")
        await until(lambda: gateway.error)
        assert "no telegram" in str(gateway.error)
        await until(lambda: gateway.connected == 2)
