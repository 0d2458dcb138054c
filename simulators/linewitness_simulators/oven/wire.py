"""The bytes of Modbus as a server sees them: requests out of frames, answers into frames. No I/O."""

import struct
from dataclasses import dataclass

TABLES = {
    1: "coil",
    2: "discrete",
    3: "holding",
    4: "input",
    5: "coil",
    6: "holding",
    15: "coil",
    16: "holding",
}
READS = (1, 2, 3, 4)
READ_FIFO = 24


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `values` is None where it reads."""

    transaction: int
    unit: int
    function: int
    first: int
    count: int
    values: list[int] | None = None

    @property
    def table(self) -> str:
        """The table that it reads or writes; `fifo` for function 24."""
        return TABLES.get(self.function, "fifo")


def parse(transaction: int, unit: int, pdu: bytes) -> Request:
    """Return the request in a protocol data unit. Raises ValueError for functions that are not known."""
    function = pdu[0]
    if function in READS:
        first, count = struct.unpack(">HH", pdu[1:5])
        return Request(transaction, unit, function, first, count)
    if function == READ_FIFO:
        return Request(transaction, unit, function, int.from_bytes(pdu[1:3], "big"), 0)
    if function in (5, 6):
        first, value = struct.unpack(">HH", pdu[1:5])
        return Request(transaction, unit, function, first, 1, [value == 0xFF00 if function == 5 else value])
    if function in (15, 16):
        first, count = struct.unpack(">HH", pdu[1:5])
        data = pdu[6:]
        values = unpack_bits(data, count) if function == 15 else list(struct.unpack(f">{count}H", data))
        return Request(transaction, unit, function, first, count, values)
    raise ValueError(f"function {function}")


def read_answer(function: int, values: list[int]) -> bytes:
    """Return the protocol data unit that answers a read."""
    data = pack_bits(values) if function in (1, 2) else struct.pack(f">{len(values)}H", *values)
    return bytes((function, len(data))) + data


def write_answer(request: Request, pdu: bytes) -> bytes:
    """Return the protocol data unit that answers a write: the beginning of the request."""
    del request
    return pdu[:5]


def fifo_answer(values: list[int]) -> bytes:
    """Return the protocol data unit that answers function 24."""
    return struct.pack(f">BHH{len(values)}H", READ_FIFO, 2 + 2 * len(values), len(values), *values)


def exception_answer(function: int, code: int) -> bytes:
    """Return the protocol data unit that says no."""
    return bytes((function | 0x80, code))


def mbap_frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    """Return the frame of Modbus/TCP."""
    return struct.pack(">HHHB", transaction & 0xFFFF, 0, len(pdu) + 1, unit) + pdu


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """Return the frame of a serial line."""
    body = bytes((unit,)) + pdu
    return body + struct.pack("<H", crc16(body))


def crc16(data: bytes) -> int:
    """Return the checksum of an RTU frame; it goes over the wire low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def rtu_request_length(data: bytes) -> int | None:
    """Return the length of the RTU request that `data` begins with, or None if more bytes are needed."""
    if len(data) < 2:
        return None
    if data[1] in (15, 16):
        return 9 + data[6] if len(data) > 6 else None
    return 6 if data[1] == READ_FIFO else 8


def pack_bits(bits: list[int]) -> bytes:
    """Return bits as bytes, the first in the lowest bit."""
    number = sum(1 << place for place, bit in enumerate(bits) if bit)
    return number.to_bytes((len(bits) + 7) // 8, "little")


def unpack_bits(data: bytes, count: int) -> list[int]:
    """Return `count` bits of bytes, the lowest bit first."""
    number = int.from_bytes(data, "little")
    return [number >> place & 1 for place in range(count)]
