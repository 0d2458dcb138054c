"""Write numbers as the device meant them: exact decimals, no traces of binary arithmetic."""

import math
import struct
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Final

#: Enough for any 64-bit integer times any sensible scale without rounding.
EXACT: Final = Context(prec=80, rounding=ROUND_HALF_EVEN)
#: Nine significant digits name every float32.
_FLOAT32_DIGITS: Final = 9
#: A decimal of six digits comes back from any normal float32, so that none with fewer has to be tried.
_FLOAT32_KEEPS: Final = 6
_SMALLEST_NORMAL: Final = 2.0**-126
_FLOAT32 = struct.Struct(">f")


def shortest_float32(value: float) -> Decimal:
    """Return the decimal with the fewest digits that reads back as the same float32.

    `value` is a float32 widened to Python's float; of several candidates the nearest wins.
    """
    if value == 0:
        return Decimal(0)
    if abs(value) >= _SMALLEST_NORMAL and abs(math.frexp(value)[0]) != 0.5:  # noqa: PLR2004 - a power of two
        for digits in range(_FLOAT32_KEEPS, _FLOAT32_DIGITS + 1):
            text = f"{value:.{digits}g}"
            if _FLOAT32.pack(float(text)) == _FLOAT32.pack(value):
                if _is_halfway(value, digits):
                    break
                return Decimal(text).normalize(EXACT)
    return _searched_float32(value)


def _is_halfway(value: float, digits: int) -> bool:
    """Return whether a value lies between two decimals of so many digits, as near to one as to the other."""
    more = f"{value:.{digits}e}"
    return more[digits + 1 + more.startswith("-")] == "5" and float(more) == value


def _searched_float32(value: float) -> Decimal:
    """Return the same of any float32: next to a power of two the nearest decimal need not read back."""
    exact = Decimal(value)
    for digits in range(1, _FLOAT32_DIGITS + 1):
        below = Context(prec=digits, rounding=ROUND_FLOOR).plus(exact)
        above = Context(prec=digits, rounding=ROUND_CEILING).plus(exact)
        for candidate in sorted((below, above), key=lambda number: abs(number - exact)):
            if _same_float32(candidate, value):
                return candidate
    raise AssertionError(f"{value!r} is not a float32")


def _same_float32(candidate: Decimal, value: float) -> bool:
    try:
        return bool(_FLOAT32.unpack(_FLOAT32.pack(float(candidate)))[0] == value)
    except OverflowError:
        return False


def shortest_float64(value: float) -> Decimal:
    """Return the decimal with the fewest digits that reads back as the same float64."""
    return Decimal(repr(value)).normalize(EXACT) if value else Decimal(0)


def scaled(number: Decimal, scale: Decimal | None, offset: Decimal | None, decimals: int | None) -> str:
    """Return `number * scale + offset` in plain notation, with `decimals` places where they are given.

    Without `decimals` the places follow from the arithmetic: 120 at a scale of 0.1 is "12.0".
    """
    if scale is not None:
        number = EXACT.multiply(number, scale)
    if offset is not None:
        number = EXACT.add(number, offset)
    if decimals is not None:
        number = number.quantize(Decimal(1).scaleb(-decimals), context=EXACT)
    return plain(number)


def plain(number: Decimal) -> str:
    """Return a decimal without an exponent and without a negative zero."""
    text = format(number, "f")
    return text.removeprefix("-") if number.is_zero() else text


def bcd(value: int, digits: int) -> int | None:
    """Return the number that binary-coded decimal digits spell, or None if one is not a digit."""
    text = f"{value:0{digits}x}"
    return int(text) if text.isdecimal() else None
