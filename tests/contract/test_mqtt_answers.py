"""Brokers that answer what mosquitto rarely does: byte by byte, from the MQTT specifications."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from linewitness.base.errors import UplinkRefused, UplinkUnavailable
from linewitness.uplink import mqtt
from linewitness.uplink.mqtt import MqttConnector
from linewitness.uplink.options import MqttOptions
from linewitness.uplink.takeover import TakenOver

CONNECT, PUBLISH, PUBACK, SUBSCRIBE = 1, 3, 4, 8
WELCOME_5 = b"\x20\x03\x00\x00\x00"
WELCOME_311 = b"\x20\x02\x00\x00"


class Script:
    """A broker of a few lines: `answer` says what to send for a packet, None hangs up."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        self.answer = answer
        self.packets: list[Any] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while header := await reader.read(1):
                length, shift = 0, 0
                while True:
                    byte = (await reader.readexactly(1))[0]
                    length |= (byte & 127) << shift
                    shift += 7
                    if byte < 128:
                        break
                body = await reader.readexactly(length)
                self.packets.append((header[0] >> 4, body))
                reply = self.answer(header[0] >> 4, body)
                if reply is None:
                    break
                writer.write(reply)
                await writer.drain()
        finally:
            writer.close()

    def kinds(self) -> Any:
        return [kind for kind, _ in self.packets]


@asynccontextmanager
async def scripted(answer: Callable[..., Any], **settings: Any) -> AsyncIterator[tuple[Script, MqttOptions]]:
    script = Script(answer)
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield script, MqttOptions(url=f"mqtt://127.0.0.1:{port}", **settings)


def publish_id(body: Any) -> Any:
    """Return the packet identifier of a QoS 1 PUBLISH."""
    length = int.from_bytes(body[:2], "big")
    return body[2 + length : 4 + length]


def level(body: bytes) -> int:
    """Return the protocol level of a CONNECT: 5, or 4 for 3.1.1."""
    return body[6]


async def fails(options: MqttOptions, error: type[Exception], match: str) -> Any:
    with pytest.raises(error, match=match) as raised:
        async with MqttConnector(options).connect():
            pass
    return raised.value


@pytest.mark.parametrize("refusal", [b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00"])
async def test_auto_falls_back_and_remembers(refusal: bytes) -> None:
    def answer(kind: int, body: bytes) -> bytes:
        if kind == CONNECT:
            return refusal if level(body) == 5 else WELCOME_311
        return b""

    async with scripted(answer) as (script, options):
        connector = MqttConnector(options)
        for _ in range(2):
            async with connector.connect() as connection:
                assert connection.protocol == "3.1.1"
        levels = [level(body) for kind, body in script.packets if kind == CONNECT]
    assert levels == [5, 4, 4]


async def test_broker_that_hangs_up_at_version_5_is_asked_again_in_version_311() -> None:
    def answer(kind: int, body: bytes) -> bytes | None:
        return None if kind == CONNECT and level(body) == 5 else WELCOME_311

    async with scripted(answer) as (_, options), MqttConnector(options).connect() as connection:
        assert connection.protocol == "3.1.1"


async def test_version_5_alone_does_not_fall_back() -> None:
    async with scripted(lambda *_: b"\x20\x02\x00\x01", protocol="5") as (_, options):
        error = await fails(options, UplinkRefused, "does not speak this version")
    assert "protocol: auto" in error.hint


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (0x86, UplinkRefused, "wrong user name or password"),
        (0x87, UplinkRefused, "not authorized"),
        (0x85, UplinkRefused, "client identifier"),
        (0x89, UplinkUnavailable, "busy"),
        (0x97, UplinkUnavailable, "quota"),
    ],
)
async def test_refused_connection_is_told_in_words(code: int, error: type[UplinkRefused], words: str) -> None:
    async with scripted(lambda *_: bytes([0x20, 3, 0, code, 0])) as (_, options):
        assert await fails(options, error, words)


async def test_silent_broker_does_not_hold_us_up() -> None:
    async with scripted(lambda *_: b"", connect_timeout_s=0.2) as (_, options):
        await fails(options, UplinkUnavailable, "CONNECT in time")


