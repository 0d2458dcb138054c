"""A device that answers what nobody asked: nothing of it becomes a good value, and the rest goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest

from linewitness.base.clock import SystemClock
from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.base import Reading, Result
from linewitness.devices.modbus.driver import ModbusDriver
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.probe import probe
from linewitness.devices.modbus.wire.bus import Buses
from linewitness.devices.modbus.wire.link import LinkBroken, ModbusError, ModbusLink, NoAnswer
from support.one_by_one import one_by_one
from support.present import present

Answer = Callable[[bytes], bytes]

UNIT = 17
READ_COIL = bytes([UNIT, 1, 0, 0, 0, 1])
#: Request of two holding registers from address 0, and what a sane device makes of it.
READ_TWO = bytes([UNIT, 3, 0, 0, 0, 2])
TWO = bytes([UNIT, 3, 4, 0, 7, 0, 8])


class NoMemory:
    async def get(self, key: Any) -> None:
        return None


@asynccontextmanager
async def device(answer: Answer, sane: bytes | None = READ_COIL) -> AsyncIterator[int]:
    """Answer each request as the test says, and the one that is sane well."""

    served: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        while request := await reader.read(300):
            well = framed(request, bytes([UNIT, 1, 1, 1]))
            writer.write(well if request[6:] == sane else answer(request))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in served:
            await present(task)


def framed(
    request: bytes, body: bytes, *, length: int | None = None, transaction: int | None = None
) -> bytes:
    """Put a header before unit, function and data; it is right where the test does not say otherwise."""
    number = request[:2] if transaction is None else transaction.to_bytes(2, "big")
    return number + bytes(2) + (len(body) if length is None else length).to_bytes(2, "big") + body


def options_at(port: int, **more: Any) -> ModbusOptions:
    points = [
        {"id": "door", "record": "change", "table": "coil", "address": 0},
        {"id": "first", "record": "change", "address": 0, "type": "uint16"},
        {"id": "second", "record": "change", "address": 1, "type": "uint16"},
    ]
    defaults: dict[str, Any] = {"points": points, "device_id": UNIT, "timeout_s": 0.2, "retries": 0}
    return ModbusOptions(id="plc", host="127.0.0.1", port=port, period_ms=20, **(defaults | more))


async def first_readings(options: ModbusOptions) -> dict[str, Reading]:
    driver = ModbusDriver(options, clock=SystemClock(), buses=Buses())
    found: dict[str, Reading] = {}
    async with (
        driver.connect(cast(Any, NoMemory())) as session,
        asyncio.timeout(10),
        aclosing(one_by_one(session.observations())) as observations,
    ):
        async for observation in observations:
            assert isinstance(observation, Reading)
            found[observation.point] = observation
            if len(found) == len(options.points):
                break
    return found


async def poll(options: ModbusOptions) -> None:
    """Poll until the device is given up; what comes before is no result."""
    driver = ModbusDriver(options, clock=SystemClock(), buses=Buses())
    async with driver.connect(cast(Any, NoMemory())) as session, asyncio.timeout(10):
        async for observation in one_by_one(session.observations()):
            assert not isinstance(observation, Result)


MALFORMED = {
    "a byte count of 250 with as many bytes as were asked for": (
        lambda request: framed(request, bytes([UNIT, 3, 250, 0, 7, 0, 8])),
        "its byte count says 250",
    ),
    "a byte count that is right, and a byte too many": (
        lambda request: framed(request, sized(request) + b"\0"),
        "bytes came",
    ),
    "a byte count that is right, and a byte too few": (
        lambda request: framed(request, sized(request)[:-1]),
        "bytes came",
    ),
    "the answer to a request of more registers": (
        lambda request: framed(request, bytes([UNIT, 3, 8]) + bytes(8)),
        "were asked for",
    ),
    "no byte count at all": (lambda request: framed(request, bytes([UNIT, 3])), "0 bytes came"),
    "a length that cuts the values off": (
        lambda request: framed(request, sized(request), length=4),
        "1 bytes came",
    ),
    "no transaction id": (lambda request: framed(request, sized(request), transaction=0), "transaction 0"),
    "another function": (
        lambda request: framed(request, bytes([UNIT, 4]) + sized(request)[2:]),
        "function 4 answers for function 3",
    ),
    "the exception of another function": (
        lambda request: framed(request, bytes([UNIT, 0x84, 2])),
        "function 132 answers for function 3",
    ),
    "an exception without a code": (
        lambda request: framed(request, bytes([UNIT, 0x83])),
        "an exception has 0",
    ),
}


def sized(request: bytes) -> bytes:
    """Return the right answer to a request of holding registers."""
    count = int.from_bytes(request[10:12], "big")
    return bytes([UNIT, 3, 2 * count]) + bytes(range(2 * count))


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_answer_is_a_bad_value_with_its_reason(name: str) -> None:
    answer, reason = cast(tuple[Answer, str], MALFORMED[name])
    async with device(answer) as port:
        found = await first_readings(options_at(port))
    assert found["door"].value is True
    for point in ("first", "second"):
        assert (found[point].value, found[point].quality.value) == (None, "bad")
        assert "not what was asked for" in found[point].status
        assert reason in found[point].status


SILENT = {
    "a length that announces more than comes": lambda request: framed(request, sized(request), length=250),
    "a length of nothing": lambda request: framed(request, sized(request), length=0),
    "another protocol": lambda request: request[:2] + b"\0\1" + framed(request, sized(request))[4:],
    "the transaction id of another request": (
        lambda request: framed(request, sized(request), transaction=int.from_bytes(request[:2], "big") ^ 1)
    ),
    "another unit": lambda request: framed(request, bytes([9]) + sized(request)[1:]),
}


@pytest.mark.parametrize("name", SILENT)
async def test_an_answer_to_nobody_is_as_no_answer(name: str) -> None:
    async with device(cast(Answer, SILENT[name])) as port:
        found = await first_readings(options_at(port))
    assert found["door"].value is True
    assert [(found[point].value, found[point].quality.value) for point in ("first", "second")] == [
        (None, "bad")
    ] * 2


async def test_unit_0_does_not_mean_whoever_answers() -> None:
    """The library compares unit identifiers only where the request's is not 0."""
    points = [{"id": "first", "record": "change", "address": 0, "type": "uint16"}]
    async with device(lambda request: framed(request, bytes([9, 3, 2, 0, 7]))) as port:
        with pytest.raises(DeviceUnavailable, match="unit 9 answers for unit 0"):
            await first_readings(options_at(port, device_id=0, points=points))


