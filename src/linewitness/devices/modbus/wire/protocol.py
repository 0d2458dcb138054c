"""The words of the Modbus application protocol: tables, functions and what error answers mean."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

Table = Literal["holding", "input", "coil", "discrete"]

#: What people write in front of a five-digit reference: 40001 is the first holding register.
REFERENCE: Final[Mapping[Table, int]] = MappingProxyType({"coil": 0, "discrete": 1, "input": 3, "holding": 4})

MAX_REGISTERS: Final = 125
MAX_BITS: Final = 2000
ADDRESSES: Final = 65_536
#: An answer with this bit in its function code is an exception.
ERROR_BIT: Final = 0x80
FIVE_DIGIT_ADDRESSES: Final = 9_999

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3
ACKNOWLEDGE: Final = 5
BUSY: Final = 6
GATEWAY_NO_PATH: Final = 10
GATEWAY_NO_ANSWER: Final = 11

#: The gateway in front of the device is speaking: the device itself did not answer.
FROM_GATEWAY: Final = frozenset({GATEWAY_NO_PATH, GATEWAY_NO_ANSWER})
#: The device may well answer the next time.
PASSING: Final = frozenset({ACKNOWLEDGE, BUSY})
#: A smaller request may succeed: a part of the block does not exist.
DIVISIBLE: Final = frozenset({ILLEGAL_ADDRESS, ILLEGAL_VALUE})
#: A write that is answered with one of these will not succeed later either.
NOT_WRITABLE: Final = frozenset({ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE})

_WORDS: Final[Mapping[int, str]] = MappingProxyType(
    {
        ILLEGAL_FUNCTION: "the device does not know this function",
        ILLEGAL_ADDRESS: "the device has no such register",
        ILLEGAL_VALUE: "the device does not accept the length or the value",
        4: "the device failed while it did the work",
        ACKNOWLEDGE: "the device is still working on it",
        BUSY: "the device is busy",
        7: "the device cannot do this",
        8: "the device found an error in its memory",
        GATEWAY_NO_PATH: "the gateway has no path to the device",
        GATEWAY_NO_ANSWER: "the device behind the gateway did not answer",
    }
)


def exception_words(code: int) -> str:
    """Return an exception code in words, with the number for those who know it."""
    return f"{_WORDS.get(code, 'an error that the protocol does not name')} (Modbus exception {code})"


def is_bits(table: Table) -> bool:
    """Tell the tables of single bits from those of 16-bit registers."""
    return table in ("coil", "discrete")


def reference(table: Table, address: int) -> str:
    """Return the five- or six-digit reference of a 0-based address: holding 0 is `40001`."""
    digits = 4 if address < FIVE_DIGIT_ADDRESSES else 5
    return f"{REFERENCE[table]}{address + 1:0{digits}d}"
