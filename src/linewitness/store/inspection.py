"""Read the whole database once a day, a little at a time, so that damage is known before it is needed.

A store that starts reads the heads of its streams only. What a disk forgets further back would be met by the
first who asks for that unit, years later, when no gateway has it any more and no backup is that old.
"""

import asyncio
import functools
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, NoReturn, TypeVar

import orjson
import structlog
from sqlalchemy import Connection, Row, Table, func, select

from linewitness.base.inspection import InspectionThread, daily, damage_in
from linewitness.evidence.format import record
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.evidence.format.merkle import leaf_hash, node_hash, root_at, root_of
from linewitness.evidence.format.note import BadNote, Vkey
from linewitness.evidence.format.tiles import TILE_LEAVES, TILE_LEVEL, folded
from linewitness.store.database import tables
from linewitness.store.database.database import SQLITE, Database
from linewitness.store.database.enrolments import Enrolment, all_streams
from linewitness.store.database.errors import StoreUnready
from linewitness.store.database.patient import PatientThread
from linewitness.store.database.statements import HIDDEN_FROM, statements_for
from linewitness.store.database.stored_records import StoredRecords
from linewitness.store.database.tenants import tenants_of
from linewitness.store.ended.inspection import HandoverInspection
from linewitness.store.ended.reports import complete_handovers
from linewitness.store.tenant.inspected import InspectedStreams
from linewitness.store.tree import StoreTree

#: A database that is away is asked again for the same look after this long.
RETRY_S: Final = 5.0
#: Between two looks of some hundred KiB: ten million records take about an hour.
PAUSE_S: Final = 0.1
_CACHED_NODES: Final = 64
_HINT: Final = (
    "receipts go on; `linewitness store check` says more. Look at the disk (dmesg, SMART), keep this file, "
    "and restore the newest sound backup on another disk: gateways then send again what it lacks"
)

#: What is neither record nor receipt, and has a tenant.
_NEITHER: Final = (
    *(tables.streams, tables.event_keys, tables.nodes, tables.heads, tables.notices),
    *(tables.retirements, tables.retentions, tables.custody),
)

T = TypeVar("T")

_log = structlog.get_logger(__name__)


async def inspect_daily(
    database: Database,
    *,
    store_key: Vkey,
    tell: Callable[[str], object],
    say: Callable[[InspectedStreams], object] = lambda _: None,
) -> NoReturn:
    """Inspect for ever; `tell` gets what is damaged after each round, or the empty string, `say` the streams.

    It reads in a thread of its own, and in short transactions: judging goes on beside it.
    """

    async def once() -> list[str]:
        streams = InspectedStreams()
        damage = await inspect(
            database, store_key=store_key, pause_s=PAUSE_S, retry_s=RETRY_S, streams=streams
        )
        await asyncio.to_thread(say, streams)
        return damage

    def report(damage: list[str]) -> None:
        tell(damage[0] if damage else "")
        if damage:
            _log.error("damage found in the store", first=damage[0], places=len(damage), hint=_HINT)

    await daily(once, tell=report)


async def inspect(
    database: Database,
    *,
    store_key: Vkey,
    pause_s: float = 0.0,
    retry_s: float | None = None,
    streams: InspectedStreams | None = None,
) -> list[str]:
    """Look at everything once, and return what is damaged, a sentence each; `streams` gets it by stream.

    A database that is away is no damage: it is asked again after `retry_s`, or StoreUnready is raised.
    """
    with PatientThread(retry_s) as thread:
        looks = _looks(database, store_key, thread, streams or InspectedStreams())
        return await damage_in(looks, pause_s=pause_s, raised=(StoreUnready,))