@pytest.mark.parametrize(
    "rubbish", [b"\x20\x03\x00\xfe\x00", b"\x20\x01\x00", b"HTTP/1.1 400 Bad Request\r\n\r\n"]
)
async def test_rubbish_is_unavailable(rubbish: Any) -> None:
    async with scripted(lambda *_: rubbish, protocol="5", connect_timeout_s=1) as (_, options):
        await fails(options, UplinkUnavailable, "broke|CONNECT")


async def test_refused_message_is_told_in_words_and_the_next_one_goes_on() -> None:
    codes = iter([0x97, 0x10, 0x00])

    def answer(kind: Any, body: Any) -> Any:
        if kind == PUBLISH:
            return b"\x40\x04" + publish_id(body) + bytes([next(codes), 0])
        return WELCOME_5 if kind == CONNECT else b""

    async with scripted(answer) as (_, options), MqttConnector(options).connect() as connection:
        with pytest.raises(UplinkRefused, match=r"the quota is exceeded \(0x97\)"):
            await connection.publish("a", b"")
        assert await connection.publish("a", b"") == 0x10
        assert await connection.publish("a", b"") == 0


async def test_refused_subscription_is_told_in_words() -> None:
    def answer(kind: Any, body: Any) -> Any:
        if kind == SUBSCRIBE:
            return b"\x90\x04" + body[:2] + b"\x00\x87"
        return WELCOME_5 if kind == CONNECT else b""

    async with scripted(answer) as (_, options), MqttConnector(options).connect() as connection:
        with pytest.raises(UplinkRefused, match="subscription to a: not authorized"):
            await connection.subscribe("a")


async def test_no_more_in_flight_than_the_broker_takes() -> None:
    unanswered, largest = [], 0

    def answer(kind: Any, body: Any) -> Any:
        nonlocal largest
        if kind == CONNECT:
            return b"\x20\x06\x00\x00\x03\x21\x00\x03"  # Receive Maximum 3
        if kind == PUBLISH:
            unanswered.append(publish_id(body))
            largest = max(largest, len(unanswered))
            if len(unanswered) == 3:
                return b"".join(b"\x40\x02" + unanswered.pop() for _ in range(3))
        return b""

    async with (
        scripted(answer) as (script, options),
        MqttConnector(options).connect() as connection,
        asyncio.timeout(5),
        asyncio.TaskGroup() as group,
    ):
        for _ in range(30):
            group.create_task(connection.publish("a", b""))
    assert largest == 3
    assert script.kinds().count(PUBLISH) == 30


async def test_abandoned_publish_keeps_its_place_until_it_is_answered() -> None:
    held = []

    def answer(kind: Any, body: Any) -> Any:
        if kind == CONNECT:
            return b"\x20\x06\x00\x00\x03\x21\x00\x01"  # Receive Maximum 1
        if kind == PUBLISH:
            held.append(publish_id(body))
        return b""

    async with (
        scripted(answer, answer_timeout_s=5) as (_, options),
        MqttConnector(options).connect() as connection,
    ):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await connection.publish("a", b"")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await connection.publish("a", b"")
        assert len(held) == 1


async def test_message_beyond_the_brokers_limit_is_not_sent() -> None:
    def answer(kind: Any, body: Any) -> Any:
        if kind == CONNECT:
            return b"\x20\x08\x00\x00\x05\x27\x00\x00\x04\x00"  # Maximum Packet Size 1024
        return b"\x40\x02" + publish_id(body) if kind == PUBLISH else b""

    async with scripted(answer) as (_, options), MqttConnector(options).connect() as connection:
        with pytest.raises(UplinkRefused, match="1024"):
            await connection.publish("a", b"x" * 1020)
        await connection.publish("a", b"x" * 1000)


async def test_message_that_is_never_acknowledged_ends_the_connection() -> None:
    async with (
        scripted(lambda kind, _: WELCOME_5 if kind == CONNECT else b"", answer_timeout_s=0.2) as (_, options),
        MqttConnector(options).connect() as connection,
    ):
        with pytest.raises(UplinkUnavailable, match="did not answer"):
            await connection.publish("a", b"")
        with pytest.raises(UplinkUnavailable):
            await connection.subscribe("a")


