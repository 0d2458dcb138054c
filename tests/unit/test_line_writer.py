"""Lines for a reader that does not read: nobody waits, and the reader is told what was dropped."""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator

import pytest

from linewitness.base.line_writer import LineWriter
from support.waiting import until

PIPE_BYTES = 4096


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that holds one page."""
    reads, writes = os.pipe()
    fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.set_blocking(reads, False)
    yield reads, writes
    os.close(reads)
    os.close(writes)


def read(reads: int) -> bytes:
    try:
        return os.read(reads, 2**20)
    except BlockingIOError:
        return b""


async def read_until(reads: int, enough: Callable[[bytes], bool]) -> bytes:
    """Read until it is enough; return everything."""
    found = bytearray()

    def look() -> bool:
        found.extend(read(reads))
        return enough(bytes(found))

    await until(look, lambda: bytes(found[-200:]))
    return bytes(found)


async def test_lines_arrive_whole_and_in_order(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1])
    lines = [b"line %d %s\n" % (number, b"x" * (number % 700)) for number in range(300)]
    for line in lines:
        writer.put(line)
    assert await read_until(pipe[0], lambda found: len(found) >= sum(map(len, lines))) == b"".join(lines)
    assert writer.flush(10)
    assert (writer.dropped, writer.losing) == (0, False)


async def test_nobody_waits_for_a_reader_that_does_not_read_and_it_is_told_what_it_missed(
    pipe: tuple[int, int],
) -> None:
    writer = LineWriter(pipe[1], max_bytes=10_000)
    for number in range(1000):
        writer.put(b"line %03d %s\n" % (number, b"x" * 90))
    assert not writer.flush(0.1)
    assert writer.dropped > 800
    assert writer.losing
    dropped = writer.dropped
    found = await read_until(pipe[0], lambda found: b"lines dropped" in found)
    await until(lambda: not writer.losing)
    lines = found.splitlines()
    assert [line[:8] for line in lines[:-1]] == [b"line %03d" % number for number in range(1000 - dropped)]
    assert lines[-1] == b"%d lines dropped" % dropped
    writer.put(b"and on it goes\n")
    assert await read_until(pipe[0], lambda found: found.endswith(b"\n")) == b"and on it goes\n"


@pytest.mark.heavy
async def test_what_cannot_be_written_is_counted_and_told_when_it_can() -> None:
    reads, writes = os.pipe()
    os.set_blocking(reads, False)
    full = os.open("/dev/full", os.O_WRONLY)
    target = os.dup(full)
    writer = LineWriter(target)
    writer.put(b"lost\n")
    await until(lambda: writer.losing, "the failed write")
    os.dup2(writes, target)
    found = await read_until(reads, lambda found: found.endswith(b"\n"))
    assert found == b"1 lines dropped\n"
    writer.put(b"there\n")
    assert await read_until(reads, lambda found: found.endswith(b"\n")) == b"there\n"
    assert (writer.dropped, writer.losing) == (1, False)
    for descriptor in (reads, writes, full):
        os.close(descriptor)


async def test_a_reader_that_is_gone_ends_nothing() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    writer = LineWriter(writes)
    writer.put(b"to nobody\n")
    await until(lambda: writer.dropped == 1)
    assert writer.losing


async def test_a_descriptor_that_another_process_made_non_blocking_loses_nothing(
    pipe: tuple[int, int],
) -> None:
    os.set_blocking(pipe[1], False)
    writer = LineWriter(pipe[1])
    for _ in range(500):
        writer.put(b"x" * 99 + b"\n")
    found = await read_until(pipe[0], lambda found: len(found) >= 50_000)
    assert found == (b"x" * 99 + b"\n") * 500


async def test_a_finalizer_that_writes_inside_a_write_does_not_lock_up(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1])
    with writer._changed:  # as if the garbage collection had begun there
        writer.put(b"from inside\n")
    assert await read_until(pipe[0], lambda found: found.endswith(b"\n")) == b"from inside\n"


def test_the_thread_keeps_no_process_from_ending(pipe: tuple[int, int]) -> None:
    LineWriter(pipe[1])
    assert [thread.daemon for thread in threading.enumerate() if thread.name == "lines"][-1]
