import contextlib
import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.evidence.format import canonical
from linewitness.evidence.format.canonical import MAX_INTEGER, NotCanonical

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
KEYS = st.from_regex(r"[a-z0-9_]+", fullmatch=True)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=8)


def why(data: bytes) -> str:
    with pytest.raises(NotCanonical) as caught:
        canonical.decode(data)
    return str(caught.value)


@pytest.mark.heavy
@given(VALUES)
def test_what_is_encoded_is_decoded_to_the_same(value: Any) -> None:
    try:
        canonical.check_profile(value)
    except NotCanonical:
        return  # deeper than eight levels
    assert canonical.decode(canonical.encode(value)) == value


@given(st.binary())
def test_any_bytes_are_one_form_or_refused(data: bytes) -> None:
    try:
        value = canonical.decode(data)
    except NotCanonical:
        return
    assert canonical.encode(value) == data


@pytest.mark.heavy
@given(VALUES, st.integers(0, 200), st.sampled_from(b' \n{}[]",:0a\\'))
def test_one_more_byte_is_never_the_same_value(value: Any, place: int, byte: int) -> None:
    """Two byte forms of one value would be two hashes of one statement."""
    data = canonical.encode(value)
    longer = data[:place] + bytes([byte]) + data[place:]
    with contextlib.suppress(NotCanonical):
        assert json.dumps(canonical.decode(longer)) != json.dumps(value)


def test_the_refusal_names_the_rule() -> None:
    assert "key 'a' is there twice" in why(b'{"a":1,"a":1}')
    assert "12.30 is not an integer" in why(b'{"a":12.30}')
    assert "NaN is not an integer" in why(b"[NaN]")
    assert "beyond 2^53-1" in why(b"[9007199254740992]")
    assert "beyond 2^53-1" in why(b"[" + b"9" * (sys.get_int_max_str_digits() + 1) + b"]")
    assert "not UTF-8 at byte 1" in why(b'"\xff"')
    assert "lone surrogate" in why(b'"\\ud800"')
    assert "not of the form" in why(b'{"A":1}')
    assert "canonical form" in why(b'{"b":1,"a":1}')
    assert "deeper than 8" in why(b"[" * 9 + b"]" * 9)
    assert "deeper than 8" in why(b"[" * 65_535)
    assert "65536 bytes" in why(b" " * 65_536)


def test_the_largest_allowed_value_is_allowed() -> None:
    assert canonical.decode(b'"' + b"x" * 65_533 + b'"') == "x" * 65_533


def test_the_profile_refuses_what_json_would_write() -> None:
    for value in (1.5, {"A": 1}, {1: 2}, b"x", (1,), {1}, 2**53):
        with pytest.raises(NotCanonical):
            canonical.check_profile(value)
    with pytest.raises(NotCanonical, match="surrogate"):
        canonical.encode("\ud800")
