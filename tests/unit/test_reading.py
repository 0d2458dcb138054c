"""How a record is read decides how fast it is read, never what is said about it."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewitness.base.errors import EvidenceError
from linewitness.evidence.format import record, schema
from linewitness.evidence.format.raw import RAW_HMAC
from linewitness.evidence.format.reading import ReadRecord, _parsed, _read_quickly, read
from linewitness.evidence.format.record import Change
from support.chain_builder import Stream, grown

TEXTS = st.text(max_size=12) | st.sampled_from(
    ["", '"', "\\", "\x00\x1f\x7f", "é€😀", "\u2028", '","kind":"x"']
)
SCALARS = TEXTS | st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1)
ACTORS = st.fixed_dictionaries(
    {"type": st.sampled_from(["user", "service", "device", "system"]), "id": TEXTS},
    optional={"display_name": TEXTS, "auth_method": TEXTS, "source_ip": TEXTS},
)
PLACES = st.fixed_dictionaries({"type": TEXTS, "id": TEXTS})
RESOURCES = st.fixed_dictionaries({"type": TEXTS, "id": TEXTS}, optional={"parent": PLACES})
HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)
CONTEXTS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(schema.CONTEXT.optional, TEXTS) | {RAW_HMAC: HASHES}
)
CLOCKS = st.fixed_dictionaries(
    {
        "sync": st.sampled_from(["locked", "holdover", "unsynced"]),
        "step": st.integers(0, 2**53 - 1),
        "boot_id": TEXTS,
        "boottime_us": st.integers(0, 2**53 - 1),
        "occurred_from": st.sampled_from(["device", "server", "poll", "gateway"]),
    },
    optional={
        "bound_us": st.integers(0, 2**53 - 1),
        "occurred_unc_ms": st.integers(0, 9),
        "device_time": TEXTS,
        "device_offset_ms": st.integers(-9, 9),
    },
)
CHANGES = st.lists(
    st.builds(
        Change,
        field=TEXTS,
        before=SCALARS,
        after=SCALARS,
        unit=TEXTS | st.none(),
        low=TEXTS | st.none(),
        high=TEXTS | st.none(),
        status=st.sampled_from([None, "ok", "low", "high", "nok"]),
    ),
    max_size=3,
)


def told(found: ReadRecord | None) -> tuple[object, ...] | None:
    """All that is said of a record."""
    if found is None:
        return None
    return found.data, found.fields, found.occurred_at, found.unit, found.bound_us, found.members


def quick(data: bytes) -> tuple[object, ...] | None:
    return told(_read_quickly(data))


def thorough(data: bytes) -> tuple[object, ...] | None:
    """What the slow way says of the same bytes."""
    return told(_parsed(data))


@pytest.mark.heavy
@given(actor=ACTORS, resource=RESOURCES, context=CONTEXTS, clock=CLOCKS, changes=CHANGES, reason=TEXTS)
def test_what_is_read_fast_is_what_is_parsed(
    *,
    actor: dict[str, str],
    resource: dict[str, Any],
    context: dict[str, str],
    clock: dict[str, Any],
    changes: list[Change],
    reason: str,
) -> None:
    stream = Stream()
    data = stream.seal(
        stream.members(
            changes=tuple(changes),
            actor=actor,
            resource=resource,
            context=context,
            clock=clock,
            reason=reason,
        )
    )
    assert quick(data) in (thorough(data), None)


@pytest.mark.parametrize("at", range(12))
def test_usual_records_are_read_fast_and_not_parsed(at: int) -> None:
    """A pattern that never matched would be right, and useless."""
    data = grown(12, rotate_every=5).records[at]
    assert quick(data) == thorough(data)


def test_records_with_everything_are_quick() -> None:
    stream = Stream()
    full = dict.fromkeys(schema.CONTEXT.optional, "é\\\n") | {RAW_HMAC: "ab" * 32}
    data = stream.seal(
        stream.members(
            changes=(Change("a", -1, 2, "b", "c", "d", "nok"), Change("a", None, True)),
            actor={"type": "user", "id": "a", "display_name": "b", "auth_method": "c", "source_ip": "d"},
            resource={"type": "a", "id": "b", "parent": {"type": "unit", "id": "c"}},
            context=full,
        )
    )
    assert quick(data) == thorough(data)


@pytest.mark.parametrize("name", sorted(schema.CONTEXT.optional))
def test_each_member_of_the_context_alone_is_quick(name: str) -> None:
    stream = Stream()
    data = stream.seal(stream.members(context={name: "ab" * 32}))
    assert quick(data) is not None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_nothing_is_read_fast_that_parsing_refuses(seed: int) -> None:
    dice = random.Random(seed)
    sources = grown(8, rotate_every=3).records
    pieces = [
        b'"',
        b"\\",
        b",",
        b" ",
        b"0",
        b"-",
        b"1.0",
        b"}",
        b"\\u0041",
        b"\\u001f",
        b"\xff",
        b"null",
        b"\n",
    ]
    for _ in range(40):
        data = bytearray(dice.choice(sources))
        at = dice.randrange(len(data))
        match dice.randrange(4):
            case 0:
                data[at] = dice.randrange(256)
            case 1:
                data[at:at] = dice.choice(pieces)
            case 2:
                del data[at : at + dice.choice([1, 1, 2, 20])]
            case _:
                data[at:at] = data[at : at + dice.randrange(60)]
        spoiled = bytes(data)
        fast = quick(spoiled)
        if fast is None:
            continue
        try:
            parsed = thorough(spoiled)
        except EvidenceError as error:
            pytest.fail(f"read fast, but {error}: {spoiled!r}")
        assert fast == parsed


def test_numbers_beyond_fifteen_digits_are_left_to_the_parser() -> None:
    stream = Stream()
    data = stream.seal(stream.members(changes=(Change("n", None, 2**53 - 1),)))
    assert quick(data) is None
    too_large = data.replace(str(2**53 - 1).encode(), str(2**53).encode())
    assert quick(too_large) is None


SPOILED = [
    ('"reason":"measured"', '"reason":"\\u0041"'),
    ('"reason":"measured"', '"reason":"\\u0008"'),
    ('"reason":"measured"', '"reason":"\\u000c"'),
    ('"reason":"measured"', '"reason":"\\u001F"'),
    ('"reason":"measured"', '"reason":"\\/"'),
    ('"reason":"measured"', '"reason":"\n"'),
    ('"reason":"measured"', '"reason":"\\ud800"'),
    ('"reason":"measured"', '"reason":1'),
    ('"reason":"measured"', '"reason":"measured","reason":"measured"'),
    ('"plant_id":"ber-01"}', '"plant_id":"ber-01",}'),
    ('"line_id":"line-02",', '"line_id":"line-02"'),
    ('"context":{', '"context":{,'),
    ('"line_id":"line-02","plant_id":"ber-01"', '"plant_id":"ber-01","line_id":"line-02"'),
    ('"line_id":', '"lime_id":'),
    ('"step":0', '"step":00'),
    ('"step":0', '"step":-0'),
    ('"step":0', '"step":-1'),
    ('"step":0', '"step":01'),
    ('"step":0', '"step":0.0'),
    ('"bound_us":900', '"bound_us":900,"bound_us":900'),
    ('"after":"5.50"', '"after":-0'),
    ('"after":"5.50"', '"after":1.5'),
    ('"after":"5.50"', '"after":1e3'),
    ('"after":"5.50"', '"after":[]'),
    ('"status":"ok"', '"status":"OK"'),
    ('"status":"ok"', '"status":"ok","status":"ok"'),
    ('"changes":[{', '"changes":[{},{'),
    ('"changes":[{', '"changes":[,{'),
    ('"kind":"measurement.result"', '"kind":"measurement.other"'),
    ('"type":"device"', '"type":"robot"'),
    ('"action":"create"', '"action":"make"'),
    ('"v":1}', '"v":2}'),
    ('"v":1}', '"v":1,"w":1}'),
    ("T00:00:05", "T24:00:05"),
    ("T00:00:05.000Z", "T00:00:05Z"),
    ('=="', '="'),
    ('"tenant_id":"acme"}', '"tenant_id":"acme"} '),
    ('"tenant_id":"acme"}', '"tenant_id":"acme","zone":"x"}'),
    ('{"action"', '\ufeff{"action"'),
]


@pytest.mark.parametrize(("old", "new"), SPOILED)
def test_bytes_that_only_look_well_formed_are_not_quick(old: str, new: str) -> None:
    data = grown(6).records[5].decode()
    assert old in data
    spoiled = data.replace(old, new, 1).encode()
    with pytest.raises(EvidenceError):
        record.parse(spoiled)
    assert quick(spoiled) is None


def test_a_signature_with_stray_bits_is_not_quick() -> None:
    """The last character before the padding carries two bits, and has sixteen spellings of them."""
    data = grown(6).records[5]
    at = data.index(b'=="') - 1
    for letter in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/":
        spelled = data[:at] + bytes([letter]) + data[at + 1 :]
        assert (quick(spelled) is None) == (letter not in b"AQgw")


def test_a_record_beyond_the_limit_is_not_quick() -> None:
    stream = Stream()
    most = stream.seal(stream.members(reason=""))
    fits = stream.seal(stream.members(reason="x" * (65_535 - len(most))))
    assert len(fits) == 65_535
    assert quick(fits) is not None
    assert quick(fits.replace(b'"reason":"x', b'"reason":"xx')) is None


def test_bytes_that_are_not_utf_8_are_not_quick() -> None:
    data = grown(6).records[5]
    for odd in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"):
        assert quick(data.replace(b'"reason":"measured"', b'"reason":"' + odd + b'"')) is None


def test_what_is_not_read_quickly_is_parsed() -> None:
    stream = Stream()
    escaped = stream.seal(stream.members(resource={"type": "unit", "id": 'SN "1"'}, reason="measured"))
    assert quick(escaped) is None
    assert told(read(escaped)) == thorough(escaped)
    assert read(escaped).unit == 'SN "1"'
    with pytest.raises(EvidenceError):
        read(escaped.replace(b'"measured"', b'"\\u0041"'))