async def _looks(
    database: Database, store_key: Vkey, thread: InspectionThread, streams: InspectedStreams
) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    def in_thread(tenant: str | None, look: Callable[[Connection], T]) -> Callable[[], Awaitable[T]]:
        return lambda: thread.run(functools.partial(_in_snapshot, database, tenant, look, thread))

    yield in_thread(None, _read_common)
    for tenant in await thread.run(functools.partial(tenants_of, database)):
        yield in_thread(tenant, _read_through)
        yield in_thread(tenant, _look_at_conflicts)
        for enrolment in await in_thread(tenant, functools.partial(all_streams, tenant=tenant))():
            stream = _Stream(enrolment, store_key)
            yield streams.noted(in_thread(tenant, stream.look_at_head))
            for first in range(0, stream.size, TILE_LEAVES):
                yield streams.noted(in_thread(tenant, functools.partial(stream.look_at_records, first)))
            yield in_thread(tenant, functools.partial(streams.conclude, enrolment, stream.size))
        for row in await in_thread(tenant, functools.partial(complete_handovers, tenant=tenant))():
            for look in HandoverInspection(row, store_key).looks():
                yield in_thread(tenant, look)


def _in_snapshot(
    database: Database, tenant: str | None, look: Callable[[Connection], T], thread: InspectionThread
) -> T:
    with database.reading(tenant) as connection, database.guarded(connection, lambda: thread.is_left):
        return look(connection)


def _read_common(connection: Connection) -> str:
    """Read every page of what belongs to no tenant: StoreError where one is damaged."""
    return _read(connection, tables.store, tables.tenants, tables.refusals, tables.notice_refusals)


def _read_through(connection: Connection) -> str:
    """Read every page of what is neither record nor receipt, of one tenant where the database knows whose."""
    damage = _read(connection, *_NEITHER)
    if connection.dialect.name == SQLITE:
        connection.exec_driver_sql(
            "SELECT COUNT(*) FROM entries INDEXED BY entries_by_unit WHERE unit IS NOT NULL"
        ).scalar_one()
    return damage


def _read(connection: Connection, *read: Table) -> str:
    for table in read:
        for _ in connection.execution_options(yield_per=TILE_LEAVES).execute(select(table)):
            pass
    return ""


def _look_at_conflicts(connection: Connection) -> str:
    conflicts = tables.conflicts
    for row in connection.execute(select(conflicts.c.id, conflicts.c.digest, conflicts.c.data)):
        if hashlib.sha256(row.data).hexdigest() != row.digest:
            return f"conflict {row.id} is not the one that was written"
    return ""


