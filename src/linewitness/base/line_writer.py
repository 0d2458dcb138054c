"""Write lines to a file descriptor without ever waiting for whoever reads them."""

import contextlib
import os
import select
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from linewitness.base.clock import elapsed_s

#: Bytes that wait for the reader; what is above is dropped and counted.
MAX_BYTES: Final = 2**20
#: Bytes of one write: a pipe that says it has room takes this much at least.
CHUNK_BYTES: Final = 4096
#: After a write that failed, the next one follows this much later.
RETRY_S: Final = 1.0
IDLE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line that waits; a line about what was dropped `reports` so many."""

    line: bytes
    reports: int = 0


class LineWriter:
    """Queue lines in memory, and write them in a thread that nobody waits for.

    Any thread may call `put`, also from a finalizer that runs inside another call of it. The thread does not
    keep the process from ending: whoever ends it calls `flush` first.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        max_bytes: int = MAX_BYTES,
        report: Callable[[int], bytes] = lambda count: b"%d lines dropped\n" % count,
        idle: Callable[[], object] = lambda: None,
    ) -> None:
        """Start the thread; `report` makes the line that says how many lines were dropped before it.

        `idle` is called in the thread, about once each `IDLE_S` unless a write takes longer.
        """
        self._descriptor = descriptor
        self._max_bytes = max_bytes
        self._report = report
        self._idle = idle
        self._changed = threading.Condition()
        self._entries: deque[_Entry] = deque()
        self._bytes = 0
        self._full = False
        self._torn = False
        self._untold = 0
        self._dropped = 0
        _writers.add(self)
        threading.Thread(target=self._run, name="lines", daemon=True).start()

    @property
    def dropped(self) -> int:
        """Lines that were dropped since the start, because nobody read them or the write failed."""
        return self._dropped

    @property
    def losing(self) -> bool:
        """Whether lines were dropped that the reader has not been told of yet."""
        return self._untold > 0

    def put(self, line: bytes) -> None:
        """Queue one line with its end, or drop it where there is no room; never waits."""
        with self._changed:
            if self._full and self._bytes <= self._max_bytes // 2:
                self._full = False
            if self._full or self._bytes + len(line) > self._max_bytes:
                self._full = True
                self._lose([_Entry(line)])
                return
            if self._untold:
                self._tell()
            self._queue(_Entry(line))

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is written, or for so long; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._bytes and not self._untold, timeout_s)

    def _queue(self, entry: _Entry) -> None:
        self._entries.append(entry)
        self._bytes += len(entry.line)
        self._changed.notify_all()

    def _lose(self, entries: list[_Entry]) -> None:
        self._dropped += sum(not entry.reports for entry in entries)
        self._untold += sum(entry.reports or 1 for entry in entries)
        self._changed.notify_all()

    def _tell(self) -> None:
        count, self._untold = self._untold, 0
        self._queue(_Entry(self._report(count), reports=count))

    def _run(self) -> None:
        idled = elapsed_s()
        while True:
            if elapsed_s() - idled >= IDLE_S:
                idled = elapsed_s()
                self._idle()
            entries = self._next()
            written = self._write(b"".join(entry.line for entry in entries))
            with self._changed:
                self._bytes -= sum(len(entry.line) for entry in entries)
                self._lose([] if written else entries)
            if not written:
                time.sleep(RETRY_S)

    def _next(self) -> list[_Entry]:
        """Wait a while for lines, and return some; they count as waiting until they are written."""
        with self._changed:
            self._changed.wait_for(lambda: self._entries or self._untold, IDLE_S)
            if self._untold and not self._entries:
                self._tell()
            chunk: list[_Entry] = []
            size = 0
            while self._entries and (not chunk or size + len(self._entries[0].line) <= CHUNK_BYTES):
                chunk.append(self._entries.popleft())
                size += len(chunk[-1].line)
            return chunk

    def _write(self, chunk: bytes) -> bool:
        rest = memoryview(b"\n" + chunk if self._torn else chunk)
        try:
            while rest:
                with contextlib.suppress(BlockingIOError):  # another process may have made it non-blocking
                    rest = rest[os.write(self._descriptor, rest) :]
                    self._torn = rest.nbytes > 0
                    continue
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
        except OSError:  # the disk is full, or the reader is gone: the lines are lost, the process goes on
            return False
        return True


_writers: Final[weakref.WeakSet[LineWriter]] = weakref.WeakSet()


def flush_all(timeout_s: float) -> None:
    """Wait until everything that this process has queued is written, but no longer than this in all."""
    until = elapsed_s() + timeout_s
    for writer in list(_writers):
        writer.flush(max(0.0, until - elapsed_s()))
