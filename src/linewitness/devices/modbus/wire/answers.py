"""Check that an answer is exactly what was asked for: unit, number, function and every length. Pure."""

from dataclasses import dataclass
from typing import Final

from pymodbus.pdu.pdu import ModbusPDU

from linewitness.devices.modbus.wire.frames import RawAnswer
from linewitness.devices.modbus.wire.protocol import ERROR_BIT

READ_BITS: Final = frozenset({1, 2})
READ_REGISTERS: Final = frozenset({3, 4})
WRITE_ONE: Final = frozenset({5, 6})
WRITE_SEVERAL: Final = 16
READ_FIFO: Final = 24
READ_IDENTITY: Final = 43
MAX_FIFO: Final = 31

_IDENTITY_HEADER: Final = 6
_OBJECT_HEADER: Final = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device answered: the bytes that were asked for, or why it gives none."""

    payload: bytes = b""
    exception_code: int | None = None


def read_answer(request: ModbusPDU, raw: RawAnswer, *, numbered: bool) -> Answer:
    """Return what an answer holds; `numbered` where frames carry a transaction id (TCP and TLS).

    Raises ValueError, in words, for whatever is not exactly the answer to this request.
    """
    if raw.dev_id != request.dev_id:
        raise ValueError(f"unit {raw.dev_id} answers for unit {request.dev_id}")
    if numbered and raw.transaction_id != request.transaction_id:
        raise ValueError(f"transaction {raw.transaction_id} answers for {request.transaction_id}")
    if raw.function_code == request.function_code | ERROR_BIT:
        if len(raw.body) != 1:
            raise ValueError(f"an exception has {len(raw.body)} bytes instead of 1")
        return Answer(exception_code=raw.body[0])
    if raw.function_code != request.function_code:
        raise ValueError(f"function {raw.function_code} answers for function {request.function_code}")
    return Answer(payload=_payload(request, raw.body))


def _payload(request: ModbusPDU, body: bytes) -> bytes:
    function = request.function_code
    if function in READ_BITS:
        return _counted(body, (request.count + 7) // 8)
    if function in READ_REGISTERS:
        return _counted(body, request.count * 2)
    if function in WRITE_ONE:
        return _echo(body, request.encode())
    if function == WRITE_SEVERAL:
        return _echo(body, request.encode()[:4])
    if function == READ_FIFO:
        return _queue(body)
    if function == READ_IDENTITY:
        return _identity(body, request.encode())
    raise ValueError(f"function {function} has no answer that is known here")


def _counted(body: bytes, expected: int) -> bytes:
    """Return the bytes behind a byte count; the count, the length and the request must agree."""
    announced, present = body[0] if body else 0, max(0, len(body) - 1)
    if not announced == present == expected:
        raise ValueError(f"its byte count says {announced}, {present} bytes came, {expected} were asked for")
    return body[1:]


def _echo(body: bytes, expected: bytes) -> bytes:
    """Return what a device repeats of a write."""
    if body != expected:
        raise ValueError(f"it repeats {body[:8].hex() or 'nothing'} of a write of {expected.hex()}")
    return body


def _queue(body: bytes) -> bytes:
    """Return the registers of a FIFO queue; its byte count covers the count of registers too."""
    announced, held = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big")
    present = max(0, len(body) - 4)
    if held > MAX_FIFO or not announced == 2 + 2 * held == 2 + present:
        raise ValueError(f"its byte count says {announced}, its queue {held} registers, {present} bytes came")
    return body[4:]


def _identity(body: bytes, asked: bytes) -> bytes:
    """Return the objects of a device's identification: number, length and text of each."""
    if len(body) < _IDENTITY_HEADER or body[:2] != asked[:2]:
        raise ValueError("it is no identification, or not the kind that was asked for")
    objects = body[_IDENTITY_HEADER:]
    if len(identity_objects(objects)) != body[5]:
        raise ValueError(f"its identification does not hold the {body[5]} objects that it announces")
    return objects


def identity_objects(objects: bytes) -> list[tuple[int, bytes]]:
    """Return number and text of each object. Raises ValueError where lengths do not add up."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(objects):
        header = objects[at : at + _OBJECT_HEADER]
        end = at + _OBJECT_HEADER + header[-1]
        if len(header) < _OBJECT_HEADER or end > len(objects):
            raise ValueError("an object of its identification ends behind the answer")
        found.append((header[0], objects[at + _OBJECT_HEADER : end]))
        at = end
    return found
