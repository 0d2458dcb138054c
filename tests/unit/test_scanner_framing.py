"""Lines are cut the same however the bytes arrive, and memory stays bounded."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.base.clock import Stamp
from linewitness.devices.scanner.framing import LineSplitter, ReaderLine


def at(tick: int) -> Stamp:
    return Stamp(1_000 + tick, tick)


def fed(splitter: LineSplitter, *chunks: bytes) -> list[ReaderLine]:
    return [line for tick, chunk in enumerate(chunks) for line in splitter.feed(chunk, at(tick))]


def texts(lines: list[ReaderLine]) -> list[bytes]:
    return [line.data for line in lines]


def test_cr_lf_and_both_end_a_line_and_empty_lines_are_nothing() -> None:
    splitter = LineSplitter(terminator=None, limit=64)
    assert texts(fed(splitter, b"a\rb\nc\r", b"\nd\r\n\r\n")) == [b"a", b"b", b"c", b"d"]


def test_an_explicit_terminator_may_be_cut_between_packets() -> None:
    splitter = LineSplitter(terminator=b"\r\n", limit=64)
    lines = fed(splitter, b"SN1\r", b"\nS\rN2\r", b"\n")
    assert texts(lines) == [b"SN1", b"S\rN2"]
    assert (lines[0].begun, lines[0].ended) == (at(0), at(1))
    assert (lines[1].begun, lines[1].ended) == (at(1), at(2))


def test_a_line_that_begins_after_silence_is_dated_from_its_own_first_byte() -> None:
    splitter = LineSplitter(terminator=b"\n", limit=64)
    lines = fed(splitter, b"a\n", b"", b"b", b"c\n")
    assert lines[1].begun == at(2)


def test_an_overlong_line_is_reported_once_and_its_end_is_not_taken_for_a_code() -> None:
    splitter = LineSplitter(terminator=b"\r\n", limit=8)
    lines = fed(splitter, b"A" * 30, b"B" * 30, b"tail\r\nSN0001\r\n")
    assert [(line.data, line.whole) for line in lines] == [(b"AAAAAAAA", False), (b"SN0001", True)]


def test_an_overlong_line_in_one_packet_is_not_whole() -> None:
    splitter = LineSplitter(terminator=None, limit=8)
    assert [line.whole for line in fed(splitter, b"123456789\n12345678\n")] == [False, True]


def test_what_is_left_at_the_end_is_not_whole() -> None:
    splitter = LineSplitter(terminator=None, limit=8)
    fed(splitter, b"SN00")
    assert splitter.end(at(9)) == ReaderLine(data=b"SN00", begun=at(0), ended=at(9), whole=False)
    assert splitter.end(at(9)) is None


def test_a_gigabyte_without_an_end_does_not_grow_memory() -> None:
    splitter = LineSplitter(terminator=b"\r\n", limit=1024)
    block = b"x" * 65_536
    found = 0
    for tick in range(2_000):
        found += len(list(splitter.feed(block, at(tick))))
        assert len(splitter._buffer) <= 1024 + 1
    assert found == 1


@pytest.mark.heavy
@given(
    lines=st.lists(
        st.binary(min_size=1, max_size=20).filter(lambda b: not set(b) & set(b"\r\n")), max_size=8
    ),
    cuts=st.lists(st.integers(0, 200), max_size=12),
    terminator=st.sampled_from([None, b"\r\n", b"\n"]),
)
def test_cutting_differently_gives_the_same_lines(
    lines: list[bytes], cuts: list[int], terminator: bytes | None
) -> None:
    stream = b"".join(line + (terminator or b"\r\n") for line in lines)
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    chunks = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert texts(fed(LineSplitter(terminator=terminator, limit=20), *chunks)) == lines
