"""Read what was handed over of ended streams, always with what it is: a fork of a stream, or its rest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from linewitness.store.database import tables
from linewitness.store.database.database import Database
from linewitness.store.database.tenants import asked_tenants

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


def read_handovers(database: Database, *, tenant: str | None = None) -> list[HandoverReport]:
    """Return all handovers that are complete, oldest first."""
    found: list[HandoverReport] = []
    for each in asked_tenants(database, tenant):
        with database.reading(each) as connection:
            found += _handovers(connection, each)
    return found


def read_handed_over(
    database: Database, *, tenant: str | None = None, origin: str | None = None, unit: str | None = None
) -> Iterator[HandedOverRecord]:
    """Yield the records of ended streams, in the order of their handovers and streams."""
    records = tables.handover_records
    for each in asked_tenants(database, tenant, about=origin or unit):
        with database.reading(each) as connection:
            for handover in _handovers(connection, each):
                if origin not in (None, handover.origin):
                    continue
                query = select(records).where(records.c.handover_id == handover.number)
                if unit is not None:
                    query = query.where(records.c.unit == unit)
                rows = connection.execution_options(yield_per=_FETCH).execute(query.order_by(records.c.seq))
                for row in rows:
                    yield HandedOverRecord(handover, row.seq, row.kind, row.unit, row.occurred_at, row.data)


def complete_handovers(connection: Connection, tenant: str) -> Sequence[Row[Any]]:
    """Return the handovers of which all records are here, with the streams that they are of."""
    handovers, ends, streams = tables.handovers, tables.handover_ends, tables.streams
    query = (
        select(streams.c.origin, handovers, ends.c.fork, ends.c.held_at, ends.c.note)
        .join(streams, streams.c.id == handovers.c.stream_id)
        .join(ends, ends.c.handover_id == handovers.c.id)
        .where(streams.c.tenant == tenant)
        .order_by(handovers.c.id)
    )
    return connection.execute(query).all()


def _handovers(connection: Connection, tenant: str) -> Iterator[HandoverReport]:
    for row in complete_handovers(connection, tenant):
        yield HandoverReport(row.id, row.origin, bool(row.fork), row.first, row.size, row.held_at, row.note)
