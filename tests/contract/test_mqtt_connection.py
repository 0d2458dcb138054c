"""The connection to a real mosquitto: answers, limits, ends."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.errors import UplinkRefused, UplinkUnavailable
from linewitness.uplink.mqtt import MqttConnection, MqttConnector, Will
from linewitness.uplink.options import MqttOptions
from linewitness.uplink.peer import MqttMessage
from support.brokers import Broker, mosquitto


async def take(connection: MqttConnection, count: int) -> list[MqttMessage]:
    messages = []
    async with asyncio.timeout(10):
        async for message in connection.messages():
            messages.append(message)
            if len(messages) == count:
                break
    return messages


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
async def test_message_arrives_as_it_was_sent(broker: Broker, protocol: str) -> None:
    options = MqttOptions(url=broker.url, protocol=protocol)
    async with MqttConnector(options).connect() as connection:
        assert connection.protocol == ("3.1.1" if protocol == "3.1.1" else "5")
        await connection.subscribe("a/+")
        payload = bytes(range(256)) * 1000
        assert await connection.publish("a/b", payload) == 0
        (message,) = await take(connection, 1)
    assert (message.topic, message.payload, message.retained) == ("a/b", payload, False)


async def test_nobody_listening_is_fine(broker: Broker) -> None:
    async with MqttConnector(MqttOptions(url=broker.url)).connect() as connection:
        assert await connection.publish("a/b", b"x") == 0x10


async def test_retained_message_waits_for_the_subscriber(broker: Broker) -> None:
    async with MqttConnector(MqttOptions(url=broker.url)).connect() as connection:
        await connection.publish("a/receipt", b"kept", retain=True)
    async with MqttConnector(MqttOptions(url=broker.url)).connect() as connection:
        await connection.subscribe("a/receipt")
        (message,) = await take(connection, 1)
    assert message.retained
    assert message.payload == b"kept"


async def test_more_messages_than_the_window_all_arrive_in_order(broker: Broker) -> None:
    async with MqttConnector(MqttOptions(url=broker.url)).connect() as connection:
        await connection.subscribe("n")
        async with asyncio.TaskGroup() as group:
            for number in range(300):
                group.create_task(connection.publish("n", b"%d" % number))
            messages = await take(connection, 300)
    assert [int(message.payload) for message in messages] == list(range(300))


async def test_refused_publish_is_told_in_words(tmp_path: Path) -> None:
    acl = "topic readwrite allowed/#\n"
    async with (
        mosquitto(tmp_path / "broker", acl=acl) as broker,
        MqttConnector(MqttOptions(url=broker.url)).connect() as connection,
    ):
        await connection.publish("allowed/x", b"")
        with pytest.raises(UplinkRefused, match=r"not authorized \(0x87\)") as refusal:
            await connection.publish("forbidden/x", b"")
        assert "ACL" in refusal.value.hint
        await connection.publish("allowed/x", b"the connection lives on")


async def test_wrong_password_is_refused_with_a_hint(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    async with mosquitto(tmp_path / "broker", passwords={"gw": "right"}) as broker:
        options = MqttOptions(url=broker.url, username="gw", password={"file": secret})
        with pytest.raises(UplinkRefused) as refusal:
            async with MqttConnector(options).connect():
                pass
        assert refusal.value.hint
        secret.write_text("right\n")
        async with MqttConnector(options).connect() as connection:
            await connection.publish("a", b"")


async def test_nobody_there_is_unavailable(broker: Broker) -> None:
    options = MqttOptions(url=broker.url)
    broker.stop()
    with pytest.raises(UplinkUnavailable, match="refused"):
        async with MqttConnector(options).connect():
            pass


async def test_unknown_host_is_unavailable() -> None:
    with pytest.raises(UplinkUnavailable):
        async with MqttConnector(MqttOptions(url="mqtt://no-such-host.invalid")).connect():
            pass


async def test_end_of_the_broker_fails_all_who_wait(broker: Broker) -> None:
    options = MqttOptions(url=broker.url, keepalive_s=1)
    async with MqttConnector(options).connect() as connection, asyncio.TaskGroup() as group:

        async def publish() -> None:
            with pytest.raises(UplinkUnavailable):
                await connection.publish("a", b"x")

        async def receive() -> None:
            with pytest.raises(UplinkUnavailable):
                await take(connection, 1)

        with broker.frozen():
            for _ in range(100):  # more than the window: some wait for room
                group.create_task(publish())
            waiting = group.create_task(receive())
            await asyncio.sleep(0)  # all of them have begun
            broker.stop(signal.SIGKILL)
        await waiting
    with pytest.raises(UplinkUnavailable):
        await connection.publish("a", b"x")


async def test_silent_broker_is_noticed(broker: Broker) -> None:
    options = MqttOptions(url=broker.url, keepalive_s=1)
    async with MqttConnector(options).connect() as connection:
        started = time.perf_counter()
        with broker.frozen(), pytest.raises(UplinkUnavailable):
            await take(connection, 1)
        assert time.perf_counter() - started < 6


async def test_idle_connection_stays(broker: Broker) -> None:
    async with MqttConnector(MqttOptions(url=broker.url, keepalive_s=1)).connect() as connection:
        await asyncio.sleep(2.5)
        await connection.publish("a", b"")


async def test_will_is_sent_only_without_a_goodbye(broker: Broker) -> None:
    for protocol in ("5", "3.1.1"):
        topic = f"{protocol}/status"
        options = MqttOptions(url=broker.url, protocol=protocol)
        async with MqttConnector(options).connect() as watcher:
            await watcher.subscribe(topic)
            async with MqttConnector(options, will=Will(topic, b"never said")).connect() as connection:
                await connection.publish(topic, b"leaving")
            with pytest.raises(KeyError):
                async with MqttConnector(options, will=Will(topic, b"offline")).connect():
                    raise KeyError
            messages = await take(watcher, 2)
        assert [message.payload for message in messages] == [b"leaving", b"offline"]


async def test_connecting_does_not_hold_up_the_loop(monkeypatch: pytest.MonkeyPatch, broker: Broker) -> None:
    real = socket.create_connection

    def slow(*arguments: Any, **options: Any) -> Any:
        time.sleep(0.5)
        return real(*arguments, **options)

    monkeypatch.setattr(socket, "create_connection", slow)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(tick())
        async with MqttConnector(MqttOptions(url=broker.url)).connect():
            ticking.cancel()
    assert ticks > 20
