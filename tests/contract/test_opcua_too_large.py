"""Browsing a server whose answers become too large: it is asked for less, until all is known."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from asyncua import ua as typed_ua
from asyncua.common.connection import MessageChunk
from asyncua.server.internal_session import InternalSession
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_to_binary, uatcp_to_binary

from linewitness.base.errors import ConfigurationError, DeviceUnavailable
from linewitness.devices.opcua.connection import bounded
from linewitness.devices.opcua.look.browse import browse
from linewitness.devices.opcua.options import ServerOptions
from linewitness_simulators.press.server import PressSimulation, serve
from support.opcua_rig import CLOCK

#: To asyncua's annotations, what it takes and gives are strangers.
ua: Any = typed_ua

STILL = PressSimulation(tick_s=0)
#: Bytes of an answer that the server takes for too many: less than the press's own references take.
LIMIT = 1500
LIMITED = (ua.BrowseResponse, ua.BrowseNextResponse, ua.ReadResponse)


@pytest.fixture(autouse=True)
def pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library's server answer in pages, as the specification has it: it ignores what is asked."""
    rest: dict[bytes, list[Any]] = {}
    names = itertools.count()
    whole = InternalSession.browse

    def page(references: list[Any], size: int) -> ua.BrowseResult:
        point = None
        if size and len(references) > size:
            point = f"{next(names)}/{size}".encode()
            rest[point] = references[size:]
        return ua.BrowseResult(ContinuationPoint=point, References=references[: size or None])

    async def browsed(self: Any, parameters: Any) -> list[ua.BrowseResult]:
        size = parameters.RequestedMaxReferencesPerNode
        return [page(list(one.References), size) for one in await whole(self, parameters)]

    async def following(self: Any, parameters: Any) -> list[ua.BrowseResult]:
        return [
            page(rest.pop(point), int(point.partition(b"/")[2])) for point in parameters.ContinuationPoints
        ]

    monkeypatch.setattr(InternalSession, "browse", browsed)
    monkeypatch.setattr(InternalSession, "browse_next", following)


def faults(code: int) -> Any:
    def refuse(processor: Any, handle: Any, header: Any, response: Any, send: Any) -> None:
        fault = ua.ServiceFault()
        fault.ResponseHeader.ServiceResult = ua.StatusCode(code)
        send(processor, handle, header, fault)

    return refuse


def hangs_up(processor: Any, handle: Any, header: Any, response: Any, send: Any) -> None:
    """Say what is wrong and close the connection (OPC 10000-6, 7.1.5)."""
    error = ua.ErrorMessage(ua.StatusCode(ua.StatusCodes.BadTcpMessageTooLarge), "too large")
    processor._transport.write(uatcp_to_binary(ua.MessageType.Error, error))
    processor._transport.close()


def aborts(processor: Any, handle: Any, header: Any, response: Any, send: Any) -> None:
    """Begin the answer and abort it midway (OPC 10000-6, 6.7.3)."""
    connection = processor._connection
    written: list[bytes] = []
    real, processor._transport = processor._transport, type("Taken", (), {"write": written.append})()
    send(processor, handle, header, response)
    processor._transport = real
    reason = ua.ErrorMessage(ua.StatusCode(ua.StatusCodes.BadResponseTooLarge), "too large")
    chunk = MessageChunk(
        connection.security_policy.symmetric_cryptography,
        struct_to_binary(reason),
        chunk_type=ua.ChunkType.Abort,
    )
    chunk.MessageHeader.ChannelId = connection.security_token.ChannelId
    chunk.SecurityHeader = ua.SymmetricAlgorithmHeader(connection.security_token.TokenId)
    chunk.SequenceHeader.SequenceNumber = connection._sequence_number
    chunk.SequenceHeader.RequestId = header.RequestId
    real.write(chunk.to_binary())


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[list[int]]:
    """Let the server refuse large answers as the test says; yields the sizes that it refused."""
    refused: list[int] = []
    send: Any = UaProcessor.send_response

    def sends(self: Any, handle: Any, header: Any, response: Any, *more: Any) -> None:
        size = len(struct_to_binary(response)) if isinstance(response, LIMITED) else 0
        if size <= LIMIT:
            send(self, handle, header, response, *more)
        else:
            refused.append(size)
            request.param(self, handle, header, response, send)

    monkeypatch.setattr(UaProcessor, "send_response", sends)
    yield refused
    assert refused, "the server was never asked for too much"


@pytest.mark.parametrize(
    "limited",
    [
        pytest.param(faults(ua.StatusCodes.BadResponseTooLarge), id="response-too-large"),
        pytest.param(faults(ua.StatusCodes.BadEncodingLimitsExceeded), id="encoding-limits"),
        pytest.param(hangs_up, id="tcp-message-too-large"),
        pytest.param(aborts, id="aborted-midway"),
    ],
    indirect=True,
)
async def test_requests_are_halved_until_the_answers_are_small_enough(limited: list[int]) -> None:
    async with serve(STILL) as press:
        await press.set("Profile", [0.5] * 400)
        found = await browse(ServerOptions(endpoint=press.url), clock=CLOCK, start="i=85", pattern="press/")
    by_name = {one.path[-1]: one for one in found}
    assert len(by_name) == 16
    assert (by_name["Holding"].value, by_name["Holding"].unit) == ("125", "bar")
    assert by_name["Profile"].value == "too large to be shown"


async def test_an_answer_beyond_our_own_limit_is_asked_for_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MAX_CHUNK_BYTES", 6000)
    async with serve(dataclasses.replace(STILL, extra=60)) as press:
        found = await browse(ServerOptions(endpoint=press.url), clock=CLOCK, pattern="signal")
    assert len(found) == 60


@pytest.mark.parametrize("limited", [hangs_up], indirect=True)
async def test_what_cannot_be_halved_any_more_is_an_error(
    limited: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("test_opcua_too_large.LIMIT", 250)
    monkeypatch.setattr("linewitness.devices.opcua.look.portions.FIRST_REFERENCES", 1)
    async with serve(STILL) as press:
        with pytest.raises(DeviceUnavailable, match=r"BadTcpMessageTooLarge|cannot be reached"):
            await browse(ServerOptions(endpoint=press.url), clock=CLOCK)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("ns=2;s=Nowhere", "does not show the node ns=2;s=Nowhere: BadNodeId.*leave --start out"),
        ("nsu=urn:nowhere;s=X", "has no namespace of nsu=urn:nowhere;s=X.*linewitness probe"),
        ("Press.Force", "write ns=2;s=Press.Force"),
    ],
)
async def test_a_start_that_is_not_there_is_an_error_with_what_to_do(start: str, words: str) -> None:
    async with serve(STILL) as press:
        with pytest.raises(ConfigurationError, match=f"--start: .*{words}"):
            await browse(ServerOptions(endpoint=press.url), clock=CLOCK, start=start)
