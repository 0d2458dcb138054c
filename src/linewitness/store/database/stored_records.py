"""Read a stream's records out of the runs in which they are stored, and put them there."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, Select, func, select

from linewitness.base.compression.frames import BadFrame
from linewitness.base.compression.records import RUN_CODEC, pack_run, unpack_run
from linewitness.store.acceptance import AcceptedRecord
from linewitness.store.database import tables
from linewitness.store.database.errors import StoreError
from linewitness.store.database.statements import EntryRow, RunRow, statements_for

#: Where one run after the other is asked for, twice as many are read each time, up to so many.
_MOST_AHEAD: Final = 16
_HINT: Final = "`linewitness store check` says what else is damaged; restore the newest sound backup"


class StoredRun(NamedTuple):
    """Consecutive records as they came in one batch: their exact bytes, and when they were accepted."""

    first: int
    accepted_at: str
    lines: list[bytes]

    @property
    def end(self) -> int:
        """The number of the record after the last one."""
        return self.first + len(self.lines)


class HeldRecord(NamedTuple):
    """When a record was accepted, and its exact bytes."""

    accepted_at: str
    data: bytes


def store_run(
    connection: Connection, stream_id: int, records: Sequence[AcceptedRecord], accepted_at: str
) -> None:
    """Store consecutive records, at least one, with what they are found by."""
    packed = pack_run([taken.data for taken in records])
    run = RunRow(records[0].sequence_no, len(records), accepted_at, RUN_CODEC, packed)
    statements_for(connection).store_run(
        connection, stream_id, run, [EntryRow(*taken[:-1]) for taken in records]
    )


class StoredRecords:
    """The records of one stream in a connection's snapshot; made for being asked for one after the other."""

    def __init__(self, connection: Connection, stream_id: int) -> None:
        """Read nothing yet."""
        self._connection = connection
        self._stream_id = stream_id
        self._run = StoredRun(0, "", [])
        self._ahead: deque[Row[Any]] = deque()
        self._read = 1

    def run_with(self, seq: int) -> StoredRun | None:
        """Return the run that a record is in, None where it is not held; StoreError where it is damaged."""
        if self._run.first <= seq < self._run.end:
            return self._run
        if not any(row.first_seq <= seq < row.first_seq + row.size for row in self._ahead):
            self._read = min(2 * self._read, _MOST_AHEAD) if seq == self._run.end else 1
            self._ahead = deque(self._rows(seq))
        while self._ahead:
            row = self._ahead.popleft()
            if row.first_seq <= seq < row.first_seq + row.size:
                self._run = StoredRun(row.first_seq, row.accepted_at, self._unpacked(row))
                return self._run
        return None

    def between(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """Yield number and bytes of the records [first, last), up to the first that is not held."""
        while first < last and (run := self.run_with(first)) is not None:
            lines = run.lines[first - run.first : last - run.first]
            yield from enumerate(lines, first)
            first += len(lines)

    def at(self, seq: int) -> HeldRecord:
        """Return the record with a number; StoreError where it is missing."""
        run = self.run_with(seq)
        if run is None:
            raise StoreError(f"record {seq} of {self._origin()} is missing", hint=_HINT)
        return HeldRecord(run.accepted_at, run.lines[seq - run.first])

    def _rows(self, seq: int) -> Sequence[Row[Any]]:
        """Return the run that should have a record, and those that follow."""
        runs = tables.runs
        mine = runs.c.stream_id == self._stream_id
        begin = select(func.max(runs.c.first_seq)).where(mine, runs.c.first_seq <= seq).scalar_subquery()
        # A row is a tuple, and `count` one of its methods.
        wanted = runs.c.first_seq, runs.c["count"].label("size"), runs.c.accepted_at, runs.c.data
        query: Select[Any] = select(*wanted).where(mine, runs.c.first_seq >= begin).order_by(runs.c.first_seq)
        return self._connection.execute(query.limit(self._read)).all()

    def _unpacked(self, row: Row[Any]) -> list[bytes]:
        try:
            return unpack_run(row.data, row.size)
        except BadFrame as error:
            which = f"{row.first_seq} to {row.first_seq + row.size - 1} of {self._origin()}"
            raise StoreError(f"the records {which} are damaged: {error}", hint=_HINT) from error

    def _origin(self) -> str:
        streams = tables.streams
        found = self._connection.execute(select(streams.c.origin).where(streams.c.id == self._stream_id))
        return str(found.scalar_one())
