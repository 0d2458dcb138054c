"""What is packed comes back byte for byte, and nothing is unpacked beyond what a frame states."""

import contextlib
import itertools
import struct
import sys
import threading
import tracemalloc

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from linewitness.base.compression.frames import BadFrame, is_frame, pack, stated_size, unpack
from linewitness.base.compression.records import (
    NEWEST,
    dictionary_id,
    pack_record,
    pack_run,
    unpack_record,
    unpack_run,
)

LIMIT = 4096
LINE = b'{"kind":"parameter.changed","reason":"the device reported another value"}'
LINES = b'{"a":1}\n' * 500


@given(st.binary(min_size=1, max_size=LIMIT))
def test_a_message_comes_back_as_it_was(content: bytes) -> None:
    frame = pack(content)

    assert is_frame(frame)
    assert stated_size(frame) == len(content)
    assert unpack(frame, LIMIT) == content


def stating(size: int) -> bytes:
    """Return the frame of `LINES` with another stated size."""
    frame = pack(LINES)
    assert frame[5:7] == struct.pack("<H", len(LINES) - 256)
    return frame[:5] + struct.pack("<H", size - 256) + frame[7:]


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(pack(LINES)[:4], id="four bytes of it"),
        pytest.param(pack(LINES)[:-1], id="cut"),
        pytest.param(pack(LINES) + b"\n", id="followed by something"),
        pytest.param(pack(LINES) * 2, id="twice"),
        pytest.param(pack(b""), id="of nothing"),
        pytest.param(stating(len(LINES) - 1), id="holds more than it states"),
        pytest.param(stating(len(LINES) + 1), id="holds less than it states"),
        pytest.param(stating(LIMIT + 1), id="states too much"),
        pytest.param(zstandard.ZstdCompressor(write_content_size=False).compress(LINES), id="states no size"),
        pytest.param(b"\x50\x2a\x4d\x18\x02\x00\x00\x00ab", id="a frame that is skipped"),
        pytest.param(pack_record(LINES), id="with a dictionary"),
        pytest.param(LINES, id="no frame"),
    ],
)
def test_a_bad_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(BadFrame):
        unpack(frame, LIMIT)


def test_a_frame_that_states_too_much_takes_no_memory() -> None:
    bomb = pack(b"\n" * 2**26)
    assert len(bomb) < 2**14

    tracemalloc.start()
    with pytest.raises(BadFrame, match=str(2**26)):
        unpack(bomb, LIMIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 2**16


@given(st.binary(max_size=2**16))
def test_a_record_comes_back_as_it_was(record: bytes) -> None:
    stored = pack_record(record)

    assert zstandard.get_frame_parameters(stored).dict_id == dictionary_id(NEWEST)
    assert unpack_record(stored) == record


@given(st.text(max_size=200))
def test_a_record_of_an_earlier_version_is_read_as_it_lies_there(text: str) -> None:
    plain = b"{" + text.encode()

    assert unpack_record(plain) == plain


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(pack_record(LINES)[:-3], id="cut"),
        pytest.param(pack_record(LINES) + b"x", id="followed by something"),
        pytest.param(pack(b"{" * 2**20), id="larger than any record"),
        pytest.param(zstandard.ZstdCompressor().compress(LINES), id="without a dictionary's number"),
        pytest.param(b"\x28\xb5\x2f\xfd", id="nothing but the beginning"),
    ],
)
def test_what_cannot_be_unpacked_is_no_record(damaged: bytes) -> None:
    assert unpack_record(damaged) == damaged


STORED_WITH_1 = (
    "28b52ffd220180404d0100d87b73746f72656420776974682064696374696f6e6172792031227d03fcc04648d2469ec686ce6401"
)


def test_the_dictionary_of_stored_records_never_changes() -> None:
    """Journals in the field are read with it: another one needs another number."""
    stored = bytes.fromhex(STORED_WITH_1)

    assert unpack_record(stored) == b'{"kind":"parameter.changed","reason":"stored with dictionary 1"}'


@pytest.mark.heavy
@given(st.lists(st.binary(min_size=1).filter(lambda line: b"\n" not in line), min_size=1, max_size=300))
def test_a_run_of_records_comes_back_as_it_was(records: list[bytes]) -> None:
    assert unpack_run(pack_run(records), len(records)) == records


def test_a_run_that_changed_on_the_disk_is_never_taken_for_records() -> None:
    packed = pack_run([LINE, LINE])
    for place, bit in itertools.product(range(len(packed)), range(8)):
        changed = bytearray(packed)
        changed[place] ^= 1 << bit
        # Some bits of a header say the same in two ways.
        with contextlib.suppress(BadFrame):
            assert unpack_run(bytes(changed), 2) == [LINE, LINE]
    for wrong in (packed[:-1], packed + b"x", packed + packed, b"", LINE, pack_record(LINE)):
        with pytest.raises(BadFrame):
            unpack_run(wrong, 2)


def test_a_run_that_states_more_than_its_records_can_have_is_not_unpacked() -> None:
    frame = pack_run([b"0" * 70_000])
    with pytest.raises(BadFrame, match="states 70000 bytes for 1 records"):
        unpack_run(frame, 1)


def test_threads_unpack_at_the_same_time() -> None:
    frames = [pack_record(b'{"number":%d}' % number * 50) for number in range(200)]
    wrong: list[bytes] = []

    def work() -> None:
        for _ in range(20):
            wrong.extend(
                frame
                for number, frame in enumerate(frames)
                if unpack_record(frame) != b'{"number":%d}' % number * 50
            )

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)

    assert not wrong
