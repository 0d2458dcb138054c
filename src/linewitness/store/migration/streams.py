"""Copy one stream, verified as if its gateway sent it: each record, then what was stored over the records."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, func, insert, select

from linewitness.base.compression.frames import BadFrame
from linewitness.base.compression.records import pack_run, unpack_run
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.evidence.format.merkle import Frontier, leaf_hash, root_at
from linewitness.evidence.format.note import BadNote, Vkey
from linewitness.evidence.format.record import is_signed
from linewitness.store.acceptance import Acceptance, Accepted, ReadLine
from linewitness.store.database import tables
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import Enrolment
from linewitness.store.database.errors import StoreError, StoreMoved
from linewitness.store.database.statements import EntryRow, RunRow, statements_for
from linewitness.store.heads import acceptance_at
from linewitness.store.migration.source import copied
from linewitness.store.tree import StoreTree

#: Records of one transaction, or as many more as the next signature needs.
STEP: Final = 1024
#: Their bytes, where they are large.
STEP_BYTES: Final = 4 * 2**20
_ROWS_AHEAD: Final = 4
_DAMAGED: Final = "nothing of it was taken: `linewitness store check` of the older store says what is damaged"


class _Batch:
    """Runs that are verified and stored together, and their records."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.runs: list[RunRow] = []
        self.lines: list[bytes] = []
        self._bytes = 0

    @property
    def end(self) -> int:
        return self.first + len(self.lines)

    @property
    def is_full(self) -> bool:
        """Whether it is enough for a transaction, and a signature vouches for its last record."""
        enough = len(self.lines) >= STEP or self._bytes >= STEP_BYTES
        return enough and is_signed(self.lines[-1])

    def add(self, run: RunRow, lines: list[bytes]) -> None:
        self.runs.append(run)
        self.lines += lines
        self._bytes += sum(map(len, lines))


