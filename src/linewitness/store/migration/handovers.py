"""Copy what was handed over of ended streams, verified from where it leaves the receipted stream."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select

from linewitness.evidence.format.ended import open_taken
from linewitness.evidence.format.note import BadNote, Vkey
from linewitness.store.acceptance import Acceptance, ReadLine
from linewitness.store.database import tables
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import Enrolment
from linewitness.store.database.errors import StoreError
from linewitness.store.heads import acceptance_at
from linewitness.store.migration.source import copied

#: Records of one transaction.
STEP: Final = 1024


class HandoverCopy:
    """One handover in the store that is left, on its way into the other one, which holds its stream."""

    def __init__(self, source: Connection, row: Row[Any], target: Database, stream: Enrolment) -> None:
        """Take the row of `handovers`; `stream` is where the receipted stream is now."""
        self._source = source
        self._row = row
        self._target = target
        self._stream = stream

    def copy(self, store_key: Vkey) -> None:
        """Copy its records and end; what is there stays, and a call that was cut short goes on."""
        number = self._begin()
        with self._target.reading(self._stream.tenant) as connection:
            acceptance = acceptance_at(connection, self._stream, self._row.first)
        records = tables.handover_records
        with self._target.reading(self._stream.tenant) as connection:
            held = select(func.max(records.c.seq)).where(records.c.handover_id == number)
            last = connection.execute(held).scalar_one()
        for rows in self._verified(acceptance):
            fresh = [
                copied(row, records, handover_id=number) for row in rows if last is None or row.seq > last
            ]
            if fresh:
                with self._target.writing(self._stream.tenant) as connection:
                    connection.execute(insert(records), fresh)
        self._end(number, acceptance, store_key)

    def _begin(self) -> int:
        handovers, stream_id = tables.handovers, self._stream.stream_id
        mine = (
            (handovers.c.stream_id == stream_id)
            & (handovers.c.size == self._row.size)
            & (handovers.c.root == self._row.root)
        )
        with self._target.writing(self._stream.tenant) as connection:
            found = connection.execute(select(handovers.c.id).where(mine)).scalar_one_or_none()
            if found is None:
                connection.execute(
                    insert(handovers).values(copied(self._row, handovers, stream_id=stream_id))
                )
                found = connection.execute(select(handovers.c.id).where(mine)).scalar_one()
        return int(found)

    def _verified(self, acceptance: Acceptance) -> Iterator[list[Row[Any]]]:
        """Yield the records, some at a time, up to the last one for which a signature vouches."""
        records = tables.handover_records
        query = select(records).where(records.c.handover_id == self._row.id).order_by(records.c.seq)
        found = self._source.execution_options(yield_per=STEP).execute(query)
        waiting: list[Row[Any]] = []
        while chunk := list(islice(found, STEP)):
            rows = waiting + chunk
            accepted = acceptance.accept(ReadLine.of(row.data) for row in rows)
            if accepted.stopped is not None:
                raise self._damaged(f"record {accepted.stopped.index}: {accepted.stopped.reason}")
            for taken, row in zip(accepted.records, rows, strict=False):
                if (taken.kind, taken.unit, taken.occurred_at) != (row.kind, row.unit, row.occurred_at):
                    raise self._damaged(f"record {row.seq} is not found by what it says")
            count = len(accepted.records)
            yield rows[:count]
            waiting = rows[count:]
        if waiting:
            raise self._damaged(f"no signature vouches for its last {len(waiting)} records")

    def _end(self, number: int, acceptance: Acceptance, store_key: Vkey) -> None:
        ends, row = tables.handover_ends, self._row
        end = self._source.execute(select(ends).where(ends.c.handover_id == row.id)).one_or_none()
        if end is None:
            return  # it was cut short in the older store too: `take-over` finishes it
        try:
            taken, _ = open_taken(end.note, store_key)
        except BadNote as error:
            raise StoreError(
                f"what was handed over of {self._stream.origin}: "
                f"the statement is not one of {store_key.name}: {error.what}",
                hint="the new store needs the name and the key of the older one",
            ) from error
        stated = taken.origin, taken.first, taken.size, taken.root
        if stated != (self._stream.origin, row.first, acceptance.size, acceptance.root()):
            raise self._damaged("the records are not those of the statement")
        with self._target.writing(self._stream.tenant) as connection:
            held = connection.execute(select(ends.c.note).where(ends.c.handover_id == number)).one_or_none()
            if held is None:
                connection.execute(insert(ends).values(copied(end, ends, handover_id=number)))

    def _damaged(self, what: str) -> StoreError:
        return StoreError(
            f"what was handed over of {self._stream.origin}: {what}",
            hint="`linewitness store check` of the older store says what is damaged",
        )
