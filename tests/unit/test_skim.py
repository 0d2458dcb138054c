"""Skimming decides how fast a record is read, never what is said about it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain_builder import Stream, grown
from linewitness.errors import EvidenceError
from linewitness.evidence import record, schema
from linewitness.evidence.record import Change
from linewitness.evidence.skim import _CONTEXT, skim, skimmed_of

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
CONTEXTS = st.fixed_dictionaries({}, optional=dict.fromkeys(schema.CONTEXT.optional, TEXTS))
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


@given(actor=ACTORS, resource=RESOURCES, context=CONTEXTS, clock=CLOCKS, changes=CHANGES, reason=TEXTS)
def test_what_is_skimmed_is_what_is_parsed(*, actor, resource, context, clock, changes, reason):
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
    parsed = skimmed_of(data, record.parse(data))
    assert skim(data) in (parsed, None)


@pytest.mark.parametrize("at", range(12))
def test_usual_records_are_skimmed_and_not_parsed(at):
    """A pattern that never matched would be right, and useless."""
    data = grown(12, rotate_every=5).records[at]
    assert skim(data) == skimmed_of(data, record.parse(data))


def test_records_with_everything_are_skimmed():
    stream = Stream()
    full = dict.fromkeys(schema.CONTEXT.optional, "é\\\n")
    data = stream.seal(
        stream.members(
            changes=(Change("a", -1, 2, "b", "c", "d", "nok"), Change("a", None, True)),
            actor={"type": "user", "id": "a", "display_name": "b", "auth_method": "c", "source_ip": "d"},
            resource={"type": "a", "id": "b", "parent": {"type": "unit", "id": "c"}},
            context=full,
        )
    )
    assert skim(data) == skimmed_of(data, record.parse(data))
    assert set(_CONTEXT) == set(schema.CONTEXT.optional)


@pytest.mark.parametrize("name", sorted(schema.CONTEXT.optional))
def test_each_member_of_the_context_alone_is_skimmed(name):
    stream = Stream()
    data = stream.seal(stream.members(context={name: "x"}))
    assert skim(data) is not None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_nothing_is_skimmed_that_parsing_refuses(seed):
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
        skimmed = skim(spoiled)
        if skimmed is None:
            continue
        try:
            parsed = record.parse(spoiled)
        except EvidenceError as error:
            pytest.fail(f"skimmed, but {error}: {spoiled!r}")
        assert skimmed == skimmed_of(spoiled, parsed)


def test_numbers_beyond_fifteen_digits_are_left_to_the_parser():
    stream = Stream()
    data = stream.seal(stream.members(changes=(Change("n", None, 2**53 - 1),)))
    assert skim(data) is None
    too_large = data.replace(str(2**53 - 1).encode(), str(2**53).encode())
    assert skim(too_large) is None