class StreamCopy:
    """A stream in the store that is left, and the same in the one that takes it over."""

    def __init__(
        self, source: Connection, theirs: Enrolment, target: Database, ours: Enrolment, *, store_key: Vkey
    ) -> None:
        """Compare what both hold; StoreError where they hold different records. Nothing is written."""
        self._source, self._theirs = source, theirs
        self._target, self._ours = target, ours
        self._store_key = store_key
        self.total = statements_for(source).size(source, theirs.stream_id)
        with target.reading(ours.tenant) as connection:
            #: How many of its records are there already.
            self.size = statements_for(connection).size(connection, ours.stream_id)
            self._compare(connection)

    def steps(self) -> Iterator[int]:
        """Copy what is missing, and yield after each transaction how many records are there.

        Crash between two of them: the next call goes on behind the last.
        """
        self._add_missing_receipts()
        with self._target.reading(self._ours.tenant) as connection:
            acceptance = acceptance_at(connection, self._ours, self.size)
            tree = Frontier(self.size, StoreTree(connection, self._ours.stream_id).subtree)
        for batch in self._batches():
            self._take(batch, acceptance, tree)
            self.size = batch.end
            yield self.size
        if self.size < self.total:
            raise self._damaged(f"of {self.total} records, those from {self.size} on are not there")

    def _compare(self, connection: Connection) -> None:
        """Require the same tree over the records that both hold."""
        mine = partial(root_at, subtree=StoreTree(connection, self._ours.stream_id).subtree)
        old = partial(root_at, subtree=StoreTree(self._source, self._theirs.stream_id).subtree)
        same, other = 0, min(self.size, self.total)
        if mine(other) == old(other):
            return
        while other - same > 1:
            middle = (same + other) // 2
            if mine(middle) == old(middle):
                same = middle
            else:
                other = middle
        raise StoreError(
            f"both stores hold {self._name}, and record {same} is not the same in both",
            hint="one of them is damaged, or the gateway has written two histories: nothing was changed",
        )

    def _batches(self) -> Iterator[_Batch]:
        batch = _Batch(self.size)
        for row in self._rows():
            lines = self._unpacked(row)
            if not row.first_seq <= batch.end < row.first_seq + len(lines):
                raise self._damaged(f"record {batch.end} is not there")
            # The gateway may have sent the first ones to both stores.
            fresh = lines[batch.end - row.first_seq :]
            data = row.data if fresh == lines else pack_run(fresh)
            batch.add(RunRow(batch.end, len(fresh), row.accepted_at, row.codec, data), fresh)
            if batch.is_full:
                yield batch
                batch = _Batch(batch.end)
        if batch.lines:
            yield batch

    def _rows(self) -> Iterator[Row[Any]]:
        runs = tables.runs
        mine = runs.c.stream_id == self._theirs.stream_id
        begin = (
            select(func.max(runs.c.first_seq)).where(mine, runs.c.first_seq <= self.size).scalar_subquery()
        )
        # A row is a tuple, and `count` one of its methods.
        wanted = (
            runs.c.first_seq,
            runs.c["count"].label("size"),
            runs.c.accepted_at,
            runs.c.codec,
            runs.c.data,
        )
        query: Select[Any] = select(*wanted).where(mine, runs.c.first_seq >= begin).order_by(runs.c.first_seq)
        if self.size < self.total:
            yield from self._source.execution_options(yield_per=_ROWS_AHEAD).execute(query)

    def _unpacked(self, row: Row[Any]) -> list[bytes]:
        try:
            return unpack_run(row.data, row.size)
        except BadFrame as error:
            raise self._damaged(f"the records from {row.first_seq} on cannot be unpacked: {error}") from error

    def _take(self, batch: _Batch, acceptance: Acceptance, tree: Frontier) -> None:
        """Verify a batch and what was stored over it, and store all of it in one transaction."""
        accepted = acceptance.accept(map(ReadLine.of, batch.lines))
        if accepted.stopped is not None:
            raise self._damaged(f"record {accepted.stopped.index}: {accepted.stopped.reason}")
        if accepted.waiting:
            raise self._damaged(f"no signature vouches for its last {accepted.waiting} records")
        entries = [EntryRow(*record[:-1]) for record in accepted.records]
        self._require_entries(batch, entries)
        self._require_edges(batch, accepted)
        receipts = [copied(row, tables.receipts) for row in self._verified_receipts(batch, tree)]
        for at in {run.accepted_at for run in batch.runs}:
            self._target.prepare(at)
        with self._target.writing(self._ours.tenant) as connection:
            self._fence(connection, batch, entries)
            statements, stream_id = statements_for(connection), self._ours.stream_id
            for run in batch.runs:
                begin = run.first_seq - batch.first
                statements.store_run(connection, stream_id, run, entries[begin : begin + run.size])
            _insert(connection, tables.nodes, stream_id, ("level", "idx", "hash"), accepted.nodes)
            _insert(connection, tables.event_keys, stream_id, ("first_seq", "vkey"), accepted.event_keys)
            if receipts:
                connection.execute(
                    insert(tables.receipts), [receipt | {"stream_id": stream_id} for receipt in receipts]
                )

    def _fence(self, connection: Connection, batch: _Batch, entries: Sequence[EntryRow]) -> None:
        statements, stream_id = statements_for(connection), self._ours.stream_id
        statements.lock(connection, stream_id)
        if statements.size(connection, stream_id) != batch.first:
            raise StoreMoved(
                f"another program writes {self._name}",
                hint="stop the store that runs on the new database, and run this again",
            )
        events = [entry.event_id for entry in entries]
        if len(set(events)) < len(events) or statements.events_held(connection, stream_id, events):
            raise self._damaged(f"an event is recorded twice, the second time after record {batch.first - 1}")

    def _require_entries(self, batch: _Batch, entries: Sequence[EntryRow]) -> None:
        """Require that each record is found by what it says."""
        held = tables.entries
        wanted = held.c.seq, held.c.event_id, held.c.kind, held.c.unit, held.c.occurred_at
        place = held.c.stream_id == self._theirs.stream_id, held.c.seq >= batch.first, held.c.seq < batch.end
        rows = self._source.execute(select(*wanted).where(*place).order_by(held.c.seq)).all()
        if [tuple(row) for row in rows] != [tuple(entry) for entry in entries]:
            which = f"the records {batch.first} to {batch.end - 1}"
            raise self._damaged(f"{which} are not all found by what they say")

    def _require_edges(self, batch: _Batch, accepted: Accepted) -> None:
        """Require that the nodes and keys that were stored are those of the records."""
        nodes, keys, mine = tables.nodes, tables.event_keys, self._theirs.stream_id
        found: list[tuple[Any, ...]] = []
        for level in sorted({level for level, _, _ in accepted.nodes}):
            here = (
                nodes.c.level == level,
                nodes.c.idx >= batch.first >> level,
                nodes.c.idx < batch.end >> level,
            )
            query = select(nodes.c.level, nodes.c.idx, nodes.c.hash).where(nodes.c.stream_id == mine, *here)
            found += map(tuple, self._source.execute(query.order_by(nodes.c.idx)))
        if found != sorted(accepted.nodes):
            raise self._damaged(f"the tree over the records {batch.first} to {batch.end - 1} is another one")
        after = batch.first or -1
        begun = keys.c.first_seq > after, keys.c.first_seq <= batch.end
        announced = select(keys.c.first_seq, keys.c.vkey).where(keys.c.stream_id == mine, *begun)
        rows = self._source.execute(announced.order_by(keys.c.first_seq)).all()
        if [tuple(row) for row in rows] != accepted.event_keys:
            raise self._damaged(f"the keys from record {batch.first} on are others than its records announce")

    def _verified_receipts(self, batch: _Batch, tree: Frontier) -> Iterator[Row[Any]]:
        """Yield the receipts over a batch's records; the tree grows with them."""
        leaves = iter(map(leaf_hash, batch.lines))
        for row in self._receipts(batch.first, batch.end):
            _grow(tree, leaves, row.size)
            self._verify(row, tree.root())
            yield row
        _grow(tree, leaves, batch.end)

    def _receipts(self, after: int, last: int) -> Sequence[Row[Any]]:
        receipts = tables.receipts
        mine = (
            receipts.c.stream_id == self._theirs.stream_id,
            receipts.c.size > after,
            receipts.c.size <= last,
        )
        return self._source.execute(select(receipts).where(*mine).order_by(receipts.c.size)).all()

    def _verify(self, row: Row[Any], root: bytes) -> None:
        try:
            checkpoint, signed = open_checkpoint(row.note, self._theirs.log_vkey)
            is_ours = signed.signed_by(self._store_key) is not None
        except BadNote as error:
            raise self._damaged(f"the receipt at size {row.size}: {error.what}") from error
        if not is_ours:
            raise StoreError(
                f"{self._name}: the receipt at size {row.size} is not signed by {self._store_key}",
                hint="the new store needs the name and the key of the older one",
            )
        if not (checkpoint.size, checkpoint.root) == (row.size, row.root) == (row.size, root):
            raise self._damaged(f"the records up to {row.size - 1} are not those that were receipted")

    def _add_missing_receipts(self) -> None:
        """Copy receipts over records that the gateway sent to both stores."""
        receipts, common = tables.receipts, min(self.size, self.total)
        mine = receipts.c.stream_id == self._ours.stream_id
        with self._target.reading(self._ours.tenant) as connection:
            held = set(connection.execute(select(receipts.c.size).where(mine)).scalars())
        subtree = StoreTree(self._source, self._theirs.stream_id).subtree
        missing = [row for row in self._receipts(0, common) if row.size not in held]
        for row in missing:
            self._verify(row, root_at(row.size, subtree))
        if missing:
            stream_id = self._ours.stream_id
            with self._target.writing(self._ours.tenant) as connection:
                rows = [copied(row, receipts, stream_id=stream_id) for row in missing]
                connection.execute(insert(receipts), rows)

    @property
    def _name(self) -> str:
        return f"the stream {self._ours.origin} of {self._ours.tenant}"

    def _damaged(self, what: str) -> StoreError:
        return StoreError(f"{self._name}: {what}", hint=_DAMAGED)


def _grow(tree: Frontier, leaves: Iterator[bytes], size: int) -> None:
    tree.extend([next(leaves) for _ in range(size - tree.size)])


def _insert(
    connection: Connection, table: Any, stream_id: int, names: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    values = [dict(zip(names, row, strict=True)) | {"stream_id": stream_id} for row in rows]
    if values:
        connection.execute(insert(table), values)
