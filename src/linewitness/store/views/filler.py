"""Fill the views from the records, some at a time, each step a short transaction beside the ledger's."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, delete, func, select, update

from linewitness.evidence.verify.signs import CaptureSign
from linewitness.store.database import tables
from linewitness.store.database import view_tables as views
from linewitness.store.database.database import Database
from linewitness.store.database.errors import StoreError, StoreMoved, StoreUnready
from linewitness.store.database.statements import insert_new
from linewitness.store.database.stored_records import StoredRecords
from linewitness.store.database.tenants import tenants_of
from linewitness.store.views.folding import FoldedRows, folded, store_rows
from linewitness.store.views.rows import rows_of
from linewitness.store.views.stretches import StoredStretches, signs_in
from linewitness.store.views.viewed import ViewedRecord

#: Records of one step: few, so that in SQLite the ledger gets its turn soon.
STEP: Final = 256


class FilledStream(NamedTuple):
    """A stream, how many of its records the views hold, and how many the store holds."""

    tenant: str
    stream_id: int
    origin: str
    gateway: str
    filled: int
    size: int
    version: int


class ViewFiller:
    """Takes records in the order of their streams; used by one thread, and beside others that do the same."""

    def __init__(self, database: Database) -> None:
        """Begin where the database says."""
        self._database = database
        self._stretches: dict[int, tuple[int, StoredStretches]] = {}
        #: What keeps streams from being followed, by their origins.
        self.damage: dict[str, str] = {}

    def step(self, *, tenant: str | None = None) -> int:
        """Take the next records of each stream of a tenant, or of all; return how many were taken.

        StoreUnready where nothing can be stored now. A stream that cannot be read is left out, see `damage`.
        """
        taken = 0
        for each in tenants_of(self._database) if tenant is None else [tenant]:
            with self._database.reading(each) as connection:
                behind = [stream for stream in filled_streams(connection, each) if is_behind(stream)]
            for stream in behind:
                taken += self._try(stream)
        return taken

    def _try(self, stream: FilledStream) -> int:
        try:
            taken = self._fill(stream)
        except StoreUnready:
            self._stretches.clear()
            raise
        except StoreMoved:
            self._stretches.pop(stream.stream_id, None)  # another program was quicker: it goes on from there
            return 0
        except StoreError as error:
            self._stretches.pop(stream.stream_id, None)
            self.damage[stream.origin] = error.what
            return 0
        self.damage.pop(stream.origin, None)
        return taken

    def _fill(self, stream: FilledStream) -> int:
        if stream.version != views.VIEWS_VERSION:
            self._begin_anew(stream)
            return 1
        first = stream.filled
        with self._database.reading(stream.tenant) as connection:
            read = list(_read(connection, stream.stream_id, max(0, first - 1), first + STEP))
            stretches = self._stretches_at(connection, stream)
        before = read.pop(0).members if first and read else None
        if not read:
            return 0
        rows, signs = _derived(stream, before, read)
        with self._database.writing(stream.tenant) as connection:
            _move(connection, stream, first + len(read))
            store_rows(connection, rows)
            stretches.store(connection, signs)
        self._stretches[stream.stream_id] = (first + len(read), stretches)
        return len(read)

    def _stretches_at(self, connection: Connection, stream: FilledStream) -> StoredStretches:
        """Return what is known of the stretches where the stream stands; another program may have gone on."""
        at, known = self._stretches.pop(stream.stream_id, (-1, None))
        if known is not None and at == stream.filled:
            return known
        loaded = StoredStretches(stream.tenant, stream.stream_id)
        loaded.load(connection)
        return loaded

    def _begin_anew(self, stream: FilledStream) -> None:
        """Forget what a program with other views has made of the stream."""
        with self._database.writing(stream.tenant) as connection:
            for view in views.VIEWS:
                mine = (view.c.tenant == stream.tenant) & (view.c.stream_id == stream.stream_id)
                connection.execute(delete(view).where(mine))
            _move(connection, stream._replace(filled=0), 0)


def filled_streams(connection: Connection, tenant: str) -> Iterator[FilledStream]:
    """Yield how far the views of a tenant's streams are, oldest enrolment first."""
    streams, runs, positions = tables.streams, tables.runs, views.view_positions
    end = select(runs.c.first_seq + runs.c["count"]).where(runs.c.stream_id == streams.c.id)
    size = end.order_by(runs.c.first_seq.desc()).limit(1).scalar_subquery()
    here = (positions.c.tenant == streams.c.tenant) & (positions.c.stream_id == streams.c.id)
    query = (
        select(
            streams.c.tenant,
            streams.c.id,
            streams.c.origin,
            streams.c.gateway,
            func.coalesce(positions.c.next, 0),
            func.coalesce(size, 0),
            func.coalesce(positions.c.version, views.VIEWS_VERSION),
        )
        .join_from(streams, positions, here, isouter=True)
        .where(streams.c.tenant == tenant)
        .order_by(streams.c.id)
    )
    for row in connection.execute(query):
        yield FilledStream(*row)


def is_behind(stream: FilledStream) -> bool:
    """Return whether the views lack records of a stream, or are of another version."""
    return stream.filled < stream.size or stream.version != views.VIEWS_VERSION


def _read(connection: Connection, stream_id: int, first: int, last: int) -> Iterator[ViewedRecord]:
    records = StoredRecords(connection, stream_id)
    while first < last and (run := records.run_with(first)) is not None:
        for data in run.lines[first - run.first : last - run.first]:
            members: dict[str, Any] = orjson.loads(data)
            yield ViewedRecord.of(members, run.accepted_at)
        first = min(last, run.end)


def _derived(
    stream: FilledStream, before: dict[str, Any] | None, read: list[ViewedRecord]
) -> tuple[FoldedRows, list[CaptureSign]]:
    place = {"tenant": stream.tenant, "stream_id": stream.stream_id}
    try:
        rows = folded((row for record in read for row in rows_of(record)), place)
        return rows, signs_in(before, (record.members for record in read))
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        # What a gateway signed is a record, and may still be what no view expects.
        last = read[-1].seq
        raise StoreError(
            f"the records {read[0].seq} to {last} of {stream.origin} are not understood: {error!r}",
            hint="report it: receipts and exports are not affected",
        ) from error


def _move(connection: Connection, stream: FilledStream, to: int) -> None:
    """Say how far the stream is; StoreMoved where another program has done so since it was read."""
    positions = views.view_positions
    place = {"tenant": stream.tenant, "stream_id": stream.stream_id}
    first = insert_new(connection, positions).values(**place, next=0, version=views.VIEWS_VERSION)
    connection.execute(first)
    here = [positions.c[name] == value for name, value in place.items()]
    moved = update(positions).where(*here, positions.c.next == stream.filled).values(next=to)
    if not connection.execute(moved).rowcount:
        raise StoreMoved(f"another program fills the views of {stream.origin}", hint="it goes on by itself")