class _Stream:
    """One stream as it was when its turn came; what was stored after that is for the next round."""

    def __init__(self, enrolment: Enrolment, store_key: Vkey) -> None:
        self._id = enrolment.stream_id
        #: How many records there are, once the head was looked at.
        self.size = 0
        self._enrolment = enrolment
        self._store_key = store_key
        #: One wrong node is met again by every later receipt; it is reported once.
        self._receipts_doubtful = False

    def look_at_head(self, connection: Connection) -> str:
        """Compare where the newest run ends with what is found of it and with what was receipted."""
        entries, receipts = tables.entries, tables.receipts
        self.size = statements_for(connection).size(connection, self._id)
        last = select(func.max(entries.c.seq)).where(entries.c.stream_id == self._id)
        found = connection.execute(last).scalar_one()
        newest = select(func.max(receipts.c.size)).where(receipts.c.stream_id == self._id)
        receipted = connection.execute(newest).scalar_one() or 0
        known = 0 if found is None else found + 1
        if known == self.size >= receipted:
            return ""
        return (
            f"the end of {self._origin} is damaged: its newest records reach {self.size}, "
            f"what they are found by {known}, and the newest receipt {receipted}"
        )

    def look_at_records(self, first: int, connection: Connection) -> str:
        """Compare the records of one tile with what was stored over them: nodes, receipts, columns, head."""
        last = min(first + TILE_LEAVES, self.size)
        lines = [line for _, line in StoredRecords(connection, self._id).between(first, last)]
        if len(lines) < last - first:
            return f"of the records {first} to {last - 1} of {self._origin}, {len(lines)} are there"
        entries = self._entries(first, last, connection)
        if (found := [row.seq for row in entries]) != list(range(first, last)):
            return f"of the records {first} to {last - 1} of {self._origin}, {len(found)} are found"
        leaves = [leaf_hash(line) for line in lines]
        tree = StoreTree(connection, self._id)
        return (
            self._compared_with_nodes(first, leaves, tree)
            or _first(map(self._described, entries, lines))
            or self._compared_with_indexes(first, last, connection)
            or (self._linked(first, lines) if last == self.size else "")
            or self._compared_with_receipts(first, leaves, connection, tree)
        )

    def _entries(self, first: int, last: int, connection: Connection) -> Sequence[Row[Any]]:
        entries = tables.entries
        place = entries.c.stream_id == self._id, entries.c.seq >= first, entries.c.seq < last
        return connection.execute(select(entries).where(*place).order_by(entries.c.seq)).all()

    @property
    def _origin(self) -> str:
        return self._enrolment.origin

    def _compared_with_nodes(self, first: int, leaves: list[bytes], tree: StoreTree) -> str:
        if len(leaves) < TILE_LEAVES:
            return ""
        last = first + TILE_LEAVES
        if folded(leaves) != tree.subtree(TILE_LEVEL, first >> TILE_LEVEL):
            return f"the records {first} to {last - 1} of {self._origin} are not those that were written"
        for level in range(2 * TILE_LEVEL, last.bit_length(), TILE_LEVEL):
            if last % (1 << level):
                break
            index = (last >> level) - 1
            below = [tree.subtree(level - 1, 2 * index + side) for side in (0, 1)]
            if node_hash(*below) != tree.subtree(level, index):
                return (
                    f"the tree over the records {index << level} to {last - 1} of {self._origin} is damaged"
                )
        return ""

    def _described(self, row: Row[Any], data: bytes) -> str:
        """Compare a record with the columns by which it is found."""
        try:
            members = orjson.loads(data)
            said = (members["event_id"], members["kind"], record.unit_of(members), members["occurred_at"])
        except (ValueError, TypeError, KeyError):
            return f"record {row.seq} of {self._origin} is not the one that was written"
        if said != (row.event_id, row.kind, row.unit, row.occurred_at):
            return f"record {row.seq} of {self._origin} is not found by what it says"
        return ""

    def _compared_with_indexes(self, first: int, last: int, connection: Connection) -> str:
        """Look each record up by its unit and by its event: an index that lost one hides it."""
        place = {"stream": self._id, "first": first, "last": last}
        for seq, what in connection.execute(HIDDEN_FROM[connection.dialect.name], place):
            return f"record {seq} of {self._origin} is not found by its {what}"
        return ""

    def _linked(self, first: int, lines: list[bytes]) -> str:
        """Follow the chain through the newest records, over which there may be no node and no receipt yet."""
        before = None
        for seq, line in enumerate(lines, first):
            integrity = orjson.loads(line)["integrity"]
            hashed = record.sha256(record.message_of(line, integrity))
            if hashed != integrity["record_hash"] or before not in (None, integrity["prev_hash"]):
                return f"record {seq} of {self._origin} is not the one that was written"
            before = hashed
        return ""

    def _compared_with_receipts(
        self, first: int, leaves: list[bytes], connection: Connection, tree: StoreTree
    ) -> str:
        receipts = tables.receipts
        query = select(receipts).where(
            receipts.c.stream_id == self._id, receipts.c.size > first, receipts.c.size <= first + len(leaves)
        )
        kept = functools.lru_cache(_CACHED_NODES)(tree.subtree)

        def subtree(level: int, index: int) -> bytes:
            if level >= TILE_LEVEL:
                return kept(level, index)
            begin = (index << level) - first
            return root_of(leaves[begin : begin + (1 << level)])

        for row in connection.execute(query):
            try:
                checkpoint, signed = open_checkpoint(row.note, self._enrolment.log_vkey)
                signed.signed_by(self._store_key)
            except BadNote as error:
                return f"the receipt of {self._origin} at size {row.size} is damaged: {error.what}"
            if (checkpoint.size, checkpoint.root) != (row.size, row.root):
                return f"the receipt of {self._origin} at size {row.size} is not the one that was written"
            if not self._receipts_doubtful and root_at(row.size, subtree) != row.root:
                self._receipts_doubtful = True
                return f"the records of {self._origin} up to {row.size - 1} are not those that were receipted"
        return ""


def _first(sentences: Iterator[str]) -> str:
    return next(filter(None, sentences), "")
