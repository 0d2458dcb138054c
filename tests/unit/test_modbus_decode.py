import math
import struct
from decimal import Decimal
from random import Random
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewitness.devices.base import Quality
from linewitness.devices.modbus.points import ModbusPoint, RegisterAddress
from linewitness.devices.modbus.polling.columns import TelemetryDecoder
from linewitness.devices.modbus.polling.decode import Decoded, decoder, slice_of
from linewitness.devices.modbus.polling.numbers import _searched_float32, shortest_float32


def float32(number: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", number))[0])


FLOATS_32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


def value_of(hexadecimal: str, **settings: Any) -> Decoded:
    place = RegisterAddress(address=0, **settings)
    return decoder(place, "big")(bytes.fromhex(hexadecimal))


@pytest.mark.parametrize(
    ("order", "registers"),
    [
        ("big", "12345678"),
        ("little", "78563412"),
        ("big-byte-swap", "34127856"),
        ("little-byte-swap", "56781234"),
        ("ABCD", "12345678"),
        ("DCBA", "78563412"),
        ("BADC", "34127856"),
        ("CDAB", "56781234"),
    ],
)
def test_all_orders_of_a_32_bit_number(order: str, registers: str) -> None:
    assert value_of(registers, type="uint32", order=order).value == str(0x12345678)


@pytest.mark.parametrize(
    ("order", "registers"),
    [
        ("big", "0102030405060708"),
        ("little", "0807060504030201"),
        ("big-byte-swap", "0201040306050807"),
        ("little-byte-swap", "0708050603040102"),
    ],
)
def test_all_orders_of_a_64_bit_number(order: str, registers: str) -> None:
    assert value_of(registers, type="uint64", order=order).value == str(0x0102030405060708)


@pytest.mark.parametrize(
    ("hexadecimal", "settings", "expected"),
    [
        ("fffe", {"type": "int16"}, "-2"),
        ("fffe", {"type": "uint16"}, "65534"),
        ("0078", {"type": "int16", "scale": "0.1"}, "12.0"),
        ("007b", {"type": "int16", "scale": "0.10"}, "12.30"),
        ("0003", {"type": "int16", "scale": "0.1"}, "0.3"),
        ("0003", {"type": "int16", "scale": "0.1", "offset": "-40"}, "-39.7"),
        ("007b", {"type": "int16", "scale": "0.01", "decimals": 1}, "1.2"),
        ("0005", {"type": "int16", "scale": "1E+2"}, "500"),
        ("0000", {"type": "int16", "scale": "-0.1"}, "0.0"),
        ("ffffffffffffffff", {"type": "uint64", "scale": "0.001"}, "18446744073709551.615"),
        ("8000000000000000", {"type": "int64"}, "-9223372036854775808"),
        ("3dcccccd", {"type": "float32"}, "0.1"),
        ("4141999a", {"type": "float32"}, "12.1"),
        ("80000000", {"type": "float32"}, "0"),
        ("7f7fffff", {"type": "float32"}, "340282350000000000000000000000000000000"),
        ("3fb999999999999a", {"type": "float64"}, "0.1"),
        ("4059000000000000", {"type": "float64"}, "100"),
        ("1234", {"type": "bcd16"}, "1234"),
        ("00129876", {"type": "bcd32", "scale": "0.01"}, "1298.76"),
        ("0001", {"type": "uint16", "labels": {1: "running"}}, "running"),
        ("4c4f5431", {"type": "string", "length": 4}, "LOT1"),
        ("4f4c3154", {"type": "string", "length": 4, "order": "BADC"}, "LOT1"),
        ("4c4f5400", {"type": "string", "length": 3}, "LOT"),
        ("4c4f0058", {"type": "string", "length": 4}, "LO"),
        ("4c4f2020", {"type": "string", "length": 4}, "LO"),
        ("c3bc", {"type": "string", "length": 2, "encoding": "utf-8"}, "ü"),
        ("0008", {"type": "bool", "bit": 3}, True),
        ("0800", {"type": "bool", "bit": 3}, False),
        ("0800", {"type": "bool", "bit": 3, "order": "BADC"}, True),
        ("0100", {"type": "bool"}, True),
        ("0005", {"type": "bits", "bits": {"heater": 0, "fan": 1, "door": 2}},
         {"heater": True, "fan": False, "door": True}),
    ],
)  # fmt: skip
def test_registers_become_exact_values(
    hexadecimal: str, settings: dict[str, Any], expected: bool | dict[str, bool] | str
) -> None:
    decoded = value_of(hexadecimal, **settings)
    assert decoded.value == expected
    assert decoded.quality is Quality.GOOD


@pytest.mark.parametrize(
    ("hexadecimal", "settings", "words"),
    [
        ("7fc00000", {"type": "float32"}, "NaN"),
        ("ff800000", {"type": "float32"}, "infinity"),
        ("7ff8000000000000", {"type": "float64"}, "NaN"),
        ("12a4", {"type": "bcd16"}, "0x12A4"),
        ("ff41", {"type": "string", "length": 2}, "not ascii"),
    ],
)
def test_what_is_no_value_is_bad_and_says_why(hexadecimal: str, settings: dict[str, Any], words: str) -> None:
    decoded = value_of(hexadecimal, **settings)
    assert decoded.value is None
    assert decoded.quality is Quality.BAD
    assert words in decoded.status


def test_a_number_without_a_label_is_uncertain_and_kept() -> None:
    decoded = value_of("0009", type="uint16", labels={1: "running"})
    assert (decoded.value, decoded.quality) == ("9", Quality.UNCERTAIN)


@settings(deadline=None)
@given(FLOATS_32)
def test_float32_decimals_read_back_as_the_same_float32(value: float) -> None:
    text = str(shortest_float32(value))
    assert struct.unpack(">f", struct.pack(">f", float(text)))[0] == value


@pytest.mark.parametrize(("value", "text"), [(3975290.75, "3975290.7"), (-3205571.25, "-3205571.3")])
def test_of_two_decimals_that_are_as_near_the_lower_one_is_taken(value: float, text: str) -> None:
    assert str(shortest_float32(value)) == text


@settings(deadline=None)
@given(FLOATS_32.filter(lambda value: value != 0) | st.integers(2**18, 2**28).map(lambda n: float32(n / 16)))
def test_the_short_way_to_a_float32_gives_what_the_search_gives(value: float) -> None:
    assert shortest_float32(value).as_tuple() == _searched_float32(value).as_tuple()


@settings(deadline=None)
@given(FLOATS_32.filter(lambda value: value != 0))
def test_no_float32_decimals_with_fewer_digits_read_back(value: float) -> None:
    digits = len(shortest_float32(value).as_tuple().digits)
    if digits == 1:
        return
    for rounding in ("ROUND_FLOOR", "ROUND_CEILING"):
        from decimal import Context  # noqa: PLC0415 - only here

        fewer = Context(prec=digits - 1, rounding=rounding).plus(Decimal(value))
        try:
            back = struct.unpack(">f", struct.pack(">f", float(fewer)))[0]
        except OverflowError:
            continue
        assert back != value


@settings(deadline=None)
@given(st.integers(-(2**15), 2**15 - 1), st.decimals(min_value="-99", max_value="99", places=3))
def test_scaling_is_decimal_arithmetic(raw: int, scale: Decimal) -> None:
    if scale == 0:
        return
    decoded = decoder(RegisterAddress(address=0, type="int16", scale=scale), "big")(struct.pack(">h", raw))
    assert Decimal(str(decoded.value)) == Decimal(raw) * scale
    assert "E" not in str(decoded.value)


def point(name: str, address: int, **settings: Any) -> ModbusPoint:
    return ModbusPoint(id=name, record="telemetry", address=address, **settings)


def test_a_block_of_telemetry_is_decoded_at_once_in_one_order() -> None:
    points = [
        point("a", 10, type="int16"),
        point("b", 12, type="float32", order="CDAB"),
        point("c", 14, type="uint16", scale="0.1"),
        point("d", 15, type="uint32", order="DCBA"),
        point("e", 17, type="bcd16"),
        point("f", 10, type="bits", bits={"x": 1, "y": 15}),
        point("g", 18, type="string", length=2),
        point("h", 10, type="bool", bit=15),
        point("i", 10, type="uint16", scale="0.5"),
    ]
    data = bytes.fromhex("fffe0000999a414100037856341200424142")
    decode = TelemetryDecoder(points, first=10, count=9, order="big")
    values: dict[str, Any] = dict(zip(decode.points, decode.decode(data).values, strict=True))
    assert values == {
        "a": -2,
        "b": struct.unpack(">f", bytes.fromhex("4141999a"))[0],
        "c": 0.3,
        "d": 0x12345678,
        "e": 42,
        "f": 0x8002,
        "g": "AB",
        "h": True,
        "i": 32767.0,
    }


def test_telemetry_marks_what_is_not_a_number_and_keeps_the_rest() -> None:
    points = [point("a", 0, type="float32"), point("b", 2, type="float32"), point("c", 4, type="bcd16")]
    decode = TelemetryDecoder(points, first=0, count=5, order="big")
    columns = decode.decode(bytes.fromhex("7fc000003f80000000ff"))
    values: dict[str, Any] = dict(zip(decode.points, columns.values, strict=True))
    assert values == {"a": None, "b": 1.0, "c": None}
    assert set(columns.statuses) == {decode.points.index("a"), decode.points.index("c")}


def test_bits_of_a_table_of_bits_are_found_across_bytes() -> None:
    points = [point(f"p{address}", address, table="coil") for address in (5, 6, 13, 14)]
    decode = TelemetryDecoder(points, first=5, count=10, order="big")
    assert decode.decode(bytes((0b0000_0001, 0b0000_0011))).values == (True, False, True, True)
    assert [slice_of(each, 5, bytes((1, 3))) for each in points] == [b"\1", b"\0", b"\1", b"\1"]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["int16", "uint32", "float32", "int64", "float64"]), min_size=1, max_size=30),
    st.sampled_from(["big", "little", "big-byte-swap", "little-byte-swap"]),
    st.randoms(use_true_random=False),
)
def test_telemetry_and_evidence_read_the_same_numbers(
    kinds: list[str], order: str, randomness: Random
) -> None:
    points, address = [], 100
    for kind in kinds:
        points.append(point(f"p{address}", address, type=kind))
        address = points[-1].end + randomness.randint(0, 2)
    count = points[-1].end - 100
    data = randomness.randbytes(count * 2)
    decode = TelemetryDecoder(points, first=100, count=count, order=cast(Any, order))
    values: dict[str, Any] = dict(zip(decode.points, decode.decode(data).values, strict=True))
    for each in points:
        evidence = decoder(each, cast(Any, order))(slice_of(each, 100, data)).value
        found = values[each.id]
        if evidence is None:
            assert found is None
        elif each.kind == "float32":
            assert struct.pack(">f", float(str(evidence))) == struct.pack(">f", found + 0.0)
        else:
            assert math.isclose(float(str(evidence)), float(cast(Any, found)), rel_tol=0, abs_tol=0)