async def test_what_a_half_answer_left_behind_does_not_spoil_the_next() -> None:
    """The first answer lacks its end; the second is whole and is taken."""
    cuts = iter([-1])

    def answer(request: bytes) -> bytes:
        return framed(request, sized(request))[: next(cuts, None)]

    async with device(answer) as port:
        found = await first_readings(options_at(port, retries=1))
    assert (found["first"].value, found["second"].value) == ("1", "515")
    assert found["first"].quality.value == "good"


@pytest.mark.parametrize(
    "body",
    [
        bytes([UNIT, 6, 0, 50, 0, 9]),
        bytes([UNIT, 6, 0, 51, 0, 7]),
        bytes([UNIT, 6]),
        bytes([UNIT, 6, 0, 50, 0, 7, 0]),
    ],
)
async def test_a_write_that_the_device_repeats_wrongly_is_not_taken_for_done(body: bytes) -> None:
    """The register itself reads as written, so that only the answer to the write is wrong."""

    def answer(request: bytes) -> bytes:
        return framed(request, body if request[7] == 6 else bytes([UNIT, 3, 2, 0, 7]))

    points = [
        {"id": "door", "record": "change", "table": "coil", "address": 0},
        {"id": "hold", "record": "change", "address": 50, "type": "uint16"},
    ]
    async with device(answer) as port:
        driver = ModbusDriver(options_at(port, points=points), clock=SystemClock(), buses=Buses())
        async with driver.connect(cast(Any, NoMemory())) as session:
            with pytest.raises(DeviceUnavailable, match="does not answer what is asked: it repeats"):
                await session.command("hold", "7")


