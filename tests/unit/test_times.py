"""The verifier reads and writes times on its own, and as the gateway does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.base.clock import from_rfc3339, to_rfc3339
from linewitness.evidence.format.times import text_of, unix_ns, unix_us

#: From 1970 to 9999.
TIMES_MS = st.integers(0, 253_402_300_799_999)


@given(TIMES_MS)
def test_verifier_and_gateway_mean_the_same_time(milliseconds: int) -> None:
    nanoseconds = milliseconds * 1_000_000
    text = to_rfc3339(nanoseconds)
    assert text_of(nanoseconds + 999_999) == text
    assert unix_ns(text) == from_rfc3339(text) == nanoseconds
    assert unix_us(text) == milliseconds * 1000


@pytest.mark.parametrize(
    "text", ["", "2026-03-01", "2026-03-01T00:00:00Z", "2026-02-30T00:00:00.000Z", "2026-03-01T24:00:00.000Z"]
)
def test_other_texts_are_no_times(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no time|day is out of range"):
        unix_ns(text)
