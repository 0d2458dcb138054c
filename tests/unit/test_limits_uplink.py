"""A broker that announces a huge message must not grow the process, on either end of the uplink."""

import asyncio
import contextlib
import socket

import pytest

from linewitness.base.errors import LinewitnessError
from linewitness.uplink import mqtt
from linewitness.uplink.options import MqttOptions
from support.floods import ALLOWED, flooding

pytestmark = pytest.mark.heavy

WELCOME_5 = b"\x20\x03\x00\x00\x00"
#: PUBLISH, QoS 0, 256 MiB announced, topic "a".
HUGE = b"\x30\xff\xff\xff\x7f\x00\x01a\x00"


def greet(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(WELCOME_5 + HUGE)


async def test_a_huge_message_ends_the_connection() -> None:
    with flooding(b"x" * 65_536, greet=greet) as running:
        options = MqttOptions(url=f"mqtt://127.0.0.1:{running.port}", protocol="5")
        said = ""
        async with asyncio.timeout(30):
            try:
                async with mqtt.MqttConnector(options).connect() as connection:
                    async for _ in connection.messages():
                        pass
            except LinewitnessError as error:
                said = str(error)
            except BaseExceptionGroup as group:
                said = str(group.exceptions)
            await asyncio.to_thread(running.over.wait, 10)
        assert "announced" in said
        assert running.grown < ALLOWED
        assert running.sent < 32 * 2**20


async def test_a_peer_that_is_no_broker_is_bounded() -> None:
    for chunk in (b"\xff" * 65_536, b"\x00" * 65_536, b"HTTP/1.1 400 Bad Request\r\n" * 2000):
        with flooding(chunk) as running:
            options = MqttOptions(url=f"mqtt://127.0.0.1:{running.port}", connect_timeout_s=2)
            async with asyncio.timeout(30):
                with contextlib.suppress(LinewitnessError):
                    async with mqtt.MqttConnector(options).connect():
                        pass
            assert running.grown < ALLOWED
