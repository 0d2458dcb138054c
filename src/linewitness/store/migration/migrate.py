"""Take over a whole store: its tenants, its streams and what is stored of them, and what else it knows."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, Table, func, insert, select

from linewitness.evidence.format.note import Vkey
from linewitness.store.database import tables
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import Enrolment, all_streams, enrolment_of, find, required
from linewitness.store.database.errors import StoreError
from linewitness.store.database.statements import insert_new
from linewitness.store.migration.handovers import HandoverCopy
from linewitness.store.migration.source import copied
from linewitness.store.migration.streams import StreamCopy

#: What is copied, each in its own way; a test compares it with all tables that there are.
MIGRATED: Final = (
    *tables.EVIDENCE,
    tables.heads,
    tables.notices,
    tables.refusals,
    tables.notice_refusals,
)
#: Rows of one transaction, of what is neither record nor receipt.
_ROWS: Final = 500


@dataclass(frozen=True, slots=True)
class MigrationStep:
    """How far it is: `done` of `total` records of all streams, after `size` records of one of them."""

    tenant: str
    origin: str
    size: int
    done: int
    total: int


def migrate(source: Database, target: Database, *, store_key: Vkey) -> Iterator[MigrationStep]:
    """Copy everything of one store into another, verified, and yield after each transaction.

    StoreError names what is damaged or contradicts what the other store holds; what was copied before stays.
    It may be stopped or killed at any time: the next call goes on. Nobody can write the source meanwhile,
    and nothing of it is changed.
    """
    with source.writing() as connection:  # its lock keeps every other writer out
        yield from _Migration(connection, target, store_key).run()


class _Migration:
    def __init__(self, source: Connection, target: Database, store_key: Vkey) -> None:
        self._source = source
        self._target = target
        self._store_key = store_key

    def run(self) -> Iterator[MigrationStep]:
        names = select(tables.tenants).order_by(tables.tenants.c.tenant)
        tenants = self._source.execute(names).all()
        total = self._source.execute(select(func.sum(tables.runs.c["count"]))).scalar() or 0
        for row in tenants:
            self._compare(row.tenant)
        done = 0
        for row in tenants:
            known = self._enrol(row)
            for theirs in all_streams(self._source, row.tenant):
                copy = self._copy(theirs, known[theirs.stream_id])
                yield MigrationStep(row.tenant, theirs.origin, copy.size, done + copy.size, total)
                for size in copy.steps():
                    yield MigrationStep(row.tenant, theirs.origin, size, done + size, total)
                done += copy.total
            self._copy_beside(row.tenant, known)
        self._copy_rows(None, tables.refusals, select(tables.refusals).order_by(tables.refusals.c.id), {})
        self._copy_rows(None, tables.notice_refusals, select(tables.notice_refusals), {})

    def _compare(self, tenant: str) -> None:
        """Refuse before anything is written where the target holds something else of a stream."""
        for theirs in all_streams(self._source, tenant):
            with self._target.reading(tenant) as connection:
                ours = find(connection, tenant, theirs.origin)
            if ours is not None:
                self._copy(theirs, ours)

    def _copy(self, theirs: Enrolment, ours: Enrolment) -> StreamCopy:
        same = "gateway", "log_vkey", "record0_hash"
        if any(getattr(theirs, name) != getattr(ours, name) for name in same):
            raise StoreError(
                f"the stream {ours.origin} of {ours.tenant} is enrolled in both stores, and not the same",
                hint="gateway, log key and record 0 must be equal; `linewitness store status` shows them",
            )
        return StreamCopy(self._source, theirs, self._target, ours, store_key=self._store_key)

    def _enrol(self, tenant: Row[Any]) -> Mapping[int, Enrolment]:
        """Make tenant and streams known, and return by their old numbers what they are now."""
        streams, name = tables.streams, tenant.tenant
        query = select(streams).where(streams.c.tenant == name).order_by(streams.c.id)
        rows = self._source.execute(query).all()
        with self._target.writing(name) as connection:
            connection.execute(insert_new(connection, tables.tenants).values(copied(tenant, tables.tenants)))
            for row in rows:
                if find(connection, name, row.origin) is None:
                    connection.execute(insert_new(connection, streams).values(copied(row, streams)))
            return {row.id: required(connection, name, enrolment_of(row).origin) for row in rows}

    def _copy_beside(self, tenant: str, known: Mapping[int, Enrolment]) -> None:
        """Copy what a tenant has besides records and receipts, in the order in which it came."""
        handovers, conflicts = tables.handovers, tables.conflicts
        heads, notices = tables.heads, tables.notices
        retirements, custody = tables.retirements, tables.custody
        for row in self._source.execute(_of(handovers, tenant).order_by(handovers.c.id)).all():
            HandoverCopy(self._source, row, self._target, known[row.stream_id]).copy(self._store_key)
        for table, query in (
            (conflicts, _of(conflicts, tenant).order_by(conflicts.c.id)),
            (retirements, _of(retirements, tenant).order_by(retirements.c.stream_id)),
            (custody, _of(custody, tenant).order_by(custody.c.own_id, custody.c.seq)),
            (heads, _of(heads, tenant).order_by(heads.c.stream_id)),
            (notices, _of(notices, tenant).order_by(notices.c.id)),
        ):
            self._copy_rows(tenant, table, query, known)
        self._copy_retentions(tenant)

    def _copy_retentions(self, tenant: str) -> None:
        """Copy what is not there yet: only their order tells them apart."""
        retentions = tables.retentions
        mine = select(retentions).where(retentions.c.tenant == tenant).order_by(retentions.c.id)
        rows = self._source.execute(mine).all()
        with self._target.writing(tenant) as connection:
            known = len(connection.execute(mine).all())
            for row in rows[known:]:
                connection.execute(insert(retentions).values(copied(row, retentions)))

    def _copy_rows(
        self, tenant: str | None, table: Table, query: Select[Any], known: Mapping[int, Enrolment]
    ) -> None:
        """Copy rows as they are; what is there already stays."""
        found = self._source.execution_options(yield_per=_ROWS).execute(query)
        for rows in found.partitions():
            values = []
            for row in rows:
                _require_whole(row, table)
                numbers = [name for name in ("stream_id", "own_id") if name in table.c]
                moved = {name: known[getattr(row, name)].stream_id for name in numbers}
                values.append(copied(row, table, **moved))
            with self._target.writing(tenant) as connection:
                connection.execute(insert_new(connection, table), values)


def _of(table: Table, tenant: str) -> Select[Any]:
    """Return a query for the rows that belong to a tenant's streams."""
    streams = tables.streams
    mine = select(streams.c.id).where(streams.c.tenant == tenant)
    return select(table).where(table.c.stream_id.in_(mine))


def _require_whole(row: Row[Any], table: Table) -> None:
    if table is tables.conflicts and hashlib.sha256(row.data).hexdigest() != row.digest:
        raise StoreError(
            f"conflict {row.id} is not the one that was written",
            hint="`linewitness store check` of the older store says what else is damaged",
        )