async def test_broker_that_throws_us_out_says_why() -> None:
    def answer(kind: Any, _: Any) -> Any:
        return b"\xe0\x02\x8e\x00" if kind == SUBSCRIBE else WELCOME_5

    async with scripted(answer) as (_, options), MqttConnector(options).connect() as connection:
        with pytest.raises(TakenOver, match="took over the session") as raised:
            await connection.subscribe("a")
        assert "client_id" in raised.value.hint


async def test_message_is_acknowledged_when_it_is_taken() -> None:
    def answer(kind: Any, body: Any) -> Any:
        if kind == SUBSCRIBE:
            messages = b"".join(b"\x32\x06\x00\x01a" + bytes([0, number, 0]) for number in (1, 2, 3))
            return b"\x90\x04" + body[:2] + b"\x00\x01" + messages
        if kind == PUBLISH:
            return b"\x40\x02" + publish_id(body)
        return WELCOME_5 if kind == CONNECT else b""

    async with scripted(answer) as (script, options), MqttConnector(options).connect() as connection:
        await connection.subscribe("a")
        messages = connection.messages()
        await anext(messages)
        await connection.publish("b", b"")  # its answer comes after everything before it was handled
        assert [body[:2] for kind, body in script.packets if kind == PUBACK] == [b"\x00\x01"]
        await anext(messages)
        await anext(messages)
        await connection.publish("b", b"")
        assert script.kinds().count(PUBACK) == 3


async def test_a_long_answer_ends_the_connection_before_it_is_read() -> None:
    """The library would read so many properties for minutes, and nothing else would run meanwhile."""
    properties = b"\x26\x00\x01k\x00\x01v" * 100_000
    length = b"\xe0\xdc\x2a"  # of the properties; the packet has six bytes more

    def answer(kind: Any, body: Any) -> Any:
        if kind == PUBLISH:
            return b"\x40\xe6\xdc\x2a" + publish_id(body) + b"\x00" + length + properties
        return WELCOME_5 if kind == CONNECT else b""

    async with (
        scripted(answer, protocol="5") as (_, options),
        asyncio.timeout(30),
        MqttConnector(options).connect() as connection,
    ):
        with pytest.raises(UplinkUnavailable, match="an answer of 700006 bytes"):
            await connection.publish("a", b"x")


async def test_flood_is_held_back_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "INBOX_MESSAGES", 10)
    flood = b"".join(b"\x30\x06\x00\x01a" + number.to_bytes(3, "big") for number in range(5000))

    def answer(kind: Any, body: Any) -> Any:
        if kind == SUBSCRIBE:
            return b"\x90\x03" + body[:2] + b"\x01" + flood
        return WELCOME_311 if kind == CONNECT else b""

    async with (
        scripted(answer, protocol="3.1.1") as (_, options),
        MqttConnector(options).connect() as connection,
    ):
        numbers = []
        await connection.subscribe("a")
        async with asyncio.timeout(10):
            async for message in connection.messages():
                await asyncio.sleep(0)  # a slow reader: the socket would win
                assert len(connection._inbox) <= 10
                numbers.append(int.from_bytes(message.payload, "big"))
                if len(numbers) == 5000:
                    break
    assert numbers == list(range(5000))


async def test_a_connector_counts_attempts_connections_and_answers() -> None:
    def answer(kind: Any, body: Any) -> Any:
        if kind == CONNECT:
            return WELCOME_5
        return b"\x40\x02" + publish_id(body) if kind == PUBLISH else b""

    async with scripted(answer, protocol="5") as (_, options):
        connector = MqttConnector(options)
        async with connector.connect() as connection:
            connected = connector.steps
            await connection.publish("a", b"x")
            await connection.publish("a", b"y")
            assert (connected, connector.steps) == (2, 4)
    with pytest.raises(UplinkUnavailable):
        async with connector.connect():
            pass
    assert connector.steps == 5
