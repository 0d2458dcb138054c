"""Read what was handed over of ended streams, always with what it is: a fork of a stream, or its rest."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, inspect, select

from linewitness.store.database import tables
from linewitness.store.database.database import Database

_FETCH: Final = 1000


@dataclass(frozen=True, slots=True)
class HandoverReport:
    """One handover: records `first` to `size` - 1 of an ended stream, held since `held_at`, no receipt."""

    number: int
    origin: str
    fork: bool
    first: int
    size: int
    held_at: str
    note: str

    @property
    def mark(self) -> str:
        """What its records are marked with."""
        if self.fork:
            return f"from the ended fork of {self.origin}, which leaves it at record {self.first}"
        return f"from the end of {self.origin}, which was handed over from record {self.first} on"


@dataclass(frozen=True, slots=True)
class HandedOverRecord:
    """A record of an ended stream, and the handover that it came with."""

    handover: HandoverReport
    seq: int
    kind: str
    unit: str | None
    occurred_at: str
    data: bytes


def read_handovers(database: Database) -> list[HandoverReport]:
    """Return all handovers that are complete, oldest first."""
    with database.reading() as connection:
        return list(_handovers(connection))


def read_handed_over(
    database: Database, *, origin: str | None = None, unit: str | None = None
) -> Iterator[HandedOverRecord]:
    """Yield the records of ended streams, in the order of their handovers and streams."""
    records = tables.handover_records
    with database.reading() as connection:
        for handover in _handovers(connection):
            if origin not in (None, handover.origin):
                continue
            query = select(records).where(records.c.handover_id == handover.number)
            if unit is not None:
                query = query.where(records.c.unit == unit)
            rows = connection.execution_options(yield_per=_FETCH).execute(query.order_by(records.c.seq))
            for row in rows:
                yield HandedOverRecord(handover, row.seq, row.kind, row.unit, row.occurred_at, row.data)


def has_handovers(connection: Connection) -> bool:
    """Return whether the database has the tables: an older one gets them with the first handover."""
    return inspect(connection).has_table(tables.handovers.name)


def _handovers(connection: Connection) -> Iterator[HandoverReport]:
    if not has_handovers(connection):
        return
    handovers, streams = tables.handovers, tables.streams
    query = (
        select(streams.c.origin, handovers)
        .join(streams, streams.c.id == handovers.c.stream_id)
        .where(handovers.c.held_at.is_not(None))
        .order_by(handovers.c.id)
    )
    for row in connection.execute(query).all():
        yield HandoverReport(row.id, row.origin, bool(row.fork), row.first, row.size, row.held_at, row.note)
