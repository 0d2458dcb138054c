"""Layouts, framing and codec: what was written is read back, however the stream was cut."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewitness.devices.open_protocol.wire.codec import decode, encode
from linewitness.devices.open_protocol.wire.framing import Framer, FramingError
from linewitness.devices.open_protocol.wire.layouts import Field, Layout, layout_for, layouts, revisions
from linewitness.devices.open_protocol.wire.mids import describe
from linewitness.devices.open_protocol.wire.telegram import (
    MalformedTelegram,
    PartCollector,
    Telegram,
    parse,
    split,
)
from linewitness.devices.open_protocol.wire.variable import MalformedVariable, parse_part, parse_trace

GOLDEN = json.loads((Path(__file__).parents[1] / "vectors/open_protocol/golden.json").read_text())
ALL = [layout for (_, _, at), layout in layouts().items() if at is None]

#: Lengths that the protocol states, written down here by hand.
LENGTHS = {
    2: {1: 57, 2: 62, 3: 125, 4: 163, 5: 173, 6: 221, 7: 224},
    11: {1: 26},
    13: {1: 104, 2: 120, 5: 141},
    15: {1: 42, 2: 141},
    18: {1: 23},
    19: {1: 25, 2: 27},
    31: {1: 24, 2: 28},
    32: {1: 22, 2: 24},
    33: {1: 103, 2: 105},
    35: {1: 63, 2: 65, 3: 79, 4: 83, 5: 198},
    38: {1: 22, 2: 24},
    39: {1: 22, 2: 24},
    41: {1: 81, 2: 156, 3: 180, 4: 184, 5: 198, 6: 236, 7: 260},
    52: {1: 45, 2: 128},
    61: {
        1: 231, 2: 385, 3: 419, 4: 500, 5: 506, 6: 526, 7: 544, 8: 571, 9: 592, 10: 662, 11: 677,
        998: 547, 999: 121,
    },
    64: {1: 30, 5: 30, 10: 31},
    65: {1: 118, 2: 226, 3: 233, 4: 314, 5: 320, 6: 340, 7: 379, 8: 406, 9: 427, 10: 497, 11: 512},
    71: {1: 53, 2: 54, 3: 109},
    76: {1: 56, 2: 57, 3: 60},
    127: {1: 20},
    100: {1: 20, 2: 30, 3: 31, 6: 31},
    101: {1: 192, 4: 197, 5: 204},
    104: {1: 32},
    105: {1: 20, 2: 30, 3: 31},
    106: {1: 236},
    107: {1: 252},
    108: {1: 21},
    152: {1: 148},
}  # fmt: skip

text = st.text(st.characters(codec="utf-8", exclude_characters=" \x00"), max_size=25)


def content(field: Field) -> st.SearchStrategy[object]:
    if field.parts:
        return st.none()
    if field.enc in "NBD":
        numbers = st.integers(0, 10**field.width - 1)
        if field.width > 1:
            numbers = st.integers(-(10 ** (field.width - 1)) + 1, 10**field.width - 1)
        return st.none() | numbers
    if field.enc == "T":
        return st.none() | st.just("2026-03-14:09:26:53")
    width = max(field.width, 25) if field.open_end else field.width
    return st.none() | text.filter(lambda each: 0 < len(each.encode()) <= width and each == each.strip(" "))


@st.composite
def filled(draw: st.DrawFn) -> tuple[Layout, dict[str, object]]:
    layout = draw(st.sampled_from(ALL))
    values = {field.key: draw(content(field)) for field in layout.fields}
    for field in layout.fields:
        if field.count:
            blocks = draw(
                st.lists(st.fixed_dictionaries({p.key: content(p) for p in field.parts}), max_size=9)
            )
            values[field.count] = len(blocks)
            values[field.key] = blocks
    return layout, values


@pytest.mark.heavy
@given(filled())
@settings(max_examples=400, deadline=None)
def test_every_layout_reads_back_what_it_wrote(case: tuple[Any, ...]) -> None:
    layout, values = case
    telegram = parse(encode(layout.mid, layout.revision, values).to_bytes())
    decoded = decode(telegram)
    assert decoded.complete, decoded.problem
    assert decoded.extra == b""
    for field in layout.fields:
        if field.count:
            found = [
                {key: value.content for key, value in block.items()} for block in decoded.blocks[field.key]
            ]
            assert found == values[field.key]
        else:
            assert decoded.content(field.key) == values[field.key]


@pytest.mark.parametrize(
    ("mid", "revision", "length"), [(m, r, n) for m, rs in LENGTHS.items() for r, n in rs.items()]
)
def test_lengths_are_those_of_the_protocol(mid: int, revision: int, length: int) -> None:
    layout = layout_for(mid, revision)
    assert layout is not None
    assert layout.length() == length


@pytest.mark.parametrize("golden", GOLDEN, ids=[each["name"] for each in GOLDEN])
def test_golden_telegrams_decode(golden: dict[str, Any]) -> None:
    raw = golden["telegram"].encode()
    assert len(raw) == golden["length"]
    telegram = parse(raw)
    assert telegram.to_bytes() == raw
    if layout_for(telegram.mid, telegram.revision) is not None:
        decoded = decode(telegram)
        assert decoded.complete, decoded.problem
        assert decoded.extra == b""


def golden(name: str) -> Telegram:
    return parse(next(each["telegram"] for each in GOLDEN if name in each["name"]).encode())


def test_golden_result_says_what_it_says() -> None:
    decoded = decode(golden("0061 r3 NOK result"))
    assert decoded.decimal("torque") == "29.15"
    assert decoded.decimal("torque_max_limit") == "27.00"
    assert decoded.decimal("angle") == "11"
    assert decoded.number("torque_status") == 2
    assert decoded.number("tightening_id") == 1000124
    assert decoded.text("vin") == "WP1SIM00000000042"
    assert decoded.text("pset_name") == "M8 bracket 25Nm"
    assert decoded.number("selftap_status") is None


@pytest.mark.heavy
@given(
    st.lists(st.integers(1, 400), max_size=30),
    st.lists(st.sampled_from([b"", b"\x00", b"\x00\x00", b"\r\n"]), min_size=48, max_size=48),
)
@settings(deadline=None)
def test_every_cutting_gives_the_same_telegrams(cuts: list[int], ends: list[bytes]) -> None:
    telegrams = [each["telegram"].encode() for each in GOLDEN]
    stream = b"".join(raw + end for raw, end in zip(telegrams, ends[: len(telegrams)], strict=False))
    found: list[Any]
    framer, found, start = Framer(), [], 0
    for cut in cuts:
        found += framer.feed(stream[start : start + cut])
        start += cut
    found += framer.feed(stream[start:])
    assert found == telegrams[: len(ends)]


def test_a_stream_cut_at_every_byte_gives_the_same_telegrams() -> None:
    telegrams = [each["telegram"].encode() for each in GOLDEN]
    found: list[Any]
    framer, found = Framer(), []
    for byte in b"".join(raw + b"\x00" for raw in telegrams):
        found += framer.feed(bytes([byte]))
    assert found == telegrams


@pytest.mark.parametrize("noise", [b"HTTP/1.1 400", b"0019", b"-020", b"00a0", b"0000"])
def test_what_is_no_telegram_is_said_at_once(noise: bytes) -> None:
    with pytest.raises(FramingError):
        list(Framer().feed(noise))


@given(st.binary(max_size=300), st.sampled_from(ALL))
@settings(max_examples=300, deadline=None)
def test_any_bytes_decode_to_something_without_a_crash(data: bytes, layout: Layout) -> None:
    decoded = decode(Telegram(mid=layout.mid, revision=layout.revision, data=data))
    assert sum(len(value.raw) for value in decoded.values.values()) <= len(data)


def test_a_wrong_parameter_id_stops_the_reading_there() -> None:
    raw = bytearray(golden("0061 r1 OK result").to_bytes())
    raw[105:106] = b"9"
    decoded = decode(parse(bytes(raw)))
    assert decoded.undecodable_from == 106
    assert "batch_counter" in decoded.values
    assert "tightening_status" not in decoded.values


def test_a_short_telegram_gives_its_complete_parameters() -> None:
    raw = golden("0061 r1 OK result").to_bytes()[:150]
    decoded = decode(parse(raw))
    assert decoded.short
    assert decoded.number("torque") == 2512
    assert "angle_min" not in decoded.values


def test_what_follows_the_layout_is_kept() -> None:
    telegram = golden("0061 r1 OK result")
    longer = Telegram(mid=61, revision=1, data=telegram.data + b"24NEW")
    assert decode(longer).extra == b"24NEW"
    assert decode(longer).complete


def test_a_number_that_is_none_is_named() -> None:
    raw = bytearray(golden("0061 r1 OK result").to_bytes())
    raw[140:146] = b"  nan "
    decoded = decode(parse(bytes(raw)))
    assert decoded.invalid == ("torque",)
    assert decoded.number("tightening_id") == 1000123


def test_the_alarm_layout_follows_the_length() -> None:
    old = Telegram(mid=71, revision=2, data=b"01E0404021031042026-03-14:09:26:5305" + b"Drive hot".ljust(50))
    assert old.length == 106
    assert decode(old).text("alarm_text") == "Drive hot"
    assert decode(Telegram(mid=71, revision=2, data=old.data[:34])).complete


def test_an_unknown_revision_is_not_guessed() -> None:
    decoded = decode(Telegram(mid=61, revision=12, data=b"010001"))
    assert decoded.undecodable_from == 21
    assert not decoded.values


@pytest.mark.parametrize("header", ["00200001   ", "00200001000", "00200001001"])
def test_blank_and_zero_revisions_mean_one(header: str) -> None:
    assert parse(header.encode() + b"         ").revision == 1


def test_parts_are_joined_in_order() -> None:
    whole = golden("0061 r7 OK result")
    collector = PartCollector()
    parts = split(whole, [100, 300])
    joined = [collector.add(parse(part.to_bytes())) for part in parts]
    assert joined[:2] == [None, None]
    assert joined[2] == whole


def test_parts_out_of_order_are_refused() -> None:
    parts = split(golden("0061 r7 OK result"), [100, 300])
    collector = PartCollector()
    collector.add(parts[0])
    with pytest.raises(MalformedTelegram):
        collector.add(parts[2])


def test_a_value_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="torque"):
        encode(61, 1, {"torque": 10_000_000})
    with pytest.raises(KeyError):
        encode(61, 1, {"torqe": 1})


def test_revisions_are_listed() -> None:
    assert revisions(61) == (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 998, 999)


def test_every_error_code_has_words() -> None:
    assert "revision" in describe(97).meaning
    assert describe(950).meaning
    assert describe(850).meaning


@pytest.mark.heavy
@given(st.lists(st.binary(max_size=60), max_size=20))
@settings(max_examples=300, deadline=None)
def test_any_stream_ends_in_telegrams_or_in_a_framing_error(chunks: list[bytes]) -> None:
    framer, taken = Framer(), 0
    try:
        for chunk in chunks:
            taken += sum(len(raw) for raw in framer.feed(chunk))
    except FramingError:
        return
    assert taken <= sum(len(chunk) for chunk in chunks)


@pytest.mark.heavy
@given(st.binary(max_size=200), st.sampled_from([900, 1201, 1202]), st.integers(1, 3))
@settings(max_examples=300, deadline=None)
def test_any_variable_data_is_read_or_refused(data: bytes, mid: int, revision: int) -> None:
    telegram = Telegram(mid=mid, revision=revision, data=data)
    with contextlib.suppress(MalformedVariable):
        (parse_trace if mid == 900 else parse_part)(telegram)
