"""The request for a time stamp is ours; another library's builder says which bytes it should be."""

import pytest
import rfc3161_client as tsp
from hypothesis import given
from hypothesis import strategies as st

from linewitness.anchors.rfc3161 import time_stamp_request
from linewitness.evidence.timestamps import der
from support.present import present


@pytest.mark.parametrize("attempt", range(8))
def test_the_request_is_the_one_that_another_library_builds(attempt: int) -> None:
    data = b"a checkpoint" * (attempt + 1)
    asked = tsp.TimestampRequestBuilder().data(data).hash_algorithm(tsp.HashAlgorithm.SHA256)
    theirs = asked.nonce(nonce=True).cert_request(cert_request=True).build()
    assert time_stamp_request(data, present(theirs.nonce)) == theirs.as_bytes()


@given(st.integers(0, 2**64 - 1))
def test_numbers_are_read_as_they_were_written(value: int) -> None:
    assert der.number(der.read(der.encoded_number(value), "a number"), "a number") == value


@given(st.sampled_from([0, 1, 127, 128, 255, 256, 65_535, 65_536]) | st.integers(0, 3000))
def test_contents_of_every_length_are_read_as_they_were_written(length: int) -> None:
    written = der.encoded(der.OCTETS, bytes(length // 2), bytes(length - length // 2))
    assert der.read(written, "octets") == der.Element(der.OCTETS, bytes(length), written)


def test_what_the_reader_would_refuse_is_not_written() -> None:
    with pytest.raises(ValueError, match="more than DER is written for"):
        der.encoded(der.OCTETS, bytes(1 << 24))
