"""A connection that ended says what happened, not what the library makes of it."""

import socket
from collections.abc import Callable
from typing import Any

import pytest
from asyncua import ua as typed_ua
from asyncua.ua.ua_binary import uatcp_to_binary

from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.opcua.options import OpcUaOptions
from linewitness_simulators.press.server import PressSimulation, RunningPress, serve
from support.opcua_rig import listening, options, point

#: To asyncua's annotations, what it takes and gives are strangers.
ua: Any = typed_ua

STILL = PressSimulation(tick_s=0)


def every_transport(press: RunningPress) -> list[Any]:
    return [client.transport for client in press.server.bserver.clients]


def closes(press: RunningPress) -> None:
    for transport in every_transport(press):
        transport.close()


def says_why(press: RunningPress) -> None:
    for transport in every_transport(press):
        reason = ua.ErrorMessage(ua.StatusCode(ua.StatusCodes.BadTcpServerTooBusy), "come back later")
        transport.write(uatcp_to_binary(ua.MessageType.Error, reason))


def talks_nonsense(press: RunningPress) -> None:
    for transport in every_transport(press):
        transport.write(b"XYZF\x0c\x00\x00\x00abcd")


def falls_silent(press: RunningPress) -> None:
    press.wire.passing.clear()


async def a_session_during_which(
    ends: Callable[[RunningPress], None], press: RunningPress, settings: OpcUaOptions
) -> None:
    async with listening(settings) as ear:
        await ear.next()
        ends(press)
        await ear.end()


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        (closes, "the connection was closed by the server"),
        (says_why, "the server ended the connection: BadTcpServerTooBusy (come back later)"),
        (talks_nonsense, "it sent what is no OPC UA message: we closed the connection"),
        (falls_silent, "no answer within 1 s (check address, cable and firewall)"),
    ],
)
async def test_a_session_that_ended_says_how(ends: Callable[[RunningPress], None], words: str) -> None:
    async with serve(STILL) as press:
        settings = options(press, point("Holding"), timeout_s=1, silence_s=30)
        with pytest.raises(DeviceUnavailable) as caught:
            await a_session_during_which(ends, press, settings)
    assert str(caught.value) == f"{settings.endpoint}: {words}"


async def test_an_address_where_nothing_listens_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DeviceUnavailable, match=r"nothing listens there .check address and port"):
        async with listening(options(f"opc.tcp://127.0.0.1:{port}", point("Holding"))):
            pass