@pytest.mark.parametrize(
    "queue",
    [
        bytes([0, 4, 0, 1, 0, 7, 0, 8]),  # more registers than counted
        bytes([0, 6, 0, 1, 0, 7]),  # the byte count speaks of two
        bytes([0, 4, 0, 2, 0, 7]),  # the queue is said to hold two
        bytes([0, 66, 0, 32]) + bytes(64),  # more than a queue can hold
        bytes([0]),
    ],
)
async def test_a_queue_whose_counts_contradict_is_no_result(queue: bytes) -> None:
    result = {
        "id": "cycle",
        "pattern": "fifo",
        "fifo": 400,
        "stride": 1,
        "number_field": "number",
        "fields": [{"id": "number", "address": 0, "type": "uint16"}],
    }
    coil = {"id": "door", "record": "change", "table": "coil", "address": 0}
    async with device(lambda request: framed(request, bytes([UNIT, 24]) + queue)) as port:
        with pytest.raises(DeviceUnavailable, match="does not answer what is asked: its byte count"):
            await poll(options_at(port, points=[coil], results=[result]))


@pytest.mark.parametrize(
    "objects",
    [
        bytes([1]) + bytes([0, 200]) + b"ACME",  # a text that ends behind the answer
        bytes([3]) + bytes([0, 4]) + b"ACME",  # three objects announced, one there
        bytes([1]) + bytes([0, 4]) + b"ACME" + bytes([1]),  # half an object more
    ],
)
async def test_an_identity_whose_lengths_contradict_is_none(objects: bytes) -> None:
    identity = bytes([UNIT, 43, 14, 1, 0x81, 0, 0]) + objects
    coil = {"id": "door", "record": "change", "table": "coil", "address": 0}
    async with device(lambda request: framed(request, identity)) as port:
        found = await probe(options_at(port, points=[coil]), clock=SystemClock())
    assert found.identity == ()


async def test_an_rtu_answer_of_another_length_is_a_bad_value() -> None:
    """Unit, function and checksum are right: two registers came where one was asked for."""
    body = bytes([UNIT, 3, 4, 0, 7, 0, 8])
    answer = body + FramerRTU.compute_CRC(body).to_bytes(2, "big")
    points = [{"id": "level", "record": "change", "address": 0, "type": "int16"}]
    async with device(lambda request: answer, sane=None) as port:
        with pytest.raises(DeviceUnavailable, match="says 4, 4 bytes came, 2 were asked for"):
            await first_readings(options_at(port, points=points, transport="rtu-over-tcp"))


def mutated(request: bytes, right: bytes) -> st.SearchStrategy[bytes]:
    """Return answers that resemble the right one: cut, extended, with other bytes, or nothing like it."""
    frame = framed(request, right)
    changes = st.dictionaries(st.integers(0, len(frame) - 1), st.integers(0, 255), max_size=3)

    def change(what: tuple[dict[int, int], int, bytes]) -> bytes:
        changed = bytearray(frame)
        for at, byte in what[0].items():
            changed[at] = byte
        return bytes(changed[: what[1]]) + what[2]

    cut = st.sampled_from([len(frame)] * 3 + list(range(len(frame))))
    resembling = st.tuples(changes, cut, st.binary(max_size=12)).map(change)
    return st.one_of(resembling, st.binary(max_size=40))


async def asked(answer: bytes) -> bytes | None:
    """Ask for two registers, be answered so, and return what is taken for their values."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(300)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    link = ModbusLink(options_at(server.sockets[0].getsockname()[1], timeout_s=10))
    try:
        await link.open()
        return await link.ask(ReadHoldingRegistersRequest(address=0, count=2, dev_id=UNIT), 5)
    except (NoAnswer, LinkBroken, ModbusError):
        return None
    finally:
        link.close()
        server.close()


FIRST_REQUEST = bytes([0, 1, 0, 0, 0, 6]) + READ_TWO


@settings(max_examples=400, deadline=None)
@given(mutated(FIRST_REQUEST, TWO))
def test_whatever_is_not_exactly_the_answer_is_never_taken_for_values(answer: bytes) -> None:
    """What is taken stands behind a header whose every byte is what this request calls for."""
    taken = asyncio.run(asked(answer))
    header = bytes([0, 1, 0, 0, 0, 7, UNIT, 3, 4])
    if taken is not None:
        assert len(taken) == 4
        assert header + taken in answer
    if answer == framed(FIRST_REQUEST, TWO):
        assert taken == TWO[3:]
